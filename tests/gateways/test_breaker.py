"""The breaker: ten failures in a row, a trial when the time is over, one answer to close."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from payonce.gateways.breaker import (
    FAILURES,
    LONGEST,
    SHORTEST,
    TRIAL_S,
    WITHIN_S,
    Breaker,
    open_for,
)


def failing(breaker: Breaker, times: int, now_s: float = 0.0) -> list[bool]:
    """Fail so often; return after which failure it shall open."""
    return [breaker.note_failure(now_s) for _ in range(times)]


def test_it_opens_after_failures_in_a_row() -> None:
    """Not before, and an answer in between begins the count anew."""
    breaker = Breaker()
    assert not any(failing(breaker, FAILURES - 1))
    assert not breaker.note_answer(0.0)
    assert [False] * (FAILURES - 1) + [True] == failing(breaker, FAILURES)


def test_failures_that_are_far_apart_do_not_count_together() -> None:
    """A gateway that is asked once an hour is not spared for what it did yesterday."""
    breaker = Breaker()
    apart_s = WITHIN_S / (FAILURES - 2)
    assert not any(breaker.note_failure(n * apart_s) for n in range(3 * FAILURES))


def test_half_open_lets_one_call_through_at_a_time() -> None:
    """The next waits for its end, or for as long as any call can take."""
    breaker = Breaker()
    breaker.move(10.0)
    assert 10.0 == breaker.spare_s(0.0)
    assert 0.0 == breaker.spare_s(10.0)
    breaker.let_through(10.0)
    assert TRIAL_S == breaker.spare_s(10.0)
    assert 0.0 == breaker.spare_s(10.0 + TRIAL_S)


def test_a_trial_decides() -> None:
    """An answer closes, a failure opens again; what was sent before it opened tells nothing."""
    breaker = Breaker()
    breaker.move(10.0)
    assert not breaker.note_answer(9.9)
    assert not breaker.note_failure(9.9)
    assert breaker.note_failure(10.0)
    assert breaker.note_answer(10.0)


def test_it_stays_open_twice_as_long_each_time() -> None:
    """Up to five minutes, however long the gateway is away."""
    waits = [open_for(n) for n in range(6)]
    assert [SHORTEST * 2**n for n in range(5)] + [LONGEST] == waits
    assert LONGEST == open_for(10**6)


class Breaking(RuleBasedStateMachine):
    """Any order of answers, failures and time: what is let through is what the state says."""

    def __init__(self) -> None:
        super().__init__()
        self.breaker = Breaker()
        self.now_s = 0.0
        self.in_a_row = 0

    @rule(seconds=st.floats(0, 40))
    def time_passes(self, seconds: float) -> None:
        """Let time pass."""
        self.now_s += seconds

    @rule()
    def a_call_fails(self) -> None:
        """Make a call if one may go, and let it fail."""
        if self.breaker.spare_s(self.now_s):
            return
        half_open = self.breaker.open_until_s is not None
        self.breaker.let_through(self.now_s)
        self.in_a_row += 1
        opens = self.breaker.note_failure(self.now_s)
        assert opens if half_open else not opens or self.in_a_row >= FAILURES
        if opens:
            self.breaker.move(self.now_s + 10)

    @rule()
    def a_call_is_answered(self) -> None:
        """Make a call if one may go, and let it be answered."""
        if self.breaker.spare_s(self.now_s):
            return
        half_open = self.breaker.open_until_s is not None
        self.breaker.let_through(self.now_s)
        self.in_a_row = 0
        assert half_open == self.breaker.note_answer(self.now_s)
        self.breaker.move(None)

    @invariant()
    def what_is_spared_is_spared_for_a_bounded_time(self) -> None:
        """Nothing waits for ever, and a closed breaker spares nobody."""
        spared_s = self.breaker.spare_s(self.now_s)
        assert 0.0 <= spared_s <= TRIAL_S
        assert self.breaker.open_until_s is not None or not spared_s
        assert not self.breaker.is_open(self.now_s) or spared_s


Breaking.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestBreaking = Breaking.TestCase
