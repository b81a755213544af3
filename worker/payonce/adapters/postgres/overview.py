"""Counts for the metrics."""

from datetime import datetime

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.queries import load
from payonce.ports.refunds import RefundsSent
from payonce.ports.store import Backlog

SQL = load("overview")

MAX_COUNT = 100_000
"""Counting stops here; a metric that reads this means "at least"."""


class Overview:
    """`payonce.ports.store.Overview` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def backlog(self) -> Backlog:
        """Return what waits.

        An unresolved payment is as old as the end of its watch, a mismatched one as its initiation.
        """
        rows = await self._database.fetch(SQL["backlog"], MAX_COUNT)
        return Backlog(**rows[0])

    async def refunds_since(self, since: datetime) -> list[RefundsSent]:
        """Return what was sent since then, by gateway and currency."""
        rows = await self._database.fetch(SQL["refunds_of_hour"], since)
        return [RefundsSent(**row) for row in rows]
