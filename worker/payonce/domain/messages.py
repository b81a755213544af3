"""Messages that payonce takes in, and those it sends to itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from payonce.domain.errors import InvalidField
from payonce.domain.ids import check_id
from payonce.domain.money import check_amount, check_currency
from payonce.domain.payment import Payment
from payonce.domain.refund import Refund
from payonce.domain.times import parse_time, to_ms

MAX_POLLS_CARRIED = 12
"""A poll message carries the latest answers of its watch, not all of them."""

LONGEST_WATCH = timedelta(days=400)


@dataclass(frozen=True, slots=True)
class PaymentInitiated:
    """A shopper was sent to a gateway: watch this payment.

    `expires_at` is set either way; `expires_given` tells whether the sender named it.
    """

    payment_id: str
    order_id: str
    gateway: str
    amount: int
    currency: str
    gateway_ref: str | None
    initiated_at: datetime
    expires_at: datetime
    expires_given: bool
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class OrderAcknowledged:
    """The order service has booked this payment of the order; `way`: how it told us."""

    order_id: str
    payment_id: str
    way: str = "event"


@dataclass(frozen=True, slots=True)
class OrderCancelled:
    """The shop cancelled the order."""

    order_id: str


class Mode(StrEnum):
    """How a poll goes on: WATCH climbs the ladder, ONCE asks a single time."""

    WATCH = "watch"
    ONCE = "once"


@dataclass(frozen=True, slots=True)
class PollDue:
    """Ask the gateway now; carries all that a still-pending answer needs.

    `due_ms` and `expires_ms` are ms since 1970; `polls` holds (step, time in ms, outcome).
    """

    payment_id: str
    order_id: str
    gateway: str
    amount: int
    currency: str
    step: int
    due_ms: int
    expires_ms: int
    epoch: int = 0
    gateway_ref: str | None = None
    mode: Mode = Mode.WATCH
    polls: tuple[tuple[int, int, str], ...] = ()


@dataclass(frozen=True, slots=True)
class CloseDue:
    """Close this payment at its gateway; `attempt` counts from 0."""

    payment_id: str
    order_id: str
    gateway: str
    amount: int
    currency: str
    reason: str
    gateway_ref: str | None = None
    attempt: int = 0


@dataclass(frozen=True, slots=True)
class RefundDue:
    """See how a refund goes on; `step` counts its looks from 0, `due_ms` is ms since 1970."""

    refund_id: str
    payment_id: str
    order_id: str
    gateway: str
    due_ms: int
    step: int = 0


@dataclass(frozen=True, slots=True)
class NotifyDue:
    """Call the order service about a paid order; what is told stands in the database alone.

    `attempt` counts the calls before this one.
    """

    order_id: str
    payment_id: str
    attempt: int = 0


def poll_of(payment: Payment, step: int, due_ms: int, mode: Mode = Mode.WATCH) -> PollDue:
    """Return the poll of a payment's row that is due at `due_ms`."""
    return PollDue(
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        gateway=payment.gateway,
        amount=payment.amount,
        currency=payment.currency,
        step=step,
        due_ms=due_ms,
        expires_ms=to_ms(payment.expires_at),
        epoch=payment.epoch,
        gateway_ref=payment.gateway_ref,
        mode=mode,
    )


def refund_due(refund: Refund, due_ms: int) -> RefundDue:
    """Return the next look at a refund."""
    return RefundDue(
        refund_id=refund.refund_id,
        payment_id=refund.payment_id,
        order_id=refund.order_id,
        gateway=refund.gateway,
        due_ms=due_ms,
        step=refund.looks,
    )


def close_of(payment: Payment, reason: str) -> CloseDue:
    """Return the order to close a payment at its gateway."""
    return CloseDue(
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        gateway=payment.gateway,
        amount=payment.amount,
        currency=payment.currency,
        reason=reason,
        gateway_ref=payment.gateway_ref,
    )


def parse_initiated(
    data: Mapping[str, Any],
    received_at: datetime,
    watch_for: Mapping[str, timedelta],
    traceparent: str | None = None,
) -> PaymentInitiated:
    """Return the message that `data` describes; `watch_for` holds the known gateways.

    Raises InvalidField, naming the first field that is wrong.
    """
    gateway = _gateway(data.get("gateway"), watch_for)
    initiated_at = _time(data, "initiated_at") or received_at
    initiated_at = min(initiated_at, received_at)
    expires_at = _time(data, "expires_at")
    if expires_at is not None and expires_at > received_at + LONGEST_WATCH:
        raise InvalidField("expires_at", "is too far away", f"{LONGEST_WATCH.days} days at most")
    return PaymentInitiated(
        payment_id=check_id(data.get("payment_id"), "payment_id"),
        order_id=check_id(data.get("order_id"), "order_id"),
        gateway=gateway,
        amount=check_amount(data.get("amount")),
        currency=check_currency(data.get("currency")),
        gateway_ref=check_gateway_ref(data.get("gateway_ref")),
        initiated_at=initiated_at,
        expires_at=expires_at or initiated_at + watch_for[gateway],
        expires_given=expires_at is not None,
        traceparent=traceparent,
    )


def parse_acknowledged(data: Mapping[str, Any]) -> OrderAcknowledged:
    """Return the message that `data` describes, else raise InvalidField."""
    return OrderAcknowledged(
        order_id=check_id(data.get("order_id"), "order_id"),
        payment_id=check_id(data.get("payment_id"), "payment_id"),
    )


def parse_cancelled(data: Mapping[str, Any]) -> OrderCancelled:
    """Return the message that `data` describes, else raise InvalidField."""
    return OrderCancelled(order_id=check_id(data.get("order_id"), "order_id"))


def _gateway(value: object, known: Mapping[str, timedelta]) -> str:
    name = check_id(value, "gateway")
    if name not in known:
        raise InvalidField("gateway", f"{name!r} is not configured", ", ".join(sorted(known)))
    return name


def check_gateway_ref(value: object) -> str | None:
    """Return `value` if it may be a gateway's own name of a charge, or None; else InvalidField."""
    if value is None:
        return None
    if type(value) is not str or not 1 <= len(value) <= 255 or not value.isprintable():
        raise InvalidField("gateway_ref", "is not usable", "printable text of 1 to 255 characters")
    return value


def _time(data: Mapping[str, Any], field: str) -> datetime | None:
    value = data.get(field)
    return None if value is None else parse_time(value, field)
