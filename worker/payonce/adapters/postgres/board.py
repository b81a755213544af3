"""The board, in PostgreSQL: one answer for all processes."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from asyncpg import Record

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.queries import load
from payonce.ports.board import GatewayState, JournalLine, Reading

SQL = load("board")


class Board:
    """`payonce.ports.board.Board` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, worker_id: str | None, now: datetime, alive_since: datetime) -> Reading:
        """Note that this process asks gateways, and read the board."""
        rows = await self._database.fetch(SQL["read"], worker_id, now, alive_since)
        states = {row["gateway"]: _state_of(row) for row in rows if row["gateway"] is not None}
        return Reading(states, rows[0]["others"] + (worker_id is not None))

    async def leave(self, worker_id: str) -> None:
        """Note that this process asks no more."""
        await self._database.fetch(SQL["leave"], worker_id)

    async def open(self, gateway: str, length: timedelta, why: str) -> bool:
        """Open a breaker that is not open, by the database's clock."""
        return bool(await self._database.fetch(SQL["open"], gateway, length, why))

    async def close(self, gateway: str, now: datetime) -> bool:
        """Close a breaker that is not closed, and forget its openings."""
        return bool(await self._database.fetch(SQL["close"], gateway, now))

    async def pause(self, gateway: str, by: str, why: str, now: datetime) -> bool:
        """Pause a gateway; one that is paused keeps its time and takes who and why anew."""
        return bool(await self._database.fetch(SQL["pause"], gateway, by, why, now))

    async def resume(self, gateway: str, by: str, why: str | None, now: datetime) -> bool:
        """End a pause."""
        return bool(await self._database.fetch(SQL["resume"], gateway, by, why, now))

    async def states(self) -> list[GatewayState]:
        """Return every gateway that was ever paused or opened, by name."""
        return [_state_of(row) for row in await self._database.fetch(SQL["states"])]

    async def journal(self, gateways: Sequence[str], lines: int) -> list[JournalLine]:
        """Return the latest `lines` of each of these gateways, oldest first."""
        rows = await self._database.fetch(SQL["journal"], list(gateways), lines)
        return [JournalLine(*row) for row in rows]


def _state_of(row: Record) -> GatewayState:
    return GatewayState(*row[:6])
