"""The judge objects to what grows, and to nothing else."""

import math
import random
from collections.abc import Callable

import pytest

from tests.soak.judge import CURVES, Curve, judge, judge_run
from tests.soak.probes import Sample

MEMORY = Curve("kept.pss_mb", "memory", 0.05, 2.0)
HOUR_S = 3_600.0
EVERY_S = 10.0


def points(value_at: Callable[[float], float]) -> list[tuple[float, float]]:
    """Return an hour of points, by a function of the seconds since the start."""
    return [(n * EVERY_S, value_at(n * EVERY_S)) for n in range(int(HOUR_S / EVERY_S))]


def noise(seed: int, width: float) -> Callable[[], float]:
    """Return what gives another small number each time."""
    chance = random.Random(seed)
    return lambda: chance.gauss(0, width)


@pytest.mark.parametrize("seed", range(5))
def test_a_level_with_noise_is_flat(seed: int) -> None:
    """Whatever the noise."""
    wobble = noise(seed, 1.5)
    found = judge(MEMORY, points(lambda _: 64 + wobble()))
    assert found is not None
    assert found.is_flat


@pytest.mark.parametrize("seed", range(5))
def test_a_slow_leak_grows(seed: int) -> None:
    """Six MiB an hour, under noise of the same size."""
    wobble = noise(seed, 1.5)
    found = judge(MEMORY, points(lambda at_s: 64 + 6 * at_s / HOUR_S + wobble()))
    assert found is not None
    assert not found.is_flat
    assert 4 < found.trend < 8
    assert str(found).startswith("GROWS: kept.pss_mb")


@pytest.mark.parametrize(
    ("shape", "is_flat"),
    [
        # An outage a minute, each over in seconds.
        (lambda at_s: 500.0 if at_s % 60 < 10 else 64.0, True),
        # Rows that are cleaned up every five minutes.
        (lambda at_s: 64 + at_s % 300 / 300, True),
        # It fills and comes to rest.
        (lambda at_s: 64 * (1 - math.exp(-at_s / 300)), True),
        (lambda at_s: 90 - 10 * at_s / HOUR_S, True),
        # Once in the middle, and it stays.
        (lambda at_s: 64.0 if at_s < HOUR_S / 2 else 80.0, False),
        # Cleaned up now and then, never whole.
        (lambda at_s: 64 + 20 * at_s / HOUR_S - at_s % 600 / 600, False),
    ],
)
def test_shapes(shape: Callable[[float], float], is_flat: bool) -> None:
    """What is no leak, and what is one."""
    judged = points(shape)[100:]
    found = judge(MEMORY, judged)
    assert found is not None
    assert is_flat == found.is_flat


def test_what_must_not_be_there_is_objected_to() -> None:
    """One key without an end, from the middle of the run on, is one too many."""
    endless = next(one for one in CURVES if one.name == "redis.endless_keys")
    found = judge(endless, points(lambda at_s: float(at_s > HOUR_S / 2)))
    assert found is not None
    assert not found.is_flat


def test_too_little_is_not_judged() -> None:
    """A process that has just begun says nothing yet."""
    assert judge(MEMORY, points(lambda _: 64.0)[:5]) is None


def samples(name: str, value_at: Callable[[float], float], ends_s: float) -> list[Sample]:
    """Return samples of a worker that was started anew at `ends_s`, with one more curve of it."""
    return [
        {"at_s": at_s, "struck.pid": float(at_s < ends_s), name: value}
        for at_s, value in points(value_at)
    ]


def test_each_life_of_a_process_is_a_curve_of_its_own() -> None:
    """A worker that was killed begins anew: the step between two lives is nobody's growth."""
    two = samples("struck.pss_mb", lambda at_s: 80.0 if at_s < 1_700 else 64.0, 1_700)
    assert [80.0, 64.0] == [one.level for one in judge_run(two, HOUR_S / 2)]
    assert all(one.is_flat for one in judge_run(two, HOUR_S / 2))


def test_a_life_that_leaks_is_found_behind_one_that_does_not() -> None:
    """Each is judged by itself."""
    two = samples("struck.pss_mb", lambda at_s: 64 + max(at_s - 1_700, 0) / 100, 1_700)
    assert [True, False] == [one.is_flat for one in judge_run(two, HOUR_S / 2)]


def test_a_redis_that_was_emptied_fills_up_again() -> None:
    """As far as before: that is no growth."""
    emptied_at_s = 1_300.0
    filling: list[Sample] = [
        {
            "at_s": at_s,
            "redis.pid": f"7, emptied {int(at_s >= emptied_at_s)} times",
            "redis.keys": min(at_s if at_s < emptied_at_s else at_s - emptied_at_s, 600.0) * 20,
        }
        for at_s, _ in points(lambda _: 0.0)
    ]
    assert [True] == [one.is_flat for one in judge_run(filling, HOUR_S)]


def test_gaps_are_no_growth() -> None:
    """While a server is away nothing is measured."""
    full = samples("redis.keys", lambda _: 9_000.0, HOUR_S)
    holes = [one if n % 6 else {"at_s": one["at_s"]} for n, one in enumerate(full)]
    (found,) = judge_run(holes, HOUR_S)
    assert found.is_flat
