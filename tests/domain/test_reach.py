"""Whether a called service is there: some failures in a row, then one trial at a time."""

from payonce.domain.reach import FAILURES, LONGEST_S, Reach


def away() -> Reach:
    """Return what has just been found to be away, at second 100."""
    reach = Reach()
    for _ in range(FAILURES):
        reach.failed(100.0)
    return reach


def test_single_failures_stop_nothing() -> None:
    """Nor many of them, where answers come in between."""
    reach = Reach()
    for _ in range(3 * FAILURES):
        reach.failed(100.0)
        assert reach.may_call(100.0)
        assert not reach.answered()


def test_failures_in_a_row_leave_one_trial_at_a_time() -> None:
    """After a pause; the next one only when that was heard of, or is given up."""
    reach = away()
    assert not reach.may_call(100.9)
    assert [True, False] == [reach.may_call(101.0), reach.may_call(101.0)]
    assert reach.may_call(101.0 + LONGEST_S)


def test_the_pause_grows_to_a_bound() -> None:
    """One second, two, four, then five."""
    reach = away()
    now_s, pauses = 100.0, []
    for _ in range(6):
        step = next(n for n in range(1, 100) if reach.may_call(now_s + n / 2)) / 2
        pauses.append(step)
        now_s += step
        reach.failed(now_s)
    assert [1, 2, 4, 5, 5, 5] == pauses


def test_an_answer_ends_it_and_says_that_it_was_away() -> None:
    """Once; from then on every call goes, and pauses begin anew."""
    reach = away()
    assert [True, False] == [reach.answered(), reach.answered()]
    assert reach.may_call(100.0)
    for _ in range(FAILURES):
        reach.failed(200.0)
    assert [False, True] == [reach.may_call(200.9), reach.may_call(201.0)]


def test_a_clock_that_was_put_back_defers_nothing() -> None:
    """No call waits for an hour because somebody set the time."""
    assert away().may_call(100.0 - 3_600)
