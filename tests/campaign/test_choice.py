"""Which faults are gone through, and how the table tells of them."""

import pytest

from tests.campaign.choice import alone, chosen, name_of, named, pairs
from tests.campaign.faults import FAULTS
from tests.campaign.table import rendered
from tests.campaign.trial import Result


def test_all_faults_alone_in_an_order_that_follows_from_the_seed() -> None:
    """Each fault once; another seed, another order."""
    first, again, other = (
        [name_of(one) for one in chosen((), seed, quick=False, with_pairs=False)]
        for seed in (1, 1, 2)
    )
    assert sorted(FAULTS) == sorted(first)
    assert first == again
    assert first != other


def test_pairs_are_of_two_targets() -> None:
    """No fault is paired with one of the same server, but where that is meant."""
    names = [name_of(pair) for pair in pairs()]
    assert len(names) == len(set(names))
    assert "worker.killed+postgres.black-hole" in names
    assert not [name for name in names if name.startswith("postgres.killed+postgres")]


def test_names_may_be_patterns_and_pairs() -> None:
    """What matches nothing is said by name."""
    assert [name_of(one) for one in named(["redis.p*", "worker.killed+redis.black-hole"])] == [
        "redis.paused",
        "worker.killed+redis.black-hole",
    ]
    with pytest.raises(ValueError, match=r"no fault is called redis\.burnt"):
        named(["redis.burnt"])


def test_table_tells_what_was_seen_and_what_was_not_run() -> None:
    """One row a trial, in the order of the faults, objections in bold."""
    late = Result(
        ["redis.killed"],
        broker="3",
        outage_s=6.2,
        recovery_s=2.6,
        worst_late=4,
        longest_s=8.4,
        slowest="slow",
        application_s=5.1,
    )
    quiet = Result(["rabbitmq.killed"], broker="4", longest_s=2.0, application_s=0.2)
    broken = Result(["redis.flushed"], broker="3", objections=["promise 1: ...", "promise 2: ..."])
    before = Result(["redis.killed"], broker="3", objections=["promise 1: ..."])
    away = Result(["clock.+10m"], broker="3", not_run="libfaketime is not installed")
    rows = rendered([[one.as_json() for one in (before, away, broken, late, quiet)]]).splitlines()[
        2:
    ]
    assert rows == [
        "| `rabbitmq.killed` | 4 | a moment | 1 s | 2 s | nothing was late | nothing |",
        "| `redis.killed` | 3 | 6 s | 5 s | 8 s (slow) | 3 s | nothing |",
        "| `redis.flushed` | 3 | a moment | 1 s | 0 s | nothing was late | **2 objections** |",
        "| `clock.+10m` | 3 | | | | | not run: libfaketime is not installed |",
    ]


def test_every_fault_has_a_name_of_its_target() -> None:
    """Names are TARGET.WHAT, so that patterns choose by target."""
    assert all("." in fault.name or fault.name == "nothing" for (fault,) in alone())
