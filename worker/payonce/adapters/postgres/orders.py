"""What the shop says of its orders."""

from collections.abc import Sequence
from datetime import datetime

from asyncpg import Record

from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import columns, payment_of, success_of
from payonce.domain.events import Event
from payonce.domain.messages import OrderAcknowledged
from payonce.domain.payment import Payment
from payonce.domain.watch import CLOSE_AGAIN_AFTER
from payonce.ports.store import AcknowledgeOutcome

SQL = load("orders")


class Orders:
    """`payonce.ports.store.Orders` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def acknowledge(
        self, messages: Sequence[OrderAcknowledged], now: datetime
    ) -> list[AcknowledgeOutcome]:
        """Note that the order service booked the settling payments; one statement for all."""
        # Of two ways in which one batch tells of the same, the first counts.
        ways = {(one.order_id, one.payment_id): one.way for one in reversed(messages)}
        values = ((order_id, payment_id, way) for (order_id, payment_id), way in ways.items())
        rows = await self._database.fetch(SQL["acknowledge"], *columns(values, 3), now)
        winners = {row["order_id"]: row["settled_by"] for row in rows}
        told = {row["order_id"] for row in rows if row["acknowledged_at"] is not None}
        outcomes = [_outcome(message, winners, told) for message in messages]
        self._database.orders_changed(_acknowledged(messages, outcomes, rows))
        return outcomes

    async def unacknowledged(self, order_ids: Sequence[str]) -> list[Event | None]:
        """Return what is still to be told of each order, None where that is nothing."""
        rows = await self._database.fetch(SQL["unacknowledged"], list(set(order_ids)))
        waiting = {row["order_id"]: success_of(row) for row in rows}
        return [waiting.get(order_id) for order_id in order_ids]

    async def cancel(self, order_id: str, now: datetime) -> list[Payment]:
        """Cancel an OPEN or unknown order; return the unfinished payments of a cancelled one."""

        async def work(connection: Connection) -> tuple[int, list[Payment]]:
            await connection.execute(SQL["cancel"], order_id, now)
            # A statement of its own: it sees what was registered while the first one waited.
            again_at = now + CLOSE_AGAIN_AFTER
            rows = await connection.fetch(SQL["close_those_of_cancelled"], order_id, again_at)
            [order] = await connection.fetch(SQL["version"], order_id)
            return order["version"], [payment_of(row) for row in rows]

        version, payments = await self._database.transact(work)
        self._database.orders_changed({order_id: version})
        return payments


def _acknowledged(
    messages: Sequence[OrderAcknowledged],
    outcomes: Sequence[AcknowledgeOutcome],
    rows: Sequence[Record],
) -> dict[str, int]:
    """Return the versions of the orders that were acknowledged just now."""
    before = {row["order_id"]: row["version"] for row in rows}
    return {
        message.order_id: before[message.order_id] + 1
        for message, outcome in zip(messages, outcomes, strict=True)
        if outcome is AcknowledgeOutcome.ACKNOWLEDGED
    }


def _outcome(
    message: OrderAcknowledged, winners: dict[str, str | None], told: set[str]
) -> AcknowledgeOutcome:
    """Say what became of an acknowledgement, and count it, so that its twin comes second."""
    if message.order_id not in winners:
        return AcknowledgeOutcome.UNKNOWN_ORDER
    if winners[message.order_id] != message.payment_id:
        return AcknowledgeOutcome.NOT_THE_WINNER
    if message.order_id in told:
        return AcknowledgeOutcome.ALREADY
    told.add(message.order_id)
    return AcknowledgeOutcome.ACKNOWLEDGED
