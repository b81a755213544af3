"""The reteller: a paid order is told of until it is acknowledged; no restart loses its place."""

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payonce.domain.ladder import Ladder
from payonce.domain.messages import OrderAcknowledged
from payonce.domain.retelling import next_telling
from payonce.reteller import BATCH, Reteller
from tests.handlers.bench import Bench, opened_bench
from tests.store.making import NOW, later, registration, success

LADDER = Ladder((240_000, 600_000, 3_600_000))


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """One worker on fakes."""
    async with opened_bench() as bench:
        yield bench


def reteller(bench: Bench) -> Reteller:
    """Return a fresh process's reteller."""
    return Reteller(bench.store, LADDER, bench.clock, bench.meter)


async def tellings(bench: Bench, minutes: int) -> list[int]:
    """Let so many minutes pass, each with a new process; return in which the order was told."""
    found = []
    for minute in range(1, minutes + 1):
        bench.clock.move(60)
        await reteller(bench).run_once()
        before = len(bench.bus.told)
        await bench.relay.run_once()
        found += [minute] * (len(bench.bus.told) - before)
    return found


async def test_an_unacknowledged_order_is_told_again_on_the_ladder(bench: Bench) -> None:
    """The same event each time, whichever process does it."""
    await bench.registered()
    await bench.heard(success())
    assert [4, 14, 74, 134] == await tellings(bench, 140)
    assert 1 == len({(one.event_id, str(one.data)) for one in bench.bus.told})
    assert [(1,)] * 4 == bench.meter.of("orders_retold")


async def test_an_acknowledged_order_is_never_told_again(bench: Bench) -> None:
    """However late it is acknowledged."""
    await bench.registered()
    await bench.heard(success())
    await tellings(bench, 5)
    await bench.store.acknowledge([OrderAcknowledged("o1", "p1")], bench.clock.now())
    assert [] == await tellings(bench, 80)


async def test_without_a_listener_it_waits_in_the_outbox(bench: Bench) -> None:
    """And goes out as soon as there is one, not at the next rung."""
    await bench.registered()
    await bench.heard(success())
    bench.bus.stop_listening()
    assert [] == await tellings(bench, 20)
    assert 1 == len(bench.store.outbox)
    bench.bus.listen("payment.*")
    assert [1] == await tellings(bench, 1)


async def test_a_full_batch_is_followed_by_another(bench: Bench) -> None:
    """At once, until there is nothing left."""
    names = [f"p{n}" for n in range(BATCH + 1)]
    await bench.registered(*(registration(one, f"o-{one}") for one in names))
    for one in names:
        await bench.heard(success(one))
    bench.clock.move(240)
    assert [True, False, False] == [await reteller(bench).run_once() for _ in range(3)]


waits = st.lists(st.integers(10, 10_000_000), min_size=1, max_size=8)


@given(waits, st.integers(0, 10**9))
def test_the_next_telling_lies_ahead_and_on_the_ladder(waits_ms: list[int], elapsed: int) -> None:
    """Never further away than the rung that is being waited for."""
    now = NOW + timedelta(milliseconds=elapsed)
    following = next_telling(NOW, now, Ladder(tuple(waits_ms)))
    wait_ms = (following - now) / timedelta(milliseconds=1)
    assert 0 < wait_ms <= max(waits_ms)
    rungs, total_ms = set(), 0
    for one in waits_ms:
        total_ms += one
        rungs.add(total_ms)
    due_ms = (following - NOW) // timedelta(milliseconds=1)
    assert due_ms in rungs or (due_ms - total_ms) % waits_ms[-1] == 0


def test_no_time_passes_without_a_telling_for_longer_than_the_ladder_says() -> None:
    """From one telling to the next."""
    times = [NOW]
    for _ in range(5):
        times.append(next_telling(NOW, times[-1], LADDER))
    assert [NOW, later(240), later(840), later(4_440), later(8_040), later(11_640)] == times
