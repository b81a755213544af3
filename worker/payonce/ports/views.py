"""What the outside is shown over HTTP, field by field; at run time these are plain dicts.

The OpenAPI document is made of these types, and mypy holds the code to them.
"""

from typing import Annotated, Any, Literal, NotRequired, TypedDict

from msgspec import Meta

from payonce.domain.order import OrderStatus
from payonce.domain.payment import MismatchReason, PaymentStatus
from payonce.domain.refund import RefundReason, RefundStatus
from payonce.domain.refunding import ResolvedAs
from payonce.ports.fields import (
    Amount,
    Count,
    Currency,
    Gateway,
    OrderId,
    PaymentId,
    RefundId,
    Time,
    Version,
)

Qr = Annotated[str, Meta(description="What the QR code holds.")]
PayUrl = Annotated[str, Meta(description="Where the shopper pays.")]
Reversed = Annotated[Count, Meta(description="What the gateway gave back on its own, minor units.")]
Captured = Annotated[
    Amount | None, Meta(description="What the gateway took, where that does not fit.")
]


class ShoppersPayment(TypedDict):
    """A payment as its shopper is shown it."""

    payment_id: PaymentId
    order_id: OrderId
    gateway: Gateway
    status: PaymentStatus
    amount: Amount
    currency: Currency
    gateway_ref: Annotated[str | None, Meta(description="The gateway's own id of the charge.")]
    duplicate: Annotated[bool, Meta(description="A success that did not settle its order.")]
    unresolved: Annotated[bool, Meta(description="The watch ended without a definite word.")]
    mismatched: Annotated[
        MismatchReason | None, Meta(description="Why its success settles nothing.")
    ]
    closing: Annotated[str | None, Meta(description="Why it is being closed at its gateway.")]
    captured_amount: Captured
    captured_currency: str | None
    reversed_amount: Reversed
    initiated_at: Time
    expires_at: Time
    paid_at: Time | None
    settled_at: Time | None
    resolved_as: Annotated[ResolvedAs | None, Meta(description="How a person ended its entry.")]
    qr: NotRequired[Qr]
    pay_url: NotRequired[PayUrl]


class Payment(ShoppersPayment):
    """A payment; `qr` and `pay_url` are there while it may be paid by them."""

    last_answer: Annotated[str | None, Meta(description="The gateway's latest word.")]
    epoch: Annotated[Count, Meta(description="The number of its watch's life.")]
    step: Annotated[Count, Meta(description="The last poll that is known here.")]
    revive_at: Annotated[Time | None, Meta(description="When the sweeper looks after it.")]
    resolved_by: str | None
    resolved_why: str | None


class ShoppersRefund(TypedDict):
    """A refund as its shopper is shown it."""

    refund_id: RefundId
    payment_id: PaymentId
    order_id: OrderId
    gateway: Gateway
    status: RefundStatus
    amount: Amount
    currency: Currency
    reason: RefundReason
    rule: Annotated[str | None, Meta(description="What holds it, where it is HELD.")]
    overruled: Annotated[str | None, Meta(description="The rules that people set aside.")]
    attempts: Annotated[Count, Meta(description="How often it was sent.")]
    contradicted_at: Annotated[
        Time | None, Meta(description="When the gateway told of a success after its end.")
    ]
    created_at: Time
    submitted_at: Time | None
    finished_at: Time | None


class Refund(ShoppersRefund):
    """A refund, with who decided about it."""

    requested_by: str | None
    requested_why: str | None
    approved_by: str | None
    approved_again_by: str | None
    rejected_by: str | None
    rejected_why: str | None
    resolved_by: str | None
    resolved_why: str | None
    last_answer: str | None


class TimelineLine(TypedDict):
    """One line of an order's story."""

    at: Time
    kind: Annotated[str, Meta(examples=["payment.settled"])]
    payment_id: PaymentId | None
    detail: dict[str, Any]


class OrderSummary(TypedDict):
    """An order without its payments. No amount: it was cancelled before its first payment."""

    order_id: OrderId
    status: OrderStatus
    amount: Amount | None
    currency: Currency | None
    settled_by: Annotated[PaymentId | None, Meta(description="The payment that settled it.")]
    settled_at: Time | None
    acknowledged: Annotated[bool, Meta(description="The order service has booked it.")]
    version: Version


class ShoppersOrder(OrderSummary):
    """An order as its shopper is shown it."""

    payments: list[ShoppersPayment]
    refunds: list[ShoppersRefund]


