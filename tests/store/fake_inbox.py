"""The inbox in memory, beside the store in memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from payonce.domain.effects import Entry
from payonce.domain.payment import Payment
from payonce.ports.inbox import Finished, KeptCallback, NewCallback
from tests.store.fake import FakeStore


@dataclass
class Row:
    """A callback of the inbox."""

    kept: KeptCallback
    payment_id: str | None
    problem: str | None
    processed_at: datetime | None
    revive_at: datetime | None


class FakeInbox:
    """`payonce.ports.inbox.Inbox` in memory; each method is one step that nothing interrupts."""

    def __init__(self, store: FakeStore) -> None:
        self.rows: dict[int, Row] = {}
        self._store = store

    async def keep(self, callbacks: Sequence[NewCallback]) -> list[int | None]:
        """See the port."""
        return [self._keep(one) for one in callbacks]

    async def claim(self, now: datetime, until: datetime, limit: int) -> list[KeptCallback]:
        """See the port."""
        due = [row for row in self._open() if row.revive_at and row.revive_at <= now]
        due.sort(key=lambda row: row.revive_at or now)
        return [self._take(row, until) for row in due[:limit]]

    async def claim_of(self, payment_id: str, now: datetime, until: datetime) -> list[KeptCallback]:
        """See the port."""
        own = [row for row in self._open() if row.payment_id == payment_id]
        free = [row for row in own if row.problem or (row.revive_at and row.revive_at <= now)]
        return [self._take(row, until) for row in free]

    async def finish(self, finished: Sequence[Finished]) -> list[None]:
        """See the port."""
        for one in finished:
            row = self.rows[one.inbox_id]
            if row.processed_at is None:
                row.processed_at, row.problem = one.at, one.outcome.problem
                row.revive_at = None
                self._tell(one, row.kept)
        self._count()
        return [None] * len(finished)

    async def put_off(self, inbox_id: int, reason: str, until: datetime | None) -> None:
        """See the port."""
        row = self.rows[inbox_id]
        if row.processed_at is None:
            row.problem, row.revive_at = reason, until
        self._count()

    async def find_payment(self, payment_id: str) -> Payment | None:
        """See the port."""
        return self._store.payments.get(payment_id)

    async def forget(
        self, processed_before: datetime, given_up_before: datetime, limit: int
    ) -> int:
        """See the port."""
        old = [n for n, row in self.rows.items() if _is_older(row, processed_before)][:limit]
        old += [n for n, row in self.rows.items() if _was_given_up(row, given_up_before)][:limit]
        for inbox_id in old:
            del self.rows[inbox_id]
        return len(old)

    def _keep(self, new: NewCallback) -> int | None:
        key = (new.gateway, new.event_id)
        if key in {(row.kept.gateway, row.kept.event_id) for row in self.rows.values()}:
            return None
        inbox_id = len(self.rows) + 1
        kept = KeptCallback(
            inbox_id, new.gateway, new.event_id, new.received_at, new.headers, new.body, 0
        )
        is_done = new.problem is not None
        kept = replace(kept, attempts=0 if is_done else 1)
        self.rows[inbox_id] = Row(
            kept,
            new.payment_id,
            new.problem,
            new.received_at if is_done else None,
            None if is_done else new.revive_at,
        )
        self._note(new.payment_id, "callback.received", new.received_at, kept)
        self._count()
        return inbox_id

    def _open(self) -> list[Row]:
        return [row for row in self.rows.values() if row.processed_at is None]

    def _take(self, row: Row, until: datetime) -> KeptCallback:
        taken = row.kept
        row.kept = replace(taken, attempts=taken.attempts + 1)
        row.revive_at, row.problem = until, None
        return taken

    def _tell(self, one: Finished, kept: KeptCallback) -> None:
        outcome = one.outcome
        told = {
            entry.detail["event_id"]
            for entry in self._store.entries
            if entry.kind == "callback.received" and entry.detail["gateway"] == kept.gateway
        }
        if kept.event_id not in told:
            self._note(outcome.payment_id, "callback.received", kept.received_at, kept)
        more = {"result": outcome.result}
        if outcome.problem is not None:
            more["problem"] = outcome.problem
        self._note(outcome.payment_id, "callback.processed", one.at, kept, **more)

    def _note(
        self, payment_id: str | None, kind: str, at: datetime, kept: KeptCallback, **more: str
    ) -> None:
        payment = self._store.payments.get(payment_id or "")
        if payment is not None:
            detail = {"gateway": kept.gateway, "event_id": kept.event_id, **more}
            self._store.entries.append(Entry(payment.order_id, payment_id, at, kind, detail))

    def _count(self) -> None:
        self._store.callbacks_waiting = {
            row.kept.inbox_id: row.kept.received_at for row in self._open() if row.revive_at
        }


def _was_given_up(row: Row, received_before: datetime) -> bool:
    is_left = row.processed_at is None and row.revive_at is None
    return is_left and row.kept.received_at < received_before


def _is_older(row: Row, than: datetime) -> bool:
    return row.processed_at is not None and row.processed_at < than
