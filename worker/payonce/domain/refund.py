"""A refund: money of one payment sent back, under one id for ever."""

from dataclasses import dataclass
from datetime import datetime
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


LIVE = frozenset({RefundStatus.REQUESTED, RefundStatus.SUBMITTED})
"""Statuses in which payonce itself has to do something."""

OVER = frozenset({RefundStatus.FAILED, RefundStatus.REJECTED})
"""Statuses after which a person may ask for another refund of the same payment."""


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund's row, as it is written or locked for a decision.

    `rule` names what holds it, `overruled` the rules that people set aside. `submitted_at` is the
    first sending, `attempts` counts the sendings; `looks` counts the looks that scheduled another.
    `contradicted_at`: its gateway told of a success after its end, and a person has to look.
    """

    refund_id: str
    payment_id: str
    order_id: str
    gateway: str
    amount: int
    currency: str
    status: RefundStatus
    reason: RefundReason
    rule: str | None
    requested_by: str | None = None
    requested_why: str | None = None
    approved_by: str | None = None
    approved_at: datetime | None = None
    approved_again_by: str | None = None
    approved_again_at: datetime | None = None
    overruled: str | None = None
    rejected_by: str | None = None
    rejected_why: str | None = None
    resolved_by: str | None = None
    resolved_why: str | None = None
    attempts: int = 0
    submitted_at: datetime | None = None
    finished_at: datetime | None = None
    last_answer: str | None = None
    looks: int = 0
    contradicted_at: datetime | None = None
    traceparent: str | None = None

    @property
    def may_be_known(self) -> bool:
        """Say whether its gateway may know of it, and so have a word to say."""
        return self.attempts > 0 or self.status is RefundStatus.SUCCEEDED

    @property
    def set_aside(self) -> frozenset[str]:
        """Return the rules that people set aside."""
        return frozenset((self.overruled or "").split())


def move(before: RefundStatus, after: RefundStatus) -> RefundStatus:
    """Return `after` if the table holds the step, else raise IllegalTransition."""
    if (before, after) not in TRANSITIONS:
        raise IllegalTransition("refund", before, after)
    return after
