"""The micro-batcher: bounds, order, errors, cancellation."""

import asyncio
from collections.abc import Sequence

import pytest

from payonce.batching import Batcher
from payonce.domain.errors import Unavailable
from tests.support.waiting import eventually

NEVER_S = 3_600.0


class Work:
    """Doubles numbers, once its gate is open; keeps what it was given."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: BaseException | None = None
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, items: Sequence[int]) -> list[int]:
        """Return twice each item, in order."""
        self.batches.append(list(items))
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        if self.error:
            raise self.error
        return [2 * item for item in items]


def submitted(batcher: Batcher[int, int], *items: int) -> list[asyncio.Task[int]]:
    """Submit each item in a task of its own."""
    return [asyncio.create_task(batcher.submit(item)) for item in items]


async def test_items_that_come_together_are_worked_on_together() -> None:
    """In order of arrival, each caller with its own result."""
    work = Work()
    batcher = Batcher(work)
    assert [6, 2, 4] == await asyncio.gather(*submitted(batcher, 3, 1, 2))
    assert [[3, 1, 2]] == work.batches


async def test_a_lone_item_waits_no_longer_than_it_may() -> None:
    """Nobody else needs to come."""
    work = Work()
    assert 8 == await Batcher(work, max_wait_s=0.001).submit(4)


async def test_a_full_batch_does_not_wait() -> None:
    """The bound on size comes before the bound on waiting."""
    work = Work()
    batcher = Batcher(work, max_items=3, max_wait_s=NEVER_S)
    assert [2, 4, 6] == await asyncio.gather(*submitted(batcher, 1, 2, 3))


async def test_no_batch_is_larger_than_the_bound() -> None:
    """What is left over comes next, in order."""
    work = Work()
    batcher = Batcher(work, max_items=4, max_running=1)
    assert [2 * n for n in range(10)] == await asyncio.gather(*submitted(batcher, *range(10)))
    assert [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]] == work.batches


async def test_batches_grow_when_the_work_gets_slower() -> None:
    """At most `max_running` at once; what comes meanwhile goes together, without another wait."""
    work = Work()
    work.gate.clear()
    batcher = Batcher(work, max_running=1, max_wait_s=0.001)
    first = submitted(batcher, 0)
    await eventually(lambda: work.batches)
    later = submitted(batcher, *range(1, 60))
    await eventually(lambda: batcher._timer is None and len(batcher._waiting) == 59)
    assert [[0]] == work.batches
    work.gate.set()
    assert [2 * n for n in range(60)] == await asyncio.gather(*first, *later)
    assert [[0], list(range(1, 60))] == work.batches


async def test_no_more_batches_run_at_once_than_may() -> None:
    """Also where many batches are full."""
    work = Work()
    work.gate.clear()
    batcher = Batcher(work, max_items=2, max_running=3)
    tasks = submitted(batcher, *range(20))
    await eventually(lambda: len(work.batches) == 3)
    work.gate.set()
    await asyncio.gather(*tasks)
    assert (3, 10) == (work.most_at_once, len(work.batches))


async def test_an_error_reaches_every_caller_of_its_batch_and_no_other() -> None:
    """The next batch is worked on as if nothing had been."""
    work = Work()
    work.error = Unavailable("postgres", "away")
    batcher = Batcher(work, max_items=2)
    problems = await asyncio.gather(*submitted(batcher, 1, 2), return_exceptions=True)
    assert [work.error, work.error] == problems
    work.error = None
    assert [6, 8] == await asyncio.gather(*submitted(batcher, 3, 4))


class Careful:
    """Doubles numbers; a batch with its culprit fails as a whole. Alone, `hangs` never ends."""

    def __init__(self, culprit: int, hangs: int | None = None) -> None:
        self.culprit = culprit
        self.hangs = hangs
        self.batches: list[list[int]] = []

    async def __call__(self, items: Sequence[int]) -> list[int]:
        """Return twice each item, in order."""
        self.batches.append(list(items))
        if self.culprit in items:
            raise LookupError(self.culprit)
        if [self.hangs] == items:
            await asyncio.Event().wait()
        return [2 * item for item in items]


async def test_only_the_culprit_gets_its_error() -> None:
    """Its batch-mates are worked on alone; a batch without one costs a single call."""
    work = Careful(2)
    batcher = Batcher(work, max_items=3)
    first, second, third = await asyncio.gather(
        *submitted(batcher, 1, 2, 3), return_exceptions=True
    )
    assert (2, LookupError, 6) == (first, type(second), third)
    assert [8, 10, 12] == await asyncio.gather(*submitted(batcher, 4, 5, 6))
    assert [[1, 2, 3], [1], [2], [3], [4, 5, 6]] == work.batches


async def test_callers_whose_items_are_worked_on_alone_are_told_of_a_stop() -> None:
    """None of them hangs."""
    work = Careful(1, hangs=2)
    batcher = Batcher(work, max_items=3)
    tasks = submitted(batcher, 1, 2, 3)
    await eventually(lambda: [2] in work.batches)
    [running] = batcher._running
    running.cancel()
    async with asyncio.timeout(5):
        problems = await asyncio.gather(*tasks, return_exceptions=True)
    assert [LookupError, Unavailable, Unavailable] == [type(one) for one in problems]


async def test_a_caller_that_leaves_before_the_work_is_not_worked_for() -> None:
    """The others of its batch get their results."""
    work = Work()
    batcher = Batcher(work, max_items=4, max_wait_s=NEVER_S)
    first, second, third = submitted(batcher, 1, 2, 3)
    await eventually(lambda: len(batcher._waiting) == 3)
    second.cancel()
    await asyncio.wait([second])
    assert 8 == await batcher.submit(4)
    assert ([[1, 3, 4]], 2, 6) == (work.batches, await first, await third)


async def test_a_batch_that_everybody_left_is_not_worked_on() -> None:
    """And holds up none that come later."""
    work = Work()
    work.gate.clear()
    batcher = Batcher(work, max_items=2, max_running=1)
    busy = submitted(batcher, 0)
    await eventually(lambda: work.batches)
    gone = submitted(batcher, 1, 2)
    await eventually(lambda: len(batcher._waiting) == 2)
    for task in gone:
        task.cancel()
    await asyncio.wait(gone)
    work.gate.set()
    assert [0, 6] == await asyncio.gather(*busy, *submitted(batcher, 3))
    assert [[0], [3]] == work.batches


async def test_a_caller_that_leaves_during_the_work_takes_nobody_with_it() -> None:
    """The work itself goes on."""
    work = Work()
    work.gate.clear()
    batcher = Batcher(work)
    first, second = submitted(batcher, 1, 2)
    await eventually(lambda: work.batches)
    first.cancel()
    await asyncio.wait([first])
    work.gate.set()
    assert 4 == await second
    assert [[1, 2]] == work.batches


async def test_callers_of_a_cancelled_batch_are_told_to_try_again() -> None:
    """None of them hangs, none is cancelled itself; what waits is worked on next."""
    work = Work()
    work.gate.clear()
    batcher = Batcher(work, max_items=2, max_running=1)
    stopped = submitted(batcher, 1, 2)
    await eventually(lambda: work.batches)
    waiting = submitted(batcher, 3, 4)
    await eventually(lambda: batcher._waiting)
    for task in batcher._running:
        task.cancel()
    problems = await asyncio.gather(*stopped, return_exceptions=True)
    assert [Unavailable, Unavailable] == [type(one) for one in problems]
    work.gate.set()
    assert [6, 8] == await asyncio.gather(*waiting)


@pytest.mark.parametrize("results", [[], [1], [1, 2, 3]])
async def test_work_that_answers_for_too_few_or_too_many_fails_loudly(results: list[int]) -> None:
    """No caller hangs, and none gets the result of another."""

    async def miscount(_items: Sequence[int]) -> list[int]:
        return results

    batcher: Batcher[int, int] = Batcher(miscount)
    async with asyncio.timeout(5):
        problems = await asyncio.gather(*submitted(batcher, 1, 2), return_exceptions=True)
    assert [ValueError, ValueError] == [type(one) for one in problems]
