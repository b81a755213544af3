"""The gauges tell what waits, and how old the oldest of it is."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from payonce.adapters.metrics import Gauges
from payonce.ports.store import Backlog
from tests.handlers.fakes import FakeClock

WAITING = ("outbox", "unresolved", "mismatched", "unacknowledged", "refunds_held", "callbacks")


class Told:
    """An Overview that tells what it was given."""

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog

    async def backlog(self) -> Backlog:
        """Return what waits."""
        return self._backlog


async def no_queues() -> dict[str, tuple[int, int | None]]:
    """Return no depths."""
    return {}


async def read(backlog: Backlog, clock: FakeClock, gauge: str) -> dict[str, float | None]:
    """Return a gauge by what waits, after one refresh."""
    registry = CollectorRegistry()
    await Gauges(registry, Told(backlog), no_queues, clock).run_once()
    return {what: registry.get_sample_value(gauge, {"what": what}) for what in WAITING}


def backlog_of(counts: dict[str, int], since: dict[str, Any]) -> Backlog:
    """Return a backlog of so many, the oldest of which is so old."""
    values: dict[str, Any] = {f"{what}_oldest_at": since.get(what) for what in WAITING}
    values |= {"outbox_events" if what == "outbox" else what: counts[what] for what in WAITING}
    return Backlog(**values)


@pytest.fixture
def clock() -> FakeClock:
    """A clock moved by hand."""
    return FakeClock()


async def test_every_list_has_its_count_and_its_age(clock: FakeClock) -> None:
    """Each age is that of the list's own oldest."""
    ages = {what: 10.0 * n for n, what in enumerate(WAITING, 1)}
    at = {what: clock.now() - timedelta(seconds=age) for what, age in ages.items()}
    counts = {what: n for n, what in enumerate(WAITING, 1)}
    backlog = backlog_of(counts, at)

    assert counts == await read(backlog, clock, "payonce_waiting")
    assert ages == await read(backlog, clock, "payonce_waiting_oldest_seconds")


async def test_the_tasks_of_the_loop_are_counted(clock: FakeClock) -> None:
    """At the moment of the look."""
    registry = CollectorRegistry()
    Gauges(registry, Told(backlog_of(dict.fromkeys(WAITING, 0), {})), no_queues, clock)
    before = registry.get_sample_value("payonce_tasks")
    waiting = asyncio.create_task(asyncio.Event().wait())
    assert len(asyncio.all_tasks()) == registry.get_sample_value("payonce_tasks")
    assert before != registry.get_sample_value("payonce_tasks")
    waiting.cancel()


async def test_where_nothing_waits_nothing_is_old(clock: FakeClock) -> None:
    """An empty list is told as 0, not left out."""
    nothing = backlog_of(dict.fromkeys(WAITING, 0), {})

    assert dict.fromkeys(WAITING, 0.0) == await read(
        nothing, clock, "payonce_waiting_oldest_seconds"
    )
