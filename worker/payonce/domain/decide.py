"""What a gateway's word means for a payment and its order: facts in, decision out."""

from dataclasses import dataclass
from enum import StrEnum

from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import UNFINISHED, MismatchReason, Payment, PaymentStatus
from payonce.domain.refund import RefundReason
from payonce.domain.report import GatewayReport, Outcome


class Verdict(StrEnum):
    """What becomes of a payment."""

    SETTLED = "settled"
    DUPLICATED = "duplicated"
    MISMATCHED = "mismatched"
    FAILED = "failed"
    CLOSED = "closed"
    UNRESOLVED = "unresolved"
    REVERSED = "reversed"
    IGNORED = "ignored"


@dataclass(frozen=True, slots=True)
class Decision:
    """A verdict and, in one word, why."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class Facts:
    """The locked rows of a decision; `ref_owner` is the payment that owns the reported ref."""

    order: Order
    payment: Payment
    ref_owner: str | None = None

    @property
    def is_ref_taken(self) -> bool:
        """Say whether the reported ref belongs to another payment."""
        return self.ref_owner is not None and self.ref_owner != self.payment.payment_id


def decide(facts: Facts, report: GatewayReport, *, watch_ended: bool = False) -> Decision:
    """Return what `report` means, given the locked rows.

    `watch_ended`: the deadline has passed, the gateway was asked to close, and this is the last
    answer; without a definite word the payment becomes unresolved, never an invented failure.
    """
    match report.outcome:
        case Outcome.SUCCEEDED:
            return _on_success(facts, report)
        case Outcome.FAILED:
            return _on_end(facts.payment, Verdict.FAILED, report.reason or "declined")
        case Outcome.CLOSED:
            return _on_end(facts.payment, Verdict.CLOSED, report.reason or "closed")
        case Outcome.NOT_FOUND if watch_ended:
            return _on_end(facts.payment, Verdict.CLOSED, "never-created")
        case Outcome.PENDING | Outcome.APPROVED | Outcome.UNKNOWN | Outcome.NOT_FOUND:
            return _on_no_word(facts.payment, report, watch_ended=watch_ended)


def _on_success(facts: Facts, report: GatewayReport) -> Decision:
    payment, order = facts.payment, facts.order
    if payment.mismatched:
        return Decision(Verdict.IGNORED, "waits-for-a-person")
    if payment.status is PaymentStatus.SUCCEEDED:
        return _on_repeated_success(payment, report)
    mismatch = find_mismatch(facts, report)
    if mismatch is not None:
        return Decision(Verdict.MISMATCHED, mismatch)
    match order.status:
        case OrderStatus.OPEN:
            return Decision(Verdict.SETTLED, "first-success")
        case OrderStatus.PAID:
            return Decision(Verdict.DUPLICATED, RefundReason.ORDER_PAID)
        case OrderStatus.CANCELLED:
            return Decision(Verdict.DUPLICATED, RefundReason.ORDER_CANCELLED)


def _on_repeated_success(payment: Payment, report: GatewayReport) -> Decision:
    """Look for money that the gateway gave back on its own; a duplicate's is given back by us."""
    if not payment.duplicate and report.refunded > payment.reversed_amount:
        return Decision(Verdict.REVERSED, "refunded-outside")
    return Decision(Verdict.IGNORED, "already-succeeded")


def find_mismatch(facts: Facts, report: GatewayReport) -> MismatchReason | None:
    """Return why a reported success may not settle its order; None where it may."""
    payment, order = facts.payment, facts.order
    if facts.is_ref_taken:
        return MismatchReason.GATEWAY_REF_TAKEN
    if not report.currency == payment.currency == order.currency:
        return MismatchReason.CURRENCY
    if not report.amount == payment.amount == order.amount:
        return MismatchReason.AMOUNT
    return MismatchReason.ALREADY_REFUNDED if report.refunded > 0 else None


def _on_end(payment: Payment, verdict: Verdict, reason: str) -> Decision:
    if payment.status in UNFINISHED and not payment.mismatched:
        return Decision(verdict, reason)
    return Decision(Verdict.IGNORED, f"already-{payment.status.lower()}")


def _on_no_word(payment: Payment, report: GatewayReport, *, watch_ended: bool) -> Decision:
    waits = payment.status in UNFINISHED and not payment.unresolved and not payment.mismatched
    if watch_ended and waits:
        return Decision(Verdict.UNRESOLVED, report.reason or report.outcome)
    return Decision(Verdict.IGNORED, f"no-word-{report.outcome}")
