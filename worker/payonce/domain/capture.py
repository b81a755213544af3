"""May this payment's money be taken now? Facts in, decision out."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from payonce.domain.decide import Facts, find_mismatch
from payonce.domain.order import closing_of
from payonce.domain.payment import UNFINISHED, Payment, PaymentStatus
from payonce.domain.report import GatewayReport

CAPTURE_SENT_WITHIN = timedelta(seconds=10)
"""How long a claim may be acted upon: whoever slept longer does not send any more."""
CLAIM_HELD_FOR = timedelta(seconds=30)
"""How long others leave a claim to the process that made it; then they go on in its place."""
OUTSTANDING_FOR = timedelta(minutes=10)
"""How long a capture whose answer never came may still take effect: no connection lasts longer."""

AGAIN_WITHIN = timedelta(minutes=9)
"""How long a declined payment is captured when it is found approved: who agrees again does so at
once. The looks at failed payments come later, and must not take money for an old approval."""


class CaptureState(StrEnum):
    """Where the capture of a payment stands; FORBIDDEN is a last word.

    CLAIMED: a capture may have been sent, or may be sent any moment. FREE: one was definitely
    refused, or never sent.
    """

    CLAIMED = "CLAIMED"
    FREE = "FREE"
    FORBIDDEN = "FORBIDDEN"


@dataclass(frozen=True, slots=True)
class Capture:
    """What is known of capturing one payment; `why` it is forbidden."""

    payment_id: str
    state: CaptureState
    attempt: int
    claimed_at: datetime
    held_until: datetime
    why: str = ""


@dataclass(frozen=True, slots=True)
class Sibling:
    """Another payment of the order whose capture is claimed."""

    payment: Payment
    capture: Capture


@dataclass(frozen=True, slots=True)
class CaptureCase:
    """The locked rows of a decision; `own` is None where nothing was decided yet."""

    facts: Facts
    own: Capture | None = None
    siblings: Sequence[Sibling] = ()


@dataclass(frozen=True, slots=True)
class Claimed:
    """The capture may be sent now; `is_first`: nobody can have sent this attempt before."""

    capture: Capture
    is_first: bool


@dataclass(frozen=True, slots=True)
class Forbidden:
    """The payment is never captured: it cannot be paid any more. `is_new`: to be written down."""

    capture: Capture
    is_new: bool


@dataclass(frozen=True, slots=True)
class Undecided:
    """Ask again: a capture of this payment, or of its order, may be under way."""

    reason: str


CaptureDecision = Claimed | Forbidden | Undecided


def decide_capture(case: CaptureCase, report: GatewayReport, now: datetime) -> CaptureDecision:
    """Return whether an approved payment is captured, given the locked rows of its order.

    Before the money moves is the time to look whether it may: a second payment of a paid order is
    not captured, and so needs no refund.
    """
    own, why = case.own, _why_not(case, report, now)
    if own is not None and own.state is CaptureState.FORBIDDEN:
        return Forbidden(own, is_new=False)
    if own is not None and own.state is CaptureState.CLAIMED:
        return _go_on(own, why, now)
    if why:
        return _forbid(case, why, now)
    if any(_is_under_way(one, now) for one in case.siblings):
        return Undecided("sibling-capture")
    attempt = own.attempt + 1 if own else 1
    return Claimed(_claim(case.facts.payment, attempt, now), is_first=True)


def decide_close(case: CaptureCase, now: datetime) -> Forbidden | Undecided:
    """Return whether a payment can be closed by never capturing it.

    Not while a capture is claimed: whether it took effect, a query tells.
    """
    own = case.own
    if own is not None and own.state is CaptureState.FORBIDDEN:
        return Forbidden(own, is_new=False)
    if own is not None and own.state is CaptureState.CLAIMED:
        return Undecided("capture-claimed")
    return _forbid(case, case.facts.payment.closing or "closed", now)


def _go_on(own: Capture, why: str, now: datetime) -> CaptureDecision:
    """Go on with a capture of which nobody knows: the gateway has just said it was not done."""
    if now < own.held_until:
        return Undecided("capture-in-hand")
    if not why:
        again = replace(own, claimed_at=now, held_until=now + CLAIM_HELD_FOR)
        return Claimed(again, is_first=False)
    if now < own.claimed_at + OUTSTANDING_FOR:
        return Undecided("capture-outstanding")
    return Forbidden(replace(own, state=CaptureState.FORBIDDEN, why=why), is_new=True)


def _why_not(case: CaptureCase, report: GatewayReport, now: datetime) -> str:
    """Return why a payment is not captured; empty: it may be."""
    facts, payment = case.facts, case.facts.payment
    closing = payment.closing or closing_of(facts.order)
    if closing:
        return closing
    if payment.mismatched:
        return "mismatched"
    if payment.status not in UNFINISHED and not _is_approved_again(case, now):
        return f"already-{payment.status.lower()}"
    return find_mismatch(facts, report) or ""


def _is_approved_again(case: CaptureCase, now: datetime) -> bool:
    """Say whether the approval of an ended payment can be one that came after a decline."""
    payment, own = case.facts.payment, case.own
    if payment.status is not PaymentStatus.FAILED or own is None:
        return False
    return now < min(own.claimed_at + AGAIN_WITHIN, payment.expires_at)


def _is_under_way(sibling: Sibling, now: datetime) -> bool:
    """Say whether a claimed capture of another payment may still pay the order."""
    payment, capture = sibling.payment, sibling.capture
    if capture.state is not CaptureState.CLAIMED:
        return False
    waits = payment.status in UNFINISHED and not payment.mismatched
    return waits or now < capture.claimed_at + OUTSTANDING_FOR


def _claim(payment: Payment, attempt: int, now: datetime) -> Capture:
    return Capture(payment.payment_id, CaptureState.CLAIMED, attempt, now, now + CLAIM_HELD_FOR)


def _forbid(case: CaptureCase, why: str, now: datetime) -> Forbidden:
    attempt = case.own.attempt if case.own else 0
    payment_id = case.facts.payment.payment_id
    capture = Capture(payment_id, CaptureState.FORBIDDEN, attempt, now, now, why)
    return Forbidden(capture, is_new=True)
