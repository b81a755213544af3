"""What becomes of an application, given its order's locked rows. Pure: facts in, decision out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from payonce.domain.application import Application, Applied, Policy, differs
from payonce.domain.decide import Decision, Facts, Verdict
from payonce.domain.effects import Entry, Occasion, work_out
from payonce.domain.events import Event, EventType, make_event
from payonce.domain.order import Order, OrderStatus, closing_of
from payonce.domain.payment import UNFINISHED, MismatchReason, Payment, PaymentStatus, move
from payonce.domain.report import GatewayReport, Outcome, Source
from payonce.domain.times import format_time

IN_HAND_FOR = timedelta(seconds=60)
"""An application that was not answered for so long has died with its process."""

SHARED_FOR = timedelta(seconds=2)
"""A burst is over once nobody has come for so long."""

BURST = 3
"""So many applications at once are a burst; two are a double click, which ends with its answer."""


MOST_BY_CHOICE = 100
"""An order's shopper may choose channels until it has so many payments; each may cost a charge."""


class Refusal(StrEnum):
    """Why an application comes to no payment; the name of the problem document."""

    ORDER_PAID = "order-paid"
    ORDER_CANCELLED = "order-cancelled"
    AMOUNT_DIFFERS = "amount-differs"
    SUPERSEDED = "superseded"
    TOO_MANY_PAYMENTS = "too-many-payments"
    NOT_FOUND = "not-found"
    GATEWAY_REFUSED = "gateway-refused"
    GATEWAY_PAUSED = "gateway-paused"
    GATEWAY_REF_TAKEN = "gateway-ref-taken"


@dataclass(frozen=True, slots=True)
class Refused:
    """The order takes no such payment."""

    refusal: Refusal
    order: Order | None


@dataclass(frozen=True, slots=True)
class Shared:
    """An earlier payment is answered with. `reused`: by policy, not because it is in hand."""

    applied: Applied
    reused: bool = False
    shared_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Resumed:
    """A payment that nobody seems to create any more at its gateway: go on with it.

    It is marked as shared, so that whoever began it no longer concludes from his own calls alone.
    """

    applied: Applied
    shared_until: datetime


@dataclass(frozen=True, slots=True)
class Fresh:
    """A new payment; `superseded` holds the earlier ones that shall be closed."""

    order: Order
    applied: Applied
    superseded: tuple[Payment, ...]
    event: Event
    entry: Entry


Claim = Refused | Shared | Resumed | Fresh


def claim(
    application: Application,
    order: Order | None,
    known: Sequence[Applied],
    policy: Policy,
    now: datetime,
) -> Claim:
    """Return what becomes of `application`; `known` holds the order's unfinished payments.

    A payment with the application's own id is among them in any status: its first try died.
    """
    refusal = _refusal(application, order)
    if order is None or refusal is not None:
        return Refused(refusal or Refusal.NOT_FOUND, order)
    own = [one for one in known if one.payment.payment_id == application.payment_id]
    if own:
        return Shared(own[0]) if own[0].is_answered else Resumed(own[0], now)
    open_ones = [one for one in known if _is_open(one.payment)]
    same = [one for one in open_ones if one.payment.gateway == application.gateway]
    for one in reversed(same):
        if _is_in_hand(one, application.arrived_at, now):
            return Shared(one, shared_until=_shared_until(one, now))
    if policy is Policy.REUSE and same:
        if _can_be_shown(same[-1], now):
            return Shared(same[-1], reused=True)
        if same[-1].payment.status is PaymentStatus.CREATED:
            return Resumed(same[-1], now)
    earlier = () if policy is Policy.ALLOW else tuple(one.payment for one in open_ones)
    return _fresh(application, order, earlier, now)


def is_beyond_choice(application: Application, count: int) -> bool:
    """Say whether a shopper may choose no more: the order has had `count` payments."""
    return application.amount is None and count >= MOST_BY_CHOICE


