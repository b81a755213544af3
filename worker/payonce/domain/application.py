"""An application: somebody wants to pay an order through one gateway."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from payonce.domain.errors import InvalidField
from payonce.domain.ids import check_id
from payonce.domain.messages import LONGEST_WATCH
from payonce.domain.money import check_amount, check_currency
from payonce.domain.order import Order
from payonce.domain.payment import Payment, PaymentStatus
from payonce.domain.times import format_time, parse_time


class Policy(StrEnum):
    """What happens to the pending payments of an order for which another application comes."""

    CANCEL = "cancel"
    REUSE = "reuse"
    ALLOW = "allow"


@dataclass(frozen=True, slots=True)
class Application:
    """What was asked for; `amount` and `currency` are None where the order's own are meant.

    `payment_id` is the payment that comes of it, unless an earlier one is answered with.
    """

    payment_id: str
    order_id: str
    gateway: str
    amount: int | None
    currency: str | None
    expires_at: datetime
    arrived_at: datetime
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Applied:
    """A payment as those who apply see it: its row, and what the shopper is shown.

    `answered_at`: when the first application was answered, None while it is in hand.
    `shared_until`: until when others get the same payment, because many came at once.
    """

    payment: Payment
    initiated_at: datetime
    answered_at: datetime | None = None
    shared_until: datetime | None = None
    qr: str | None = None
    pay_url: str | None = None

    @property
    def is_answered(self) -> bool:
        """Say whether there is something to tell those who wait for this payment."""
        waits = self.payment.status is PaymentStatus.CREATED and self.payment.closing is None
        return self.answered_at is not None or not waits


def parse_application(
    data: Mapping[str, Any],
    payment_id: str,
    now: datetime,
    watch_for: Mapping[str, timedelta],
    traceparent: str | None,
) -> Application:
    """Return the application of the shop's service, else raise InvalidField.

    `watch_for`: how long a payment may take that names no `expires_at`, by configured gateway.
    """
    order_id = check_id(data.get("order_id"), "order_id")
    gateway = check_gateway(data.get("gateway"), watch_for)
    return Application(
        payment_id=payment_id,
        order_id=order_id,
        gateway=gateway,
        amount=check_amount(data.get("amount")),
        currency=check_currency(data.get("currency")),
        expires_at=_expiry(data.get("expires_at"), now) or now + watch_for[gateway],
        arrived_at=now,
        traceparent=traceparent,
    )


def parse_choice(  # noqa: PLR0913 - as above, for one order
    data: Mapping[str, Any],
    payment_id: str,
    order_id: str,
    now: datetime,
    watch_for: Mapping[str, timedelta],
    traceparent: str | None,
) -> Application:
    """Return the application of a shopper who chooses a gateway, else raise InvalidField."""
    gateway = check_gateway(data.get("gateway"), watch_for)
    expires_at = now + watch_for[gateway]
    return Application(payment_id, order_id, gateway, None, None, expires_at, now, traceparent)


def check_gateway(value: object, known: Collection[str]) -> str:
    """Return the name of a configured gateway, else raise InvalidField that lists them."""
    if type(value) is not str or value not in known:
        problem = "is missing" if value is None else f"{value!r:.80} is not configured"
        raise InvalidField("gateway", problem, ", ".join(sorted(known)))
    return value


def _expiry(value: object, now: datetime) -> datetime | None:
    if value is None:
        return None
    expires_at = parse_time(value, "expires_at")
    if not now < expires_at <= now + LONGEST_WATCH:
        problem = "is in the past" if expires_at <= now else "is too far away"
        latest = f"after now and up to {format_time(now + LONGEST_WATCH)}"
        raise InvalidField("expires_at", f"{value!r:.60} {problem}", latest)
    return expires_at


def differs(application: Application, order: Order) -> bool:
    """Say whether an application names another price than its order has."""
    if application.amount is None or order.amount is None:
        return False
    return (application.amount, application.currency) != (order.amount, order.currency)
