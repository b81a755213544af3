"""What every store of paid orders that nobody acknowledges does."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.rows import from_json
from payonce.domain.messages import OrderAcknowledged
from payonce.domain.watch import RETELL_AFTER
from payonce.ports.store import OutboxRow
from tests.store.making import NOW, Store, later, register, registration, settle, success

DUE = NOW + RETELL_AFTER


def again_at(time: datetime) -> Callable[[datetime], datetime]:
    """Return what makes every order due again at this time."""
    return lambda _settled_at: time


async def retold(
    store: Store, now: datetime, limit: int, next_at: Callable[[datetime], datetime]
) -> list[str]:
    """Return the orders that were told again."""
    return [event.order_id for event in await store.retelling.retell(now, limit, next_at)]


async def told(store: Store) -> list[OutboxRow]:
    """Return what the relay would publish, and forget it."""
    rows = await store.outbox.claim_events(later(10**6), later(10**6), later(10**6 + 1), 100)
    await store.outbox.delete_events([row.event_id for row in rows])
    return rows


async def test_what_was_told_is_told_again_in_the_same_words(store: Store) -> None:
    """Id, time, trace and data, though the order's version and its payment went on."""
    await register(store, registration("p1", ref="g1"), registration("p2"))
    await settle(store, success("p1", ref="g1"))
    [first] = await told(store)
    await settle(store, success("p2"))
    await told(store)
    assert [] == await retold(store, DUE - timedelta(seconds=1), 10, again_at(NOW))
    assert ["o1"] == await retold(store, DUE, 10, again_at(DUE + timedelta(minutes=10)))
    [again] = await told(store)
    assert first == again


async def test_it_is_due_again_when_the_ladder_says(store: Store) -> None:
    """Not before; `next_at` is given the time of settlement."""
    given = []
    await register(store, registration())
    await settle(store, success(at=later(3)))
    await told(store)

    def next_at(settled_at: datetime) -> datetime:
        given.append(settled_at)
        return later(1000)

    assert ["o1"] == await retold(store, later(300), 10, next_at)
    assert [] == await retold(store, later(999), 10, next_at)
    assert ["o1"] == await retold(store, later(1000), 10, next_at)
    assert [later(3)] * 2 == given
    assert 1 == len(await told(store))


async def test_an_event_that_was_never_told_is_not_doubled(store: Store) -> None:
    """It still waits in the outbox."""
    await register(store, registration())
    await settle(store, success())
    await store.retelling.retell(DUE, 10, again_at(later(1000)))
    assert 1 == len(await told(store))


async def test_an_acknowledged_order_is_never_told_again(store: Store) -> None:
    """Nor one that nobody paid."""
    await register(store, registration("p1"), registration("p2", "o2"))
    await settle(store, success())
    await told(store)
    await store.orders.acknowledge([OrderAcknowledged("o1", "p1")], later(500))
    assert [] == await retold(store, later(10**5), 10, again_at(NOW))
    assert [] == await told(store)


async def test_an_event_that_was_never_told_outlives_the_acknowledgement(store: Store) -> None:
    """Queues that are bound for it are owed it, and the relay knows that nobody else is."""
    await register(store, registration())
    await settle(store, success())
    await store.retelling.retell(DUE, 10, again_at(later(1000)))
    await store.orders.acknowledge([OrderAcknowledged("o1", "p1", "call")], later(500))
    [row] = await told(store)
    assert ("o1", True) == (row.order_id, row.acknowledged)


async def test_an_event_that_was_put_back_outlives_the_acknowledgement(store: Store) -> None:
    """A queue that was lost with its first telling is owed it; it goes out once, and no more."""
    await register(store, registration())
    await settle(store, success())
    await told(store)
    await store.retelling.retell(DUE, 10, again_at(later(1000)))
    await store.orders.acknowledge([OrderAcknowledged("o1", "p1", "call")], later(500))
    [row] = await told(store)
    assert ("o1", True) == (row.order_id, row.acknowledged)
    assert [] == await told(store)


async def test_the_events_come_as_they_were_first_told(store: Store) -> None:
    """So that a call can tell them without another question to the store."""
    await register(store, registration())
    await settle(store, success())
    [first] = await told(store)
    [again] = await store.retelling.retell(DUE, 10, again_at(later(1000)))
    assert (first.event_id, first.order_id, first.occurred_at, first.traceparent) == (
        again.event_id,
        again.order_id,
        again.occurred_at,
        again.traceparent,
    )
    assert (first.type, first.data) == (again.type, again.data)


