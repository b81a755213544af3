"""What was answered to requests with an Idempotency-Key."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from asyncpg import Record

from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.failures import SERVER
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import from_json, to_json
from payonce.domain.errors import Unavailable
from payonce.ports.applications import (
    KeyAnswered,
    KeyFound,
    KeyInHand,
    KeyReused,
    KeyTaken,
)

SQL = load("keys")

TAKE_ATTEMPTS = 5


class Keys:
    """`payonce.ports.applications.Keys` on PostgreSQL; a key counts for `kept_for`."""

    def __init__(self, database: Database, kept_for: timedelta) -> None:
        self._database = database
        self._kept_for = kept_for

    async def take(
        self, key: str, request_hash: bytes, now: datetime, leased_until: datetime
    ) -> KeyFound:
        """Take a key; say whose it is where that cannot be."""

        async def work(connection: Connection) -> KeyFound | None:
            values = (key, request_hash, now, leased_until, now - self._kept_for)
            since = await connection.fetchval(SQL["take"], *values)
            if since is not None:
                return KeyTaken(since)
            row = await connection.fetchrow(SQL["look"], key)
            return None if row is None else _found(row, request_hash)

        for _ in range(TAKE_ATTEMPTS):
            found = await self._database.transact(work)
            if found is not None:
                return found
        raise Unavailable(SERVER, "an idempotency key comes and goes")

    async def answer(self, key: str, since: datetime, status: int, body: Mapping[str, Any]) -> None:
        """Remember the answer."""
        await self._database.fetch(SQL["answer"], key, since, status, to_json(body))

    async def release(self, key: str, leased_until: datetime) -> None:
        """Let the next repeat go on at once, unless somebody else took the key meanwhile."""
        await self._database.fetch(SQL["release"], key, leased_until)

    async def forget(self, key: str, since: datetime) -> None:
        """Forget a request that nothing came of."""
        await self._database.fetch(SQL["forget"], key, since)

    async def expire(self, now: datetime, limit: int) -> int:
        """Delete what no longer counts."""
        return len(await self._database.fetch(SQL["expire"], now - self._kept_for, limit))


def _found(row: Record, request_hash: bytes) -> KeyFound:
    if bytes(row["request_hash"]) != request_hash:
        return KeyReused()
    if row["status"] is None:
        return KeyInHand()
    return KeyAnswered(row["status"], from_json(row["answer"]))
