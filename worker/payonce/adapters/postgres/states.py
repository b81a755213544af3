"""The states of many orders in one statement."""

from collections.abc import Sequence

from asyncpg import Record

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.views import order_view, payment_view, refund_view, timeline_view
from payonce.ports import views
from payonce.ports.states import Known, State

SQL = load("states")

MOST_SHOWN = 1000
"""The payments and refunds of an order and the latest lines of its timeline are cut here."""


class States:
    """`payonce.ports.states.States` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def read(self, wanted: Sequence[Known], *, timeline: bool = False) -> list[State | None]:
        """Return each order's state in order; one that is asked for twice is read once."""
        known: dict[str, int] = {}
        for one in wanted:
            known[one.order_id] = min(one.version, known.get(one.order_id, one.version))
        rows = await self._database.fetch(
            SQL["read"], list(known), list(known.values()), MOST_SHOWN, timeline
        )
        states = {row["order_id"]: _state_of(row, timeline=timeline) for row in rows}
        return [states.get(one.order_id) for one in wanted]

    async def versions(self, order_ids: Sequence[str]) -> dict[str, int]:
        """Return the versions of the orders that there are."""
        rows = await self._database.fetch(SQL["versions"], list(order_ids))
        return {row["order_id"]: row["version"] for row in rows}

    async def payments(self, payment_ids: Sequence[str]) -> list[views.Payment | None]:
        """Return payments in order; one that is asked for twice is read once."""
        rows = await self._database.fetch(SQL["payments"], list(set(payment_ids)))
        found = {row["payment_id"]: payment_view(row) for row in rows}
        return [found.get(payment_id) for payment_id in payment_ids]


def _state_of(row: Record, *, timeline: bool) -> State:
    if not row["is_news"]:
        return State(row["version"], None)
    view: views.Order = {
        **order_view(row),
        "payments": [payment_view(one) for one in row["payments"]],
        "refunds": [refund_view(one) for one in row["refunds"]],
        "timeline": [timeline_view(one) for one in reversed(row["timeline"])] if timeline else [],
    }
    if not timeline:
        del view["timeline"]
    return State(row["version"], view)
