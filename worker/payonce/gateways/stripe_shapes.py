"""The shapes of Stripe's objects, as far as they are read; unknown fields are left alone.

Written after the API reference of the version in `API_VERSION` and Stripe's published fixtures. A
known field of another kind makes the whole object nonsense.
"""

from typing import Literal

import msgspec

API_VERSION = "2026-10-28.endive"
"""The version that this adapter was written for, whatever a newer SDK would ask for."""


class Failure(msgspec.Struct):
    """Why an attempt to pay failed."""

    code: str | None = None
    decline_code: str | None = None


class Charge(msgspec.Struct):
    """A charge: one attempt that moved money."""

    id: str
    amount_refunded: int = 0
    disputed: bool = False
    created: int = 0


class Voucher(msgspec.Struct):
    """What the shopper of a Boleto payment takes to a bank."""

    hosted_voucher_url: str | None = None


class Redirect(msgspec.Struct):
    """Where the shopper is to go."""

    url: str | None = None


class NextAction(msgspec.Struct):
    """What the shopper has to do."""

    boleto_display_details: Voucher | None = None
    redirect_to_url: Redirect | None = None


class Intent(msgspec.Struct, tag_field="object", tag="payment_intent"):
    """A PaymentIntent with its latest charge expanded."""

    id: str
    status: Literal[
        "canceled",
        "processing",
        "requires_action",
        "requires_capture",
        "requires_confirmation",
        "requires_payment_method",
        "succeeded",
    ]
    amount: int
    currency: str
    amount_received: int = 0
    metadata: dict[str, str] | None = None
    latest_charge: Charge | str | None = None
    last_payment_error: Failure | None = None
    next_action: NextAction | None = None


class Session(msgspec.Struct, tag_field="object", tag="checkout.session"):
    """A Checkout Session, with its PaymentIntent expanded where it has one already."""

    id: str
    status: Literal["open", "complete", "expired"]
    payment_status: Literal["paid", "unpaid", "no_payment_required"]
    amount_total: int
    currency: str
    metadata: dict[str, str] | None = None
    payment_intent: Intent | str | None = None
    url: str | None = None


class Refund(msgspec.Struct):
    """A refund."""

    id: str
    object: Literal["refund"]
    amount: int
    currency: str
    status: Literal["pending", "requires_action", "succeeded", "failed", "canceled"] | None = None
    metadata: dict[str, str] | None = None
    failure_reason: str | None = None


class Dispute(msgspec.Struct):
    """A dispute: money that is taken back by the shopper's bank, in whatever currency."""

    amount: int
    currency: str
    status: str


class Intents(msgspec.Struct):
    """A page of PaymentIntents."""

    data: list[Intent]


class Refunds(msgspec.Struct):
    """A page of refunds."""

    data: list[Refund]
    has_more: bool


class Disputes(msgspec.Struct):
    """A page of disputes."""

    data: list[Dispute]


class Error(msgspec.Struct):
    """Why Stripe refused; `payment_intent` as it stood, where it stood in the way."""

    type: str
    code: str | None = None
    message: str | None = None
    decline_code: str | None = None
    payment_intent: Intent | None = None


class Refusal(msgspec.Struct):
    """The body of a refusal."""

    error: Error


class EventData(msgspec.Struct):
    """What an event is about."""

    object: msgspec.Raw


class Event(msgspec.Struct):
    """An event, as Stripe posts it."""

    type: str
    data: EventData


class Told(msgspec.Struct):
    """What is read of the object of any event first."""

    object: str
    metadata: dict[str, str] | None = None


class EventId(msgspec.Struct):
    """The id of an event, under which it is repeated."""

    id: str


Found = Intent | Session

found_charges: msgspec.json.Decoder[Found] = msgspec.json.Decoder(Found)
intents = msgspec.json.Decoder(Intent)
sessions = msgspec.json.Decoder(Session)
refunds = msgspec.json.Decoder(Refund)
intent_pages = msgspec.json.Decoder(Intents)
refund_pages = msgspec.json.Decoder(Refunds)
dispute_pages = msgspec.json.Decoder(Disputes)
events = msgspec.json.Decoder(Event)
event_ids = msgspec.json.Decoder(EventId)
refusals = msgspec.json.Decoder(Refusal)
told_objects = msgspec.json.Decoder(Told)
charges = msgspec.json.Decoder(Charge)
