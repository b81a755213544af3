"""Whether a called service is there: some failures in a row, then one trial at a time."""

from itertools import pairwise

from payonce.domain.reach import FAILURES, LONGEST_S, WELL_AFTER, CatchUp, Reach


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


def catch_ups(one: CatchUp, seconds: range) -> list[int]:
    """Return when all is told again, where the service falls and says yes every second."""
    found = []
    for second in seconds:
        one.went_away()
        one.said_no()
        found += [second] * one.said_yes(second)
    return found


def test_catching_up_becomes_rarer_while_the_service_flaps() -> None:
    """30 s, 1, 2, 4, 8 and from then on 10 minutes: never in vain, and not for ever."""
    found = catch_ups(CatchUp(), range(4_000))
    assert [30, 60, 120, 240, 480, 600, 600, 600, 600, 600] == [
        after - before for before, after in pairwise(found)
    ]


def test_nothing_is_caught_up_without_an_outage_or_without_a_yes() -> None:
    """And once for each outage; one that had to wait is not forgotten."""
    one = CatchUp()
    assert not one.said_yes(0)
    one.went_away()
    assert [True, False] == [one.said_yes(1), one.said_yes(2)]
    one.went_away()
    assert [False, True, False] == [one.said_yes(3), one.said_yes(31), one.said_yes(32)]


def test_a_service_that_is_well_again_is_caught_up_with_soon() -> None:
    """After so many yeses in a row; one no begins the count anew."""
    one = CatchUp()
    catch_ups(one, range(4_000))
    for _ in range(WELL_AFTER):
        one.said_yes(5_000)
    assert [5_030, 5_090] == catch_ups(one, range(5_001, 5_200))


def test_catching_up_outlives_a_clock_that_was_put_back() -> None:
    """It is not put off for a year."""
    one = CatchUp()
    assert [1_000] == catch_ups(one, range(1_000, 1_001))
    assert [5] == catch_ups(one, range(5, 6))
