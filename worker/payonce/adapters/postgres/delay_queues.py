"""Which delay queues the broker holds for us, so that a changed ladder leaves none behind."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import columns

SQL = load("delay_queues")

Wait = tuple[str, int]
"""The destination and the milliseconds that name a delay queue."""


@dataclass(frozen=True, slots=True)
class RetiredWait:
    """A delay queue whose wait no ladder holds any more, and since when."""

    dest: str
    wait_ms: int
    retired_at: datetime


class DelayQueues:
    """Remembers declared waits; one that is no longer wanted is retired until it is forgotten."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def sync(self, wanted: Iterable[Wait], now: datetime) -> list[RetiredWait]:
        """Note that `wanted` are declared, retire all others; return all that are retired."""
        waits = columns(sorted(set(wanted)), 2)

        async def work(connection: Connection) -> list[RetiredWait]:
            await connection.execute(SQL["sync"], *waits, now)
            return [RetiredWait(**row) for row in await connection.fetch(SQL["retired"])]

        return await self._database.transact(work)

    async def retired(self) -> list[RetiredWait]:
        """Return the waits whose queues are to be deleted once they have drained."""
        return [RetiredWait(**row) for row in await self._database.fetch(SQL["retired"])]

    async def forget(self, waits: Iterable[Wait]) -> None:
        """Forget retired waits whose queues were deleted at the broker."""
        await self._database.fetch(SQL["forget"], *columns(waits, 2))
