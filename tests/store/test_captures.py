"""What captures keep, in memory and on PostgreSQL; and the races, on PostgreSQL alone."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import pytest
from asyncpg import CheckViolationError

from payonce.adapters.postgres.captures import Captures as PostgresCaptures
from payonce.adapters.postgres.database import Database
from payonce.domain.capture import (
    CaptureDecision,
    CaptureState,
    Claimed,
    Forbidden,
    Undecided,
    decide_capture,
    decide_close,
)
from payonce.domain.decide import Verdict
from payonce.domain.report import GatewayReport, Outcome
from payonce.ports.captures import Captures, Ended
from tests.store.fake import FakeStore
from tests.store.fake_captures import FakeCaptures
from tests.store.making import (
    NOW,
    Store,
    later,
    register,
    registration,
    settle,
    store_on,
    success,
)

APPROVED = GatewayReport(Outcome.APPROVED, None, 100, "CNY")


@dataclass
class Books:
    """Captures and the store beside them."""

    captures: Captures
    store: Store

    async def approve(self, payment_id: str, at: datetime = NOW) -> CaptureDecision | None:
        """Decide about an approved payment."""
        judge = partial(decide_capture, report=APPROVED, now=at)
        return await self.captures.decide(payment_id, None, judge)

    async def close(self, payment_id: str, at: datetime = NOW) -> CaptureDecision | None:
        """Decide about closing."""
        return await self.captures.decide(payment_id, None, partial(decide_close, now=at))


@pytest.fixture(params=["fake", "postgres"])
def books(request: pytest.FixtureRequest) -> Books:
    """Each in turn: what one does, the other does."""
    if request.param == "fake":
        fake = FakeStore()
        store = Store(fake, fake, fake, fake, fake, fake, fake)
        return Books(FakeCaptures(fake), store)
    return real_books(request.getfixturevalue("database"))


def real_books(database: Database) -> Books:
    """Return the books on PostgreSQL."""
    return Books(PostgresCaptures(database), store_on(database))


async def test_unknown_payment_is_none(books: Books) -> None:
    """Nothing is decided about what is not registered."""
    assert None is await books.approve("p-none")
    assert None is await books.captures.ref_of("p-none")


async def test_a_claim_is_kept(books: Books) -> None:
    """Another process finds it in hand; later it goes on with it."""
    await register(books.store, registration(ref="5O1"))
    first = await books.approve("p1")
    assert isinstance(first, Claimed)
    assert (1, True) == (first.capture.attempt, first.is_first)
    assert Undecided("capture-in-hand") == await books.approve("p1", later(29))
    again = await books.approve("p1", later(30))
    assert isinstance(again, Claimed)
    assert (1, False) == (again.capture.attempt, again.is_first)
    assert Undecided("capture-claimed") == await books.close("p1", later(31))
    assert "5O1" == await books.captures.ref_of("p1")


async def test_a_refused_attempt_makes_room_for_the_next(books: Books) -> None:
    """One that was not sent is made again under the same number; an old word changes nothing."""
    await register(books.store, registration())
    await books.approve("p1")
    await books.captures.free(Ended("p1", 1, NOW, is_sent=False))
    unsent = await books.approve("p1", later(1))
    assert isinstance(unsent, Claimed)
    assert 1 == unsent.capture.attempt
    await books.captures.free(Ended("p1", 1, NOW, is_sent=True))
    second = await books.approve("p1", later(2))
    assert isinstance(second, Claimed)
    assert (2, True) == (second.capture.attempt, second.is_first)
    await books.captures.free(Ended("p1", 1, NOW, is_sent=True))
    assert Undecided("capture-in-hand") == await books.approve("p1", later(3))


async def test_who_did_not_send_frees_his_own_claim_alone(books: Books) -> None:
    """Another process went on with the attempt meanwhile, and may have sent it."""
    await register(books.store, registration())
    await books.approve("p1")
    await books.approve("p1", later(30))
    await books.captures.free(Ended("p1", 1, NOW, is_sent=False))
    assert Undecided("capture-in-hand") == await books.approve("p1", later(31))
    await books.captures.free(Ended("p1", 1, later(30), is_sent=False))
    again = await books.approve("p1", later(32))
    assert isinstance(again, Claimed)
    assert (1, True) == (again.capture.attempt, again.is_first)


async def test_a_claim_that_is_let_go_is_taken_up_at_once(books: Books) -> None:
    """Its attempt stays the same, since it may have taken effect."""
    await register(books.store, registration())
    await books.approve("p1")
    await books.captures.let_go("p1", 2, later(1))
    assert Undecided("capture-in-hand") == await books.approve("p1", later(1))
    await books.captures.let_go("p1", 1, later(1))
    again = await books.approve("p1", later(1))
    assert isinstance(again, Claimed)
    assert (1, False) == (again.capture.attempt, again.is_first)


async def test_a_closed_payment_is_never_claimed(books: Books) -> None:
    """Every process says the same, however late the approval comes."""
    await register(books.store, registration())
    closed = await books.close("p1")
    assert isinstance(closed, Forbidden)
    assert closed.is_new
    late = await books.approve("p1", later(86_400))
    assert isinstance(late, Forbidden)
    assert (CaptureState.FORBIDDEN, "closed", False) == (
        late.capture.state,
        late.capture.why,
        late.is_new,
    )


async def test_a_payment_of_a_paid_order_is_forbidden(books: Books) -> None:
    """The order was settled by a payment at another gateway."""
    await register(books.store, registration("p1"), registration("p2"))
    await settle(books.store, success("p2"))
    forbidden = await books.approve("p1")
    assert isinstance(forbidden, Forbidden)
    assert "order-paid" == forbidden.capture.why


async def test_an_order_that_is_paid_during_a_claim_leaves_the_claim(books: Books) -> None:
    """Its money is on its way: it comes as a duplicate, which goes back."""
    await register(books.store, registration("p1"), registration("p2"))
    await books.approve("p1")
    await settle(books.store, success("p2"))
    assert Undecided("capture-in-hand") == await books.approve("p1", later(1))
    [effects] = await settle(books.store, success("p1", ref="5O1"))
    assert effects is not None
    assert Verdict.DUPLICATED is effects.decision.verdict


async def test_two_payments_of_one_order_are_not_both_claimed(database: Database) -> None:
    """However many ask at once, and for whichever: one payment, one claim."""
    books = real_books(database)
    await register(books.store, *(registration(f"p{n}") for n in range(4)))
    asked = (books.approve(f"p{n % 4}") for n in range(24))
    decided = await asyncio.gather(*asked)
    claims = [one for one in decided if isinstance(one, Claimed)]
    assert 1 == len(claims)
    assert {"sibling-capture", "capture-in-hand"} == {
        one.reason for one in decided if isinstance(one, Undecided)
    }


async def test_a_claim_and_a_settlement_meet_in_one_order(database: Database) -> None:
    """Whoever comes first: a claim was made while the order was open, or is forbidden."""
    books = real_books(database)
    for n in range(20):
        payments = [f"a{n}", f"b{n}"]
        await register(books.store, *(registration(one, f"o{n}") for one in payments))
        claimed, [settled] = await asyncio.gather(
            books.approve(f"a{n}"), settle(books.store, success(f"b{n}"))
        )
        assert settled is not None
        assert isinstance(claimed, Claimed | Forbidden)
        after = await books.approve(f"a{n}", later(601))
        assert isinstance(after, Forbidden)


async def test_a_claim_and_a_close_never_both_hold(database: Database) -> None:
    """Either the close was first, and nothing is captured, or it is told to ask."""
    books = real_books(database)
    for n in range(20):
        await register(books.store, registration(f"p{n}", f"o{n}"))
        claimed, closed = await asyncio.gather(books.approve(f"p{n}"), books.close(f"p{n}"))
        kinds = {type(claimed), type(closed)}
        assert kinds in ({Claimed, Undecided}, {Forbidden})


async def test_the_database_lets_nobody_take_a_forbidding_back(database: Database) -> None:
    """Not even by hand."""
    books = real_books(database)
    await register(books.store, registration())
    await books.close("p1")
    with pytest.raises(CheckViolationError):
        await database.fetch("UPDATE captures SET state = 'FREE', why = '' WHERE true")


async def test_the_timeline_tells_of_claims_and_of_what_is_forbidden(database: Database) -> None:
    """With attempt and reason."""
    books = real_books(database)
    await register(books.store, registration("p1"), registration("p2"))
    await books.approve("p1")
    await books.close("p2")
    rows = await database.fetch(
        "SELECT payment_id, kind, detail::text FROM timeline WHERE order_id = 'o1'"
        " AND kind LIKE 'payment.captur%' ORDER BY entry_id"
    )
    assert [
        ("p1", "payment.capturing", '{"attempt": 1}'),
        ("p2", "payment.capture_forbidden", '{"why": "closed", "attempt": 0}'),
    ] == [tuple(one) for one in rows]
