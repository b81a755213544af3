"""A refund: money of one payment sent back, under one id for ever."""

from dataclasses import dataclass
from enum import StrEnum

from payonce.domain.errors import IllegalTransition


class RefundStatus(StrEnum):
    """Where a refund stands; a gateway may turn SUCCEEDED into FAILED later."""

    REQUESTED = "REQUESTED"
    HELD = "HELD"
    SUBMITTED = "SUBMITTED"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    REJECTED = "REJECTED"
    MANUAL = "MANUAL"


class RefundReason(StrEnum):
    """Why a payment's money goes back."""

    ORDER_PAID = "order-paid"
    ORDER_CANCELLED = "order-cancelled"
    ASKED = "asked"


TRANSITIONS: frozenset[tuple[RefundStatus, RefundStatus]] = frozenset(
    {
        (RefundStatus.REQUESTED, RefundStatus.HELD),
        (RefundStatus.REQUESTED, RefundStatus.SUBMITTED),
        (RefundStatus.REQUESTED, RefundStatus.MANUAL),
        (RefundStatus.HELD, RefundStatus.REQUESTED),
        (RefundStatus.HELD, RefundStatus.REJECTED),
        (RefundStatus.HELD, RefundStatus.MANUAL),
        (RefundStatus.SUBMITTED, RefundStatus.SUCCEEDED),
        (RefundStatus.SUBMITTED, RefundStatus.FAILED),
        (RefundStatus.SUBMITTED, RefundStatus.HELD),
        (RefundStatus.SUBMITTED, RefundStatus.MANUAL),
        (RefundStatus.SUCCEEDED, RefundStatus.FAILED),
        # A person paid it back, or decided that it is not paid back.
        (RefundStatus.MANUAL, RefundStatus.SUCCEEDED),
        (RefundStatus.MANUAL, RefundStatus.REJECTED),
    }
)


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund as it is first written; `rule` names what holds it."""

    refund_id: str
    payment_id: str
    order_id: str
    gateway: str
    amount: int
    currency: str
    status: RefundStatus
    reason: RefundReason
    rule: str | None


def move(before: RefundStatus, after: RefundStatus) -> RefundStatus:
    """Return `after` if the table holds the step, else raise IllegalTransition."""
    if (before, after) not in TRANSITIONS:
        raise IllegalTransition("refund", before, after)
    return after
