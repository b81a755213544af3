"""Which refund leaves, which is held, and by which rule."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from payonce.domain.order import Order, OrderStatus
from payonce.domain.refund import RefundStatus
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.domain.risk import (
    NEVER,
    Answers,
    Case,
    Counts,
    GatewayPolicy,
    Policy,
    Rule,
    Verdict,
    weigh,
)
from tests.domain.cases import (
    NOT_KNOWN,
    PAID,
    POLICY,
    SILENT,
    WINDOW,
    WINNER_PAID,
    answers,
    case,
    payment,
    sent,
)
from tests.store.making import NOW


def verdict(one: Case, said: Answers | None = None, policy: Policy = POLICY) -> tuple[str, str]:
    """Return the verdict, and the rule or word behind it."""
    weighing = weigh(one, said or answers(), policy, NOW)
    return weighing.verdict.value, str(weighing.why)


def of_gateway(**changes: Any) -> Policy:
    """Return the policy with changes of the gateway's part."""
    return replace(POLICY, gateways={"mock": replace(GatewayPolicy(), **changes)})


def test_a_duplicate_in_order_is_sent() -> None:
    """The winner keeps its money, the duplicate has its own, every limit is kept."""
    assert ("send", "") == verdict(case())


HOLDS: list[tuple[Rule, Case, Answers, Policy]] = [
    (Rule.KILL_SWITCH, case(), answers(), replace(POLICY, auto=False)),
    (Rule.GATEWAY_KILL_SWITCH, case(), answers(), of_gateway(auto=False)),
    (Rule.CURRENCY_NOT_LISTED, case(), answers(), replace(POLICY, hold_above={"USD": 9_999})),
    (Rule.OVER_LIMIT, case(), answers(), replace(POLICY, hold_above={"CNY": 99})),
    (Rule.MAX_PER_ORDER, replace(case(), counts=Counts(of_order=3)), answers(), POLICY),
    (Rule.MAX_PER_HOUR, replace(case(), counts=Counts(in_hour=10)), answers(), POLICY),
    (
        Rule.GATEWAY_MAX_PER_HOUR,
        replace(case(), counts=Counts(of_gateway_in_hour=2)),
        answers(),
        of_gateway(max_per_hour=2),
    ),
    (Rule.GATEWAY_MAX_PER_HOUR, case(), answers(), of_gateway(max_per_hour=0)),
    *(
        (Rule.WINNER_REVERSED, case(), answers(winner=report), POLICY)
        for report in (
            replace(WINNER_PAID, refunded=1),
            replace(WINNER_PAID, amount=99),
            replace(WINNER_PAID, currency="USD"),
            GatewayReport(Outcome.CLOSED),
            GatewayReport(Outcome.NOT_FOUND),
        )
    ),
    (Rule.WINNER_REVERSED, case(winner=payment("p1", reversed_amount=5)), answers(), POLICY),
    (Rule.WINNER_UNKNOWN, case(), answers(winner=None), POLICY),
    (Rule.NOT_CAPTURED, case(), answers(duplicate=GatewayReport(Outcome.CLOSED)), POLICY),
    (Rule.NOT_CAPTURED, case(), answers(duplicate=replace(PAID, currency="USD")), POLICY),
    (Rule.SAME_CHARGE, case(), answers(duplicate=replace(PAID, gateway_ref="g1")), POLICY),
    (Rule.SAME_CHARGE, replace(case(), ref_owner="p9"), answers(), POLICY),
    (
        Rule.ALREADY_REFUNDED,
        case(),
        answers(duplicate=replace(PAID, amount=101, refunded=1)),
        POLICY,
    ),
    (Rule.ABOVE_CAPTURED, case(), answers(duplicate=replace(PAID, amount=99)), POLICY),
    (
        Rule.KEY_FORGOTTEN,
        sent(submitted_at=NOW - WINDOW),
        answers(attempts=1, known=NOT_KNOWN),
        POLICY,
    ),
    (
        Rule.KILL_SWITCH,
        sent(),
        answers(attempts=1, known=NOT_KNOWN),
        replace(POLICY, auto=False),
    ),
]


@pytest.mark.parametrize(("rule", "one", "said", "policy"), HOLDS)
def test_each_rule_holds_by_its_name(rule: Rule, one: Case, said: Answers, policy: Policy) -> None:
    """What is amiss is told by one word."""
    assert ("hold", rule) == verdict(one, said, policy)


@pytest.mark.parametrize(("rule", "one", "said", "policy"), HOLDS)
def test_an_approval_sets_aside_the_rule_that_held(
    rule: Rule, one: Case, said: Answers, policy: Policy
) -> None:
    """But for those that no approval can."""
    approved = replace(one.refund, approved_by="ann", overruled=rule.value)
    after = verdict(replace(one, refund=approved), said, policy)
    assert (("hold", rule) if rule in NEVER else ("send", "")) == after


