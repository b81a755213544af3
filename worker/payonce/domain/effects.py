"""What a decision changes: rows, events, a refund, a line of the timeline. Pure as well."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from payonce.domain.decide import Decision, Facts, Verdict
from payonce.domain.events import Event, EventType, make_event
from payonce.domain.ids import refund_id
from payonce.domain.money import Money
from payonce.domain.order import Order, OrderStatus
from payonce.domain.order import move as move_order
from payonce.domain.payment import MismatchReason, Payment, PaymentStatus
from payonce.domain.payment import move as move_payment
from payonce.domain.refund import Refund, RefundReason, RefundStatus
from payonce.domain.report import GatewayReport, Outcome, Source
from payonce.domain.times import format_time
from payonce.domain.watch import revive_after_answer


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of an order's timeline."""

    order_id: str
    payment_id: str | None
    at: datetime
    kind: str
    detail: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Effects:
    """Everything that one decision writes, in one transaction. Rows are as they shall be."""

    decision: Decision
    order: Order
    payment: Payment
    paid_at: datetime | None
    settled_at: datetime | None
    revive_at: datetime | None
    last_answer: str
    captured: Money | None
    events: tuple[Event, ...]
    refunds: tuple[Refund, ...]
    entries: tuple[Entry, ...]


@dataclass(frozen=True, slots=True)
class Occasion:
    """When and by what a report came, and the polls that led to it."""

    now: datetime
    source: Source
    polls: tuple[tuple[int, int, str], ...] = ()


def work_out(
    facts: Facts, report: GatewayReport, decision: Decision, occasion: Occasion
) -> Effects:
    """Return what `decision` writes. Raises IllegalTransition where a table forbids the step."""
    payment = _payment_after(facts, report, decision)
    events: tuple[Event, ...] = ()
    refunds: tuple[Refund, ...] = ()
    if decision.verdict is not Verdict.IGNORED:
        events = (_payment_event(facts, payment, report, decision, occasion),)
    if decision.verdict is Verdict.DUPLICATED:
        refunds = (_refund(payment, RefundReason(decision.reason)),)
    return Effects(
        decision=decision,
        order=_order_after(facts.order, payment, decision, len(events)),
        payment=payment,
        paid_at=_paid_at(report, occasion) if decision.verdict in SUCCESSES else None,
        settled_at=occasion.now if decision.verdict is Verdict.SETTLED else None,
        revive_at=revive_after_answer(payment, occasion.now),
        last_answer=report.outcome,
        captured=_captured(report, decision),
        events=events,
        refunds=refunds,
        entries=(_entry(facts, report, decision, occasion),),
    )


SUCCESSES = frozenset({Verdict.SETTLED, Verdict.DUPLICATED})

_STATUS_AFTER = {
    Verdict.SETTLED: PaymentStatus.SUCCEEDED,
    Verdict.DUPLICATED: PaymentStatus.SUCCEEDED,
    Verdict.FAILED: PaymentStatus.FAILED,
    Verdict.CLOSED: PaymentStatus.CLOSED,
}

_EVENT_OF = {
    Verdict.SETTLED: EventType.PAYMENT_SUCCEEDED,
    Verdict.DUPLICATED: EventType.PAYMENT_DUPLICATED,
    Verdict.MISMATCHED: EventType.PAYMENT_MISMATCHED,
    Verdict.FAILED: EventType.PAYMENT_FAILED,
    Verdict.CLOSED: EventType.PAYMENT_CLOSED,
    Verdict.UNRESOLVED: EventType.PAYMENT_UNRESOLVED,
    Verdict.REVERSED: EventType.PAYMENT_REVERSED,
}


def _payment_after(facts: Facts, report: GatewayReport, decision: Decision) -> Payment:
    """Return the payment as it shall be: built at once, which costs half of `replace`."""
    payment, verdict = facts.payment, decision.verdict
    status, mismatched = payment.status, payment.mismatched
    after = _STATUS_AFTER.get(verdict)
    if after is not None:
        status = move_payment(status, after)
    elif verdict is Verdict.MISMATCHED:
        mismatched = MismatchReason(decision.reason)
    return Payment(
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        gateway=payment.gateway,
        amount=payment.amount,
        currency=payment.currency,
        status=status,
        gateway_ref=_ref_after(facts, report, after),
        expires_at=payment.expires_at,
        epoch=payment.epoch,
        step=payment.step,
        duplicate=payment.duplicate or verdict is Verdict.DUPLICATED,
        unresolved=verdict is Verdict.UNRESOLVED or (after is None and payment.unresolved),
        mismatched=mismatched,
        traceparent=payment.traceparent,
        closing=payment.closing if after is None else None,
        reversed_amount=report.refunded if verdict is Verdict.REVERSED else payment.reversed_amount,
    )


