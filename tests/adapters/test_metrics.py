"""The gauges tell what waits, and how old the oldest of it is."""

from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from payonce.adapters.metrics import Gauges
from payonce.ports.store import Backlog
from tests.handlers.fakes import FakeClock

WAITING = ("outbox", "unresolved", "mismatched", "unacknowledged", "refunds_held")


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


@pytest.fixture
def clock() -> FakeClock:
    """A clock moved by hand."""
    return FakeClock()


async def test_every_list_has_its_count_and_its_age(clock: FakeClock) -> None:
    """Each age is that of the list's own oldest."""
    ages = {what: 10.0 * n for n, what in enumerate(WAITING, 1)}
    at = {what: clock.now() - timedelta(seconds=age) for what, age in ages.items()}
    backlog = Backlog(
        outbox_events=1,
        outbox_oldest_at=at["outbox"],
        unresolved=2,
        unresolved_oldest_at=at["unresolved"],
        mismatched=3,
        mismatched_oldest_at=at["mismatched"],
        unacknowledged=4,
        unacknowledged_oldest_at=at["unacknowledged"],
        refunds_held=5,
        refunds_held_oldest_at=at["refunds_held"],
    )

    assert dict(zip(WAITING, (1, 2, 3, 4, 5), strict=True)) == await read(
        backlog, clock, "payonce_waiting"
    )
    assert ages == await read(backlog, clock, "payonce_waiting_oldest_seconds")


async def test_where_nothing_waits_nothing_is_old(clock: FakeClock) -> None:
    """An empty list is told as 0, not left out."""
    nothing = Backlog(0, None, 0, None, 0, None, 0, None, 0, None)

    assert dict.fromkeys(WAITING, 0.0) == await read(
        nothing, clock, "payonce_waiting_oldest_seconds"
    )
