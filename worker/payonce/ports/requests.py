"""What may stand in the body of a request, field by field, for the OpenAPI document.

Bodies are judged field by field where they are read, so that an answer names the first wrong one.
"""

from typing import Annotated, Literal, NotRequired, TypedDict

from msgspec import Meta, Struct

from payonce.domain.refunding import ResolvedAs
from payonce.ports.fields import (
    Amount,
    Gateway,
    GivenTime,
    KnownCurrency,
    OrderId,
    PaymentId,
    Why,
)


class Application(TypedDict):
    """Somebody wants to pay an order through one gateway."""

    order_id: OrderId
    gateway: Gateway
    amount: Amount
    currency: KnownCurrency
    expires_at: NotRequired[
        Annotated[
            GivenTime | None,
            Meta(description="After now, within 400 days. Default: the gateway's watch_for."),
        ]
    ]


class Choice(TypedDict):
    """The shopper chooses a gateway; the order's own price counts."""

    gateway: Gateway


class RefundRequest(TypedDict):
    """A person asks for a refund, which another has to approve."""

    payment_id: PaymentId
    why: Why
    amount: NotRequired[
        Annotated[Amount | None, Meta(description="Default: all that was captured.")]
    ]


class Rejection(TypedDict):
    """Why a held refund is not sent."""

    why: Why


_As = TypedDict("_As", {"as": ResolvedAs})


class Resolution(_As):
    """How a person ended an entry of a list: a payment's, or a refund's."""

    why: Why


class Pause(Struct, forbid_unknown_fields=True):
    """Why a gateway is paused."""

    why: Why


class Resume(Struct, forbid_unknown_fields=True):
    """Why a gateway is resumed, where somebody says so."""

    why: Why | None = None


class Replay(Struct, forbid_unknown_fields=True):
    """Some parked messages by id, or all of them: one of the two."""

    message_ids: list[str] | None = None
    all: bool = False


class NotifyAll(TypedDict):
    """That every order is meant."""

    all: Literal[True]