def _ref_after(facts: Facts, report: GatewayReport, after: PaymentStatus | None) -> str | None:
    """Return the gateway's id that a payment goes on with; never another payment's.

    The charge that was paid counts before the one that was registered: its money must not settle a
    second order. The id of a charge that came to nothing only fills an empty place, since queries
    and repeated registrations go on naming the known one.
    """
    known, reported = facts.payment.gateway_ref, report.gateway_ref
    if after is None or not reported or facts.is_ref_taken:
        return known
    return reported if after is PaymentStatus.SUCCEEDED else known or reported


def _order_after(order: Order, payment: Payment, decision: Decision, n_events: int) -> Order:
    status, settled_by = order.status, order.settled_by
    if decision.verdict is Verdict.SETTLED:
        status, settled_by = move_order(status, OrderStatus.PAID), payment.payment_id
    return Order(
        order_id=order.order_id,
        status=status,
        amount=order.amount,
        currency=order.currency,
        settled_by=settled_by,
        version=order.version + n_events,
    )


def _payment_event(
    facts: Facts, payment: Payment, report: GatewayReport, decision: Decision, occasion: Occasion
) -> Event:
    verdict = decision.verdict
    data = _event_data(payment, facts.order.version + 1)
    if verdict is Verdict.REVERSED:
        data |= {"amount": report.refunded, "currency": payment.currency}
    elif payment.status is PaymentStatus.SUCCEEDED:
        data |= _success_data(payment, report, occasion)
    else:
        data["reason"] = decision.reason
    if verdict is Verdict.DUPLICATED:
        data["settled_by"] = facts.order.settled_by
    elif verdict is Verdict.UNRESOLVED or verdict is Verdict.MISMATCHED:
        data["last_answer"] = report.outcome
    about = payment.order_id if verdict is Verdict.SETTLED else payment.payment_id
    if facts.payment.reversed_amount:
        # What was given back has grown: that is news, under an id of its own.
        about = f"{payment.payment_id}/{report.refunded}"
    return make_event(
        _EVENT_OF[verdict], about, payment.order_id, occasion.now, data, payment.traceparent
    )


def _event_data(payment: Payment, version: int) -> dict[str, Any]:
    return {
        "payment_id": payment.payment_id,
        "order_id": payment.order_id,
        "gateway": payment.gateway,
        "order_version": version,
    }


def _success_data(payment: Payment, report: GatewayReport, occasion: Occasion) -> dict[str, Any]:
    return {
        "gateway_ref": payment.gateway_ref,
        "amount": payment.amount,
        "currency": payment.currency,
        "paid_at": format_time(_paid_at(report, occasion)),
        "settled_at": format_time(occasion.now),
        "source": occasion.source,
    }


def _captured(report: GatewayReport, decision: Decision) -> Money | None:
    """Return what the gateway took where that does not fit; it can only be given back like that."""
    if decision.verdict is not Verdict.MISMATCHED or not report.amount or not report.currency:
        return None
    return Money(report.amount, report.currency)


def _paid_at(report: GatewayReport, occasion: Occasion) -> datetime:
    return report.paid_at or occasion.now


def _refund(payment: Payment, reason: RefundReason) -> Refund:
    return Refund(
        refund_id=refund_id(payment.payment_id),
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        gateway=payment.gateway,
        amount=payment.amount,
        currency=payment.currency,
        status=RefundStatus.REQUESTED,
        reason=reason,
        rule=None,
    )


def _entry(facts: Facts, report: GatewayReport, decision: Decision, occasion: Occasion) -> Entry:
    detail: dict[str, Any] = {
        "reason": decision.reason,
        "source": occasion.source,
        "answer": report.outcome,
        "order_was": facts.order.status,
        "payment_was": facts.payment.status,
    }
    if report.outcome is Outcome.SUCCEEDED:
        detail["amount"], detail["currency"] = report.amount, report.currency
    if facts.is_ref_taken:
        detail["gateway_ref"], detail["ref_owner"] = report.gateway_ref, facts.ref_owner
    if occasion.polls:
        detail["polls"] = occasion.polls
    return Entry(
        facts.payment.order_id,
        facts.payment.payment_id,
        occasion.now,
        f"payment.{decision.verdict}",
        detail,
    )
