"""What PayPal's Orders v2, Payments v2 and webhooks say, and what is nonsense in it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Literal

import msgspec

from payonce.domain.errors import InvalidField
from payonce.domain.money import MAX_AMOUNT
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.gateways.client import Answer
from payonce.gateways.money import Scale

# PayPal, Currency codes: "This currency does not support decimals." JPY has none anywhere.
SCALE = Scale({"HUF": 0, "TWD": 0, "JPY": 0})

_LONGEST_CUSTOM_ID = 127
_COLON, _BETWEEN = ",.", ",-"
"""A refund's custom_id takes no colon (Payments v2, `refund`); our ids have no comma."""

CAPTURES_ITSELF = "ORDER_COMPLETE_ON_PAYMENT_APPROVAL"

DECLINES = frozenset(
    {
        "CARD_BRAND_NOT_SUPPORTED",
        "COMPLIANCE_VIOLATION",
        "DOMESTIC_TRANSACTION_REQUIRED",
        "INSTRUMENT_DECLINED",
        "MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED",
        "PAYEE_BLOCKED_TRANSACTION",
        "PAYER_ACCOUNT_LOCKED_OR_CLOSED",
        "PAYER_ACCOUNT_RESTRICTED",
        "PAYER_CANNOT_PAY",
        "REDIRECT_PAYER_FOR_ALTERNATE_FUNDING",
        "REFERENCED_CARD_EXPIRED",
        "TRANSACTION_BLOCKED_BY_PAYEE",
        "TRANSACTION_LIMIT_EXCEEDED",
        "TRANSACTION_RECEIVING_LIMIT_EXCEEDED",
        "TRANSACTION_REFUSED",
    }
)
"""Why a capture is refused for what is paid with (Orders v2, capture, 422)."""

MAYBE_CAPTURED = frozenset(
    {
        "DUPLICATE_INVOICE_ID",
        "DUPLICATE_REQUEST_ID",
        "ORDER_ALREADY_CAPTURED",
        "ORDER_COMPLETION_IN_PROGRESS",
        "PREVIOUS_REQUEST_IN_PROGRESS",
    }
)
"""Why a capture is refused that an earlier one may have done (the same)."""

_ISSUE = re.compile(r"[A-Z0-9_]{1,100}")
PAYPAL_ID = re.compile(r"[A-Z0-9]{1,36}")
_LONGEST_LINK = 2_048

Status = Literal["CREATED", "SAVED", "APPROVED", "VOIDED", "COMPLETED", "PAYER_ACTION_REQUIRED"]
CaptureStatus = Literal[
    "COMPLETED", "DECLINED", "PARTIALLY_REFUNDED", "PENDING", "REFUNDED", "FAILED"
]
RefundStatus = Literal["CANCELLED", "FAILED", "PENDING", "COMPLETED"]


class Amount(msgspec.Struct):
    """An amount as PayPal writes it."""

    currency_code: str
    value: str


class Link(msgspec.Struct):
    """Where to go on."""

    href: str
    rel: str


class Details(msgspec.Struct):
    """Why something stands as it does."""

    reason: str = ""


class CaptureOf(msgspec.Struct):
    """Money that was taken, or not."""

    id: str
    status: CaptureStatus
    amount: Amount
    status_details: Details | None = None
    create_time: datetime | None = None


class RefundOf(msgspec.Struct):
    """Money that was sent back."""

    id: str
    status: RefundStatus
    amount: Amount | None = None
    custom_id: str | None = None
    invoice_id: str | None = None
    status_details: Details | None = None


class Payments(msgspec.Struct):
    """What became of a purchase unit's money."""

    captures: list[CaptureOf] = []
    refunds: list[RefundOf] = []


class Unit(msgspec.Struct):
    """What is paid; `custom_id` and `invoice_id` hold our payment's id."""

    amount: Amount | None = None
    custom_id: str | None = None
    invoice_id: str | None = None
    payments: Payments | None = None


