"""What is asked of Stripe, as its SDK types it. Nothing here hangs on the time or on chance.

A key under which something was created takes the same parameters alone, for a day
(docs.stripe.com/api/idempotent_requests). So no `expires_at` is sent either, which Stripe takes
from half an hour to a day ahead only: the watch's end expires the session.
"""

from typing import TYPE_CHECKING

from payonce.domain.errors import InvalidField
from payonce.gateways.stripe_words import to_stripe
from payonce.ports.gateway import NewCharge, NewRefund
from payonce.settings.kinds.stripe import BOLETO, StripeCredentials

if TYPE_CHECKING:
    from stripe.params import PaymentIntentCreateParams, RefundCreateParams
    from stripe.params.checkout import SessionCreateParams

# `payment_method_types` is refused since 2026-09-30.endive; `allowed_payment_method_types` filters
# what the account offers (docs.stripe.com/changelog/endive/2026-09-30).

CHARGE_KEY = "payonce-charge-"
REFUND_KEY = "payonce-refund-"

INTENT_EXPANDS = ["latest_charge"]
SESSION_EXPANDS = ["payment_intent.latest_charge"]
FOUND_EXPANDS = ["data.latest_charge"]


def check_currency(currency: str, credentials: StripeCredentials) -> None:
    """Raise InvalidField where no method of this gateway can take a currency.

    Stripe would leave such a method out in silence, and show a page with nothing to pay by.
    """
    if credentials.payment_methods == (BOLETO,) and currency != "BRL":
        raise InvalidField("currency", f"{currency} cannot be paid by boleto", "BRL")


def session_params(
    charge: NewCharge, amount: int, credentials: StripeCredentials
) -> "SessionCreateParams":
    """Return the Checkout Session of a charge over `amount` in Stripe's minor units."""
    metadata = _metadata(charge)
    what = f"Order {charge.order_id}"
    params: SessionCreateParams = {
        "mode": "payment",
        "client_reference_id": charge.payment_id,
        "line_items": [
            {
                "quantity": 1,
                "price_data": {
                    "currency": charge.currency.lower(),
                    "unit_amount": amount,
                    "product_data": {"name": what},
                },
            }
        ],
        "allowed_payment_method_types": [*credentials.payment_methods],
        # The order is settled in its own currency or not at all.
        "adaptive_pricing": {"enabled": False},
        "success_url": charge.return_url,
        "cancel_url": charge.return_url,
        "metadata": metadata,
        "payment_intent_data": {"metadata": metadata, "description": what},
        "expand": SESSION_EXPANDS,
    }
    if BOLETO in credentials.payment_methods:
        days = credentials.expires_after_days
        params["payment_method_options"] = {"boleto": {"expires_after_days": days}}
    return params


def intent_params(
    charge: NewCharge, amount: int, credentials: StripeCredentials
) -> "PaymentIntentCreateParams":
    """Return the PaymentIntent of a charge over `amount` in Stripe's minor units."""
    params: PaymentIntentCreateParams = {
        "amount": amount,
        "currency": charge.currency.lower(),
        "allowed_payment_method_types": [*credentials.payment_methods],
        "description": f"Order {charge.order_id}",
        "metadata": _metadata(charge),
        "expand": INTENT_EXPANDS,
    }
    if BOLETO in credentials.payment_methods:
        days = credentials.expires_after_days
        params["payment_method_options"] = {"boleto": {"expires_after_days": days}}
    return params


def refund_params(refund: NewRefund, intent_id: str) -> "RefundCreateParams":
    """Return a refund of a PaymentIntent. Raises InvalidField where the amount is not Stripe's."""
    return {
        "payment_intent": intent_id,
        "amount": to_stripe(refund.amount, refund.currency),
        "metadata": {
            "refund_id": refund.refund_id,
            "payment_id": refund.payment_id,
            "reason": refund.reason[:200],
        },
    }


def _metadata(charge: NewCharge) -> dict[str, str]:
    return {"payment_id": charge.payment_id, "order_id": charge.order_id}
