"""What every inbox does, and what PostgreSQL's does with many at once."""

import asyncio
from dataclasses import dataclass, replace

import pytest

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.inbox import Inbox as PostgresInbox
from payonce.adapters.postgres.inbox import InboxDesk
from payonce.adapters.postgres.reader import Reader
from payonce.domain.errors import InvalidField
from payonce.domain.payment import PaymentStatus
from payonce.domain.report import Outcome
from payonce.ports.inbox import Finished, Inbox, KeptCallback, NewCallback, Processed, Which
from tests.store.fake import FakeStore
from tests.store.fake_inbox import FakeInbox
from tests.store.making import (
    NOW,
    Store,
    later,
    register,
    registration,
    settle,
    store_on,
    success,
    word,
)

NEW = NewCallback(
    gateway="mock",
    event_id="e1",
    received_at=NOW,
    headers={"webhook-id": "e1"},
    body=b'{"raw":"\xff\x00"}',
    payment_id="p1",
    problem=None,
    revive_at=later(15),
)
FAR = later(10**7)


@dataclass
class Shelf:
    """An inbox and the store beside it, and a way to read an order's timeline."""

    inbox: Inbox
    store: Store
    fake: FakeStore | None
    database: Database | None

    async def kinds(self, order_id: str = "o1") -> list[str]:
        """Return what the timeline tells of callbacks."""
        if self.fake is not None:
            kinds = [one.kind for one in self.fake.entries if one.order_id == order_id]
        else:
            assert self.database is not None
            order = await Reader(self.database).order(order_id)
            kinds = [one["kind"] for one in order["timeline"]] if order else []
        return [kind for kind in kinds if kind.startswith("callback.")]