class Order(OrderSummary):
    """An order with its payments, its refunds and its story."""

    payments: list[Payment]
    refunds: list[Refund]
    timeline: NotRequired[list[TimelineLine]]


class Applied(TypedDict):
    """What an application came to."""

    payment_id: PaymentId
    order_id: OrderId
    status: PaymentStatus
    checkout_url: Annotated[str, Meta(description="The page to send the shopper to.")]
    order_token: Annotated[str, Meta(description="Opens this order and its payments.")]
    expires_at: Time
    qr: NotRequired[Qr]
    pay_url: NotRequired[PayUrl]


class Callback(TypedDict):
    """A callback of a gateway as it is kept."""

    inbox_id: Annotated[int, Meta(ge=1)]
    gateway: Gateway
    event_id: str
    payment_id: str | None
    received_at: Time
    processed_at: Time | None
    problem: Annotated[str | None, Meta(description="Why it waits, or what is wrong with it.")]
    attempts: Count
    revive_at: Annotated[Time | None, Meta(description="When it is tried next.")]
    body: str


class CallbacksReplayed(TypedDict):
    """How many callbacks are due again."""

    replayed: Count


JournalKind = Annotated[
    str, Meta(extra_json_schema={"enum": ["paused", "resumed", "opened", "closed"]})
]


class JournalLine(TypedDict):
    """A change of how a gateway is treated."""

    at: Time
    kind: JournalKind
    by: str | None
    why: str | None


GatewayState = Literal["ok", "paused", "open", "half-open"]


class GatewayStanding(TypedDict):
    """How a gateway is treated, by all processes alike."""

    gateway: Gateway
    configured: Annotated[bool, Meta(description="This process has it in its configuration.")]
    state: GatewayState
    paused_by: str | None
    paused_why: str | None
    paused_at: Time | None
    open_until: Annotated[Time | None, Meta(description="Until when its breaker spares it.")]
    openings: Annotated[Count, Meta(description="Of its breaker, since the last success.")]
    rate_per_s: Annotated[
        float | None, Meta(description="Calls a second of all processes together, 0: no limit.")
    ]
    journal: Annotated[list[JournalLine], Meta(description="The latest changes, oldest first.")]


class GatewayTreated(GatewayStanding):
    """How a gateway is treated after a pause or a resume."""

    changed: Annotated[bool, Meta(description="false: it was so before.")]


_From = TypedDict("_From", {"from": str | None})


class ParkedMessage(_From):
    """A message that was put aside; `from` is the queue that it was in."""

    message_id: str | None
    reason: str
    parked_at: Time | None
    body: str


class LeftMessage(TypedDict):
    """A parked message that could not be sent back."""

    message_id: str | None
    problem: str


class MessagesReplayed(TypedDict):
    """What became of parked messages."""

    replayed: Count
    left: list[LeftMessage]
    absent: Annotated[Count, Meta(description="Named, but not parked.")]


class OrderDue(TypedDict):
    """A paid order that is told again within seconds."""

    order_id: OrderId
    due: Literal[True]


class OrdersDue(TypedDict):
    """How many orders are told again that were not due."""

    orders: Count


class Alive(TypedDict):
    """The process serves."""

    status: Literal["ok"]


class Readiness(TypedDict):
    """What the process needs, and what is wrong with it: `ok`, or a sentence."""

    status: Literal["ready", "not ready"]
    checks: dict[str, str]


class Problem(TypedDict):
    """A problem document (RFC 9457); what a program can act on stands in members of its own."""

    type: Annotated[
        str, Meta(description="Ends in the problem's name.", examples=["/problems/invalid"])
    ]
    title: str
    status: Annotated[int, Meta(ge=400, le=599)]
    detail: Annotated[str, Meta(description="For people.")]
    field: NotRequired[Annotated[str, Meta(description="`invalid`: the field that is wrong.")]]
    allowed: NotRequired[Annotated[str, Meta(description="`invalid`: what is allowed.")]]
    amount: NotRequired[Annotated[Amount | None, Meta(description="`amount-differs`: its price.")]]
    currency: NotRequired[
        Annotated[Currency | None, Meta(description="`amount-differs`: its price.")]
    ]
    settled_by: NotRequired[
        Annotated[PaymentId | None, Meta(description="`order-paid`: by this payment.")]
    ]
    known: NotRequired[Annotated[list[str], Meta(description="`not-found`: what there is.")]]
    retry_after_s: NotRequired[
        Annotated[Count, Meta(description="`too-many-attempts`: wait for so many seconds.")]
    ]
