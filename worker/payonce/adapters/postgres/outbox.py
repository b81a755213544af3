"""Events that were committed with the state they tell of."""

from collections.abc import Sequence
from datetime import datetime

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import from_json
from payonce.domain.events import EventType
from payonce.ports.store import OutboxRow

SQL = load("outbox")


class Outbox:
    """`payonce.ports.store.Outbox` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def delete_events(self, event_ids: Sequence[str]) -> list[None]:
        """Forget events that were published; one None each."""
        await self._database.fetch(SQL["delete_events"], event_ids)
        return [None] * len(event_ids)

    async def claim_events(
        self, now: datetime, older_than: datetime, until: datetime, limit: int
    ) -> list[OutboxRow]:
        """Lease up to `limit` events until `until`."""
        rows = await self._database.fetch(SQL["claim_events"], now, older_than, until, limit)
        return [
            OutboxRow(
                event_id=str(row["event_id"]),
                type=EventType(row["type"]),
                order_id=row["order_id"],
                occurred_at=row["occurred_at"],
                data=from_json(row["data"]),
                traceparent=row["traceparent"],
                attempts=row["attempts"],
                acknowledged=row["acknowledged"],
            )
            for row in rows
        ]