@pytest.fixture(params=["fake", "postgres"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    """Each inbox in turn: what one does, the other does."""
    if request.param == "fake":
        fake = FakeStore()
        return Shelf(FakeInbox(fake), Store(fake, fake, fake, fake, fake, fake, fake), fake, None)
    database = request.getfixturevalue("database")
    return Shelf(PostgresInbox(database), store_on(database), None, database)


def kept(inbox_id: int, attempts: int = 1) -> KeptCallback:
    """Return what NEW is once it is kept."""
    return KeptCallback(inbox_id, "mock", "e1", NOW, NEW.headers, NEW.body, attempts)


async def test_a_callback_is_kept_once_by_gateway_and_event(shelf: Shelf) -> None:
    """In one call and in the next; another gateway's event of the same id is another."""
    other, later_one = replace(NEW, gateway="other"), replace(NEW, body=b"changed")
    first, twin, foreign = await shelf.inbox.keep([NEW, later_one, other])
    assert first is not None
    assert foreign not in {None, first}
    assert None is twin
    assert [None, None] == await shelf.inbox.keep([later_one, other])
    [found, _] = sorted(
        await shelf.inbox.claim(later(15), later(30), 10), key=lambda one: one.inbox_id
    )
    assert kept(first) == found


async def test_nobody_claims_what_is_in_hand(shelf: Shelf) -> None:
    """Who kept it works on it until its lease ends; so does who claimed it."""
    [inbox_id] = await shelf.inbox.keep([NEW])
    assert [] == await shelf.inbox.claim(later(14.9), later(30), 10)
    assert [kept(inbox_id or 0)] == await shelf.inbox.claim(later(15), later(30), 10)
    assert [] == await shelf.inbox.claim(later(29.9), later(60), 10)
    assert [kept(inbox_id or 0, 2)] == await shelf.inbox.claim(later(30), later(60), 10)


async def test_claims_are_bounded_and_the_longest_due_come_first(shelf: Shelf) -> None:
    """What is left comes in the next round."""
    await shelf.inbox.keep(
        [replace(NEW, event_id=f"e{n}", revive_at=later(n)) for n in (3, 1, 5, 2, 4)]
    )
    first = await shelf.inbox.claim(later(100), FAR, 3)
    second = await shelf.inbox.claim(later(100), FAR, 3)
    assert ["e1", "e2", "e3"] == sorted(one.event_id for one in first)
    assert ["e4", "e5"] == sorted(one.event_id for one in second)


async def test_what_was_processed_comes_no_more(shelf: Shelf) -> None:
    """Also not by a repeat, nor by a slow finisher's second word."""
    [inbox_id] = await shelf.inbox.keep([NEW])
    done = Finished(inbox_id or 0, later(1), Processed("settled", "p1"))
    assert [None] == await shelf.inbox.finish([done])
    await shelf.inbox.put_off(inbox_id or 0, "late", later(2))
    assert [None] == await shelf.inbox.keep([NEW])
    assert [] == await shelf.inbox.claim(FAR, FAR, 10)
    assert [] == await shelf.inbox.claim_of("p1", FAR, FAR)


async def test_nonsense_counts_as_processed(shelf: Shelf) -> None:
    """There is nothing to try again."""
    [inbox_id] = await shelf.inbox.keep([replace(NEW, payment_id=None, problem="data: ...")])
    assert inbox_id is not None
    assert [] == await shelf.inbox.claim(FAR, FAR, 10)


async def test_what_waits_comes_when_its_time_has_come(shelf: Shelf) -> None:
    """And is counted meanwhile."""
    [inbox_id] = await shelf.inbox.keep([NEW])
    await shelf.inbox.put_off(inbox_id or 0, "not-registered", later(100))
    assert [] == await shelf.inbox.claim(later(99), FAR, 10)
    backlog = await shelf.store.overview.backlog()
    assert (1, NOW) == (backlog.callbacks, backlog.callbacks_oldest_at)
    assert [kept(inbox_id or 0)] == await shelf.inbox.claim(later(100), FAR, 10)


async def test_what_was_given_up_waits_for_a_person(shelf: Shelf) -> None:
    """It is claimed by no sweep and not counted as waiting."""
    [inbox_id] = await shelf.inbox.keep([NEW])
    await shelf.inbox.put_off(inbox_id or 0, "not-registered", None)
    assert [] == await shelf.inbox.claim(FAR, FAR, 10)
    assert 0 == (await shelf.store.overview.backlog()).callbacks


@pytest.mark.parametrize("until", [later(100), None])
async def test_a_payment_s_own_are_taken_up_before_their_time(shelf: Shelf, until: object) -> None:
    """Those that wait or were given up; others' are left, and those in hand."""
    own, in_hand, others = await shelf.inbox.keep(
        [NEW, replace(NEW, event_id="e2"), replace(NEW, event_id="e3", payment_id="p2")]
    )
    for one in (own, others):
        await shelf.inbox.put_off(one or 0, "not-registered", later(100) if until else None)
    assert in_hand is not None
    assert [kept(own or 0)] == await shelf.inbox.claim_of("p1", later(1), later(16))
    assert [] == await shelf.inbox.claim_of("p1", later(1), later(16))
    taken = await shelf.inbox.claim_of("p1", later(16), FAR)
    assert {own, in_hand} == {one.inbox_id for one in taken}


async def test_registration_sees_what_waits_for_it(shelf: Shelf) -> None:
    """Until it was processed."""
    [inbox_id] = await shelf.inbox.keep([NEW])
    if shelf.fake is None:
        [registered] = await register(shelf.store, registration())
        assert registered.called_back
        await shelf.inbox.finish([Finished(inbox_id or 0, NOW, Processed("settled", "p1"))])
        [registered] = await register(shelf.store, registration())
        assert not registered.called_back


async def test_a_known_payment_s_timeline_tells_of_its_callback(shelf: Shelf) -> None:
    """At once that it came, then what became of it."""
    await register(shelf.store, registration())
    [inbox_id] = await shelf.inbox.keep([NEW])
    assert ["callback.received"] == await shelf.kinds()
    await shelf.inbox.keep([NEW])
    await shelf.inbox.finish([Finished(inbox_id or 0, later(1), Processed("settled", "p1"))])
    await shelf.inbox.finish([Finished(inbox_id or 0, later(2), Processed("settled", "p1"))])
    assert ["callback.received", "callback.processed"] == await shelf.kinds()


async def test_an_early_callback_is_told_of_once_its_payment_is_there(shelf: Shelf) -> None:
    """Both lines, when it is processed."""
    [inbox_id] = await shelf.inbox.keep([NEW])
    await register(shelf.store, registration())
    assert [] == await shelf.kinds()
    await shelf.inbox.finish([Finished(inbox_id or 0, later(1), Processed("settled", "p1"))])
    assert ["callback.received", "callback.processed"] == await shelf.kinds()


async def test_a_payment_is_found_as_it_stands(shelf: Shelf) -> None:
    """None where it is not registered."""
    await register(shelf.store, registration(ref="ref-1"))
    await settle(shelf.store, success(ref="ref-1"))
    found = await shelf.inbox.find_payment("p1")
    assert found is not None
    assert ("o1", PaymentStatus.SUCCEEDED, "ref-1") == (
        found.order_id,
        found.status,
        found.gateway_ref,
    )
    assert None is await shelf.inbox.find_payment("p0")


async def test_what_was_processed_long_ago_is_forgotten(shelf: Shelf) -> None:
    """In bounded bites, and nothing else."""
    ids = await shelf.inbox.keep([replace(NEW, event_id=f"e{n}") for n in range(5)])
    for at, inbox_id in enumerate(ids[:4]):
        outcome = Processed("settled", "p1")
        await shelf.inbox.finish([Finished(inbox_id or 0, later(at), outcome)])
    counts = [await shelf.inbox.forget(later(3), later(3), 2) for _ in range(3)]
    assert [2, 1, 0] == counts
    assert [None, None] == await shelf.inbox.keep(
        [replace(NEW, event_id="e3"), replace(NEW, event_id="e4")]
    )


async def test_what_nobody_cared_for_is_forgotten_in_the_end(shelf: Shelf) -> None:
    """What was given up and came long ago; what is tried still is kept, however old."""
    names = ("old-1", "old-2", "old-3", "young", "tried")
    news = [replace(NEW, event_id=name) for name in names]
    news[3] = replace(news[3], received_at=later(9))
    ids = await shelf.inbox.keep(news)
    for inbox_id in ids[:4]:
        await shelf.inbox.put_off(inbox_id or 0, "not-registered", None)
    counts = [await shelf.inbox.forget(NOW, later(9), 2) for _ in range(3)]
    assert [2, 1, 0] == counts
    assert [None, None] == await shelf.inbox.keep(news[3:])


async def test_a_watch_begins_anew(shelf: Shelf) -> None:
    """In a new epoch, from step 0, whatever is thought of the payment."""
    await register(shelf.store, registration("p1"), registration("p2", "o2"))
    await settle(shelf.store, word("p2", Outcome.FAILED))
    for payment_id, status in (("p1", PaymentStatus.PENDING), ("p2", PaymentStatus.FAILED)):
        watched = await shelf.store.watches.restart(payment_id, NOW, later(700))
        assert watched is not None
        assert (1, 0, status) == (watched.epoch, watched.step, watched.status)
    revived = await shelf.store.watches.revive(later(699), 10, lambda _: [])
    assert [] == revived


async def test_no_watch_begins_where_nothing_is_awaited(shelf: Shelf) -> None:
    """A success, a payment that waits for a person, an unknown one."""
    await register(shelf.store, registration("p1"), registration("p2", "o2"))
    await settle(shelf.store, success("p1"), success("p2", 99))
    for payment_id in ("p1", "p2", "p3"):
        assert None is await shelf.store.watches.restart(payment_id, NOW, later(700))


async def test_fifty_at_the_same_time_are_one(database: Database) -> None:
    """On connections of their own, each in a batch with others in another order."""
    inbox = PostgresInbox(database)
    twins = [NEW, replace(NEW, event_id="e2"), replace(NEW, event_id="e0")]
    calls = (inbox.keep(twins if n % 2 else twins[::-1]) for n in range(50))
    ids = [one for result in await asyncio.gather(*calls) for one in result if one is not None]
    assert 3 == len(ids) == len(set(ids))


async def test_one_due_callback_is_claimed_by_one(database: Database) -> None:
    """However many sweep at the same time."""
    inbox = PostgresInbox(database)
    await inbox.keep([NEW])
    claims = (inbox.claim(later(15), FAR, 10) for _ in range(20))
    assert 1 == sum(len(one) for one in await asyncio.gather(*claims))


async def test_lists_show_the_latest_first_in_pages(database: Database) -> None:
    """All, those that are unprocessed, those with a problem; a cursor goes on."""
    inbox, desk = PostgresInbox(database), InboxDesk(database)
    ids = await inbox.keep([replace(NEW, event_id=f"e{n}") for n in range(4)])
    await inbox.keep([replace(NEW, event_id="e9", payment_id=None, problem="nonsense")])
    await inbox.finish([Finished(ids[0] or 0, NOW, Processed("settled"))])
    await inbox.put_off(ids[1] or 0, "not-registered", later(5))
    first = await desk.list(limit=3)
    second = await desk.list(limit=3, cursor=first.cursor)
    assert ["e9", "e3", "e2"] == [one["event_id"] for one in first.items]
    assert (["e1", "e0"], None) == ([one["event_id"] for one in second.items], second.cursor)
    unprocessed = await desk.list(Which.UNPROCESSED)
    assert ["e3", "e2", "e1"] == [one["event_id"] for one in unprocessed.items]
    problems = await desk.list(Which.PROBLEMS)
    assert ["nonsense", "not-registered"] == [one["problem"] for one in problems.items]


@pytest.mark.parametrize("cursor", ["", "x", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5", "\u00e9"])
async def test_a_cursor_of_another_make_is_refused(database: Database, cursor: str) -> None:
    """It names the field."""
    with pytest.raises(InvalidField, match="cursor"):
        await InboxDesk(database).list(cursor=cursor)


async def test_replay_makes_due(database: Database) -> None:
    """By id whatever became of it; without ids whatever has a problem."""
    inbox, desk = PostgresInbox(database), InboxDesk(database)
    ids = [n or 0 for n in await inbox.keep([replace(NEW, event_id=f"e{n}") for n in range(3)])]
    await inbox.finish([Finished(ids[0], NOW, Processed("settled"))])
    await inbox.put_off(ids[1], "not-registered", None)
    assert {ids[0]} == await desk.replay([ids[0], 10**9], later(1))
    assert 1 == await desk.replay_waiting(later(1))
    due = await inbox.claim(later(1), FAR, 10)
    assert {ids[0], ids[1]} == {one.inbox_id for one in due}
