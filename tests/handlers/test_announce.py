"""Telling: what is told leaves the outbox, what is not told stays."""

import asyncio
from collections.abc import Sequence

from payonce.domain.effects import Effects
from payonce.domain.events import Event
from payonce.domain.report import Outcome
from tests.handlers.bench import Bench
from tests.store.making import Store, registration, settle, success, word


async def committed(bench: Bench) -> dict[str, Event]:
    """Commit a success, its duplicate and a failure; return the events by type."""
    store = bench.store
    await bench.registered(registration("p1"), registration("p2"), registration("p3", "o3"))
    effects = await settle(
        Store(store, store, store, store, store, store, store),
        success("p1"),
        success("p2"),
        word("p3", Outcome.FAILED),
    )
    bench.journal.calls.clear()
    return {event.type.value: event for event in events_of(effects)}


def events_of(effects: Sequence[Effects | None]) -> list[Event]:
    """Return all events of these effects."""
    return [event for one in effects if one for event in one.events]


async def test_what_is_told_leaves_the_outbox_in_one_statement(bench: Bench) -> None:
    """Every event is confirmed before it is forgotten."""
    events = await committed(bench)
    assert 3 == await bench.announcer.announce(list(events.values()))
    assert ["publish"] * 3 + ["delete_events"] == bench.journal.calls
    assert {} == bench.store.outbox
    assert set(events) == set(bench.told())


async def test_the_age_of_an_event_is_measured(bench: Bench) -> None:
    """From the occurrence to the broker's confirmation."""
    events = await committed(bench)
    bench.clock.move(3)
    await bench.announcer.announce([events["payment.succeeded"]])
    assert [("payment.succeeded", 3.0)] == bench.meter.of("event_published")


async def test_a_success_that_nobody_listens_to_stays(bench: Bench) -> None:
    """All other events are dropped."""
    events = await committed(bench)
    bench.bus.stop_listening()
    assert 2 == await bench.announcer.announce(list(events.values()))
    assert [events["payment.succeeded"].event_id] == list(bench.store.outbox)
    assert ([], []) == (bench.told(), bench.meter.of("event_published"))


async def test_without_a_broker_everything_stays(bench: Bench) -> None:
    """Unavailable is not raised: the relay comes later."""
    events = await committed(bench)
    bench.journal.away = {"publish"}
    assert 0 == await bench.announcer.announce(list(events.values()))
    assert 3 == len(bench.store.outbox)
    assert [] == bench.journal.of("delete_events")


async def test_without_a_store_what_was_told_stays_and_is_told_again(bench: Bench) -> None:
    """At least once, under the same id."""
    events = await committed(bench)
    bench.journal.away = {"delete_events"}
    success_event = events["payment.succeeded"]
    assert 0 == await bench.announcer.announce([success_event])
    bench.journal.away = set()
    assert 1 == await bench.announcer.announce([success_event])
    assert [success_event.event_id] * 2 == [event.event_id for event in bench.bus.told]
    assert success_event.event_id not in bench.store.outbox


async def test_deletes_of_many_callers_are_one_statement(bench: Bench) -> None:
    """Callers that announce at the same time share the delete."""
    events = await committed(bench)
    await asyncio.gather(*(bench.announcer.announce([one]) for one in events.values()))
    assert ["delete_events"] == bench.journal.of("delete_events")
    assert {} == bench.store.outbox


async def test_nothing_to_tell_is_told_at_once(bench: Bench) -> None:
    """No server is used for it."""
    assert 0 == await bench.announcer.announce([])
    assert [] == bench.journal.calls
