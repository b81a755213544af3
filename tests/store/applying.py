"""Applications and keys in memory, on the store in memory: each method is one step."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from payonce.domain.application import Application, Applied
from payonce.domain.claim import Claim, Confirmation, Fresh, Refused, Resumed, Shared
from payonce.domain.decide import Facts
from payonce.domain.effects import Entry
from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import UNFINISHED
from payonce.ports.applications import (
    ClaimJudge,
    ConfirmJudge,
    KeyAnswered,
    KeyFound,
    KeyInHand,
    KeyReused,
    KeyTaken,
)
from tests.store.fake import FakeStore
from tests.store.fake_rows import Waiting

KEPT_FOR = timedelta(hours=24)


@dataclass
class FakeApplications:
    """Applications on a FakeStore; `shown` holds what the other ports do not know."""

    store: FakeStore
    shown: dict[str, Applied] = field(default_factory=dict)

    async def claim(
        self, application: Application, revive_at: datetime, judge: ClaimJudge
    ) -> Claim:
        """See the port."""
        orders, order_id = self.store.orders, application.order_id
        is_known = order_id in orders
        if application.amount is not None:
            price = (application.amount, application.currency)
            orders.setdefault(order_id, Order(order_id, OrderStatus.OPEN, *price, None, 0))
        known = [
            self._applied(one.payment_id)
            for one in self.store.payments.values()
            if one.order_id == order_id
            and (one.status in UNFINISHED or one.payment_id == application.payment_id)
        ]
        known.sort(key=lambda one: (one.initiated_at, one.payment.payment_id))
        given = application.amount is not None
        count = sum(one.order_id == order_id for one in self.store.payments.values())
        decided = judge(orders.get(order_id), known, 0 if given else count)
        match decided:
            case Refused() if not is_known:
                orders.pop(order_id, None)
            case Fresh():
                self._insert(decided, revive_at)
            case Shared(shared_until=datetime() as until) | Resumed(shared_until=until):
                shared = replace(decided.applied, shared_until=until)
                self.shown[shared.payment.payment_id] = shared
        return decided

    async def confirm(
        self, payment_id: str, gateway_ref: str | None, judge: ConfirmJudge
    ) -> Confirmation:
        """See the port."""
        payment = self.store.payments[payment_id]
        owner = self.store._owner(payment.gateway, gateway_ref)
        facts = Facts(self.store.orders[payment.order_id], payment, owner)
        decided = judge(facts, self._applied(payment_id))
        self.store.orders[payment.order_id] = decided.order
        self.store.payments[payment_id] = decided.applied.payment
        self.shown[payment_id] = decided.applied
        if decided.applied.payment.mismatched:
            self.store.revive_at[payment_id] = None
        elif decided.revive_at is not None:
            self.store.revive_at[payment_id] = decided.revive_at
        for event in decided.events:
            self.store.outbox.setdefault(event.event_id, Waiting(event))
        self.store.entries.extend(decided.entries)
        return decided

    async def applied(self, payment_id: str) -> tuple[Order, Applied] | None:
        """See the port."""
        payment = self.store.payments.get(payment_id)
        if payment is None:
            return None
        return self.store.orders[payment.order_id], self._applied(payment_id)

    def _insert(self, fresh: Fresh, revive_at: datetime) -> None:
        payment, store = fresh.applied.payment, self.store
        store.orders[payment.order_id] = fresh.order
        store.payments[payment.payment_id] = payment
        store.expires_given[payment.payment_id] = True
        store.revive_at[payment.payment_id] = revive_at
        store.initiated_at[payment.payment_id] = fresh.applied.initiated_at
        store.outbox[fresh.event.event_id] = Waiting(fresh.event)
        store.entries.append(fresh.entry)
        for one in fresh.superseded:
            store._mark_closing(one, "superseded", fresh.applied.initiated_at)
            detail = {"reason": "superseded"}
            at = fresh.applied.initiated_at
            store.entries.append(Entry(one.order_id, one.payment_id, at, "payment.closing", detail))

    def _applied(self, payment_id: str) -> Applied:
        """Return the row as it stands, whoever changed the payment last."""
        payment, initiated_at = self.store.payments[payment_id], self.store.initiated_at[payment_id]
        shown = self.shown.get(payment_id, Applied(payment, initiated_at))
        return replace(shown, payment=payment)


@dataclass
class _Key:
    request_hash: bytes
    since: datetime
    leased_until: datetime
    answered: KeyAnswered | None = None


@dataclass
class FakeKeys:
    """Keys in memory."""

    keys: dict[str, _Key] = field(default_factory=dict)

    async def take(
        self, key: str, request_hash: bytes, now: datetime, leased_until: datetime
    ) -> KeyFound:
        """See the port."""
        known = self.keys.get(key)
        if known is None or known.since <= now - KEPT_FOR:
            self.keys[key] = _Key(request_hash, now, leased_until)
            return KeyTaken(now)
        if known.request_hash != request_hash:
            return KeyReused()
        if known.answered is not None:
            return known.answered
        if known.leased_until > now:
            return KeyInHand()
        known.leased_until = leased_until
        return KeyTaken(known.since)

    async def answer(self, key: str, since: datetime, status: int, body: Mapping[str, Any]) -> None:
        """See the port."""
        known = self._open(key, since)
        if known is not None:
            known.answered = KeyAnswered(status, dict(body))

    async def release(self, key: str, leased_until: datetime) -> None:
        """See the port."""
        known = self.keys.get(key)
        if known and known.leased_until == leased_until and known.answered is None:
            known.leased_until = known.since

    async def forget(self, key: str, since: datetime) -> None:
        """See the port."""
        if self._open(key, since) is not None:
            del self.keys[key]

    async def expire(self, now: datetime, limit: int) -> int:
        """See the port."""
        old = sorted(
            (one.since, key) for key, one in self.keys.items() if one.since <= now - KEPT_FOR
        )
        for _, key in old[:limit]:
            del self.keys[key]
        return len(old[:limit])

    def _open(self, key: str, since: datetime) -> _Key | None:
        known = self.keys.get(key)
        return known if known and known.since == since and known.answered is None else None