FACTS = {
    Rule.WINNER_REVERSED,
    Rule.WINNER_UNKNOWN,
    Rule.NOT_CAPTURED,
    Rule.SAME_CHARGE,
    Rule.ALREADY_REFUNDED,
    Rule.ABOVE_CAPTURED,
    Rule.KEY_FORGOTTEN,
    Rule.KILL_SWITCH,
    Rule.GATEWAY_KILL_SWITCH,
}


@pytest.mark.parametrize(("rule", "one", "said", "policy"), HOLDS)
def test_an_approval_of_another_rule_sets_aside_limits_alone(
    rule: Rule, one: Case, said: Answers, policy: Policy
) -> None:
    """A fact that nobody looked at, or a switch thrown later, holds again."""
    approved = replace(one.refund, approved_by="ann", overruled=Rule.ASKED_BY_PERSON.value)
    after = verdict(replace(one, refund=approved), said, policy)
    assert (("hold", rule) if rule in FACTS else ("send", "")) == after


@pytest.mark.parametrize(
    ("one", "said"),
    [
        (case(), answers(duplicate=SILENT)),
        (case(), answers(winner=SILENT)),
        (case(), answers(winner_id=None)),
        (sent(), answers(attempts=1, known=None)),
        (sent(), answers(attempts=1, known=RefundReport(RefundOutcome.UNKNOWN))),
    ],
)
def test_a_missing_answer_is_asked_for_again(one: Case, said: Answers) -> None:
    """No answer is never taken for one."""
    assert Verdict.WAIT == verdict(one, said)[0]


def test_a_missing_answer_is_asked_for_before_any_rule_holds() -> None:
    """A kill switch does not hide that nobody knows how the money stands."""
    assert "wait" == verdict(case(), answers(winner=SILENT), replace(POLICY, auto=False))[0]


@pytest.mark.parametrize("outcome", [RefundOutcome.PENDING, RefundOutcome.SUCCEEDED])
def test_a_refund_that_the_gateway_knows_is_not_sent_again(outcome: RefundOutcome) -> None:
    """Its word is taken instead."""
    said = answers(attempts=1, known=RefundReport(outcome))
    assert ("found", outcome) == verdict(sent(), said)


def test_a_refund_that_the_gateway_does_not_know_is_repeated_within_the_window() -> None:
    """Also where money went back: the same id again is the same refund."""
    said = answers(attempts=1, known=NOT_KNOWN, duplicate=replace(PAID, refunded=100))
    late = sent(submitted_at=NOW - WINDOW + timedelta(seconds=1))
    assert ("send", "") == verdict(late, said)


def test_a_repeat_looks_at_the_winner_again() -> None:
    """It may have been reversed since."""
    said = answers(attempts=1, known=NOT_KNOWN, winner=replace(WINNER_PAID, refunded=100))
    assert ("hold", "winner-reversed") == verdict(sent(), said)


def test_a_repeat_is_not_counted_twice() -> None:
    """It was within the caps when it was first sent."""
    full = replace(sent(), counts=Counts(9, 99, 99))
    assert ("send", "") == verdict(full, answers(attempts=1, known=NOT_KNOWN))


def test_only_one_of_two_senders_sends() -> None:
    """Who looked at it before the other wrote down that it is sent leaves it alone."""
    assert ("ignore", "sent-meanwhile") == verdict(sent(), answers())


@pytest.mark.parametrize("status", sorted(set(RefundStatus) - {RefundStatus.REQUESTED}))
def test_what_is_not_wanted_is_not_sent(status: RefundStatus) -> None:
    """Neither what waits for a person nor what is over."""
    expected = "send" if status is RefundStatus.SUBMITTED else "ignore"
    assert expected == verdict(case(status=status))[0]


def test_a_gateway_that_cannot_refund_leaves_it_to_a_person() -> None:
    """Whatever the limits, but not where paying back would be wrong."""
    manual = replace(of_gateway(can_refund=False), auto=False, hold_above={})
    assert ("manual", "cannot-refund") == verdict(case(), policy=manual)
    reversed_ = answers(winner=replace(WINNER_PAID, refunded=100))
    assert ("hold", "winner-reversed") == verdict(case(), reversed_, manual)


def test_a_cancelled_order_has_no_winner_to_look_at() -> None:
    """Its payment's money goes back."""
    order = Order("o1", OrderStatus.CANCELLED, 100, "CNY", None, 5)
    one = replace(case(), order=order, winner=None)
    assert ("send", "") == verdict(one, answers(winner_id=None, winner=None))
