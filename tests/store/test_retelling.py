"""What every store of paid orders that nobody acknowledges does."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

from payonce.domain.messages import OrderAcknowledged
from payonce.domain.watch import RETELL_AFTER
from payonce.ports.store import OutboxRow
from tests.store.making import NOW, Store, later, register, registration, settle, success

DUE = NOW + RETELL_AFTER


def again_at(time: datetime) -> Callable[[datetime], datetime]:
    """Return what makes every order due again at this time."""
    return lambda _settled_at: time


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
    assert [] == await store.retelling.retell(DUE - timedelta(seconds=1), 10, again_at(NOW))
    assert ["o1"] == await store.retelling.retell(DUE, 10, again_at(DUE + timedelta(minutes=10)))
    assert [first] == await told(store)


async def test_it_is_due_again_when_the_ladder_says(store: Store) -> None:
    """Not before; `next_at` is given the time of settlement."""
    given = []
    await register(store, registration())
    await settle(store, success(at=later(3)))
    await told(store)

    def next_at(settled_at: datetime) -> datetime:
        given.append(settled_at)
        return later(1000)

    assert ["o1"] == await store.retelling.retell(later(300), 10, next_at)
    assert [] == await store.retelling.retell(later(999), 10, next_at)
    assert ["o1"] == await store.retelling.retell(later(1000), 10, next_at)
    assert [later(3)] * 2 == given
    assert 1 == len(await told(store))


async def test_an_event_that_was_never_told_is_not_doubled(store: Store) -> None:
    """It still waits in the outbox."""
    await register(store, registration())
    await settle(store, success())
    await store.retelling.retell(DUE, 10, again_at(later(1000)))
    assert 1 == len(await told(store))


async def test_an_acknowledged_order_is_never_told_again(store: Store) -> None:
    """Nor one that nobody paid; and what waited for the relay is taken back."""
    await register(store, registration("p1"), registration("p2", "o2"))
    await settle(store, success())
    await told(store)
    await store.retelling.retell(DUE, 10, again_at(later(1000)))
    await store.orders.acknowledge([OrderAcknowledged("o1", "p1")], later(500))
    assert [] == await told(store)
    assert [] == await store.retelling.retell(later(10**5), 10, again_at(NOW))
    assert [] == await told(store)


async def test_a_batch_is_bounded_and_the_longest_due_come_first(store: Store) -> None:
    """The rest comes at the next turn."""
    numbers = (3, 1, 2)
    await register(store, *(registration(f"p{n}", f"o{n}") for n in numbers))
    await settle(store, *(success(f"p{n}", at=later(n)) for n in numbers))
    turns = [await store.retelling.retell(later(900), 2, again_at(later(999))) for _ in range(3)]
    assert [["o1", "o2"], ["o3"], []] == [sorted(one) for one in turns]


async def test_two_processes_share_the_work(postgres_store: Store) -> None:
    """Each order is told again by one of them."""
    names = [f"{n:03}" for n in range(40)]
    await register(postgres_store, *(registration(f"p{n}", f"o{n}") for n in names))
    await settle(postgres_store, *(success(f"p{n}") for n in names))
    turns = (postgres_store.retelling.retell(DUE, 10, again_at(later(10**5))) for _ in range(8))
    found = [order for batch in await asyncio.gather(*turns) for order in batch]
    rest = await postgres_store.retelling.retell(DUE, 100, again_at(later(10**5)))
    assert sorted(f"o{n}" for n in names) == sorted([*found, *rest])
