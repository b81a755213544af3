"""The data of messages on the bus, field by field: CONTRACT section 3, for the AsyncAPI document.

The domain makes and reads them as plain mappings; tests hold every event they see to these types.
"""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from payonce.domain.events import EventType
from payonce.domain.refund import RefundReason
from payonce.domain.report import Outcome
from payonce.ports.fields import (
    Amount,
    Currency,
    Gateway,
    GatewayRef,
    GivenTime,
    KnownCurrency,
    OrderId,
    PaymentId,
    RefundId,
    Time,
    Version,
)

Reason = Annotated[str, Meta(description="In a word or a line.")]


class Initiated(TypedDict):
    """A shopper was sent to a gateway: watch this payment."""

    payment_id: PaymentId
    order_id: OrderId
    gateway: Gateway
    amount: Amount
    currency: KnownCurrency
    gateway_ref: NotRequired[GatewayRef | None]
    initiated_at: NotRequired[
        Annotated[GivenTime | None, Meta(description="Default: receipt, also where it lies ahead.")]
    ]
    expires_at: NotRequired[
        Annotated[GivenTime | None, Meta(description="Default: initiated_at + watch_for.")]
    ]
    order_version: NotRequired[
        Annotated[Version, Meta(description="There where payonce itself tells of it.")]
    ]


class Acknowledged(TypedDict):
    """The order service has booked the payment that settled the order."""

    order_id: OrderId
    payment_id: PaymentId


class Cancelled(TypedDict):
    """The shop cancelled the order."""

    order_id: OrderId


class About(TypedDict):
    """What every event of payonce names."""

    payment_id: PaymentId
    order_id: OrderId
    gateway: Gateway
    order_version: Version


class Succeeded(About):
    """The order is paid by this payment."""

    gateway_ref: str | None
    amount: Amount
    currency: Currency
    paid_at: Time
    settled_at: Time
    source: Annotated[
        Literal["poll", "webhook", "close", "sweep"], Meta(description="What brought the news.")
    ]


class Duplicated(Succeeded):
    """A second success; its money goes back. `settled_by` null: the order was cancelled."""

    settled_by: PaymentId | None


class Ended(About):
    """The gateway's word so far; `payment.succeeded` may still follow."""

    reason: Reason


class Waiting(About):
    """A person has to look."""

    reason: Reason
    last_answer: Outcome


class Reversed(About):
    """The gateway told of a refund or chargeback of the winner made outside payonce."""

    amount: Annotated[Amount, Meta(description="All that was given back so far, minor units.")]
    currency: Currency


class Refunding(About):
    """How a refund stands."""

    refund_id: RefundId
    amount: Amount
    currency: Currency
    reason: Annotated[Reason, Meta(description="Why it stands so.")]
    refund_reason: RefundReason
    by: NotRequired[Annotated[str, Meta(description="The person whose word this was.")]]


class Envelope(TypedDict):
    """A CloudEvent 1.0 in structured JSON."""

    specversion: Literal["1.0"]
    id: Annotated[str, Meta(min_length=1, max_length=255)]
    source: Annotated[str, Meta(examples=["/payonce"])]
    type: str
    subject: NotRequired[Annotated[str, Meta(description="The order's id.")]]
    time: NotRequired[GivenTime]
    datacontenttype: NotRequired[Literal["application/json"]]
    traceparent: NotRequired[Annotated[str, Meta(description="W3C Trace Context.")]]


OUTBOUND: dict[EventType, type[Any]] = {
    EventType.PAYMENT_SUCCEEDED: Succeeded,
    EventType.PAYMENT_FAILED: Ended,
    EventType.PAYMENT_CLOSED: Ended,
    EventType.PAYMENT_DUPLICATED: Duplicated,
    EventType.PAYMENT_UNRESOLVED: Waiting,
    EventType.PAYMENT_MISMATCHED: Waiting,
    EventType.PAYMENT_REVERSED: Reversed,
    EventType.REFUND_HELD: Refunding,
    EventType.REFUND_SUCCEEDED: Refunding,
    EventType.REFUND_FAILED: Refunding,
    EventType.REFUND_REJECTED: Refunding,
    EventType.REFUND_MANUAL: Refunding,
}
"""What payonce tells, by routing key."""

INBOUND: dict[str, type[Any]] = {
    EventType.PAYMENT_INITIATED: Initiated,
    "order.acknowledged": Acknowledged,
    "order.cancelled": Cancelled,
}
"""What payonce takes in, by routing key."""
