"""What Stripe's objects say: PaymentIntents, Checkout Sessions, refunds, events, errors.

See docs/gateways.md for the sources; the shapes stand in `stripe_shapes`.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import TypeVar

import msgspec

from payonce.domain.errors import InvalidField
from payonce.domain.ids import check_id
from payonce.domain.money import EXPONENTS, MAX_AMOUNT
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.gateways.caller import unknown
from payonce.gateways.client import Answer, NoAnswer
from payonce.gateways.http_words import Nonsense, decode, said
from payonce.gateways.money import Scale
from payonce.gateways.stripe_shapes import (
    Charge,
    Dispute,
    Error,
    Event,
    Failure,
    Found,
    Intent,
    NextAction,
    Refund,
    Session,
    charges,
    event_ids,
    events,
    found_charges,
    intents,
    refunds,
    refusals,
    sessions,
    told_objects,
)
from payonce.ports.gateway import CallbackWord, ChargeWord, RefundWord

SCALE = Scale({"ISK": 2, "UGX": 2, "MGA": 0})
"""Digits where Stripe's are not those of ISO 4217: ISK and UGX are written with two, which must be
zeros, MGA without any. HUF and TWD are special for payouts alone (docs.stripe.com/currencies).
"""

EVENTS = "docs/gateways.md, Stripe"

_LONGEST_LINK = 4_096
_LONGEST_QR = 2_900
"""What a QR code takes at most are 2,953 bytes (ISO/IEC 18004, version 40-L)."""

_REF = re.compile(r"(pi|cs)_[A-Za-z0-9_]{1,250}")
_EVENT_ID = re.compile(r"[A-Za-z0-9_]{1,255}")
_LATEST = datetime(9999, 1, 1, tzinfo=UTC).timestamp()
_MONEY_KEPT = frozenset({"won", "prevented"})
"""Ends of a dispute after which the money is the merchant's again; `warning_...` takes none."""


Shape = TypeVar("Shape")


def is_ref(ref: str) -> bool:
    """Say whether `ref` is the id of a PaymentIntent or of a Checkout Session."""
    return _REF.fullmatch(ref) is not None


def to_stripe(amount: int, currency: str) -> int:
    """Return our minor units as Stripe's. Raises InvalidField where that cannot be exact."""
    if EXPONENTS.get(currency) == 3 and amount % 10:
        problem = f"{amount} {currency} does not end in 0"
        raise InvalidField("amount", problem, "thousandths in tens, as Stripe takes them")
    return SCALE.to_minor(amount, currency)


def intent_report(intent: Intent, payment_id: str) -> GatewayReport:
    """Return what a PaymentIntent means; nonsense is UNKNOWN.

    A failed attempt leaves it `requires_payment_method`: the shopper may try again, so it is
    pending until it is cancelled (docs.stripe.com/payments/paymentintents/lifecycle).
    """
    try:
        return _intent_report(intent, payment_id)
    except InvalidField as error:
        return GatewayReport(Outcome.UNKNOWN, reason=f"nonsense: {error.field} {error.problem}")


def session_report(session: Session, payment_id: str) -> GatewayReport:
    """Return what a Checkout Session means; the money is read off its PaymentIntent."""
    try:
        return _session_report(session, payment_id)
    except InvalidField as error:
        return GatewayReport(Outcome.UNKNOWN, reason=f"nonsense: {error.field} {error.problem}")


def _intent_report(intent: Intent, payment_id: str) -> GatewayReport:
    _check(intent.id, intent.metadata, payment_id)
    currency = intent.currency.upper()
    reason = _failure(intent.last_payment_error)
    if intent.status != "succeeded":
        outcome = Outcome.CLOSED if intent.status == "canceled" else Outcome.PENDING
        amount = _amount(intent.amount, currency)
        return GatewayReport(outcome, intent.id, amount, currency, reason=reason)
    charge = intent.latest_charge
    if not isinstance(charge, Charge):
        raise InvalidField("latest_charge", "is not expanded", "a charge")
    amount = _amount(intent.amount_received, currency)
    refunded = SCALE.from_minor(charge.amount_refunded, currency)
    if refunded > amount:
        raise InvalidField("amount_refunded", "is out of range", "what was received at most")
    paid_at = _time(charge.created)
    return GatewayReport(Outcome.SUCCEEDED, intent.id, amount, currency, paid_at, refunded)


