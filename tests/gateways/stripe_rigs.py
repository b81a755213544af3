"""What the tests of the Stripe adapter stand on: objects as Stripe writes them, a counter."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from gateway_mock.app import serving
from gateway_mock.stripe import StripeMock
from payonce.ports.gateway import ChargeRef, Gateway
from payonce.settings.kinds.stripe import StripeCredentials
from payonce.settings.secret import Secret
from tests.gateways.rigs import NEW_CHARGE, NotingMeter, open_gateway
from tests.support.stripe import credentials_of

KEY = "sk_test_0123456789abcdef"
SIGNING = "whsec_AbCdEfGhIjKlMnOpQrStUvWx01234567"
OLD_SIGNING = "whsec_yesterdays0123456789abcdef"
CREDENTIALS = StripeCredentials(Secret(KEY), (Secret(SIGNING),))
INTENTS = replace(CREDENTIALS, mode="payment_intent")
BOLETO = replace(CREDENTIALS, payment_methods=("boleto",))

SESSION = ChargeRef("p-1", "cs_test_1")
INTENT = ChargeRef("p-1", "pi_1")
BRL_CHARGE = replace(NEW_CHARGE, currency="BRL")


def charge_object(**changed: Any) -> dict[str, Any]:
    """Return a charge that moved money."""
    return {
        "id": "ch_1",
        "object": "charge",
        "amount_refunded": 0,
        "disputed": False,
        "created": 1_750_000_000,
        "metadata": {"payment_id": "p-1"},
        **changed,
    }


def intent_object(**changed: Any) -> dict[str, Any]:
    """Return a PaymentIntent that succeeded."""
    return {
        "id": "pi_1",
        "object": "payment_intent",
        "status": "succeeded",
        "amount": 1999,
        "amount_received": 1999,
        "currency": "cny",
        "metadata": {"payment_id": "p-1", "order_id": "o-1"},
        "latest_charge": charge_object(),
        "last_payment_error": None,
        "next_action": None,
        **changed,
    }


def session_object(**changed: Any) -> dict[str, Any]:
    """Return a Checkout Session that was paid."""
    return {
        "id": "cs_test_1",
        "object": "checkout.session",
        "status": "complete",
        "payment_status": "paid",
        "amount_total": 1999,
        "currency": "cny",
        "metadata": {"payment_id": "p-1", "order_id": "o-1"},
        "payment_intent": intent_object(),
        "url": None,
        **changed,
    }


def open_session_object(**changed: Any) -> dict[str, Any]:
    """Return a Checkout Session that nobody has paid yet."""
    unpaid = {"status": "open", "payment_status": "unpaid", "payment_intent": None}
    return session_object(**{**unpaid, "url": "https://checkout.example/c/1", **changed})


def refund_object(**changed: Any) -> dict[str, Any]:
    """Return a refund that succeeded."""
    return {
        "id": "re_1",
        "object": "refund",
        "amount": 1999,
        "currency": "cny",
        "status": "succeeded",
        "metadata": {"refund_id": "rf-1", "payment_id": "p-1"},
        **changed,
    }


def listed(*data: dict[str, Any], has_more: bool = False) -> dict[str, Any]:
    """Return a page of a list."""
    return {"object": "list", "data": list(data), "has_more": has_more, "url": "/v1/x"}


def error_object(code: str = "", kind: str = "invalid_request_error", **more: Any) -> Any:
    """Return the body of a refusal."""
    return {"error": {"type": kind, "code": code or None, "message": "No.", **more}}


@dataclass
class Desk:
    """The adapter before its strict mock, whose clock can be moved."""

    gateway: Gateway
    mock: StripeMock
    meter: NotingMeter
    now: list[float]

    def script(self, payment_id: str = "p-1", **changed: Any) -> None:
        """Change what the shopper of a charge does."""
        charge = self.mock.books.charges[payment_id]
        charge.script = replace(charge.script, **changed)

    def pay(self, payment_id: str = "p-1") -> None:
        """Let the shopper pay."""
        charge = self.mock.books.charges[payment_id]
        self.script(payment_id, pays_after_s=self.mock.clock() - charge.created_at)


@asynccontextmanager
async def open_desk(**changed: Any) -> AsyncIterator[Desk]:
    """Give an adapter and its mock; `changed`: credentials that differ."""
    now = [1_750_000_000.0]
    mock, meter = StripeMock(clock=lambda: now[0]), NotingMeter()
    credentials = credentials_of(mock, **changed)
    async with (
        serving(mock) as url,
        open_gateway(url, meter, credentials=credentials, timeout_s=2.0) as gateway,
    ):
        yield Desk(gateway, mock, meter, now)


BY_BOLETO: dict[str, Any] = {"payment_methods": ("boleto",)}
AS_INTENT: dict[str, Any] = {"mode": "payment_intent"}


async def created(desk: Desk, **changed: Any) -> ChargeRef:
    """Create a charge and return how it is asked about."""
    answer = await desk.gateway.create(replace(NEW_CHARGE, **changed))
    return ChargeRef(NEW_CHARGE.payment_id, answer.report.gateway_ref)