class OrderOf(msgspec.Struct):
    """An order as Orders v2 writes it: one charge of ours; unknown fields are left alone."""

    id: str
    status: Status
    intent: str | None = None
    processing_instruction: str | None = None
    purchase_units: list[Unit] = []
    links: list[Link] = []


class Issue(msgspec.Struct):
    """One reason of an error."""

    issue: str = ""


class ErrorOf(msgspec.Struct):
    """An error as PayPal writes it."""

    name: str = ""
    details: list[Issue] = []


class TokenOf(msgspec.Struct):
    """An access token."""

    access_token: str
    expires_in: float


orders = msgspec.json.Decoder(OrderOf)
refunds = msgspec.json.Decoder(RefundOf)
errors = msgspec.json.Decoder(ErrorOf)
tokens = msgspec.json.Decoder(TokenOf)

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def issues(answer: Answer) -> frozenset[str]:
    """Return the reasons that an error names, words of capitals alone."""
    try:
        error = errors.decode(answer.body)
    except UNREADABLE:
        return frozenset()
    named = [error.name, *(one.issue for one in error.details)]
    return frozenset(one for one in named if _ISSUE.fullmatch(one))


def said(answer: Answer) -> str:
    """Return an error's reasons in one line, nothing else of it: it may repeat what we sent."""
    return " ".join(sorted(issues(answer)))[:200]


def read_order(body: bytes, payment_id: str, ref: str | None = None) -> OrderOf | str:
    """Return the order in a body, or why it is none that can be meant."""
    try:
        order = orders.decode(body)
    except UNREADABLE as error:
        return f"nonsense: {printable(str(error))}"
    if not PAYPAL_ID.fullmatch(order.id) or (ref is not None and order.id != ref):
        return "nonsense: id is another's"
    if len(order.purchase_units) != 1:
        return "nonsense: not one purchase unit"
    unit = order.purchase_units[0]
    if payment_id not in {unit.custom_id, unit.invoice_id}:
        return "nonsense: custom_id is another's"
    if order.intent not in {None, "CAPTURE"}:
        return "its intent is not CAPTURE"
    return order


def report_of(order: OrderOf) -> GatewayReport:
    """Return what an order says of its charge; nonsense is UNKNOWN."""
    try:
        return _report(order, order.purchase_units[0])
    except InvalidField as error:
        return GatewayReport(Outcome.UNKNOWN, reason=f"nonsense: {printable(str(error))}")


def _report(order: OrderOf, unit: Unit) -> GatewayReport:
    if order.status == "COMPLETED":
        return _captured(order, unit.payments or Payments())
    if order.processing_instruction == CAPTURES_ITSELF:
        # Such an order is not ours to close: it takes the money without being asked.
        return GatewayReport(Outcome.UNKNOWN, order.id, reason="captures-itself")
    amount, currency = _money(unit.amount) if unit.amount else (None, None)
    outcome = {"APPROVED": Outcome.APPROVED, "VOIDED": Outcome.CLOSED}.get(
        order.status, Outcome.PENDING
    )
    reason = "voided" if outcome is Outcome.CLOSED else ""
    return GatewayReport(outcome, order.id, amount, currency, reason=reason)


def _captured(order: OrderOf, payments: Payments) -> GatewayReport:
    capture = main_capture(payments.captures)
    if capture is None:
        return GatewayReport(Outcome.UNKNOWN, order.id, reason="nonsense: completed, no capture")
    amount, currency = _money(capture.amount)
    report = GatewayReport(Outcome.PENDING, order.id, amount, currency)
    reason = capture.status_details.reason.lower() if capture.status_details else ""
    match capture.status:
        case "PENDING":
            return replace(report, reason=f"capture-pending {printable(reason)}".strip())
        case "DECLINED" | "FAILED":
            why = f"capture-{capture.status.lower()} {printable(reason)}".strip()
            return replace(report, outcome=Outcome.FAILED, reason=why)
        case _:
            return replace(
                report,
                outcome=Outcome.SUCCEEDED,
                paid_at=_time(capture.create_time),
                refunded=_refunded(capture, payments.refunds, amount),
            )


