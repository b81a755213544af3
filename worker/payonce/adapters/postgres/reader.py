"""What people and other programs are shown: CONTRACT.md, sections 4 and 6."""

import base64
import binascii
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Generic, TypeVar

from asyncpg import Record

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.states import States
from payonce.adapters.postgres.views import order_view, payment_view, refund_view
from payonce.domain.errors import InvalidField
from payonce.domain.ids import check_id
from payonce.domain.refund import RefundStatus
from payonce.domain.times import from_ms
from payonce.ports import views
from payonce.ports.states import Known

SQL = load("reader")

View_co = TypeVar("View_co", covariant=True)

MAX_LIST = 1000
"""A page is cut here."""

_START = (from_ms(0), "")


@dataclass(frozen=True, slots=True)
class Page(Generic[View_co]):
    """Some entries of a list, oldest first, and where the next page begins; None: there is none."""

    items: Sequence[View_co]
    cursor: str | None


class Reader:
    """Reads orders, payments and lists; writes nothing. Every method may raise Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._states = States(database)

    async def order(self, order_id: str, *, timeline: bool = True) -> views.Order | None:
        """Return an order with its payments, refunds and timeline, all of one moment."""
        [state] = await self._states.read([Known(order_id)], timeline=timeline)
        return state.view if state else None

    async def payment(self, payment_id: str) -> views.Payment | None:
        """Return a payment."""
        [view] = await self._states.payments([payment_id])
        return view

    async def unresolved(self, limit: int = 100, cursor: str | None = None) -> Page[views.Payment]:
        """Return payments whose watch ended without a definite answer. Raises InvalidField."""
        return await self._page("unresolved", "payment_id", payment_view, limit, cursor)

    async def mismatched(self, limit: int = 100, cursor: str | None = None) -> Page[views.Payment]:
        """Return payments whose success may not settle. Raises InvalidField."""
        return await self._page("mismatched", "payment_id", payment_view, limit, cursor)

    async def unacknowledged(
        self, limit: int = 100, cursor: str | None = None
    ) -> Page[views.OrderSummary]:
        """Return paid orders that the order service has not booked. Raises InvalidField."""
        return await self._page("unacknowledged", "order_id", order_view, limit, cursor)

    async def refund(self, refund_id: str) -> views.Refund | None:
        """Return a refund."""
        rows = await self._database.fetch(SQL["refund"], refund_id)
        return refund_view(rows[0]) if rows else None

    async def refunds(
        self, limit: int = 100, cursor: str | None = None, status: str | None = None
    ) -> Page[views.Refund]:
        """Return refunds of a status, or those that wait for a person. Raises InvalidField."""
        if status is None:
            return await self._page("refunds", "refund_id", refund_view, limit, cursor)
        if status not in list(RefundStatus):
            raise InvalidField("status", f"{status!r:.40} is unknown", ", ".join(RefundStatus))
        return await self._page("refunds_in", "refund_id", refund_view, limit, cursor, status)

    async def watched_gateways(self) -> list[str]:
        """Return the names of gateways that are still to be asked about a payment or refund."""
        rows = await self._database.fetch(SQL["watched_gateways"])
        return [row["gateway"] for row in rows]

    async def _page(
        self,
        name: str,
        key: str,
        view: Callable[[Record], View_co],
        limit: int,
        cursor: str | None,
        *filters: str,
    ) -> Page[View_co]:
        if not 1 <= limit <= MAX_LIST:
            raise InvalidField("limit", f"{limit} is out of range", f"1 to {MAX_LIST}")
        at, last_id = _START if cursor is None else parse_cursor(cursor)
        rows = await self._database.fetch(SQL[name], at, last_id, limit + 1, *filters)
        shown = rows[:limit]
        more = len(rows) > limit
        following = make_cursor(shown[-1]["listed_at"], shown[-1][key]) if more else None
        return Page([view(row) for row in shown], following)


def make_cursor(at: datetime, last_id: str) -> str:
    """Return an opaque word for "after this one"; microseconds are kept."""
    text = f"{at.astimezone(UTC).isoformat()} {last_id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def parse_cursor(cursor: str) -> tuple[datetime, str]:
    """Return the time and id in a cursor, else raise InvalidField."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, last_id = base64.urlsafe_b64decode(padded.encode("ascii")).decode("ascii").split(" ")
        return datetime.fromisoformat(at).astimezone(UTC), check_id(last_id, "cursor")
    except (ValueError, OverflowError, binascii.Error, InvalidField):
        raise InvalidField("cursor", "is not one of ours", "the cursor of a page") from None
