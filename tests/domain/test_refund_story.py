"""Whatever gateways say and people do, in whatever order: money goes back once, by two people."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from payonce.domain.errors import Conflict
from payonce.domain.people import Word, approve, ask, reject, resolve_refund
from payonce.domain.refund import Refund, RefundStatus
from payonce.domain.refunding import RefundEffects, ResolvedAs, conclude, consider
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.domain.risk import Answers, Case, Verdict
from tests.domain.cases import (
    NOT_KNOWN,
    PAID,
    POLICY,
    SILENT,
    WINDOW,
    WINNER_PAID,
    case,
    held,
    payment_case,
)
from tests.store.making import NOW

CAPTURED = 100
PEOPLE = st.sampled_from(["ann", "bob", "eve"])


class Gateway:
    """Remembers an id for a day; sends the money again for an id that it has forgotten."""

    def __init__(self) -> None:
        self.known: dict[str, tuple[datetime, RefundOutcome]] = {}
        self.paid_out = 0
        self.winner_back = 0

    def refund(self, refund: Refund, now: datetime, outcome: RefundOutcome) -> RefundOutcome:
        """Send money back, once for an id that is remembered."""
        if self.query_refund(refund.refund_id, now).outcome is RefundOutcome.NOT_FOUND:
            if outcome is not RefundOutcome.FAILED:
                self.paid_out += refund.amount
            self.known[refund.refund_id] = (now, outcome)
        return self.known[refund.refund_id][1]

    def query_refund(self, refund_id: str, now: datetime) -> RefundReport:
        """Tell what is remembered."""
        at, outcome = self.known.get(refund_id, (NOW - 9 * WINDOW, RefundOutcome.UNKNOWN))
        return RefundReport(outcome) if now < at + WINDOW else NOT_KNOWN

    def duplicate(self) -> GatewayReport:
        """Tell how the duplicate's charge stands."""
        return replace(PAID, refunded=min(self.paid_out, CAPTURED))

    def winner(self) -> GatewayReport:
        """Tell how the winner's charge stands."""
        return replace(WINNER_PAID, refunded=self.winner_back)