async def test_what_is_still_to_be_told_is_known_in_one_question(store: Store) -> None:
    """Of paid orders that are not acknowledged, in the order of the question, repeats included."""
    numbers = range(4)
    await register(store, *(registration(f"p{n}", f"o{n}") for n in numbers))
    await settle(store, *(success(f"p{n}") for n in (1, 2, 3)))
    await store.orders.acknowledge([OrderAcknowledged("o2", "p2")], later(1))
    asked = ["o3", "o0", "o2", "o1", "o9", "o3"]
    found = await store.orders.unacknowledged(asked)
    assert ["o3", None, None, "o1", None, "o3"] == [event and event.order_id for event in found]
    retold_again = await store.retelling.retell(DUE, 10, again_at(later(1000)))
    assert {event.order_id: event for event in found if event} == {
        event.order_id: event for event in retold_again
    }


async def test_an_order_is_made_due_by_a_person(store: Store) -> None:
    """It is told again at once; what cannot be told says why."""
    numbers = range(3)
    await register(store, *(registration(f"p{n}", f"o{n}") for n in numbers))
    await settle(store, success("p1"), success("p2"))
    await store.orders.acknowledge([OrderAcknowledged("o2", "p2")], later(1))
    outcomes = [await store.retelling.make_due(f"o{n}", "ann", later(5)) for n in (1, 0, 2, 9)]
    assert ["due", "not-paid", "acknowledged", "unknown"] == outcomes
    assert ["o1"] == await retold(store, later(5), 10, again_at(later(1000)))


async def test_all_are_made_due_in_bounded_steps(store: Store) -> None:
    """Until none is left that was not due; those that wait for a payment never are."""
    numbers = range(6)
    await register(store, *(registration(f"p{n}", f"o{n}") for n in numbers))
    await settle(store, *(success(f"p{n}") for n in range(1, 6)))
    steps = [await store.retelling.make_all_due("ann", later(5), 2) for _ in range(4)]
    assert [2, 2, 1, 0] == steps
    assert 5 == len(await retold(store, later(5), 10, again_at(later(1000))))


async def test_a_wish_stands_in_the_timeline(postgres_store: Store, database: Database) -> None:
    """With the name of who wanted it; what payonce does by itself does not."""
    await register(postgres_store, registration())
    await settle(postgres_store, success())
    await postgres_store.retelling.make_due("o1", "ann", later(5))
    await postgres_store.retelling.make_all_due("bob", later(4), 10)
    await postgres_store.retelling.make_all_due(None, later(3), 10)
    await postgres_store.orders.acknowledge([OrderAcknowledged("o1", "p1", "call")], later(9))
    rows = await database.fetch(
        "SELECT kind, detail FROM timeline WHERE kind LIKE 'order.%' ORDER BY at DESC"
    )
    assert [
        ("order.acknowledged", {"by": "call"}),
        ("order.notify_asked", {"by": "ann"}),
        ("order.notify_asked", {"by": "bob"}),
    ] == [(row["kind"], from_json(row["detail"])) for row in rows]


async def test_a_batch_is_bounded_and_the_longest_due_come_first(store: Store) -> None:
    """The rest comes at the next turn."""
    numbers = (3, 1, 2)
    await register(store, *(registration(f"p{n}", f"o{n}") for n in numbers))
    await settle(store, *(success(f"p{n}", at=later(n)) for n in numbers))
    turns = [await retold(store, later(900), 2, again_at(later(999))) for _ in range(3)]
    assert [["o1", "o2"], ["o3"], []] == [sorted(one) for one in turns]


async def test_two_processes_share_the_work(postgres_store: Store) -> None:
    """Each order is told again by one of them."""
    names = [f"{n:03}" for n in range(40)]
    await register(postgres_store, *(registration(f"p{n}", f"o{n}") for n in names))
    await settle(postgres_store, *(success(f"p{n}") for n in names))
    turns = (retold(postgres_store, DUE, 10, again_at(later(10**5))) for _ in range(8))
    found = [order for batch in await asyncio.gather(*turns) for order in batch]
    rest = await retold(postgres_store, DUE, 100, again_at(later(10**5)))
    assert sorted(f"o{n}" for n in names) == sorted([*found, *rest])
