"""The relay: tells what the settling task could not, and lets go of what it cannot tell either."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from payonce.domain.errors import Unavailable
from payonce.domain.events import EventType
from payonce.domain.ids import event_id
from payonce.domain.report import Outcome
from payonce.relay import BATCH
from tests.handlers.bench import Bench, opened_bench
from tests.store.making import Store, registration, settle, success, word
from tests.support.waiting import eventually


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """One worker on fakes."""
    async with opened_bench() as bench:
        yield bench


async def untold(bench: Bench, count: int = 1) -> list[str]:
    """Settle orders o1, o2, ... and tell nobody; return the ids of their events."""
    store = bench.store
    numbers = range(1, count + 1)
    await bench.registered(*(registration(f"p{n}", f"o{n}") for n in numbers))
    one = Store(store, store, store, store, store, store, store)
    await settle(one, *(success(f"p{n}") for n in numbers))
    return [event_id(EventType.PAYMENT_SUCCEEDED, f"o{n}") for n in numbers]


async def test_young_events_are_left_to_who_committed_them(bench: Bench) -> None:
    """For five seconds; then they are told, with all that was committed, and forgotten."""
    [first] = await untold(bench)
    bench.clock.move(5)
    assert not await bench.relay.run_once()
    assert [] == bench.told()
    bench.clock.move(0.001)
    assert not await bench.relay.run_once()
    [event] = bench.bus.told
    assert (first, "o1", "trace-of-p1", "p1", 100) == (
        event.event_id,
        event.order_id,
        event.traceparent,
        event.data["payment_id"],
        event.data["amount"],
    )
    assert {} == bench.store.outbox


async def test_what_a_settlement_could_not_tell_is_told_under_the_same_id(bench: Bench) -> None:
    """The broker was away at the settlement."""
    await bench.registered()
    bench.journal.away = {"publish"}
    effects = await bench.heard(success())
    bench.journal.away = set()
    bench.clock.move(6)
    await bench.relay.run_once()
    assert [event.event_id for event in effects.events] == [
        event.event_id for event in bench.bus.told
    ]


async def test_an_event_that_cannot_be_told_is_leased_for_a_while(bench: Bench) -> None:
    """Fifteen seconds: neither this relay nor another one tries it at every turn."""
    await untold(bench)
    bench.journal.away = {"publish"}
    bench.clock.move(6)
    tries = []
    for _ in range(16):
        await bench.relay.run_once()
        tries.append(len(bench.journal.of("publish")))
        bench.clock.move(1)
    assert [1] * 15 + [2] == tries


async def test_a_success_without_a_listener_waits_for_one(bench: Bench) -> None:
    """However long; other events are dropped."""
    [first] = await untold(bench)
    bench.bus.stop_listening()
    await bench.registered(registration("p9", "o9"))
    await bench.heard(word("p9", Outcome.FAILED))
    for _ in range(10):
        bench.clock.move(60)
        assert not await bench.relay.run_once()
    assert [first] == list(bench.store.outbox)
    bench.bus.listen("payment.succeeded")
    bench.clock.move(60)
    await bench.relay.run_once()
    assert ([first], {}) == ([one.event_id for one in bench.bus.told], bench.store.outbox)


async def test_a_full_batch_is_followed_by_another(bench: Bench) -> None:
    """Until a batch is not full."""
    ids = await untold(bench, BATCH + 1)
    bench.clock.move(6)
    assert await bench.relay.run_once()
    assert BATCH == len(bench.bus.told)
    assert not await bench.relay.run_once()
    assert sorted(ids) == sorted(event.event_id for event in bench.bus.told)


async def test_a_full_batch_that_nobody_takes_is_followed_by_a_pause(bench: Bench) -> None:
    """Where the broker is away, or nobody listens, a backlog is no reason to hurry."""
    await untold(bench, BATCH + 1)
    bench.journal.away = {"publish"}
    bench.clock.move(6)
    assert not await bench.relay.run_once()


async def test_an_empty_outbox_uses_no_broker(bench: Bench) -> None:
    """One question to the store a turn."""
    assert not await bench.relay.run_once()
    assert ["claim_events"] == bench.journal.calls


async def test_an_absent_store_is_told_to_the_loop(bench: Bench) -> None:
    """Which waits for it."""
    bench.journal.away = {"claim_events"}
    with pytest.raises(Unavailable):
        await bench.relay.run_once()


async def test_the_relay_lives_through_an_outage(bench: Bench) -> None:
    """It asks again a second later, a little less."""
    await untold(bench)
    bench.clock.move(6)
    bench.journal.away = {"claim_events"}
    running = asyncio.create_task(bench.relay.run())
    await eventually(lambda: bench.clock.slept_s)
    bench.journal.away = set()
    assert 0.9 <= bench.clock.slept_s[0] <= 1
    bench.clock.move(1)
    await eventually(bench.told)
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])
