"""May a payment's money be taken? Every race, as facts."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from payonce.domain.capture import (
    AGAIN_WITHIN,
    CLAIM_HELD_FOR,
    OUTSTANDING_FOR,
    Capture,
    CaptureCase,
    CaptureState,
    Claimed,
    Forbidden,
    Sibling,
    Undecided,
    decide_capture,
    decide_close,
)
from payonce.domain.decide import Facts
from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import MismatchReason, Payment, PaymentStatus
from payonce.domain.report import GatewayReport, Outcome
from payonce.domain.watch import SECOND_LOOK_AFTER

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
ORDER = Order("o1", OrderStatus.OPEN, 100, "USD", None, 0)
PAYMENT = Payment(
    "p1", "o1", "paypal", 100, "USD", PaymentStatus.PENDING, "5O1", NOW + timedelta(hours=2)
)
APPROVED = GatewayReport(Outcome.APPROVED, "5O1", 100, "USD")
CLAIM = Capture("p1", CaptureState.CLAIMED, 1, NOW, NOW + CLAIM_HELD_FOR)
FREE = replace(CLAIM, state=CaptureState.FREE)
FORBIDDEN = replace(CLAIM, state=CaptureState.FORBIDDEN, why="superseded")
OTHER = replace(PAYMENT, payment_id="p2", gateway_ref="5O2")
AFTER_HOLD = NOW + CLAIM_HELD_FOR
AFTER_ALL = NOW + OUTSTANDING_FOR


def case(
    own: Capture | None = None,
    *siblings: Sibling,
    order: dict[str, Any] | None = None,
    ref_owner: str | None = None,
    **payment: Any,
) -> CaptureCase:
    """Return a case in which everything is ordinary but what is given."""
    facts = Facts(replace(ORDER, **(order or {})), replace(PAYMENT, **payment), ref_owner)
    return CaptureCase(facts, own, siblings)


def sibling(capture: Capture = CLAIM, **payment: Any) -> Sibling:
    """Return another payment of the order whose capture is claimed."""
    return Sibling(replace(OTHER, **payment), replace(capture, payment_id="p2"))


def test_approved_payment_of_an_open_order_is_claimed() -> None:
    """The first attempt; nobody can have sent it before."""
    assert Claimed(CLAIM, is_first=True) == decide_capture(case(), APPROVED, NOW)


PAID = {"status": OrderStatus.PAID, "settled_by": "p2"}
CANCELLED = {"status": OrderStatus.CANCELLED}


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        ({"order": PAID}, "order-paid"),
        ({"order": CANCELLED}, "order-cancelled"),
        ({"closing": "superseded"}, "superseded"),
        ({"mismatched": MismatchReason.AMOUNT}, "mismatched"),
        ({"status": PaymentStatus.CLOSED}, "already-closed"),
        ({"status": PaymentStatus.SUCCEEDED}, "already-succeeded"),
        ({"amount": 90}, "amount"),
        ({"currency": "EUR"}, "currency"),
        ({"ref_owner": "p9"}, "gateway-ref-taken"),
    ],
)
def test_what_its_order_does_not_want_is_forbidden(changed: dict[str, Any], why: str) -> None:
    """Before the money moves is the time to look; what is forbidden is written down."""
    decided = decide_capture(case(**changed), APPROVED, NOW)
    assert Forbidden(replace(FORBIDDEN, attempt=0, held_until=NOW, why=why), is_new=True) == decided


def test_forbidden_is_a_last_word() -> None:
    """Whatever happens afterwards: a late approval after a close moves no money."""
    later = NOW + timedelta(days=30)
    assert Forbidden(FORBIDDEN, is_new=False) == decide_capture(case(FORBIDDEN), APPROVED, later)
    assert Forbidden(FORBIDDEN, is_new=False) == decide_close(case(FORBIDDEN), later)


def test_declined_payment_may_be_approved_again_for_a_while() -> None:
    """The next attempt, under another key; an approval of long ago takes no money."""
    failed = case(FREE, status=PaymentStatus.FAILED)
    again = decide_capture(failed, APPROVED, NOW)
    assert Claimed(replace(CLAIM, attempt=2), is_first=True) == again
    soon_over = case(FREE, status=PaymentStatus.FAILED, expires_at=NOW)
    for facts, at in ((failed, NOW + AGAIN_WITHIN), (soon_over, NOW)):
        over = decide_capture(facts, APPROVED, at)
        assert isinstance(over, Forbidden)
        assert "already-failed" == over.capture.why


def test_the_look_at_a_failed_payment_comes_too_late_to_take_money() -> None:
    """Who was told that it failed is not charged ten minutes later."""
    assert AGAIN_WITHIN < SECOND_LOOK_AFTER


def test_what_failed_before_it_was_ever_captured_is_over() -> None:
    """Its gateway did not take the order."""
    refused = decide_capture(case(status=PaymentStatus.FAILED), APPROVED, NOW)
    assert isinstance(refused, Forbidden)


def test_of_two_approved_payments_the_second_waits_for_the_first() -> None:
    """As long as the first may still pay the order: also while its money is on its way."""
    assert Undecided("sibling-capture") == decide_capture(case(None, sibling()), APPROVED, NOW)
    days_later = NOW + timedelta(days=3)
    assert Undecided("sibling-capture") == decide_capture(
        case(None, sibling()), APPROVED, days_later
    )


@pytest.mark.parametrize(
    "other",
    [
        sibling(FREE),
        sibling(FORBIDDEN),
        sibling(status=PaymentStatus.FAILED),
        sibling(mismatched=MismatchReason.AMOUNT),
    ],
)
def test_a_sibling_that_cannot_pay_any_more_holds_nobody_up(other: Sibling) -> None:
    """Refused, forbidden, or ended long ago."""
    assert isinstance(decide_capture(case(None, other), APPROVED, AFTER_ALL), Claimed)


def test_a_sibling_that_failed_just_now_may_have_been_approved_again() -> None:
    """Its claim counts as long as what was sent for it may take effect."""
    other = sibling(status=PaymentStatus.FAILED)
    before = AFTER_ALL - timedelta(seconds=1)
    assert Undecided("sibling-capture") == decide_capture(case(None, other), APPROVED, before)


def test_a_claim_in_hand_is_left_to_its_process() -> None:
    """Another process asks again; afterwards it goes on in its place, with the same attempt."""
    before = AFTER_HOLD - timedelta(seconds=1)
    assert Undecided("capture-in-hand") == decide_capture(case(CLAIM), APPROVED, before)
    again = replace(CLAIM, claimed_at=AFTER_HOLD, held_until=AFTER_HOLD + CLAIM_HELD_FOR)
    assert Claimed(again, is_first=False) == decide_capture(case(CLAIM), APPROVED, AFTER_HOLD)


def test_an_outstanding_capture_is_not_repeated_once_its_order_is_paid() -> None:
    """It may still take effect for a while; then, still only approved, it is forbidden."""
    paid = case(CLAIM, order=PAID)
    before = AFTER_ALL - timedelta(seconds=1)
    assert Undecided("capture-in-hand") == decide_capture(paid, APPROVED, NOW)
    assert Undecided("capture-outstanding") == decide_capture(paid, APPROVED, AFTER_HOLD)
    assert Undecided("capture-outstanding") == decide_capture(paid, APPROVED, before)
    decided = decide_capture(paid, APPROVED, AFTER_ALL)
    assert (
        Forbidden(replace(CLAIM, state=CaptureState.FORBIDDEN, why="order-paid"), is_new=True)
        == decided
    )


def test_a_close_forbids_what_is_not_claimed() -> None:
    """Nothing decided yet, or refused: nobody but us could take the money."""
    for own in (None, FREE):
        decided = decide_close(case(own, closing="superseded"), NOW)
        assert isinstance(decided, Forbidden)
        assert ("superseded", CaptureState.FORBIDDEN) == (
            decided.capture.why,
            decided.capture.state,
        )
    ended = decide_close(case(), NOW)
    assert isinstance(ended, Forbidden)
    assert "closed" == ended.capture.why


def test_a_close_does_not_overtake_a_claimed_capture() -> None:
    """However old: only a query tells whether it took effect."""
    for at in (NOW, AFTER_HOLD, AFTER_ALL):
        assert Undecided("capture-claimed") == decide_close(case(CLAIM), at)