def main_capture(captures: Sequence[CaptureOf]) -> CaptureOf | None:
    """Return the capture that counts: one that took money before one that did not."""
    taken = [one for one in captures if one.status not in {"DECLINED", "FAILED"}]
    return next(iter(taken or captures), None)


def _refunded(capture: CaptureOf, given: Sequence[RefundOf], captured: int) -> int:
    """Return what went back; where the list is silent, the status speaks."""
    alive = [one for one in given if one.status in {"PENDING", "COMPLETED"} and one.amount]
    total = sum(_money(one.amount)[0] for one in alive if one.amount)
    if capture.status == "REFUNDED":
        return max(total, captured)
    return total or int(capture.status == "PARTIALLY_REFUNDED")


def minor_of(amount: Amount) -> int | None:
    """Return an amount in our minor units; None where it cannot be read."""
    try:
        return _money(amount)[0]
    except InvalidField:
        return None


def _money(amount: Amount) -> tuple[int, str]:
    minor = SCALE.from_decimal(amount.value, amount.currency_code)
    if not 1 <= minor <= MAX_AMOUNT:
        raise InvalidField("amount", "is out of range", f"1 to {MAX_AMOUNT}")
    return minor, amount.currency_code


def _time(time: datetime | None) -> datetime | None:
    try:
        return time.astimezone(UTC) if time is not None and time.tzinfo else None
    except OverflowError:
        return None


def approve_link(order: OrderOf) -> str | None:
    """Return where the shopper approves: `payer-action`, or `approve` without a payment source."""
    links = {one.rel: one.href for one in order.links}
    link = links.get("payer-action") or links.get("approve")
    if link is None or len(link) > _LONGEST_LINK or not link.isprintable():
        return None
    return link if link.startswith(("https://", "http://")) else None


def find_refund(order: OrderOf, refund_id: str) -> RefundOf | None:
    """Return the refund that we asked for under this id; of several one that is not failed."""
    payments = order.purchase_units[0].payments or Payments()
    ours = [one for one in payments.refunds if _refund_id(one) == refund_id]
    ours.sort(key=lambda one: one.status in {"FAILED", "CANCELLED"})
    return ours[0] if ours else None


def refund_report(refund: RefundOf) -> RefundReport:
    """Return what a refund's status means."""
    reason = refund.status_details.reason.lower() if refund.status_details else ""
    match refund.status:
        case "COMPLETED":
            return RefundReport(RefundOutcome.SUCCEEDED)
        case "PENDING":
            return RefundReport(RefundOutcome.PENDING, printable(reason))
        case "FAILED" | "CANCELLED":
            return RefundReport(
                RefundOutcome.FAILED, f"{refund.status.lower()} {printable(reason)}".strip()
            )


def read_refund(body: bytes, refund_id: str) -> RefundOf | str:
    """Return the refund in a body, or why it is none that can be meant."""
    try:
        refund = refunds.decode(body)
    except UNREADABLE as error:
        return f"nonsense: {printable(str(error))}"
    return refund if _refund_id(refund) == refund_id else "nonsense: the refund is another's"


def _refund_id(refund: RefundOf) -> str:
    return unpack(refund.custom_id or "")[0]


def pack(refund_id: str, payment_id: str) -> str:
    """Return the custom_id of a refund: its id and, where there is room, its payment's."""
    both = f"{refund_id.replace(':', _COLON)}{_BETWEEN}{payment_id.replace(':', _COLON)}"
    return both if len(both) <= _LONGEST_CUSTOM_ID else refund_id.replace(":", _COLON)


def unpack(custom_id: str) -> tuple[str, str | None]:
    """Return what `pack` was given; None where there was no room, or it is no refund of ours."""
    refund_id, between, payment_id = custom_id.partition(_BETWEEN)
    named = payment_id.replace(_COLON, ":") if between else None
    return refund_id.replace(_COLON, ":"), named


def printable(text: str) -> str:
    """Return what PayPal said in one printable line of at most 200 characters."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text[:200])
