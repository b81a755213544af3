"""The store in memory: each method is one step that nothing interrupts."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from payonce.adapters.clock import SystemClock
from payonce.adapters.postgres.repeats import find_conflict
from payonce.domain.decide import Facts, Verdict
from payonce.domain.effects import Effects, Entry
from payonce.domain.events import Event
from payonce.domain.messages import OrderAcknowledged, PaymentInitiated
from payonce.domain.money import Money
from payonce.domain.order import Order, OrderStatus, closing_of
from payonce.domain.payment import UNFINISHED, Payment, PaymentStatus
from payonce.domain.refund import Refund
from payonce.domain.refunding import Resolution
from payonce.domain.watch import CLOSE_AGAIN_AFTER, RETELL_AFTER
from payonce.ports.store import (
    AcknowledgeOutcome,
    DueOutcome,
    Judge,
    OutboxRow,
    Registered,
    RegisterOutcome,
    Registration,
    Revival,
    StepDone,
    Wanted,
    WatchState,
)
from tests.store.fake_overview import Counted
from tests.store.fake_rows import Waiting, new_payment, open_order, outbox_row, state_of


@dataclass
class FakeStore(Counted):
    """Registrar, Ledger, Watches, Orders, Outbox, Retelling and Overview in one.

    `now`: the clock of the database.
    """

    now: Callable[[], datetime] = SystemClock().now
    orders: dict[str, Order] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    expires_given: dict[str, bool] = field(default_factory=dict)
    revive_at: dict[str, datetime | None] = field(default_factory=dict)
    initiated_at: dict[str, datetime] = field(default_factory=dict)
    called_back: set[str] = field(default_factory=set)
    settled_at: dict[str, datetime] = field(default_factory=dict)
    acknowledged: set[str] = field(default_factory=set)
    refunds: list[Refund] = field(default_factory=list)
    refunded_at: dict[str, datetime] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    outbox: dict[str, Waiting] = field(default_factory=dict)
    callbacks_waiting: dict[int, datetime] = field(default_factory=dict)
    successes: dict[str, Event] = field(default_factory=dict)
    retell_at: dict[str, datetime] = field(default_factory=dict)
    captured: dict[str, Money] = field(default_factory=dict)
    resolved: dict[str, Resolution] = field(default_factory=dict)

    async def register(
        self, wanted: Sequence[Registration], *, supersede: bool = False
    ) -> list[Registered]:
        """See the port."""
        known = set(self.orders)
        results = [self._register(one) for one in wanted]
        fresh = dict.fromkeys(
            one.order.order_id for one in results if one.outcome is RegisterOutcome.NEW
        )
        for order_id in fresh.keys() & known:
            self._grow(order_id)
        older = {order_id: self._supersede(order_id) for order_id in fresh if supersede}
        return [self._registered(one, older) for one in results]

    async def settle(self, wanted: Sequence[Wanted], judge: Judge) -> list[Payment]:
        """See the port."""
        locked = {
            one.payment_id: self._facts(one) for one in wanted if one.payment_id in self.payments
        }
        written = [one for one in judge(locked) if one.decision.verdict is not Verdict.IGNORED]
        for effects in written:
            self._apply(effects)
        decided = {one.payment.payment_id for one in written}
        return [
            payment
            for effects in written
            if effects.settled_at
            for payment in self._close_siblings(effects, decided)
        ]

    async def looked(self, payment_id: str, epoch: int, next_at: datetime | None) -> None:
        """See the port."""
        payment = self.payments[payment_id]
        if payment.epoch == epoch and payment.status in {
            PaymentStatus.FAILED,
            PaymentStatus.CLOSED,
        }:
            self.revive_at[payment_id] = next_at

    async def end_closing(self, payment_id: str, now: datetime) -> None:
        """See the port."""
        payment = self.payments[payment_id]
        if payment.closing:
            self.payments[payment_id] = replace(payment, closing=None)
            self._grow(payment.order_id)
            self.entries.append(
                Entry(payment.order_id, payment_id, now, "payment.close_refused", {})
            )

    async def watch_states(self, payment_ids: Sequence[str]) -> list[WatchState | None]:
        """See the port."""
        now = self.now()
        return [state_of(self.payments.get(payment_id), now) for payment_id in payment_ids]

    async def record_steps(self, steps: Sequence[StepDone]) -> list[bool]:
        """See the port."""
        return [self._record(one) for one in steps]

    async def revive(
        self,
        now: datetime,
        limit: int,
        plan: Callable[[Sequence[Payment]], Sequence[Revival]],
        gateways: Collection[str] | None = None,
    ) -> list[Payment]:
        """See the port."""
        due = sorted(
            (at, key)
            for key, at in self.revive_at.items()
            if at and at <= now and (gateways is None or self.payments[key].gateway in gateways)
        )
        revivals = plan([self.payments[key] for _, key in due[:limit]])
        for one in revivals:
            self.revive_at[one.payment_id] = one.revive_at
            payment = self.payments[one.payment_id]
            self.payments[one.payment_id] = replace(payment, epoch=one.epoch)
        return [self.payments[one.payment_id] for one in revivals]

    async def restart(self, payment_id: str, now: datetime, revive_at: datetime) -> Payment | None:
        """See the port."""
        payment = self.payments.get(payment_id)
        if not payment or payment.mismatched or payment.status is PaymentStatus.SUCCEEDED:
            return None
        kept = self.revive_at[payment_id] if payment.closing else None
        if payment.status in UNFINISHED and not payment.unresolved:
            self.revive_at[payment_id] = min(kept, revive_at) if kept else revive_at
        payment = replace(payment, epoch=payment.epoch + 1, step=0)
        self.payments[payment_id] = payment
        detail = {"epoch": payment.epoch}
        entry = Entry(payment.order_id, payment_id, now, "payment.watch_restarted", detail)
        self.entries.append(entry)
        return payment

    async def acknowledge(
        self, messages: Sequence[OrderAcknowledged], now: datetime
    ) -> list[AcknowledgeOutcome]:
        """See the port."""
        return [self._acknowledge(one, now) for one in messages]

    async def cancel(self, order_id: str, now: datetime) -> list[Payment]:
        """See the port."""
        unknown = Order(order_id, OrderStatus.CANCELLED, None, None, None, -1)
        order = self.orders.setdefault(order_id, unknown)
        if order is unknown or order.status is OrderStatus.OPEN:
            after = replace(order, status=OrderStatus.CANCELLED, version=order.version + 1)
            self.orders[order_id] = after
            self.entries.append(Entry(order_id, None, now, "order.cancelled", {}))
        if self.orders[order_id].status is not OrderStatus.CANCELLED:
            return []
        own = [
            p
            for p in self.payments.values()
            if p.order_id == order_id and p.status in UNFINISHED and not p.mismatched
        ]
        if any(payment.closing != "order-cancelled" for payment in own):
            self._grow(order_id)
        return [self._mark_closing(payment, "order-cancelled", now) for payment in own]

    async def delete_events(self, event_ids: Sequence[str]) -> list[None]:
        """See the port."""
        for one in event_ids:
            self.outbox.pop(one, None)
        return [None] * len(event_ids)

    async def claim_events(
        self, now: datetime, older_than: datetime, until: datetime, limit: int
    ) -> list[OutboxRow]:
        """See the port."""
        free = [
            one
            for one in self.outbox.values()
            if one.due_at <= now and one.event.occurred_at < older_than
        ]
        claimed = sorted(free, key=lambda one: (one.due_at, one.event.event_id))[:limit]
        rows = [
            replace(outbox_row(one), acknowledged=one.event.order_id in self.acknowledged)
            for one in claimed
        ]
        for one in claimed:
            one.leased_until = until
            one.attempts += 1
        return rows

    async def retell(
        self, now: datetime, limit: int, next_at: Callable[[datetime], datetime]
    ) -> list[Event]:
        """See the port."""
        due = sorted((at, key) for key, at in self.retell_at.items() if at <= now)[:limit]
        for _, key in due:
            self.retell_at[key] = next_at(self.settled_at[key])
            event = self.successes[key]
            self.outbox.setdefault(event.event_id, Waiting(event))
        return [self.successes[key] for _, key in due]

    async def make_due(self, order_id: str, by: str, now: datetime) -> DueOutcome:
        """See the port."""
        if order_id in self.acknowledged:
            return DueOutcome.ACKNOWLEDGED
        if order_id not in self.retell_at:
            return DueOutcome.NOT_PAID if order_id in self.orders else DueOutcome.UNKNOWN
        self._make_due(order_id, by, now)
        return DueOutcome.DUE

    async def make_all_due(self, by: str | None, now: datetime, limit: int) -> int:
        """See the port."""
        wanted = [key for key, at in self.retell_at.items() if at > now][:limit]
        for key in wanted:
            self._make_due(key, by, now)
        return len(wanted)

    def _make_due(self, order_id: str, by: str | None, now: datetime) -> None:
        self.retell_at[order_id] = now
        if by is not None:
            winner = self.orders[order_id].settled_by
            self.entries.append(Entry(order_id, winner, now, "order.notify_asked", {"by": by}))

    async def unacknowledged(self, order_ids: Sequence[str]) -> list[Event | None]:
        """See the port."""
        return [self.successes[key] if key in self.retell_at else None for key in order_ids]

    def _register(self, wanted: Registration) -> Registered:
        message = wanted.message
        payment = self.payments.get(message.payment_id)
        order = self.orders.setdefault(message.order_id, open_order(message.order_id))
        problem = find_conflict(payment, message) if payment else ""
        if problem:
            return Registered(RegisterOutcome.CONFLICT, payment, order, problem)
        owner = self._owner(message.gateway, message.gateway_ref)
        if owner not in {None, message.payment_id}:
            detail = f"gateway_ref {message.gateway_ref} belongs to payment {owner}"
            return Registered(RegisterOutcome.REF_TAKEN, payment, order, detail)
        if payment:
            return Registered(RegisterOutcome.SAME, self._fill(payment, message), order)
        called_back = message.payment_id in self.called_back
        return Registered(RegisterOutcome.NEW, *self._insert(wanted), called_back=called_back)

    def _insert(self, wanted: Registration) -> tuple[Payment, Order]:
        message = wanted.message
        order = self.orders[message.order_id]
        payment = replace(new_payment(message), closing=closing_of(order))
        if order.amount is None:
            order = replace(order, amount=message.amount, currency=message.currency)
        self.orders[order.order_id] = order
        self.payments[payment.payment_id] = payment
        self.initiated_at[payment.payment_id] = message.initiated_at
        self.expires_given[payment.payment_id] = message.expires_given
        self.revive_at[payment.payment_id] = wanted.revive_at
        return payment, order

    def _registered(self, one: Registered, older: dict[str, list[Payment]]) -> Registered:
        payment = self.payments.get(one.payment.payment_id) if one.payment else None
        superseded = older.pop(one.order.order_id, []) if one.outcome is RegisterOutcome.NEW else ()
        order = self.orders[one.order.order_id]
        return replace(one, order=order, payment=payment, superseded=tuple(superseded))

    def _supersede(self, order_id: str) -> list[Payment]:
        """Mark all pending payments of an open order but the newest."""
        if self.orders[order_id].status is not OrderStatus.OPEN:
            return []
        pending = [
            p
            for p in self.payments.values()
            if p.order_id == order_id and p.status in UNFINISHED and not (p.closing or p.mismatched)
        ]
        pending.sort(key=lambda p: (self.initiated_at[p.payment_id], p.payment_id))
        return [self._mark_closing(p, "superseded", None) for p in pending[:-1]]

    def _close_siblings(self, effects: Effects, decided: set[str]) -> list[Payment]:
        return [
            self._mark_closing(payment, "order-paid", effects.settled_at)
            for payment in list(self.payments.values())
            if payment.order_id == effects.order.order_id
            and payment.status in UNFINISHED
            and not payment.mismatched
            and payment.payment_id not in decided
        ]

    def _mark_closing(self, payment: Payment, reason: str, now: datetime | None) -> Payment:
        key = payment.payment_id
        self.payments[key] = replace(payment, closing=reason)
        revive_at = self.revive_at.get(key)
        if now and revive_at:
            self.revive_at[key] = min(revive_at, now + CLOSE_AGAIN_AFTER)
        return self.payments[key]

    def _fill(self, payment: Payment, message: PaymentInitiated) -> Payment:
        key = payment.payment_id
        if message.expires_given and not self.expires_given[key]:
            payment = replace(payment, expires_at=message.expires_at)
            self.expires_given[key] = True
        payment = replace(payment, gateway_ref=payment.gateway_ref or message.gateway_ref)
        if payment != self.payments[key]:
            payment = replace(payment, epoch=payment.epoch + 1, step=0)
            self._grow(payment.order_id)
        self.payments[key] = payment
        return payment

    def _grow(self, order_id: str) -> None:
        order = self.orders[order_id]
        self.orders[order_id] = replace(order, version=order.version + 1)

    def _owner(self, gateway: str, ref: str | None) -> str | None:
        owners = (
            p.payment_id
            for p in self.payments.values()
            if ref and p.gateway == gateway and p.gateway_ref == ref
        )
        return next(owners, None)

    def _facts(self, wanted: Wanted) -> Facts:
        payment = self.payments[wanted.payment_id]
        owner = self._owner(payment.gateway, wanted.reported_ref)
        return Facts(self.orders[payment.order_id], payment, owner)

    def _apply(self, effects: Effects) -> None:
        payment, order = effects.payment, effects.order
        self.payments[payment.payment_id] = payment
        self.orders[order.order_id] = order
        self.revive_at[payment.payment_id] = effects.revive_at
        if effects.settled_at:
            self.settled_at[order.order_id] = effects.settled_at
            self.retell_at[order.order_id] = effects.settled_at + RETELL_AFTER
            self.successes[order.order_id] = effects.events[0]
        if effects.captured:
            self.captured[payment.payment_id] = effects.captured
        if payment.mismatched:
            self.resolved.pop(payment.payment_id, None)
        for event in effects.events:
            self.outbox.setdefault(event.event_id, Waiting(event))
        self.refunds.extend(effects.refunds)
        for one in effects.refunds:
            self.refunded_at[one.refund_id] = effects.entries[0].at
        self.entries.extend(effects.entries)

    def _record(self, one: StepDone) -> bool:
        payment = self.payments.get(one.payment_id)
        if payment is None or payment.status not in UNFINISHED or payment.mismatched:
            return False
        if payment.epoch != one.epoch or one.step <= payment.step:
            return False
        self.payments[one.payment_id] = replace(payment, step=one.step)
        kept = self.revive_at[one.payment_id] if payment.closing else None
        self.revive_at[one.payment_id] = min(kept, one.revive_at) if kept else one.revive_at
        return True

    def _acknowledge(self, message: OrderAcknowledged, now: datetime) -> AcknowledgeOutcome:
        order = self.orders.get(message.order_id)
        if order is None:
            return AcknowledgeOutcome.UNKNOWN_ORDER
        if order.settled_by != message.payment_id:
            return AcknowledgeOutcome.NOT_THE_WINNER
        if order.order_id in self.acknowledged:
            return AcknowledgeOutcome.ALREADY
        self.acknowledged.add(order.order_id)
        self.retell_at.pop(order.order_id)
        self.orders[order.order_id] = replace(order, version=order.version + 1)
        self.entries.append(
            Entry(
                order.order_id, message.payment_id, now, "order.acknowledged", {"by": message.way}
            )
        )
        return AcknowledgeOutcome.ACKNOWLEDGED
