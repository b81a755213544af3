"""Stripe's objects, written from the books, in the shapes of Stripe's published fixtures."""

from dataclasses import dataclass, field
from typing import Any

from gateway_mock.books import Charge, Refund

ZERO_FROM_TWO = frozenset({"mga"})
"""Currencies whose minor unit at Stripe is a hundred of ours."""
TWO_FROM_ZERO = frozenset({"isk", "ugx"})
"""Currencies of which a minor unit of ours is a hundred at Stripe."""

BOLETO = "boleto"


@dataclass(slots=True)
class Paper:
    """What Stripe knows of a charge besides what stands in the books."""

    charge: Charge
    number: str
    is_session: bool
    methods: list[str]
    metadata: dict[str, str]
    link: str
    return_url: str | None = None
    days: int = 3
    intent_metadata: dict[str, str] = field(default_factory=dict)
    disputes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def ref(self) -> str:
        """The id that the merchant is given."""
        return self.session_id if self.is_session else self.intent_id

    @property
    def session_id(self) -> str:
        """The id of the Checkout Session."""
        return f"cs_test_{self.number}"

    @property
    def intent_id(self) -> str:
        """The id of the PaymentIntent."""
        return f"pi_{self.number}"

    @property
    def charge_id(self) -> str:
        """The id of the charge."""
        return f"ch_{self.number}"

    def has_voucher(self, now: float) -> bool:
        """Say whether the shopper has taken a voucher and can pay it at any bank."""
        after_s = self.charge.script.voucher_after_s
        return after_s is not None and now >= self.charge.created_at + after_s

    def has_intent(self, now: float) -> bool:
        """Say whether there is a PaymentIntent: of a session only once its shopper tried to pay."""
        tried = self.charge.status(now) in {"succeeded", "failed"}
        return not self.is_session or tried or self.has_voucher(now)


def to_stripe(amount: int, currency: str) -> int:
    """Return the books' minor units as Stripe's."""
    if currency in ZERO_FROM_TWO:
        return amount // 100
    return amount * 100 if currency in TWO_FROM_ZERO else amount


def from_stripe(amount: int, currency: str) -> int:
    """Return Stripe's minor units as the books keep them."""
    if currency in ZERO_FROM_TWO:
        return amount * 100
    return amount // 100 if currency in TWO_FROM_ZERO else amount


def session_json(paper: Paper, now: float, *, expanded: bool) -> dict[str, Any]:
    """Return a Checkout Session."""
    charge, status = paper.charge, paper.charge.status(now)
    voucher = paper.has_voucher(now)
    # A declined card can be tried again on the same page; a voucher that ran out cannot.
    ended = status == "succeeded" or voucher
    state = {"closed": "expired"}.get(status, "complete" if ended else "open")
    intent: Any = None
    if paper.has_intent(now):
        intent = intent_json(paper, now, expanded=True) if expanded else paper.intent_id
    amount = _amount(charge)
    return {
        "id": charge.script.reports_ref or paper.session_id,
        "object": "checkout.session",
        "amount_subtotal": amount,
        "amount_total": amount,
        "adaptive_pricing": {"enabled": False},
        "cancel_url": paper.return_url,
        "client_reference_id": charge.payment_id,
        "created": int(charge.created_at),
        "currency": _currency(charge),
        "expires_at": int(charge.created_at) + 86_400,
        "livemode": False,
        "metadata": paper.metadata,
        "mode": "payment",
        "payment_intent": intent,
        "payment_method_types": paper.methods,
        "payment_status": "paid" if status == "succeeded" else "unpaid",
        "status": state,
        "success_url": paper.return_url,
        "url": paper.link if state == "open" else None,
    }


