"""A process's counts go to the sums of all, and are lost rather than counted twice."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest

from payonce.domain.errors import Unavailable
from payonce.handlers.tallying import Tallying
from payonce.ports.activity import Counted, Key
from tests.handlers.fakes import FakeClock
from tests.store.making import NOW

KEY: Key = ("decided", "mock", "settled", "poll")


class Sums:
    """Sums that note what was added; `away`: the database is."""

    def __init__(self) -> None:
        self.away = False
        self.stuck = False
        self.added: list[tuple[datetime, dict[Key, int], datetime]] = []

    async def add(self, now: datetime, counts: Mapping[Key, int], forget_before: datetime) -> None:
        """Note it."""
        if self.stuck:
            await asyncio.Event().wait()
        if self.away:
            raise Unavailable("postgresql", "away")
        self.added.append((now, dict(counts), forget_before))

    async def since(self, start: datetime) -> list[Counted]:
        """Return nothing."""
        raise NotImplementedError


class Counts:
    """Counts that are taken once."""

    def __init__(self) -> None:
        self.waiting: dict[Key, int] = {}

    def take(self) -> dict[Key, int]:
        """Return what waits."""
        taken, self.waiting = self.waiting, {}
        return taken


@pytest.fixture
def sums() -> Sums:
    """Sums of nothing."""
    return Sums()


@pytest.fixture
def counts() -> Counts:
    """Nothing was counted."""
    return Counts()


@pytest.fixture
def tallying(sums: Sums, counts: Counts) -> Tallying:
    """What carries the ones to the others."""
    return Tallying(sums, counts.take, FakeClock())


async def test_counts_are_added_once(tallying: Tallying, sums: Sums, counts: Counts) -> None:
    """With what may be forgotten: what is older than two days. Nothing costs nothing."""
    counts.waiting = {KEY: 3}
    assert [False, False] == [await tallying.run_once() for _ in range(2)]
    assert [(NOW, {KEY: 3}, NOW - timedelta(hours=48))] == sums.added


async def test_a_database_that_is_away_costs_counts_and_nothing_else(
    tallying: Tallying, sums: Sums, counts: Counts
) -> None:
    """Whether they were added before the answer was lost, nobody knows: they are not repeated."""
    counts.waiting, sums.away = {KEY: 3}, True
    assert not await tallying.run_once()
    counts.waiting, sums.away = {KEY: 4}, False
    await tallying.run_once()
    assert [{KEY: 4}] == [added for _, added, _ in sums.added]


async def test_the_last_counts_are_added_at_the_end(
    tallying: Tallying, sums: Sums, counts: Counts
) -> None:
    """The end does not wait for a database that does not answer."""
    counts.waiting = {KEY: 1}
    await tallying.leave()
    assert 1 == len(sums.added)
    counts.waiting, sums.stuck = {KEY: 1}, True
    await asyncio.wait_for(tallying.leave(), 5)
    assert 1 == len(sums.added)
