"""What every outbox does."""

from payonce.domain.events import EventType
from payonce.domain.ids import event_id
from tests.store.making import Store, later, register, registration, settle, success


async def paid(store: Store, count: int) -> list[str]:
    """Settle orders o1, o2, ... one second after another; return their event ids."""
    numbers = range(1, count + 1)
    await register(store, *(registration(f"p{n}", f"o{n}") for n in numbers))
    await settle(store, *(success(f"p{n}", at=later(n)) for n in numbers))
    return [event_id(EventType.PAYMENT_SUCCEEDED, f"o{n}") for n in numbers]


async def test_a_claimed_event_carries_what_was_committed(store: Store) -> None:
    """Data, time and trace survive the store."""
    [first] = await paid(store, 1)
    [row] = await store.outbox.claim_events(later(10), later(5), later(20), 10)
    assert (first, EventType.PAYMENT_SUCCEEDED, "o1", later(1), "trace-of-p1", 0) == (
        row.event_id,
        row.type,
        row.order_id,
        row.occurred_at,
        row.traceparent,
        row.attempts,
    )
    expected = {"payment_id": "p1", "order_id": "o1", "order_version": 1, "amount": 100}
    assert expected == {name: row.data[name] for name in expected}


async def test_young_events_are_left_to_who_committed_them(store: Store) -> None:
    """Only events before `older_than` are claimed, oldest first, up to the limit."""
    ids = await paid(store, 5)
    rows = await store.outbox.claim_events(later(10), later(4), later(20), 2)
    assert ids[:2] == [row.event_id for row in rows]
    rows = await store.outbox.claim_events(later(10), later(4), later(20), 2)
    assert ids[2:3] == [row.event_id for row in rows]


async def test_a_leased_event_is_claimed_again_after_its_lease(store: Store) -> None:
    """Attempts count the claims before."""
    [first] = await paid(store, 1)
    await store.outbox.claim_events(later(10), later(5), later(20), 10)
    assert [] == await store.outbox.claim_events(later(19), later(5), later(29), 10)
    [row] = await store.outbox.claim_events(later(20), later(5), later(30), 10)
    assert (first, 1) == (row.event_id, row.attempts)


async def test_an_event_that_found_no_listener_holds_up_no_other(store: Store) -> None:
    """After its lease it stands behind those that have waited longer for a turn."""
    ids = await paid(store, 3)
    assert ids[:1] == [
        row.event_id for row in await store.outbox.claim_events(later(9), later(9), later(10), 1)
    ]
    turns = [await store.outbox.claim_events(later(11), later(9), later(60), 1) for _ in range(3)]
    assert [*ids[1:], ids[0]] == [row.event_id for [row] in turns]


async def test_published_events_are_forgotten(store: Store) -> None:
    """Deleting what is gone already is fine."""
    ids = await paid(store, 3)
    assert [None] * 3 == await store.outbox.delete_events([*ids[:2], ids[0]])
    backlog = await store.overview.backlog()
    assert (1, later(3)) == (backlog.outbox_events, backlog.outbox_oldest_at)
    assert [None] == await store.outbox.delete_events([ids[0]])
