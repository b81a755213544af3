"""The rate: never more than it says, nothing booked too far ahead, whatever the clock does."""

from hypothesis import given
from hypothesis import strategies as st

from payonce.gateways.bucket import SLACK_S, Bucket

LONGEST_S = 1.0
gaps = st.lists(st.floats(0, 0.5), min_size=1, max_size=200)
rates = st.floats(0.2, 50)


def turns(bucket: Bucket, times: list[float]) -> list[float]:
    """Return when the calls that came at these times had their turn."""
    waits = [(at, bucket.book(at, LONGEST_S)) for at in times]
    return [at + wait for at, wait in waits if wait is not None]


def walk(steps: list[float]) -> list[float]:
    """Return the times that these gaps lead to."""
    now, times = 1_000.0, []
    for step in steps:
        now += step
        times.append(now)
    return times


@given(rates, gaps)
def test_no_stretch_of_time_holds_more_turns_than_the_rate_allows(
    rate: float, steps: list[float]
) -> None:
    """Between any two turns, the slack included."""
    found = turns(Bucket(rate, 1_000.0), walk(steps))
    assert found == sorted(found)
    for first, start in enumerate(found):
        for last in range(first, len(found)):
            most = rate * (found[last] - start + SLACK_S) + 1
            assert last - first + 1 <= most + 1e-6


@given(rates, gaps)
def test_no_turn_is_further_away_than_asked(rate: float, steps: list[float]) -> None:
    """Who would wait longer is told so at once, and books nothing."""
    bucket = Bucket(rate, 1_000.0)
    for at in walk(steps):
        wait = bucket.book(at, LONGEST_S)
        assert wait is None or 0 <= wait <= LONGEST_S


@given(rates, st.lists(st.floats(-3_600, 3_600), min_size=1, max_size=50))
def test_a_clock_that_jumps_stops_nothing(rate: float, jumps: list[float]) -> None:
    """A little after any jump there is a turn again."""
    bucket, now = Bucket(rate, 1e6), 1e6
    for jump in jumps:
        now += jump
        bucket.book(now, LONGEST_S)
        now += LONGEST_S + 2 / rate
        assert bucket.book(now, LONGEST_S) is not None


def test_an_unused_rate_is_used_up_evenly() -> None:
    """Ten a second: one at once, one more for the slack, then one every tenth of a second."""
    bucket = Bucket(10, 0.0)
    waits = [bucket.book(5.0, 0.35) for _ in range(6)]
    assert [0.0, 0.0, 0.1, 0.2, 0.3, None] == [
        None if wait is None else round(wait, 6) for wait in waits
    ]
