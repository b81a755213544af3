"""PayPal's documents: orders, captures, refunds, errors and events as it writes them."""

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

from gateway_mock.books import Charge, Refund

WITHOUT_DECIMALS = frozenset({"HUF", "JPY", "TWD"})
# Our minor units, which the control API counts in: two digits for HUF and TWD, none for JPY.
MINOR_DIGITS = {"JPY": 0, "KRW": 0, "KWD": 3, "TND": 3}
REFUND_STATUS = {"succeeded": "COMPLETED", "pending": "PENDING", "failed": "FAILED"}

DESCRIPTIONS = {
    "INVALID_RESOURCE_ID": "Specified resource ID does not exist. Please check the resource ID"
    " and try again.",
    "ORDER_NOT_APPROVED": "Payer has not yet approved the Order for payment. Please redirect the"
    " payer to the 'rel':'approve' url returned as part of the HATEOAS links within the Create"
    " Order call or provide a valid `payment_source` in the request.",
    "INSTRUMENT_DECLINED": "The instrument presented  was either declined by the processor or bank,"
    " or it can't be used for this payment.",
    "CAPTURE_FULLY_REFUNDED": "The capture has already been fully refunded",
    "REFUND_AMOUNT_EXCEEDED": "The refund amount must be less than or equal to the capture amount"
    " that has not yet been refunded.",
    "REFUND_CAPTURE_CURRENCY_MISMATCH": "Refund must be in the same currency as the capture",
}
_NOT_AUTHENTICATED = (
    "Authentication failed due to missing authorization header,"
    " or invalid authentication credentials."
)
_NOT_PERFORMED = (
    "The requested action could not be performed, semantically incorrect,"
    " or failed business validation."
)
NAMES = {
    400: (
        "INVALID_REQUEST",
        "Request is not well-formed, syntactically incorrect, or violates schema.",
    ),
    401: (
        "AUTHENTICATION_FAILURE",
        _NOT_AUTHENTICATED,
    ),
    404: ("RESOURCE_NOT_FOUND", "The specified resource does not exist."),
    422: (
        "UNPROCESSABLE_ENTITY",
        _NOT_PERFORMED,
    ),
}


@dataclass(slots=True)
class Taken:
    """What a capture came to; `turns`: what a pending one becomes, and when."""

    capture_id: str
    at: float
    status: str
    turns: tuple[str, float] | None = None

    def settle(self, now: float) -> None:
        """Let what is pending turn, if its time has come."""
        if self.turns is not None and self.status == "PENDING" and now >= self.turns[1]:
            self.status = self.turns[0]


def order_json(
    charge: Charge, status: str, taken: Taken | None, base_url: str, public_url: str = ""
) -> dict[str, Any]:
    """Return an order; `public_url`: where shoppers reach its page, if that is elsewhere."""
    script = charge.script
    amount = charge.amount if script.reports_amount is None else script.reports_amount
    money = money_json(amount, script.reports_currency or charge.currency)
    unit: dict[str, Any] = {
        "reference_id": charge.order_id,
        "amount": money,
        "custom_id": charge.payment_id,
        "invoice_id": charge.payment_id,
    }
    if taken is not None:
        unit["payments"] = {
            "captures": [capture_json(charge, taken, money)],
            "refunds": [refund_json(one, charge, taken) for one in charge.refunds],
        }
    return {
        "id": script.reports_ref or charge.gateway_ref,
        "intent": "CAPTURE",
        "status": status,
        "payment_source": {"paypal": {}},
        "purchase_units": [unit],
        "create_time": time_of(charge.created_at),
        "links": _links(charge, status, base_url, public_url or base_url),
    }