def _session_report(session: Session, payment_id: str) -> GatewayReport:
    _check(session.id, session.metadata, payment_id)
    intent, currency = session.payment_intent, session.currency.upper()
    if isinstance(intent, str):
        raise InvalidField("payment_intent", "is not expanded", "a PaymentIntent")
    if intent is not None and intent.status == "succeeded":
        report = _intent_report(intent, payment_id)
        return replace(report, gateway_ref=session.id)
    if session.payment_status != "unpaid":
        raise InvalidField("payment_status", "says more than the PaymentIntent", "unpaid")
    outcome = _session_outcome(session, intent)
    reason = _failure(intent.last_payment_error) if intent is not None else ""
    amount = _amount(session.amount_total, currency)
    return GatewayReport(outcome, session.id, amount, currency, reason=reason)


def _session_outcome(session: Session, intent: Intent | None) -> Outcome:
    """Return how an unpaid session stands.

    A complete one whose PaymentIntent fell back has failed: its voucher ran out, or the bank said
    no, and its page takes no second attempt (docs.stripe.com/payments/checkout, async payments).
    """
    if session.status == "expired" or (intent is not None and intent.status == "canceled"):
        return Outcome.CLOSED
    if session.status == "complete" and intent is not None:
        failed = intent.status == "requires_payment_method"
        return Outcome.FAILED if failed else Outcome.PENDING
    return Outcome.PENDING


def read_charge(answer: Answer) -> Found | Nonsense:
    """Return the session or the PaymentIntent in an answer."""
    return decode(found_charges, answer.body)


def report_of(found: Found, payment_id: str) -> GatewayReport:
    """Return what a session or a PaymentIntent means; nonsense is UNKNOWN."""
    if isinstance(found, Session):
        return session_report(found, payment_id)
    return intent_report(found, payment_id)


def intent_of(found: Found) -> Intent | None:
    """Return the PaymentIntent of a session that has one, or the one found."""
    if isinstance(found, Intent):
        return found
    return found.payment_intent if isinstance(found.payment_intent, Intent) else None


def is_disputed(found: Found) -> bool:
    """Say whether a bank took the money of this charge back, or tried to."""
    intent = intent_of(found)
    charge = intent.latest_charge if intent is not None else None
    return isinstance(charge, Charge) and charge.disputed


def reversed_by(disputes: Iterable[Dispute], report: GatewayReport) -> GatewayReport:
    """Return the report with the money that disputes took counted as gone.

    Stripe takes a disputed amount at once and gives it back where the dispute is won
    (docs.stripe.com/disputes/how-disputes-work): until then the order is not surely paid. A dispute
    may be in another currency than its charge: how much of that it took, nobody says; then all.
    """
    taking = [one for one in disputes if _takes_money(one.status)]
    amount, currency = report.amount or 0, report.currency or ""
    try:
        refunded = report.refunded + SCALE.from_minor(sum(one.amount for one in taking), currency)
    except InvalidField:
        refunded = amount
    if any(one.currency.upper() != currency for one in taking):
        refunded = amount
    return replace(report, refunded=min(refunded, amount))


def _takes_money(status: str) -> bool:
    return status not in _MONEY_KEPT and not status.startswith("warning_")


def refund_of(pages: Sequence[Refund], refund_id: str) -> Refund | None:
    """Return the refund that carries our id; of several the one that went furthest."""
    ours = [one for one in pages if (one.metadata or {}).get("refund_id") == refund_id]
    order = {"succeeded": 0, "pending": 1, "requires_action": 1}
    return min(ours, key=lambda one: order.get(one.status or "", 2), default=None)


def refund_report(refund: Refund) -> RefundReport:
    """Return what a refund's status means (docs.stripe.com/refunds)."""
    match refund.status:
        case "succeeded":
            return RefundReport(RefundOutcome.SUCCEEDED)
        case "pending" | "requires_action":
            return RefundReport(RefundOutcome.PENDING)
        case "failed" | "canceled":
            reason = refund.failure_reason or refund.status
            return RefundReport(RefundOutcome.FAILED, said(reason))
        case None:
            return RefundReport(RefundOutcome.UNKNOWN, "nonsense: a refund without a status")


def link_of(charge: Intent | Session) -> str | None:
    """Return where the shopper pays; None: on a page of the shop's own. Raises InvalidField."""
    if isinstance(charge, Session):
        link = charge.url
    else:
        action = charge.next_action or NextAction()
        voucher, redirect = action.boleto_display_details, action.redirect_to_url
        link = voucher.hosted_voucher_url if voucher else redirect.url if redirect else None
    if link is not None and not (len(link) <= _LONGEST_LINK and link.isprintable()):
        raise InvalidField("url", "is not usable", "one printable line")
    return link


