"""What the operators' page shows besides the lists: counts, and where an id leads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.queries import load

SQL = load("dashboard")

MOST_WAITING = 1_000
MOST_FOUND = 20


@dataclass(frozen=True, slots=True)
class Flight:
    """Payments of one gateway whose age lies between two bounds, and how they stand.

    `bound`: how many of the asked bounds they are older than. `created`: not known to be accepted
    by the gateway; `closing`: to be closed there.
    """

    gateway: str
    bound: int
    payments: int
    created: int
    closing: int


@dataclass(frozen=True, slots=True)
class Found:
    """Where an id leads: `what` it is the id of, and the order."""

    what: str
    order_id: str


class Dashboard:
    """Counts for people. Every method may raise Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def in_flight(self, bounds: Sequence[timedelta], limit: int) -> list[Flight]:
        """Return up to `limit` payments that are watched, by gateway and age since receipt.

        Unresolved and mismatched ones are left out: they stand in lists of their own.
        """
        seconds = [one.total_seconds() for one in bounds]
        rows = await self._database.fetch(SQL["in_flight"], seconds, limit)
        return [Flight(**row) for row in rows]

    async def refunds_waiting(self) -> dict[str, int]:
        """Return how many refunds of each status wait for a person; `contradicted` apart."""
        rows = await self._database.fetch(SQL["refunds_waiting"], MOST_WAITING)
        return {row["status"]: row["refunds"] for row in rows}

    async def find(self, wanted: str) -> list[Found]:
        """Return the orders that an order's, payment's, refund's or gateway's own id leads to."""
        rows = await self._database.fetch(SQL["find"], wanted, MOST_FOUND)
        return [Found(**row) for row in rows]