def _refusal(application: Application, order: Order | None) -> Refusal | None:
    if order is None:
        return Refusal.NOT_FOUND
    if order.status is OrderStatus.PAID:
        return Refusal.ORDER_PAID
    if order.status is OrderStatus.CANCELLED:
        return Refusal.ORDER_CANCELLED
    if differs(application, order):
        return Refusal.AMOUNT_DIFFERS
    return Refusal.NOT_FOUND if application.amount is None and order.amount is None else None


def _is_open(payment: Payment) -> bool:
    return payment.status in UNFINISHED and not payment.closing and not payment.mismatched


def _is_in_hand(one: Applied, arrived_at: datetime, now: datetime) -> bool:
    """Say whether an application came while this payment's own was not answered yet."""
    if one.answered_at is not None:
        return arrived_at <= max(one.answered_at, one.shared_until or one.answered_at)
    return one.payment.status is PaymentStatus.CREATED and now < one.initiated_at + IN_HAND_FOR


def _shared_until(one: Applied, now: datetime) -> datetime | None:
    """Return until when a payment is shared: others came through another process, or in a burst."""
    return now + SHARED_FOR if one.shared_until or one.answered_at is None else None


def _can_be_shown(one: Applied, now: datetime) -> bool:
    payment = one.payment
    shows = payment.status is PaymentStatus.PENDING and bool(one.qr or one.pay_url)
    return shows and not payment.unresolved and now < payment.expires_at


def _fresh(
    application: Application, order: Order, earlier: tuple[Payment, ...], now: datetime
) -> Fresh:
    amount, currency = application.amount or order.amount, application.currency or order.currency
    if amount is None or currency is None:
        raise ValueError(f"order {order.order_id} has no price")
    payment = Payment(
        payment_id=application.payment_id,
        order_id=application.order_id,
        gateway=application.gateway,
        amount=amount,
        currency=currency,
        status=PaymentStatus.CREATED,
        gateway_ref=None,
        expires_at=application.expires_at,
        traceparent=application.traceparent,
    )
    after = replace(order, amount=amount, currency=currency, version=order.version + 1)
    detail: dict[str, Any] = {
        "gateway": payment.gateway,
        "amount": amount,
        "currency": currency,
        "supersedes": [one.payment_id for one in earlier],
    }
    return Fresh(
        order=after,
        applied=Applied(payment, initiated_at=now),
        superseded=earlier,
        event=_initiated(payment, after, now),
        entry=Entry(order.order_id, payment.payment_id, now, "payment.applied", detail),
    )


def _initiated(payment: Payment, order: Order, now: datetime) -> Event:
    """Return the message by which the payment's watch starts, as after one of the shop's own."""
    data = {
        "payment_id": payment.payment_id,
        "order_id": payment.order_id,
        "gateway": payment.gateway,
        "amount": payment.amount,
        "currency": payment.currency,
        "initiated_at": format_time(now),
        "expires_at": format_time(payment.expires_at),
        "order_version": order.version,
    }
    return make_event(
        EventType.PAYMENT_INITIATED,
        payment.payment_id,
        payment.order_id,
        now,
        data,
        payment.traceparent,
    )


@dataclass(frozen=True, slots=True)
class Creation:
    """How the create at the gateway went; `report` is None where its outcome stays unknown.

    `ended` is what follows where nobody else has sent anything: refused, or never sent at all.
    """

    now: datetime
    attempts: int
    applicants: int
    report: GatewayReport | None = None
    ended: GatewayReport | None = None
    qr: str | None = None
    pay_url: str | None = None
    problem: str = ""
    lock: str = ""


@dataclass(frozen=True, slots=True)
class Confirmation:
    """The rows as they shall be once an application is answered."""

    order: Order
    applied: Applied
    events: tuple[Event, ...]
    entries: tuple[Entry, ...]
    revive_at: datetime | None = None
    last_answer: str | None = None