def code_of(link: str | None) -> str | None:
    """Return what a QR code holds that opens `link`; None: it would be too long for one."""
    return link if link is not None and len(link.encode()) <= _LONGEST_QR else None


def error_of(answer: Answer) -> Error:
    """Return why Stripe refused; of no type where it does not say."""
    found = decode(refusals, answer.body)
    return Error("") if isinstance(found, Nonsense) else found.error


def words_of(error: Error) -> str:
    """Return an error in one line for people."""
    code = error.decline_code or error.code or error.type
    return said(f"{code}: {error.message}" if error.message else code)


def word_of(event: Event) -> CallbackWord:
    """Return what an event says; all of them are hints. Raises InvalidField.

    An event holds the object as it was when the event came to be, without what was refunded since.
    """
    raw = bytes(event.data.object)
    told = _read(told_objects, raw)
    metadata = told.metadata or {}
    payment_id = check_id(metadata.get("payment_id"), "data.object.metadata.payment_id")
    if told.object == "refund":
        refund_id = check_id(metadata.get("refund_id"), "data.object.metadata.refund_id")
        return RefundWord(payment_id, refund_id, refund_report(_read(refunds, raw)))
    return ChargeWord(payment_id, _told_of_charge(told.object, raw))


def _told_of_charge(kind: str, raw: bytes) -> GatewayReport:
    """Return what an event tells of a charge: what it is called at Stripe, and that it was paid."""
    match kind:
        case "checkout.session":
            session = _read(sessions, raw)
            paid = session.payment_status == "paid"
            return GatewayReport(Outcome.SUCCEEDED if paid else Outcome.PENDING, _ref(session.id))
        case "payment_intent":
            intent = _read(intents, raw)
            paid = intent.status == "succeeded"
            return GatewayReport(Outcome.SUCCEEDED if paid else Outcome.PENDING, _ref(intent.id))
        case "charge":
            # Money went back, perhaps: an answer that is not known already.
            _read(charges, raw)
            return GatewayReport(Outcome.PENDING)
        case _:
            raise InvalidField("data.object", f"{kind:.60} is of no interest", EVENTS)


def no_word(answer: Answer | NoAnswer) -> GatewayReport:
    """Return the report of a question that brought no word, with Stripe's own where it has some."""
    report = unknown(answer)
    error = error_of(answer) if isinstance(answer, Answer) else None
    if error is None or not error.type:
        return report
    return replace(report, reason=said(f"{report.reason} {words_of(error)}"))


def event_id_of(body: bytes) -> str:
    """Return under which id an event is repeated; a body without one stands for itself."""
    found = decode(event_ids, body)
    if isinstance(found, Nonsense) or _EVENT_ID.fullmatch(found.id) is None:
        return f"sha256:{sha256(body).hexdigest()}"
    return found.id


def read_event(body: bytes) -> Event:
    """Return the event in `body`. Raises InvalidField."""
    return _read(events, body, "body")


def _read(decoder: "msgspec.json.Decoder[Shape]", body: bytes, field: str = "data.object") -> Shape:
    found = decode(decoder, body)
    if isinstance(found, Nonsense):
        raise InvalidField(field, found.problem, EVENTS)
    return found


def _check(ref: str, metadata: dict[str, str] | None, payment_id: str) -> None:
    """Raise InvalidField unless an object can be that of this payment.

    One that the shop made itself need not name a payment: then its id was given to us.
    """
    if (metadata or {}).get("payment_id", payment_id) != payment_id:
        raise InvalidField("payment_id", "is another's", payment_id)
    _ref(ref)


def _ref(ref: str) -> str:
    if not is_ref(ref):
        raise InvalidField("id", "is not usable", "pi_... or cs_...")
    return ref


def _amount(amount: int, currency: str) -> int:
    found = SCALE.from_minor(amount, currency)
    if not 1 <= found <= MAX_AMOUNT:
        raise InvalidField("amount", "is out of range", "1 and more")
    return found


def _time(seconds: int) -> datetime:
    if not 0 < seconds < _LATEST:
        raise InvalidField("created", "is not usable", "seconds since 1970")
    return datetime.fromtimestamp(seconds, UTC)


def _failure(failure: Failure | None) -> str:
    if failure is None:
        return ""
    return said(failure.decline_code or failure.code or "failed")