def _links(charge: Charge, status: str, base_url: str, public_url: str) -> list[dict[str, str]]:
    path = f"{base_url}/v2/checkout/orders/{charge.gateway_ref}"
    links = [{"href": path, "rel": "self", "method": "GET"}]
    if status == "PAYER_ACTION_REQUIRED":
        page = f"{public_url}/checkoutnow?token={charge.gateway_ref}"
        links.append({"href": page, "rel": "payer-action", "method": "GET"})
    if status == "APPROVED":
        links.append({"href": f"{path}/capture", "rel": "capture", "method": "POST"})
    return links


def capture_json(
    charge: Charge, taken: Taken, money: dict[str, str] | None = None
) -> dict[str, Any]:
    """Return a capture."""
    view = {
        "id": taken.capture_id,
        "status": capture_status(charge, taken),
        "amount": money or money_json(charge.amount, charge.currency),
        "custom_id": charge.payment_id,
        "invoice_id": charge.payment_id,
        "final_capture": True,
        "create_time": time_of(taken.at),
        "update_time": time_of(taken.at),
    }
    if taken.status == "PENDING":
        view["status_details"] = {"reason": "ECHECK"}
    return view


def capture_status(charge: Charge, taken: Taken) -> str:
    """Return how a capture stands, what went back included."""
    refunded = charge.refunded + charge.script.reports_refunded
    if taken.status != "COMPLETED" or not refunded:
        return taken.status
    return "REFUNDED" if refunded >= charge.amount else "PARTIALLY_REFUNDED"


def refund_json(refund: Refund, charge: Charge, taken: Taken) -> dict[str, Any]:
    """Return a refund; one made outside carries its capture's ids."""
    custom_id, invoice_id = charge.payment_id, charge.payment_id
    if refund.reason.startswith("custom:"):
        custom_id, invoice_id = refund.reason.removeprefix("custom:"), refund.refund_id
    return {
        "id": f"{taken.capture_id[:8]}{refund_number(refund, charge)}",
        "status": REFUND_STATUS[refund.status],
        "amount": money_json(refund.amount, charge.currency),
        "custom_id": custom_id,
        "invoice_id": invoice_id,
        "create_time": time_of(taken.at),
    }


def refund_number(refund: Refund, charge: Charge) -> str:
    """Return what tells the refunds of one charge apart."""
    return f"R{charge.refunds.index(refund)}" if refund in charge.refunds else "R"


def error_json(status: int, issue: str, field: str = "") -> dict[str, Any]:
    """Return an error."""
    name, message = NAMES[status]
    details: dict[str, str] = {"issue": issue}
    if issue in DESCRIPTIONS:
        details["description"] = DESCRIPTIONS[issue]
    if field:
        details |= {"field": field, "location": "body"}
    return {"name": name, "message": message, "debug_id": "0", "details": [details], "links": []}


def event_json(kind: str, resource_type: str, resource: Any, at: float) -> dict[str, Any]:
    """Return a webhook's event, under an id of its own."""
    return {
        "id": f"WH-{uuid4().hex.upper()}",
        "event_version": "1.0",
        "create_time": time_of(at),
        "resource_type": resource_type,
        "event_type": kind,
        "summary": kind,
        "resource": resource,
        "links": [],
    }


def money_json(amount: int, currency: str) -> dict[str, str]:
    """Return an amount in minor units as PayPal writes it."""
    digits = MINOR_DIGITS.get(currency, 2)
    shown = 0 if currency in WITHOUT_DECIMALS else digits
    return {"currency_code": currency, "value": f"{Decimal(amount).scaleb(-digits):.{shown}f}"}


def minor_of(money: dict[str, str]) -> int:
    """Return an amount in minor units, else raise ValueError: a digit too many is refused."""
    currency, value = money["currency_code"], Decimal(money["value"])
    digits = MINOR_DIGITS.get(currency, 2)
    written = -int(value.as_tuple().exponent)
    if written > (0 if currency in WITHOUT_DECIMALS else digits) or value <= 0:
        raise ValueError("DECIMAL_PRECISION")
    return int(value.scaleb(digits))


def time_of(at: float) -> str:
    """Return a time as PayPal writes it."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