def confirm(facts: Facts, before: Applied, creation: Creation) -> Confirmation:
    """Return what is written when a create has come back, before anything is shown.

    The payment may have been superseded, paid, ended meanwhile, and its order too.
    """
    if creation.report is not None and facts.is_ref_taken:
        decision = Decision(Verdict.MISMATCHED, MismatchReason.GATEWAY_REF_TAKEN)
        return _decided(facts, before, creation, creation.report, decision)
    if creation.ended is not None and _is_sole(before):
        verdict = Verdict.FAILED if creation.ended.outcome is Outcome.FAILED else Verdict.CLOSED
        decision = Decision(verdict, creation.ended.reason)
        return _decided(facts, before, creation, creation.ended, decision)
    payment = _confirmed(facts, creation)
    is_shown = payment.closing is None and creation.report is not None
    applied = Applied(
        payment=payment,
        initiated_at=before.initiated_at,
        answered_at=before.answered_at or creation.now,
        shared_until=_burst_until(before, creation),
        qr=creation.qr if is_shown else before.qr,
        pay_url=creation.pay_url if is_shown else before.pay_url,
    )
    order = replace(facts.order, version=facts.order.version + 1)
    return Confirmation(order, applied, (), (_confirmed_entry(applied, creation),))


def _confirmed(facts: Facts, creation: Creation) -> Payment:
    payment, report = facts.payment, creation.report
    if payment.status not in UNFINISHED:
        return payment
    closing = payment.closing or closing_of(facts.order)
    if report is None:
        return replace(payment, closing=closing)
    accepted = PaymentStatus.PENDING
    return replace(
        payment,
        status=payment.status if payment.status is accepted else move(payment.status, accepted),
        gateway_ref=payment.gateway_ref or report.gateway_ref,
        closing=closing,
    )


def _burst_until(before: Applied, creation: Creation) -> datetime | None:
    """Return until when those who are still on their way get this payment too.

    Who applies so often at once has more on its way: clients queue behind their connections.
    """
    if creation.applicants >= BURST or before.shared_until:
        return creation.now + SHARED_FOR
    return None


def _confirmed_entry(applied: Applied, creation: Creation) -> Entry:
    payment, report = applied.payment, creation.report
    detail: dict[str, Any] = {"attempts": creation.attempts, "applicants": creation.applicants}
    if creation.lock:
        detail["lock"] = creation.lock
    if report is not None:
        detail |= {"answer": report.outcome, "gateway_ref": report.gateway_ref}
    if creation.problem:
        detail["problem"] = creation.problem
    if payment.closing:
        detail["withheld"] = payment.closing
    kind = "payment.created" if report is not None else "payment.create_unknown"
    return Entry(payment.order_id, payment.payment_id, creation.now, kind, detail)


def _is_sole(before: Applied) -> bool:
    """Say whether only the process that claimed this payment can have sent anything."""
    is_new = before.payment.status is PaymentStatus.CREATED and before.answered_at is None
    return is_new and before.shared_until is None


def _decided(
    facts: Facts, before: Applied, creation: Creation, report: GatewayReport, decision: Decision
) -> Confirmation:
    """Return what a decision without money writes; nobody is shown anything."""
    occasion = Occasion(creation.now, Source.APPLY)
    effects = work_out(facts, report, decision, occasion)
    return Confirmation(
        order=effects.order,
        applied=replace(before, payment=effects.payment, answered_at=creation.now),
        events=effects.events,
        entries=effects.entries,
        revive_at=effects.revive_at,
        last_answer=effects.last_answer,
    )


def never_created() -> GatewayReport:
    """Return the report of a payment that was never sent to its gateway: it cannot be paid."""
    return GatewayReport(Outcome.CLOSED, reason="never-created")


def refused(words: str) -> GatewayReport:
    """Return the report of a payment that its gateway did not take."""
    return GatewayReport(Outcome.FAILED, reason=f"refused: {words}")
