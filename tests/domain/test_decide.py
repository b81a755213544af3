"""What a gateway's word means, given the locked rows."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payonce.domain.decide import Decision, Facts, Verdict, decide
from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import UNFINISHED, MismatchReason, PaymentStatus
from payonce.domain.report import GatewayReport, Outcome
from tests.domain.making import ORDER, PAID, facts, statuses, words

PAID_ORDER = replace(ORDER, status=OrderStatus.PAID, settled_by="p9")
CANCELLED = replace(ORDER, status=OrderStatus.CANCELLED)
DONE = {PaymentStatus.SUCCEEDED, PaymentStatus.FAILED, PaymentStatus.CLOSED}


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        (ORDER, Decision(Verdict.SETTLED, "first-success")),
        (PAID_ORDER, Decision(Verdict.DUPLICATED, "order-paid")),
        (CANCELLED, Decision(Verdict.DUPLICATED, "order-cancelled")),
    ],
)
@pytest.mark.parametrize("status", [one for one in PaymentStatus if one != "SUCCEEDED"])
def test_a_success_wins_an_open_order_and_goes_back_otherwise(
    order: Order, status: PaymentStatus, expected: Decision
) -> None:
    """Also when the payment was thought to be failed or closed: late money is money."""
    assert expected == decide(facts(order, status=status), PAID)


@pytest.mark.parametrize(
    ("report", "reason"),
    [
        (replace(PAID, amount=99), MismatchReason.AMOUNT),
        (replace(PAID, amount=None), MismatchReason.AMOUNT),
        (replace(PAID, currency="USD"), MismatchReason.CURRENCY),
        (replace(PAID, refunded=1), MismatchReason.ALREADY_REFUNDED),
    ],
)
def test_a_success_that_does_not_fit_waits_for_a_person(
    report: GatewayReport, reason: MismatchReason
) -> None:
    """It neither settles nor is a duplicate."""
    for order in (ORDER, PAID_ORDER, CANCELLED):
        assert Decision(Verdict.MISMATCHED, reason) == decide(facts(order), report)


def test_a_charge_pays_one_payment() -> None:
    """One whose reference belongs to another payment settles nothing."""
    decision = decide(facts(ref_owner="p2"), PAID)
    assert Decision(Verdict.MISMATCHED, MismatchReason.GATEWAY_REF_TAKEN) == decision
    assert Verdict.SETTLED is decide(facts(ref_owner="p1"), PAID).verdict


def test_an_order_of_another_price_is_not_paid_by_it() -> None:
    """The payment's own amount may differ from its order's: then it fits neither."""
    dearer = replace(ORDER, amount=200)
    assert MismatchReason.AMOUNT == decide(facts(dearer), PAID).reason


@pytest.mark.parametrize(
    ("known", "reported", "verdict"),
    [(0, 0, "ignored"), (0, 40, "reversed"), (40, 40, "ignored"), (40, 100, "reversed")],
)
def test_money_that_the_gateway_gave_back_on_its_own_is_told(
    known: int, reported: int, verdict: str
) -> None:
    """Of the winner, once for each new amount; what we give back ourselves is no news."""
    report = replace(PAID, refunded=reported)
    order = replace(ORDER, status=OrderStatus.PAID, settled_by="p1")
    winner = facts(order, status=PaymentStatus.SUCCEEDED, reversed_amount=known)
    assert verdict == decide(winner, report).verdict
    duplicate = replace(winner, payment=replace(winner.payment, duplicate=True))
    assert Verdict.IGNORED is decide(duplicate, report).verdict


@pytest.mark.parametrize(
    ("outcome", "verdict"), [(Outcome.FAILED, Verdict.FAILED), (Outcome.CLOSED, Verdict.CLOSED)]
)
@pytest.mark.parametrize("status", list(PaymentStatus))
def test_a_bad_end_counts_for_what_is_unfinished_alone(
    outcome: Outcome, verdict: Verdict, status: PaymentStatus
) -> None:
    """A success is not taken back by a later word."""
    expected = verdict if status in UNFINISHED else Verdict.IGNORED
    assert expected is decide(facts(status=status), GatewayReport(outcome)).verdict


@given(statuses, st.booleans(), st.booleans(), words)
def test_no_outcome_is_invented(
    status: PaymentStatus, unresolved: bool, ended: bool, report: GatewayReport
) -> None:
    """FAILED and CLOSED need the gateway's word; a 404 counts only after the deadline."""
    unresolved = unresolved and status in UNFINISHED
    decision = decide(facts(status=status, unresolved=unresolved), report, watch_ended=ended)
    match decision.verdict:
        case Verdict.FAILED:
            assert report.outcome is Outcome.FAILED
        case Verdict.CLOSED if decision.reason == "never-created":
            assert (ended, report.outcome) == (True, Outcome.NOT_FOUND)
        case Verdict.CLOSED:
            assert report.outcome is Outcome.CLOSED
        case Verdict.UNRESOLVED:
            assert ended
            assert not unresolved
        case Verdict.SETTLED | Verdict.DUPLICATED | Verdict.MISMATCHED | Verdict.REVERSED:
            assert report.outcome is Outcome.SUCCEEDED
        case Verdict.IGNORED:
            assert status in DONE or not report.is_definite


@given(st.sampled_from(MismatchReason), statuses, words, st.booleans())
def test_what_waits_for_a_person_is_left_to_the_person(
    reason: MismatchReason, status: PaymentStatus, report: GatewayReport, ended: bool
) -> None:
    """No word of the gateway moves a mismatched payment."""
    waiting: Facts = facts(status=status, mismatched=reason)
    assert Verdict.IGNORED is decide(waiting, report, watch_ended=ended).verdict
