"""What happened lately, in PostgreSQL: the sums of all processes."""

from collections.abc import Mapping
from datetime import datetime

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import columns
from payonce.ports.activity import Counted, Key

SQL = load("activity")

FORGOTTEN_AT_ONCE = 500


class Activity:
    """`payonce.ports.activity.Activity` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, now: datetime, counts: Mapping[Key, int], forget_before: datetime) -> None:
        """Add to this minute's sums and forget up to 500 old ones, in one statement."""
        rows = columns([(*key, count) for key, count in counts.items()], 5)
        await self._database.fetch(SQL["add"], now, *rows, forget_before, FORGOTTEN_AT_ONCE)

    async def since(self, start: datetime) -> list[Counted]:
        """Return the sums from the minute of `start` on."""
        rows = await self._database.fetch(SQL["since"], start)
        return [Counted(*row) for row in rows]
