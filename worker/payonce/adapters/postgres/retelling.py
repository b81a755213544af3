"""Paid orders that nobody has acknowledged are told again."""

from collections.abc import Callable
from datetime import datetime

from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import columns
from payonce.domain.events import EventType
from payonce.domain.ids import event_id

SQL = load("retelling")


class Retelling:
    """`payonce.ports.store.Retelling` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def retell(
        self, now: datetime, limit: int, next_at: Callable[[datetime], datetime]
    ) -> list[str]:
        """Put the events of up to `limit` orders back into the outbox; return the orders."""

        async def work(connection: Connection) -> list[str]:
            rows = await connection.fetch(SQL["lock_unacknowledged"], now, limit)
            values = [
                (order_id, event_id(EventType.PAYMENT_SUCCEEDED, order_id), next_at(settled_at))
                for order_id, settled_at in rows
            ]
            if values:
                await connection.execute(SQL["retell"], *columns(values, 3))
            return [order_id for order_id, *_ in values]

        return await self._database.transact(work)
