"""Paid orders that nobody has acknowledged are told again."""

from collections.abc import Callable
from datetime import datetime

from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import columns, success_of
from payonce.domain.events import Event, EventType
from payonce.domain.ids import event_id
from payonce.ports.store import DueOutcome

SQL = load("retelling")


class Retelling:
    """`payonce.ports.store.Retelling` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def retell(
        self, now: datetime, limit: int, next_at: Callable[[datetime], datetime]
    ) -> list[Event]:
        """Put the events of up to `limit` orders back into the outbox, and return them."""

        async def work(connection: Connection) -> list[Event]:
            rows = await connection.fetch(SQL["lock_unacknowledged"], now, limit)
            values = [
                (order_id, event_id(EventType.PAYMENT_SUCCEEDED, order_id), next_at(settled_at))
                for order_id, settled_at in rows
            ]
            if not values:
                return []
            rows = await connection.fetch(SQL["retell"], *columns(values, 3))
            return [success_of(row) for row in rows]

        return await self._database.transact(work)

    async def make_due(self, order_id: str, by: str, now: datetime) -> DueOutcome:
        """Have an order told again now, and note who wanted it."""
        rows = await self._database.fetch(SQL["make_due"], order_id, by, now)
        if not rows:
            return DueOutcome.UNKNOWN
        if rows[0]["retell_at"] is not None:
            return DueOutcome.DUE
        is_acknowledged = rows[0]["acknowledged_at"] is not None
        return DueOutcome.ACKNOWLEDGED if is_acknowledged else DueOutcome.NOT_PAID

    async def make_all_due(self, by: str | None, now: datetime, limit: int) -> int:
        """Have up to `limit` orders told again now; return how many were not due before."""
        rows = await self._database.fetch(SQL["make_all_due"], by, now, limit)
        return int(rows[0]["orders"])