def intent_json(paper: Paper, now: float, *, expanded: bool) -> dict[str, Any]:
    """Return a PaymentIntent."""
    charge, status = paper.charge, paper.charge.status(now)
    amount = _amount(charge)
    paid = status == "succeeded"
    latest: Any = None
    if paid:
        latest = charge_json(paper, now) if expanded else paper.charge_id
    ref = paper.intent_id if paper.is_session else charge.script.reports_ref or paper.intent_id
    return {
        "id": ref,
        "object": "payment_intent",
        "amount": amount,
        "amount_capturable": 0,
        "amount_received": amount if paid else 0,
        "canceled_at": int(charge.closed_at) if status == "closed" and charge.closed_at else None,
        "capture_method": "automatic",
        "client_secret": f"{paper.intent_id}_secret_mock",
        "confirmation_method": "automatic",
        "created": int(charge.created_at),
        "currency": _currency(charge),
        "description": None,
        "last_payment_error": _failure(paper) if status == "failed" else None,
        "latest_charge": latest,
        "livemode": False,
        "metadata": paper.intent_metadata,
        "next_action": _next_action(paper, now),
        "payment_method_types": paper.methods,
        "status": _intent_status(paper, now),
    }


def charge_json(paper: Paper, now: float) -> dict[str, Any]:
    """Return the charge of a paid PaymentIntent."""
    charge = paper.charge
    for refund in charge.refunds:
        refund.settle(now)
    refunded = to_stripe(charge.refunded + charge.script.reports_refunded, _currency(charge))
    amount = _amount(charge)
    return {
        "id": paper.charge_id,
        "object": "charge",
        "amount": amount,
        "amount_captured": amount,
        "amount_refunded": refunded,
        "captured": True,
        "created": int(charge.paid_at or 0),
        "currency": _currency(charge),
        "disputed": bool(paper.disputes),
        "livemode": False,
        "metadata": paper.intent_metadata,
        "paid": True,
        "payment_intent": paper.intent_id,
        "refunded": refunded >= amount,
        "status": "succeeded",
    }


def refund_json(paper: Paper, refund: Refund, told: dict[str, str]) -> dict[str, Any]:
    """Return a refund; `told` is the metadata that it was made with."""
    currency = paper.charge.currency.lower()
    data = {
        "id": stripe_id(refund.refund_id),
        "object": "refund",
        "amount": to_stripe(refund.amount, currency),
        "charge": paper.charge_id,
        "created": int(paper.charge.paid_at or 0),
        "currency": currency,
        "metadata": told,
        "payment_intent": paper.intent_id,
        "reason": None,
        "status": refund.status,
    }
    if refund.status == "failed":
        data["failure_reason"] = "lost_or_stolen_card"
    return data


def page(url: str, data: list[dict[str, Any]], *, more: bool = False) -> dict[str, Any]:
    """Return a page of a list."""
    return {"object": "list", "data": data, "has_more": more, "url": url}


def event(number: str, kind: str, told: dict[str, Any], now: float) -> dict[str, Any]:
    """Return an event."""
    return {
        "id": f"evt_{number}",
        "object": "event",
        "api_version": "2026-10-28.endive",
        "created": int(now),
        "data": {"object": told},
        "livemode": False,
        "pending_webhooks": 1,
        "request": {"id": None, "idempotency_key": None},
        "type": kind,
    }


def stripe_id(refund_id: str) -> str:
    """Return Stripe's id of a refund."""
    return "re_" + refund_id.encode().hex()


def _amount(charge: Charge) -> int:
    told = charge.script.reports_amount
    amount = charge.amount if told is None else told
    return to_stripe(amount, _currency(charge))


def _currency(charge: Charge) -> str:
    return (charge.script.reports_currency or charge.currency).lower()


def _intent_status(paper: Paper, now: float) -> str:
    status = paper.charge.status(now)
    if status in {"succeeded", "closed"}:
        return {"succeeded": "succeeded", "closed": "canceled"}[status]
    waits = status == "pending" and paper.has_voucher(now)
    return "requires_action" if waits else "requires_payment_method"


def _next_action(paper: Paper, now: float) -> dict[str, Any] | None:
    if _intent_status(paper, now) != "requires_action":
        return None
    details = {
        "expires_at": int(paper.charge.created_at) + paper.days * 86_400,
        "hosted_voucher_url": f"{paper.link}/voucher",
        "number": "00190.00009",
        "pdf": f"{paper.link}/voucher.pdf",
    }
    return {"type": "boleto_display_details", "boleto_display_details": details}


def _failure(paper: Paper) -> dict[str, Any]:
    if paper.methods == [BOLETO]:
        return {"type": "card_error", "code": "payment_method_provider_decline"}
    return {"type": "card_error", "code": "card_declined", "decline_code": "insufficient_funds"}
