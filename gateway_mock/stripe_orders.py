"""What a shop asks Stripe to create, checked parameter by parameter."""

from dataclasses import dataclass
from typing import Any

from gateway_mock.stripe_forms import (
    Form,
    StripeError,
    check_amount,
    currency,
    expands,
    integer,
    listed,
    metadata,
    need,
    refuse_unknown,
)
from gateway_mock.stripe_objects import BOLETO

_SESSION = frozenset(
    {
        "adaptive_pricing",
        "allowed_payment_method_types",
        "cancel_url",
        "client_reference_id",
        "expand",
        "line_items",
        "metadata",
        "mode",
        "payment_intent_data",
        "payment_method_options",
        "success_url",
    }
)
_INTENT = frozenset(
    {
        "allowed_payment_method_types",
        "amount",
        "currency",
        "description",
        "expand",
        "metadata",
        "payment_method_options",
    }
)
LEAST_BOLETO, MOST_BOLETO = 500, 4_999_999


@dataclass(frozen=True, slots=True)
class Ordered:
    """What shall be created; amount in Stripe's minor units."""

    metadata: dict[str, str]
    intent_metadata: dict[str, str]
    amount: int
    currency: str
    methods: list[str]
    return_url: str | None = None
    days: int = 3


def read_session(form: Form) -> Ordered:
    """Return the Checkout Session that a form asks for. Raises StripeError."""
    refuse_unknown(form, _SESSION)
    expands(form, "payment_intent", "payment_intent.latest_charge")
    if need(form, "mode") != "payment":
        raise StripeError(400, "Invalid mode", param="mode")
    amount, code = _priced(form)
    intent = form.get("payment_intent_data", {})
    refuse_unknown(intent, frozenset({"metadata", "description"}), "payment_intent_data")
    for name in ("success_url", "cancel_url"):
        _check_url(need(form, name), name)
    if len(form.get("client_reference_id", "")) > 200:
        raise StripeError(400, "Invalid string", param="client_reference_id")
    return Ordered(
        metadata=metadata(form.get("metadata", {})),
        intent_metadata=metadata(intent.get("metadata", {})),
        amount=amount,
        currency=code,
        methods=_methods(form, amount, code),
        return_url=form["success_url"],
        days=_days(form),
    )


def read_intent(form: Form) -> Ordered:
    """Return the PaymentIntent that a form asks for. Raises StripeError."""
    refuse_unknown(form, _INTENT)
    expands(form, "latest_charge")
    code = currency(need(form, "currency"))
    amount = integer(need(form, "amount"), "amount", 1)
    check_amount(amount, code)
    notes = metadata(form.get("metadata", {}))
    return Ordered(notes, notes, amount, code, _methods(form, amount, code), None, _days(form))


def _priced(form: Form) -> tuple[int, str]:
    """Return the amount of all line items and their currency."""
    total, code = 0, ""
    for item in listed(need(form, "line_items"), "line_items"):
        refuse_unknown(item, frozenset({"quantity", "price_data"}), "line_items")
        price = need(item, "price_data")
        known = frozenset({"currency", "unit_amount", "product_data"})
        refuse_unknown(price, known, "line_items[price_data]")
        need(need(price, "product_data"), "name")
        unit = integer(need(price, "unit_amount"), "unit_amount", 1)
        total += unit * integer(need(item, "quantity"), "quantity", 1)
        code = currency(need(price, "currency"))
    if not code:
        raise StripeError(400, "You must provide line_items", param="line_items")
    check_amount(total, code)
    return total, code


def _methods(form: Form, amount: int, code: str) -> list[str]:
    """Return the methods that fit: Stripe leaves the others out in silence."""
    name = "allowed_payment_method_types"
    allowed = listed(need(form, name), name)
    fitting = [one for one in allowed if one != BOLETO or code == "brl"]
    if not fitting:
        raise StripeError(400, "No valid payment method types for this payment.", param=name)
    if BOLETO in fitting and not LEAST_BOLETO <= amount <= MOST_BOLETO:
        raise StripeError(400, "Boleto takes R$5.00 to R$49,999.99", code="amount_too_small")
    return fitting


def _days(form: Form) -> int:
    options: dict[str, Any] = form.get("payment_method_options", {})
    refuse_unknown(options, frozenset({BOLETO}), "payment_method_options")
    boleto: dict[str, Any] = options.get(BOLETO, {})
    refuse_unknown(boleto, frozenset({"expires_after_days"}), "payment_method_options[boleto]")
    return integer(boleto.get("expires_after_days", "3"), "expires_after_days", 0, 60)


def _check_url(url: str, name: str) -> None:
    if not url.startswith(("http://", "https://")) or len(url) > 5_000:
        raise StripeError(400, "Not a valid URL", code="url_invalid", param=name)
