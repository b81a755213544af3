"""What is called again: by the reteller, without the bus, and what no message can bring about."""

from dataclasses import replace

import pytest

from payonce.domain.errors import Unavailable
from payonce.domain.ladder import Ladder
from payonce.domain.messages import NotifyDue
from payonce.handlers.notify import MOST_IN_HAND
from payonce.ports.bus import DONE, Park
from payonce.reteller import Reteller
from tests.handlers.bench import Bench
from tests.handlers.telling import FAILED, OK, REFUSED, TIMEOUT, Teller
from tests.store.making import registration
from tests.support.waiting import eventually


@pytest.fixture
def teller(bench: Bench) -> Teller:
    """One worker on fakes that calls."""
    return Teller(bench)


async def test_the_reteller_calls_once_for_each_rung(teller: Teller) -> None:
    """By the same event; a refusal then waits for the next rung."""
    await teller.settled()
    teller.service.will_say(REFUSED)
    bench = teller.bench
    reteller = Reteller(
        bench.store, Ladder((240_000, 600_000)), bench.clock, bench.meter, teller.notify
    )
    called = []
    for _ in range(30):
        bench.clock.move(60)
        await reteller.run_once()
        for due in teller.taken():
            called.append(due)
            await teller.notify.handle(due)
    assert (3, []) == (len(called), teller.taken())
    assert 1 == len({event.event_id for event in teller.service.called})


async def test_a_lost_message_is_made_good_by_the_reteller(teller: Teller) -> None:
    """The queue was purged: Postgres knows who is not told."""
    await teller.settled()
    bench = teller.bench
    bench.clock.move(240)
    reteller = Reteller(bench.store, Ladder((240_000,)), bench.clock, bench.meter, teller.notify)
    await reteller.run_once()
    [due] = teller.taken()
    await teller.notify.handle(due)
    assert {"o1"} == bench.store.acknowledged


@pytest.mark.parametrize("listens", [True, False])
async def test_what_the_reteller_put_back_goes_out_though_its_call_was_taken(
    teller: Teller,
    listens: bool,
) -> None:
    """The broker lost its queues: the bound one is told; where none is bound, nothing stays."""
    await teller.settled()
    bench = teller.bench
    bench.bus.told.clear()
    if not listens:
        bench.bus.stop_listening()
    bench.clock.move(240)
    reteller = Reteller(bench.store, Ladder((240_000,)), bench.clock, bench.meter, teller.notify)
    await reteller.run_once()
    [due] = teller.taken()
    await teller.notify.handle(due)
    assert {"o1"} == bench.store.acknowledged
    for _ in range(2):
        await bench.relay.run_once()
        bench.clock.move(60)
    assert (["payment.succeeded"] * listens, {}) == (bench.told(), bench.store.outbox)


async def test_while_the_bus_is_away_calls_are_made_from_here(teller: Teller) -> None:
    """And the acknowledgement swallows no event: it goes out when the bus is back."""
    bench = teller.bench
    bench.journal.away = {"publish", "notify_after"}
    assert [] == await teller.settled()
    await eventually(lambda: bench.store.acknowledged == {"o1"})
    assert 1 == len(bench.store.outbox)
    bench.journal.away = set()
    bench.clock.move(6)
    await bench.relay.run_once()
    assert (["payment.succeeded"], {}) == (bench.told(), bench.store.outbox)


async def test_calls_without_the_bus_are_bounded(teller: Teller) -> None:
    """What is too much is the reteller's."""
    bench = teller.bench
    bench.journal.away = {"notify_after"}
    teller.service.gate.clear()
    await teller.settled(*(f"{n}" for n in range(MOST_IN_HAND + 20)))
    await eventually(lambda: len(teller.service.called) == MOST_IN_HAND)
    teller.service.gate.set()
    await teller.notify.drain(5)
    assert MOST_IN_HAND == len(bench.store.acknowledged)


async def test_a_drain_ends_what_does_not_end_by_itself(teller: Teller) -> None:
    """A call that hangs holds up no shutdown."""
    teller.bench.journal.away = {"notify_after"}
    teller.service.gate.clear()
    await teller.settled()
    await eventually(lambda: teller.service.called)
    await teller.notify.drain(0)
    await eventually(lambda: not teller.notify._in_hand)
    assert set() == teller.bench.store.acknowledged


async def test_an_absent_store_keeps_a_late_call_in_hand(teller: Teller) -> None:
    """Unavailable reaches the consumer, and nobody is called blindly."""
    [due] = await teller.settled()
    teller.bench.clock.move(60)
    teller.bench.journal.away = {"unacknowledged"}
    with pytest.raises(Unavailable):
        await teller.notify.handle(due)
    assert [] == teller.service.called


async def test_an_absent_bus_leaves_a_refused_call_to_the_reteller(teller: Teller) -> None:
    """It is not repeated again and again meanwhile."""
    [due] = await teller.settled()
    teller.service.will_say(REFUSED)
    teller.bench.journal.away = {"notify_after"}
    assert DONE == await teller.notify.handle(due)
    assert 1 == len(teller.service.called)


async def test_a_call_about_another_payment_is_parked(teller: Teller) -> None:
    """A person looks at who put it there; the order service hears nothing of it."""
    [due] = await teller.settled()
    forged = replace(due, payment_id="p9")
    assert Park("not-the-winner") == await teller.notify.handle(forged)
    assert [] == teller.service.called


@pytest.mark.parametrize("attempt", [0, 2])
async def test_a_forged_message_makes_no_call_about_an_unpaid_order(
    teller: Teller, attempt: int
) -> None:
    """Nor about one that nobody knows: payonce signs what its database says, and no more."""
    await teller.bench.registered(registration("p1"))
    for order_id in ("o1", "o9"):
        assert DONE == await teller.notify.handle(NotifyDue(order_id, "p1", attempt))
    assert ([], set()) == (teller.service.called, teller.bench.store.acknowledged)


async def test_calls_are_counted_by_outcome(teller: Teller) -> None:
    """With their duration."""
    dues = await teller.settled("1", "2", "3", "4")
    teller.service.will_say(OK, REFUSED, FAILED, TIMEOUT)
    for due in dues:
        await teller.notify.handle(due)
    assert [OK, REFUSED, FAILED, TIMEOUT] == [
        outcome for outcome, _ in teller.bench.meter.of("order_notified")
    ]


async def test_how_it_was_acknowledged_stands_in_the_timeline(teller: Teller) -> None:
    """By call, so that a person can tell the two ways apart."""
    [due] = await teller.settled()
    await teller.notify.handle(due)
    assert {"by": "call"} == teller.bench.store.entries[-1].detail
