"""Tells a payment that is registered again from another one under the same id."""

from payonce.domain.messages import PaymentInitiated
from payonce.domain.payment import Payment


def find_conflict(payment: Payment, message: PaymentInitiated) -> str:
    """Return in what a message differs from the payment that it repeats; empty: in nothing.

    A gateway_ref that one of the two leaves out is no difference.
    """
    pairs = {
        "order_id": (payment.order_id, message.order_id),
        "gateway": (payment.gateway, message.gateway),
        "amount": (payment.amount, message.amount),
        "currency": (payment.currency, message.currency),
    }
    if payment.gateway_ref and message.gateway_ref:
        pairs["gateway_ref"] = (payment.gateway_ref, message.gateway_ref)
    return "; ".join(
        f"{name} is {now}, not {new}" for name, (now, new) in pairs.items() if now != new
    )