class Story(RuleBasedStateMachine):
    """One duplicate, its refunds one after the other, and everybody who has a say in them."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOW
        self.gateway = Gateway()
        self.case = case()
        self.earlier: list[Refund] = []
        self.asked: Answers | None = None

    @initialize(large=st.booleans(), start=st.sampled_from(["own", "asked", "lost"]))
    def begin(self, large: bool, start: str) -> None:
        """Begin with a refund of our own, one that a person asked for, or a lost answer."""
        limit = {"CNY": 50} if large else {}
        self.policy = replace(POLICY, hold_above={"CNY": 500}, two_people_above=limit)
        if start == "asked":
            self.case = held("asked-by-person", requested_by="eve")
        elif start == "lost":
            self.look(RefundOutcome.SUCCEEDED, "lost", "fresh")
            self.wait(25)

    @rule(hours=st.sampled_from([1, 25]))
    def wait(self, hours: int) -> None:
        """Let time pass, less or more than a gateway remembers an id."""
        self.now += timedelta(hours=hours)

    @rule(
        outcome=st.sampled_from(list(RefundOutcome)[:3]),
        fate=st.sampled_from(["answered", "lost", "unheard"]),
        age=st.sampled_from(["fresh", "fresh", "silent", "old"]),
    )
    def look(self, outcome: RefundOutcome, fate: str, age: str) -> None:
        """Ask around and decide; send where that is decided, whatever becomes of the answer."""
        answers = self.asked if age == "old" and self.asked else self.ask_around(age == "silent")
        self.asked = answers
        effects = self.take(lambda one: consider(one, answers, self.policy, self.now))
        if effects is None or effects.verdict is not Verdict.SEND or fate == "unheard":
            return
        said = self.gateway.refund(self.case.refund, self.now, outcome)
        if fate == "answered":
            self.take(lambda one: conclude(one, RefundReport(said), "answer", self.now))

    @rule(by=PEOPLE)
    def approve_and_look(self, by: str) -> None:
        """Do what mostly follows one upon the other, so that the story gets far."""
        self.approve(by)
        self.look(RefundOutcome.SUCCEEDED, "answered", "fresh")

    def ask_around(self, silent: bool) -> Answers:
        """Return what the gateways say now."""
        refund = self.case.refund
        known = self.gateway.query_refund(refund.refund_id, self.now) if refund.attempts else None
        duplicate = SILENT if silent else self.gateway.duplicate()
        return Answers(refund.attempts, "p1", duplicate, self.gateway.winner(), known)

    @rule()
    def hear(self) -> None:
        """Take a callback, whatever the refund's status."""
        report = self.gateway.query_refund(self.case.refund.refund_id, self.now)
        self.take(lambda one: conclude(one, report, "webhook", self.now))

    @rule(late=st.sampled_from([RefundOutcome.SUCCEEDED, RefundOutcome.FAILED]))
    def turn(self, late: RefundOutcome) -> None:
        """Let what is pending come to its end at the gateway, or what succeeded fail."""
        for refund_id, (at, outcome) in self.gateway.known.items():
            pending = outcome is RefundOutcome.PENDING
            fails = outcome is RefundOutcome.SUCCEEDED and late is RefundOutcome.FAILED
            if pending or fails:
                self.gateway.known[refund_id] = (at, late)
                if late is RefundOutcome.FAILED:
                    self.gateway.paid_out -= self.case.refund.amount

    @rule(by=PEOPLE)
    def approve(self, by: str) -> None:
        """Let a person approve."""
        before = self.case.refund
        effects = self.take(lambda one: approve(one, Word(by, "-"), self.policy, self.now))
        if effects is not None:
            assert by != before.requested_by
            if self.case.refund.status is RefundStatus.REQUESTED and self.policy.needs_two(before):
                assert before.approved_by is not None
                assert before.approved_by != by

    @rule(by=PEOPLE, resolved=st.booleans())
    def decline(self, by: str, resolved: bool) -> None:
        """Let a person reject, or say that the money is kept."""
        word = Word(by, "-")
        if resolved:
            self.take(lambda one: resolve_refund(one, ResolvedAs.KEPT, word, self.now))
        else:
            self.take(lambda one: reject(one, word, self.now))

    @rule(by=PEOPLE)
    def ask(self, by: str) -> None:
        """Let a person ask for another refund, where the last one came to nothing."""
        refunds = (*self.earlier, self.case.refund)
        try:
            effects = ask(payment_case(refunds=refunds), None, Word(by, "-"), self.now)
        except Conflict:
            return
        assert effects.refund is not None
        self.earlier.append(self.case.refund)
        self.case, self.asked = replace(self.case, refund=effects.refund), None

    @rule()
    def reverse(self) -> None:
        """Let the winner's money go back at the gateway, past payonce."""
        self.gateway.winner_back = CAPTURED

    @invariant()
    def money_goes_back_once(self) -> None:
        """Never more than was captured, whatever was forgotten, repeated, approved."""
        assert 0 <= self.gateway.paid_out <= CAPTURED

    @invariant()
    def an_end_tells_the_truth(self) -> None:
        """What is told as SUCCEEDED did happen, unless it was turned afterwards."""
        refund = self.case.refund
        if refund.status is RefundStatus.SUCCEEDED:
            assert refund.refund_id in self.gateway.known

    def take(self, judge: Callable[[Case], RefundEffects | None]) -> RefundEffects | None:
        """Apply what is judged; a refusal changes nothing."""
        try:
            effects = judge(self.case)
        except Conflict:
            return None
        if effects is not None and effects.writes and effects.refund is not None:
            self.case = replace(self.case, refund=effects.refund, order=effects.order)
        return effects


TestStory = Story.TestCase
TestStory.settings = settings(max_examples=500, stateful_step_count=40, deadline=None)


def test_the_gateway_of_the_story_forgets() -> None:
    """Else the story would prove nothing."""
    gateway, refund = Gateway(), case().refund
    gateway.refund(refund, NOW, RefundOutcome.SUCCEEDED)
    gateway.refund(refund, NOW + WINDOW / 2, RefundOutcome.SUCCEEDED)
    assert 100 == gateway.paid_out
    gateway.refund(refund, NOW + WINDOW, RefundOutcome.SUCCEEDED)
    assert 200 == gateway.paid_out
    assert Outcome.SUCCEEDED is gateway.duplicate().outcome
