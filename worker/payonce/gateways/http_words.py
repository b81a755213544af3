"""What the `http` protocol says, and what is nonsense in it."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar

import msgspec

from payonce.domain.errors import (
    InvalidField,
)
from payonce.domain.ids import check_id
from payonce.domain.money import MAX_AMOUNT
from payonce.domain.report import GatewayReport, Outcome
from payonce.ports.gateway import (
    ChargeWord,
    RefundOutcome,
    RefundReport,
    RefundWord,
)

_CURRENCY = re.compile("[A-Z]{3}")
_LONGEST_LINK = 4_096


class Charge(msgspec.Struct):
    """A charge as the protocol writes it; unknown fields are left alone."""

    payment_id: str
    status: Literal["pending", "succeeded", "failed", "closed"]
    amount: int
    currency: str
    gateway_ref: str | None = None
    paid_at: datetime | None = None
    refunded: int = 0
    reason: str | None = None
    qr: str | None = None
    pay_url: str | None = None


class RefundOf(msgspec.Struct):
    """A refund as the protocol writes it."""

    refund_id: str
    payment_id: str
    amount: int
    status: Literal["pending", "succeeded", "failed"]
    reason: str | None = None


class Closed(msgspec.Struct):
    """The answer to a close."""

    status: Literal["closed", "succeeded"]


class CallbackOf(msgspec.Struct):
    """A callback: what it is about, and that as the protocol writes it."""

    type: Literal["charge", "refund"]
    data: msgspec.Raw


callbacks = msgspec.json.Decoder(CallbackOf)
charges = msgspec.json.Decoder(Charge)
refunds = msgspec.json.Decoder(RefundOf)
closes = msgspec.json.Decoder(Closed)

Shape = TypeVar("Shape")


@dataclass(frozen=True, slots=True)
class Nonsense:
    """An answer that is not what the protocol says; concludes nothing."""

    problem: str


def report_of(charge: Charge | Nonsense, payment_id: str) -> GatewayReport:
    """Return what an answer about a charge means; nonsense is UNKNOWN."""
    if isinstance(charge, Nonsense):
        return GatewayReport(Outcome.UNKNOWN, reason=charge.problem)
    problem = _charge_problem(charge, payment_id)
    if problem:
        return GatewayReport(Outcome.UNKNOWN, reason=f"nonsense: {problem}")
    return GatewayReport(
        outcome=Outcome(charge.status),
        gateway_ref=charge.gateway_ref,
        amount=charge.amount,
        currency=charge.currency,
        paid_at=charge.paid_at,
        refunded=charge.refunded,
        reason=said(charge.reason or ""),
    )


def _charge_problem(charge: Charge, payment_id: str) -> str:
    """Return the field of a well-formed charge that cannot be meant; empty: none."""
    ref = charge.gateway_ref
    if charge.payment_id != payment_id:
        return "payment_id is another's"
    if ref is not None and not (1 <= len(ref) <= 255 and ref.isprintable()):
        return "gateway_ref is not usable"
    if not 1 <= charge.amount <= MAX_AMOUNT:
        return "amount is out of range"
    if _CURRENCY.fullmatch(charge.currency) is None:
        return "currency is not a code"
    if charge.paid_at is not None and not _is_time(charge.paid_at):
        return "paid_at is not usable"
    return "refunded is out of range" if not 0 <= charge.refunded <= charge.amount else ""


def _is_time(time: datetime) -> bool:
    """Say whether `time` has a zone and can be told in UTC."""
    try:
        time.astimezone(UTC)
    except OverflowError:
        return False
    return time.tzinfo is not None


def is_link(text: str | None) -> bool:
    """Say whether a shopper can be shown `text`, or that there is none."""
    return text is None or (len(text) <= _LONGEST_LINK and text.isprintable())


def refund_report(refund: RefundOf | Nonsense, refund_id: str, payment_id: str) -> RefundReport:
    """Return what an answer about a refund means; nonsense is UNKNOWN."""
    if isinstance(refund, Nonsense):
        return RefundReport(RefundOutcome.UNKNOWN, refund.problem)
    if (refund.refund_id, refund.payment_id) != (refund_id, payment_id):
        return RefundReport(RefundOutcome.UNKNOWN, "nonsense: the refund is another's")
    return RefundReport(RefundOutcome(refund.status), said(refund.reason or ""))


def read(decoder: "msgspec.json.Decoder[Shape]", body: bytes, field: str) -> Shape:
    """Return the thing in `body`, else raise InvalidField, naming its place."""
    found = decode(decoder, body)
    if isinstance(found, Nonsense):
        raise InvalidField(field, found.problem, "docs/gateway-mock.md, callbacks")
    return found


def charge_word(charge: Charge) -> ChargeWord:
    """Return what a callback says of a charge."""
    payment_id = check_id(charge.payment_id, "data.payment_id")
    problem = _charge_problem(charge, payment_id)
    if problem:
        raise InvalidField("data", problem, "docs/gateway-mock.md, callbacks")
    report = report_of(charge, payment_id)
    paid = report.outcome is Outcome.SUCCEEDED and not report.refunded
    return ChargeWord(payment_id, report, authoritative=paid)


def refund_word(refund: RefundOf) -> RefundWord:
    """Return what a callback says of a refund."""
    payment_id = check_id(refund.payment_id, "data.payment_id")
    if not (1 <= len(refund.refund_id) <= 255 and refund.refund_id.isprintable()):
        raise InvalidField("data.refund_id", "is not usable", "1 to 255 printable characters")
    report = refund_report(refund, refund.refund_id, payment_id)
    return RefundWord(payment_id, refund.refund_id, report)


def decode(decoder: "msgspec.json.Decoder[Shape]", body: bytes) -> "Shape | Nonsense":
    """Return the thing in `body`, or the nonsense that it is."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return Nonsense(said(f"nonsense: {error}"))


def said(text: str) -> str:
    """Return what a gateway said in one printable line of at most 200 characters."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text[:200])
