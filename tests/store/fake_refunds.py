"""Refunds in memory, on the rows of the store in memory."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

from payonce.domain.money import Money
from payonce.domain.payment import PaymentStatus
from payonce.domain.people import PaymentCase
from payonce.domain.refund import OVER, Refund
from payonce.domain.refunding import RefundEffects
from payonce.domain.risk import Case, Counts
from payonce.domain.watch import REFUND_AGAIN_AFTER
from payonce.ports.clock import Clock
from payonce.ports.refunds import PaymentJudge, RefundJudge
from tests.store.fake import FakeStore
from tests.store.fake_rows import Waiting


class FakeRefunds:
    """`payonce.ports.refunds.Refunds`, each method one step that nothing interrupts."""

    def __init__(self, store: FakeStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._revive_at: dict[str, datetime | None] = {}

    async def find(self, refund_id: str) -> Case | None:
        """See the port."""
        return self._case(refund_id, None)

    async def change(
        self,
        refund_id: str,
        judge: RefundJudge,
        *,
        reported_ref: str | None = None,
        counting: bool = False,
    ) -> RefundEffects | None:
        """See the port."""
        case = self._case(refund_id, reported_ref, counting=counting)
        effects = None if case is None else judge(case)
        if effects is not None and effects.writes:
            self._write(effects)
        return effects

    async def change_payment(self, payment_id: str, judge: PaymentJudge) -> RefundEffects | None:
        """See the port."""
        payment = self._store.payments.get(payment_id)
        if payment is None:
            return None
        resolution = self._store.resolved.get(payment_id)
        effects = judge(
            PaymentCase(
                payment=payment,
                order=self._store.orders[payment.order_id],
                captured=self._captured(payment_id),
                refunds=tuple(one for one in self._store.refunds if one.payment_id == payment_id),
                resolved_as=resolution.resolved_as if resolution else None,
            )
        )
        self._write(effects)
        return effects

    async def overdue(
        self, now: datetime, until: datetime, limit: int, gateways: Collection[str]
    ) -> Sequence[Refund]:
        """See the port."""
        due = sorted(
            (at, one.refund_id)
            for one in self._store.refunds
            if one.gateway in gateways and (at := self.revive_at(one)) and at <= now
        )
        found = [self._refund(refund_id) for _, refund_id in due[:limit]]
        self._revive_at |= {one.refund_id: until for one in found if one}
        return [one for one in found if one]

    def revive_at(self, refund: Refund) -> datetime | None:
        """Return when a refund is looked after; one that was just settled, a minute later."""
        if refund.refund_id in self._revive_at:
            return self._revive_at[refund.refund_id]
        born = next(one for one in self._store.entries if one.payment_id == refund.payment_id)
        return born.at + REFUND_AGAIN_AFTER

    def _refund(self, refund_id: str) -> Refund | None:
        return next((one for one in self._store.refunds if one.refund_id == refund_id), None)

    def _case(
        self, refund_id: str, reported_ref: str | None, *, counting: bool = False
    ) -> Case | None:
        refund = self._refund(refund_id)
        if refund is None:
            return None
        order = self._store.orders[refund.order_id]
        return Case(
            refund=refund,
            payment=self._store.payments[refund.payment_id],
            order=order,
            winner=self._store.payments[order.settled_by] if order.settled_by else None,
            captured=self._captured(refund.payment_id),
            ref_owner=self._store._owner(refund.gateway, reported_ref),
            counts=self._counts(refund) if counting else Counts(),
        )

    def _counts(self, refund: Refund) -> Counts:
        since = self._clock.now() - timedelta(hours=1)
        sent = [one for one in self._store.refunds if one.submitted_at and one is not refund]
        lately = [one for one in sent if one.submitted_at and one.submitted_at > since]
        return Counts(
            of_order=sum(one.order_id == refund.order_id for one in sent),
            in_hour=len(lately),
            of_gateway_in_hour=sum(one.gateway == refund.gateway for one in lately),
        )

    def _captured(self, payment_id: str) -> Money | None:
        payment = self._store.payments[payment_id]
        paid = payment.status is PaymentStatus.SUCCEEDED
        own = Money(payment.amount, payment.currency) if paid else None
        return self._store.captured.get(payment_id, own)

    def _write(self, effects: RefundEffects) -> None:
        store, refund = self._store, effects.refund
        if refund is not None:
            same = [one for one in store.refunds if one.refund_id == refund.refund_id]
            live = [
                one
                for one in store.refunds
                if one.payment_id == refund.payment_id and one.status not in OVER
            ]
            assert effects.is_new is (not same)
            assert not (effects.is_new and live), "one refund a payment"
            store.refunds = [one for one in store.refunds if one not in same]
            store.refunds.append(refund)
            if effects.entries:
                store.refunded_at.setdefault(refund.refund_id, effects.entries[0].at)
            self._revive_at[refund.refund_id] = effects.revive_at
        if effects.resolution is not None:
            store.resolved[effects.resolution.payment.payment_id] = effects.resolution
        store.orders[effects.order.order_id] = effects.order
        for event in effects.events:
            store.outbox.setdefault(event.event_id, Waiting(event))
        store.entries.extend(effects.entries)
