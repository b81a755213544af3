"""The simulator holds: same seed, same story; no promise breaks; planted bugs are found."""

import asyncio
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path

import pytest

from tests.simulation.chance import KINDS, PERCENT, SPELLS, Chance
from tests.simulation.loop import Stuck, run
from tests.simulation.mutants import MUTANTS
from tests.simulation.planting import planted
from tests.simulation.shrinking import shrunk
from tests.simulation.story import ORDERS, Outcome, tell

STORIES = 8
ROOT = Path(__file__).resolve().parents[2]
QUICK = {
    "ack-when-away": 3,
    "no-sweeper": 3,
    "no-relay": 3,
    "trust-close": 3,
    "pay-cancelled": 6,
    "refund-winner": 3,
}
"""Bugs that few stories find, and how many; the others: ./dev simulate --mutants."""


def test_no_promise_breaks() -> None:
    """Under every kind of fault at once; the fault kinds that are there really strike."""
    outcomes = [tell(f"suite.{number}") for number in range(STORIES)]
    assert [""] * STORIES == [one.broken for one in outcomes]
    fired = sum((one.fired for one in outcomes), Counter[str]())
    rare = {"broker.purged", "redis.wrong", "gateway.refund_fails", "gateway.forgets"}
    assert set() == KINDS - fired.keys() - rare


def test_the_same_seed_is_the_same_story() -> None:
    """Byte for byte, also in another process whose hashes are seeded otherwise."""
    code = "from tests.simulation.story import tell; print(tell('same').digest)"
    env = {**os.environ, "PYTHONHASHSEED": "7"}
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=env, capture_output=True, text=True, check=True
    )
    first = tell("same")
    assert first.digest == tell("same").digest == said.stdout.strip()
    assert first.digest != tell("other").digest


@pytest.mark.parametrize("name", sorted(QUICK))
def test_a_planted_bug_is_found(name: str) -> None:
    """Within a stated number of stories."""
    with planted(MUTANTS[name]):
        found = any(tell(f"m{number}").broken for number in range(1, QUICK[name] + 1))
    assert found


def test_there_are_twenty_bugs_at_least() -> None:
    """Each with a sentence that says what it is."""
    assert len(MUTANTS) >= 20
    assert all(mutant.says for mutant in MUTANTS.values())


@pytest.mark.parametrize("name", sorted(MUTANTS))
def test_a_bug_can_be_planted(name: str) -> None:
    """What it replaces is there, and comes back."""
    targets = [(target, attribute) for target, attribute, _ in MUTANTS[name].patches]
    before = [getattr(*one) for one in targets]
    with planted(MUTANTS[name]):
        assert all(getattr(*one) is not was for one, was in zip(targets, before, strict=True))
    assert before == [getattr(*one) for one in targets]


def test_a_broken_story_is_shrunk() -> None:
    """To the orders and the faults without which it would not break; what repeats is told twice."""
    wanted = {"worker.killed", "broker.purged"}

    def retell(
        seed: str,
        *,
        orders: Sequence[int] = range(ORDERS),
        without: Collection[str] = (),
        keep_trace: bool = False,
    ) -> Outcome:
        breaks = {3, 11} <= set(orders) and not wanted & set(without)
        lines = tuple(f"       {n}.000 fate       struck" for n in range(5))
        broken = "1: it broke" if breaks else ""
        return Outcome(seed, broken, "", 1.0, lines=lines if keep_trace else ())

    short = shrunk(Outcome("s", "1: it broke", "", 1.0), retell)
    assert ((3, 11), KINDS - wanted) == (short.orders, short.without)
    assert ("       0.000 fate       struck", "       1.000 fate       struck") == short.lines


def test_a_kind_that_is_taken_out_leaves_all_others_as_they_were() -> None:
    """Each draws from a row of its own."""
    whole, less = Chance("s"), Chance("s", {"broker.lost"})
    for kind in sorted(PERCENT):
        drawn = [(whole.strikes(kind), less.strikes(kind)) for _ in range(300)]
        if kind != "broker.lost":
            assert all(one == other for one, other in drawn)
    assert not less.fired["broker.lost"]
    assert [whole.until_next(kind) for kind in SPELLS] == [less.until_next(kind) for kind in SPELLS]


def test_time_passes_without_waiting() -> None:
    """A year is nothing; where nobody can ever wake, that is said."""

    async def sleep_a_year() -> float:
        await asyncio.sleep(365 * 86_400)
        return asyncio.get_running_loop().time()

    async def wait_for_nobody() -> None:
        await asyncio.Event().wait()

    assert run(sleep_a_year()) == pytest.approx(365 * 86_400)
    with pytest.raises(Stuck):
        run(wait_for_nobody())
