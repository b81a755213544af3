"""`order.acknowledged`: counts for the payment that settled the order, and for no other."""

import asyncio

import pytest

from payonce.domain.errors import InvalidField, Unavailable
from payonce.ports.bus import DONE, Park
from tests.handlers.bench import Bench
from tests.store.making import registration, success


async def settled(bench: Bench) -> None:
    """Settle o1 by p1 while nobody listens; p2 is its duplicate."""
    bench.bus.stop_listening()
    await bench.registered(registration("p1"), registration("p2"))
    await bench.heard(success("p1"))
    await bench.heard(success("p2"))
    bench.journal.calls.clear()


async def test_the_acknowledgement_of_the_winner_counts(bench: Bench) -> None:
    """The order is acknowledged, and its event waits for no listener any more."""
    await settled(bench)
    message = {"order_id": "o1", "payment_id": "p1"}
    assert DONE == await bench.acknowledge.handle(message, None)
    assert {"o1"} == bench.store.acknowledged
    bench.clock.move(6)
    await bench.relay.run_once()
    assert ({}, []) == (bench.store.outbox, bench.told())


async def test_an_acknowledgement_swallows_no_event_of_a_bound_queue(bench: Bench) -> None:
    """The order service heard by another way, while the broker was away."""
    await bench.registered()
    bench.journal.away = {"publish"}
    await bench.heard(success())
    bench.journal.away = set()
    await bench.acknowledge.handle({"order_id": "o1", "payment_id": "p1"}, None)
    bench.clock.move(6)
    await bench.relay.run_once()
    assert (["payment.succeeded"], {}) == (bench.told(), bench.store.outbox)


async def test_a_repeat_changes_nothing(bench: Bench) -> None:
    """Acknowledged is acknowledged, also twice in one transaction."""
    await settled(bench)
    message = {"order_id": "o1", "payment_id": "p1"}
    fates = await asyncio.gather(*(bench.acknowledge.handle(message, None) for _ in range(3)))
    assert [DONE] * 3 == fates
    version = bench.store.orders["o1"].version
    assert DONE == await bench.acknowledge.handle(message, None)
    assert version == bench.store.orders["o1"].version


@pytest.mark.parametrize(
    ("order_id", "payment_id", "reason"),
    [
        ("o1", "p2", "not-the-winner"),
        ("o1", "p9", "not-the-winner"),
        ("o9", "p1", "unknown-order"),
    ],
)
async def test_any_other_acknowledgement_is_parked(
    bench: Bench, order_id: str, payment_id: str, reason: str
) -> None:
    """A person looks at an order service that booked the wrong payment."""
    await settled(bench)
    fate = await bench.acknowledge.handle({"order_id": order_id, "payment_id": payment_id}, None)
    assert Park(reason) == fate
    assert (set(), 1) == (bench.store.acknowledged, len(bench.store.outbox))


async def test_acknowledgements_that_come_together_are_noted_together(bench: Bench) -> None:
    """One transaction; each message gets its own fate."""
    await settled(bench)
    fates = await asyncio.gather(
        *(
            bench.acknowledge.handle({"order_id": "o1", "payment_id": one}, None)
            for one in ("p2", "p1")
        )
    )
    assert [Park("not-the-winner"), DONE] == fates
    assert ["acknowledge"] == bench.journal.calls


async def test_an_absent_store_keeps_the_message_in_hand(bench: Bench) -> None:
    """Unavailable reaches the consumer."""
    bench.journal.away = {"acknowledge"}
    with pytest.raises(Unavailable):
        await bench.acknowledge.handle({"order_id": "o1", "payment_id": "p1"}, None)


@pytest.mark.parametrize("missing", ["order_id", "payment_id"])
async def test_both_ids_are_needed(bench: Bench, missing: str) -> None:
    """The error that the consumer parks with names the field."""
    message = {"order_id": "o1", "payment_id": "p1"}
    del message[missing]
    with pytest.raises(InvalidField, match=missing):
        await bench.acknowledge.handle(message, None)
