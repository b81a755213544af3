"""What a decision changes: rows, events, a refund, a line of the timeline. Pure as well."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from payonce.domain.decide import Decision, Facts, Verdict
from payonce.domain.events import Event, EventType, make_event
from payonce.domain.ids import refund_id
from payonce.domain.order import Order, OrderStatus
from payonce.domain.order import move as move_order
from payonce.domain.payment import MismatchReason, Payment, PaymentStatus
from payonce.domain.payment import move as move_payment
from payonce.domain.refund import Refund, RefundReason, RefundStatus
from payonce.domain.report import GatewayReport, Outcome, Source
from payonce.domain.times import format_time
from payonce.domain.watch import revive_after_answer

HELD_BY_RULE = "refunds-not-automatic"


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
    payment = _payment_after(facts.payment, decision, report)
    order = _order_after(facts.order, payment, decision)
    refunds = _refunds(payment, decision)
    types = _event_types(decision, refunds)
    data = _event_data(facts, payment, report, decision, occasion)
    events = tuple(
        _event(event_type, order.version - len(types) + n, payment, refunds, data, occasion, facts)
        for n, event_type in enumerate(types, start=1)
    )
    succeeded = payment.status is PaymentStatus.SUCCEEDED
    return Effects(
        decision=decision,
        order=order,
        payment=payment,
        paid_at=(report.paid_at or occasion.now) if succeeded else None,
        settled_at=occasion.now if decision.verdict is Verdict.SETTLED else None,
        revive_at=revive_after_answer(payment, occasion.now),
        last_answer=report.outcome,
        events=events,
        refunds=refunds,
        entries=(_entry(facts, report, decision, occasion),),
    )


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
}


def _payment_after(payment: Payment, decision: Decision, report: GatewayReport) -> Payment:
    verdict = decision.verdict
    if verdict is Verdict.MISMATCHED:
        return replace(payment, mismatched=MismatchReason(decision.reason))
    if verdict is Verdict.UNRESOLVED:
        return replace(payment, unresolved=True)
    after = _STATUS_AFTER.get(verdict)
    if after is None:
        return payment
    return replace(
        payment,
        status=move_payment(payment.status, after),
        gateway_ref=report.gateway_ref or payment.gateway_ref,
        duplicate=verdict is Verdict.DUPLICATED,
        unresolved=False,
    )


def _order_after(order: Order, payment: Payment, decision: Decision) -> Order:
    version = order.version + len(_event_types(decision, _refunds(payment, decision)))
    if decision.verdict is not Verdict.SETTLED:
        return replace(order, version=version)
    status = move_order(order.status, OrderStatus.PAID)
    return replace(order, status=status, settled_by=payment.payment_id, version=version)


def _refunds(payment: Payment, decision: Decision) -> tuple[Refund, ...]:
    if decision.verdict is not Verdict.DUPLICATED:
        return ()
    return (
        Refund(
            refund_id=refund_id(payment.payment_id),
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            gateway=payment.gateway,
            amount=payment.amount,
            currency=payment.currency,
            status=RefundStatus.HELD,
            reason=RefundReason(decision.reason),
            rule=HELD_BY_RULE,
        ),
    )


def _event_types(decision: Decision, refunds: tuple[Refund, ...]) -> tuple[EventType, ...]:
    event_type = _EVENT_OF.get(decision.verdict)
    if event_type is None:
        return ()
    return (event_type, *(EventType.REFUND_HELD for _ in refunds))


def _event_data(
    facts: Facts, payment: Payment, report: GatewayReport, decision: Decision, occasion: Occasion
) -> dict[str, Any]:
    if decision.verdict not in {Verdict.SETTLED, Verdict.DUPLICATED}:
        data: dict[str, Any] = {"reason": decision.reason}
        if decision.verdict in {Verdict.UNRESOLVED, Verdict.MISMATCHED}:
            data["last_answer"] = report.outcome.value
        return data
    data = {
        "gateway_ref": payment.gateway_ref,
        "amount": payment.amount,
        "currency": payment.currency,
        "paid_at": format_time(report.paid_at or occasion.now),
        "settled_at": format_time(occasion.now),
        "source": occasion.source.value,
    }
    if decision.verdict is Verdict.DUPLICATED:
        data["settled_by"] = facts.order.settled_by
    return data


def _event(  # noqa: PLR0913 - the parts of one event, all known to the caller alone
    event_type: EventType,
    version: int,
    payment: Payment,
    refunds: tuple[Refund, ...],
    data: Mapping[str, Any],
    occasion: Occasion,
    facts: Facts,
) -> Event:
    about = payment.payment_id
    if event_type is EventType.PAYMENT_SUCCEEDED:
        about = payment.order_id
    elif event_type is EventType.REFUND_HELD:
        about = refunds[0].refund_id
        data = _refund_data(refunds[0])
    common = {
        "payment_id": payment.payment_id,
        "order_id": payment.order_id,
        "gateway": payment.gateway,
        "order_version": version,
    }
    return make_event(
        event_type,
        about,
        payment.order_id,
        occasion.now,
        {**common, **data},
        facts.payment.traceparent,
    )


def _refund_data(refund: Refund) -> dict[str, Any]:
    return {
        "refund_id": refund.refund_id,
        "amount": refund.amount,
        "currency": refund.currency,
        "reason": refund.rule,
    }


def _entry(facts: Facts, report: GatewayReport, decision: Decision, occasion: Occasion) -> Entry:
    detail: dict[str, Any] = {
        "reason": decision.reason,
        "source": occasion.source.value,
        "answer": report.outcome.value,
        "order_was": facts.order.status.value,
        "payment_was": facts.payment.status.value,
    }
    if report.outcome is Outcome.SUCCEEDED:
        detail |= {"amount": report.amount, "currency": report.currency}
    if occasion.polls:
        detail["polls"] = [list(poll) for poll in occasion.polls]
    return Entry(
        facts.payment.order_id,
        facts.payment.payment_id,
        occasion.now,
        f"payment.{decision.verdict}",
        detail,
    )
