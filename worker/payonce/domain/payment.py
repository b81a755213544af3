"""A payment: one attempt to pay an order through one gateway."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from payonce.domain.errors import IllegalTransition


class PaymentStatus(StrEnum):
    """Where a payment stands; FAILED and CLOSED are the gateway's word so far."""

    CREATED = "CREATED"
    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CLOSED = "CLOSED"


class MismatchReason(StrEnum):
    """Why a success may not settle and waits for a person."""

    AMOUNT = "amount"
    CURRENCY = "currency"
    ALREADY_REFUNDED = "already-refunded"
    GATEWAY_REF_TAKEN = "gateway-ref-taken"


UNFINISHED = frozenset({PaymentStatus.CREATED, PaymentStatus.PENDING})

TRANSITIONS: frozenset[tuple[PaymentStatus, PaymentStatus]] = frozenset(
    {
        (PaymentStatus.CREATED, PaymentStatus.PENDING),
        (PaymentStatus.CREATED, PaymentStatus.SUCCEEDED),
        (PaymentStatus.CREATED, PaymentStatus.FAILED),
        (PaymentStatus.CREATED, PaymentStatus.CLOSED),
        (PaymentStatus.PENDING, PaymentStatus.SUCCEEDED),
        (PaymentStatus.PENDING, PaymentStatus.FAILED),
        (PaymentStatus.PENDING, PaymentStatus.CLOSED),
        # Late money: a shopper pays the old QR code after the gateway said "failed" or "closed".
        (PaymentStatus.FAILED, PaymentStatus.SUCCEEDED),
        (PaymentStatus.CLOSED, PaymentStatus.SUCCEEDED),
    }
)


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment's row, as locked for a decision.

    `closing` says why it shall be closed at its gateway; `reversed_amount` is what the gateway gave
    back on its own.
    """

    payment_id: str
    order_id: str
    gateway: str
    amount: int
    currency: str
    status: PaymentStatus
    gateway_ref: str | None
    expires_at: datetime
    epoch: int = 0
    step: int = 0
    duplicate: bool = False
    unresolved: bool = False
    mismatched: MismatchReason | None = None
    traceparent: str | None = None
    closing: str | None = None
    reversed_amount: int = 0


def move(before: PaymentStatus, after: PaymentStatus) -> PaymentStatus:
    """Return `after` if the table holds the step, else raise IllegalTransition."""
    if (before, after) not in TRANSITIONS:
        raise IllegalTransition("payment", before, after)
    return after
