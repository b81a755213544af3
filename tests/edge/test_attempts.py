"""How long somebody waits before his token is looked at."""

import pytest

from payonce.edge.attempts import ALL_FREE, FREE, KNOWN_FOR_S, MOST_KEPT, Attempts, Caller

HOME = Caller("192.0.2.1")
MARKED = Caller("192.0.2.1", "a mark")


class Watch:
    """A clock of seconds."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@pytest.fixture
def watch() -> Watch:
    """A clock that stands still."""
    return Watch()


@pytest.fixture
def attempts(watch: Watch) -> Attempts:
    """An empty account."""
    return Attempts(watch)


def fail(attempts: Attempts, caller: Caller, times: int) -> None:
    """Have somebody give wrong tokens."""
    for _ in range(times):
        attempts.failed(caller)


def test_the_wait_grows_to_a_minute(attempts: Attempts, watch: Watch) -> None:
    """Twice as long after each failure."""
    fail(attempts, HOME, FREE - 1)
    assert 0 == attempts.wait_s(HOME)
    waits = []
    for _ in range(9):
        attempts.failed(HOME)
        waits.append(attempts.wait_s(HOME))
        watch.now_s += waits[-1]
        assert 0 == attempts.wait_s(HOME)
    assert [1, 2, 4, 8, 16, 32, 60, 60, 60] == waits


def test_failures_are_forgotten(attempts: Attempts, watch: Watch) -> None:
    """After ten minutes without another."""
    fail(attempts, HOME, FREE + 3)
    watch.now_s += 601
    fail(attempts, HOME, FREE - 1)
    assert 0 == attempts.wait_s(HOME)


def test_each_address_waits_for_itself(attempts: Attempts) -> None:
    """An IPv6 address is one of a network that somebody has as a whole."""
    fail(attempts, HOME, FREE)
    assert 0 == attempts.wait_s(Caller("192.0.2.2"))
    fail(attempts, Caller("2001:db8::1"), FREE)
    assert 1 == attempts.wait_s(Caller("2001:db8::ffff"))
    assert 0 == attempts.wait_s(Caller("2001:db8:0:1::1"))


def test_many_addresses_share_a_limit(attempts: Attempts, watch: Watch) -> None:
    """One failure a second once the free ones are used up."""
    for number in range(ALL_FREE):
        attempts.failed(Caller(f"198.51.100.{number}"))
    assert 1 == attempts.wait_s(HOME)
    watch.now_s += 1
    assert 0 == attempts.wait_s(HOME)
    attempts.failed(HOME)
    assert 1 == attempts.wait_s(Caller("192.0.2.9"))


def test_an_address_that_was_right_does_not_wait_for_strangers(
    attempts: Attempts, watch: Watch
) -> None:
    """For a day."""
    attempts.succeeded(HOME)
    for number in range(5 * ALL_FREE):
        attempts.failed(Caller(f"198.51.100.{number}"))
    assert 0 == attempts.wait_s(HOME)
    watch.now_s += KNOWN_FOR_S
    for number in range(5 * ALL_FREE):
        attempts.failed(Caller(f"198.51.100.{number}"))
    assert 1 == attempts.wait_s(HOME)


def test_a_right_token_does_not_free_the_address_of_others_failures(attempts: Attempts) -> None:
    """Else who guesses beside somebody who knows would never wait."""
    fail(attempts, HOME, FREE)
    attempts.succeeded(HOME)
    assert 1 == attempts.wait_s(HOME)


def test_a_marked_browser_has_an_account_of_its_own(attempts: Attempts) -> None:
    """Neither its address's failures nor all others' make it wait; its own do."""
    fail(attempts, HOME, 20)
    for number in range(ALL_FREE):
        attempts.failed(Caller(f"198.51.100.{number}"))
    assert 0 == attempts.wait_s(MARKED)
    fail(attempts, MARKED, FREE)
    assert 1 == attempts.wait_s(MARKED)


def test_a_mark_that_fails_often_counts_for_nothing(attempts: Attempts, watch: Watch) -> None:
    """A stolen one opens no way around the limits."""
    fail(attempts, MARKED, 10)
    watch.now_s += 60
    fail(attempts, HOME, 20)
    assert 60 == attempts.wait_s(MARKED)


def test_the_account_stays_small(attempts: Attempts) -> None:
    """Whatever the number of addresses."""
    for number in range(2 * MOST_KEPT):
        caller = Caller(f"10.0.{number // 256}.{number % 256}")
        attempts.failed(caller)
        attempts.succeeded(caller)
    assert (MOST_KEPT, MOST_KEPT) == (len(attempts._records), len(attempts._known))
