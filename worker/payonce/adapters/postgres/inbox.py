"""Callbacks as they came, and which of them were processed."""

import base64
import binascii
from collections.abc import Sequence
from datetime import datetime

from asyncpg import Record

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.reader import MAX_LIST, Page
from payonce.adapters.postgres.rows import columns, from_json, payment_of, to_json
from payonce.adapters.postgres.views import callback_view
from payonce.domain.errors import InvalidField
from payonce.domain.payment import Payment
from payonce.ports import views
from payonce.ports.inbox import Finished, KeptCallback, NewCallback, Which

SQL = load("inbox")

MAX_TAKEN_UP = 100
"""So many callbacks of one payment are taken up at its registration; the sweep does the rest."""

REPLAYED_AT_ONCE = 1_000
_LAST = 2**63 - 1


class Inbox:
    """`payonce.ports.inbox.Inbox` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def keep(self, callbacks: Sequence[NewCallback]) -> list[int | None]:
        """Keep each once; of the same in one call the first is the new one."""
        values = [_values(one) for one in callbacks]
        rows = await self._database.fetch(SQL["keep"], *columns(values, 8))
        new = {(row["gateway"], row["event_id"]): row["inbox_id"] for row in rows}
        return [new.pop((one.gateway, one.event_id), None) for one in callbacks]

    async def claim(self, now: datetime, until: datetime, limit: int) -> list[KeptCallback]:
        """Take unprocessed ones that are due; those that are locked elsewhere are skipped."""
        rows = await self._database.fetch(SQL["claim"], now, until, limit)
        return [_kept(row) for row in rows]

    async def claim_of(self, payment_id: str, now: datetime, until: datetime) -> list[KeptCallback]:
        """Take up to 100 unprocessed ones of a payment that nobody has in hand."""
        rows = await self._database.fetch(SQL["claim_of"], payment_id, now, until, MAX_TAKEN_UP)
        return [_kept(row) for row in rows]

    async def finish(self, finished: Sequence[Finished]) -> list[None]:
        """Note that callbacks were processed."""
        values = (
            (one.inbox_id, one.at, one.outcome.result, one.outcome.payment_id, one.outcome.problem)
            for one in finished
        )
        await self._database.fetch(SQL["finish"], *columns(values, 5))
        return [None] * len(finished)

    async def put_off(self, inbox_id: int, reason: str, until: datetime | None) -> None:
        """Note why a callback waits, and until when; None: for a person."""
        await self._database.fetch(SQL["put_off"], inbox_id, reason, until)

    async def find_payment(self, payment_id: str) -> Payment | None:
        """Return a payment as it stands."""
        rows = await self._database.fetch(SQL["find_payment"], payment_id)
        return payment_of(rows[0]) if rows else None

    async def forget(
        self, processed_before: datetime, given_up_before: datetime, limit: int
    ) -> int:
        """Delete what was processed before, or came before and was given up; return how many.

        `limit`: of each kind.
        """
        values = (processed_before, given_up_before, limit)
        return len(await self._database.fetch(SQL["forget"], *values))


_LISTS = {
    Which.ALL: SQL["list"],
    Which.UNPROCESSED: SQL["list_unprocessed"],
    Which.PROBLEMS: SQL["list_problems"],
}


class InboxDesk:
    """What operators do with the inbox. Every method may raise Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def list(
        self, which: Which = Which.ALL, limit: int = 100, cursor: str | None = None
    ) -> Page[views.Callback]:
        """Return callbacks, the latest first. Raises InvalidField."""
        if not 1 <= limit <= MAX_LIST:
            raise InvalidField("limit", f"{limit} is out of range", f"1 to {MAX_LIST}")
        before = _LAST if cursor is None else _parse_cursor(cursor)
        rows = await self._database.fetch(_LISTS[which], before, limit + 1)
        shown = rows[:limit]
        more = _make_cursor(shown[-1]["inbox_id"]) if len(rows) > limit else None
        return Page([callback_view(row) for row in shown], more)

    async def replay(self, inbox_ids: Sequence[int], now: datetime) -> set[int]:
        """Make callbacks due, whatever became of them; return those that are there."""
        rows = await self._database.fetch(SQL["replay"], list(inbox_ids), now)
        return {row["inbox_id"] for row in rows}

    async def replay_waiting(self, now: datetime) -> int:
        """Make all due that have a problem, whether they wait or were given up."""
        count = 0
        while rows := await self._database.fetch(SQL["replay_waiting"], now, REPLAYED_AT_ONCE):
            count += len(rows)
        return count


def _values(one: NewCallback) -> tuple[object, ...]:
    return (
        one.gateway,
        one.event_id,
        one.received_at,
        to_json(one.headers),
        one.body,
        one.payment_id,
        one.problem,
        one.revive_at,
    )


def _kept(row: Record) -> KeptCallback:
    return KeptCallback(
        inbox_id=row["inbox_id"],
        gateway=row["gateway"],
        event_id=row["event_id"],
        received_at=row["received_at"],
        headers=from_json(row["headers"]),
        body=row["body"],
        attempts=row["attempts"],
    )


def _make_cursor(inbox_id: int) -> str:
    return base64.urlsafe_b64encode(str(inbox_id).encode()).decode().rstrip("=")


def _parse_cursor(cursor: str) -> int:
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
        inbox_id = int(text)
    except (ValueError, binascii.Error):
        inbox_id = 0
    if not 1 <= inbox_id <= _LAST:
        raise InvalidField("cursor", "is not one of ours", "the cursor of a page")
    return inbox_id
