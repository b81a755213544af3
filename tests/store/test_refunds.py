"""What every keeper of refunds does."""

from dataclasses import replace
from functools import partial

import pytest

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.refunds import Refunds as PostgresRefunds
from payonce.domain.errors import Conflict
from payonce.domain.ids import refund_id
from payonce.domain.money import Money
from payonce.domain.people import approve, ask, resolve_payment, resolve_refund
from payonce.domain.refund import RefundStatus
from payonce.domain.refunding import ResolvedAs, note_look
from payonce.domain.report import Outcome, RefundOutcome, RefundReport
from payonce.domain.risk import Case, Verdict
from tests.handlers.fakes import FakeClock
from tests.store.fake import FakeStore
from tests.store.fake_refunds import FakeRefunds
from tests.store.making import NOW, Store, later, register, registration, settle, success, word
from tests.store.refund_books import ANN, POLICY, RF, Books, duplicated


@pytest.fixture
def postgres_books(database: Database, postgres_store: Store) -> Books:
    """Both on PostgreSQL."""
    return Books(postgres_store, PostgresRefunds(database, FakeClock()))


@pytest.fixture(params=["fake", "postgres"])
def books(request: pytest.FixtureRequest) -> Books:
    """Each in turn: what one does, the other does."""
    if request.param == "fake":
        fake = FakeStore()
        store = Store(fake, fake, fake, fake, fake, fake, fake)
        return Books(store, FakeRefunds(fake, FakeClock()))
    found = request.getfixturevalue("postgres_books")
    assert isinstance(found, Books)
    return found


async def test_a_refund_is_found_with_its_rows(books: Books) -> None:
    """Payment, order, winner, and what was captured."""
    await duplicated(books)
    case = await books.case()
    assert ("p2", "p1", "p1", Money(100, "CNY"), RefundStatus.REQUESTED) == (
        case.payment.payment_id,
        case.order.settled_by,
        case.winner and case.winner.payment_id,
        case.captured,
        case.refund.status,
    )
    assert await books.refunds.find("rf-none") is None


async def test_a_refund_that_is_sent_is_written_down_first(books: Books) -> None:
    """With its number and the time of the first sending."""
    await duplicated(books)
    effects = await books.send()
    assert Verdict.SEND is (effects and effects.verdict)
    refund = (await books.case()).refund
    assert (RefundStatus.SUBMITTED, 1, NOW) == (
        refund.status,
        refund.attempts,
        refund.submitted_at,
    )


async def test_a_final_word_ends_a_refund_and_is_told_once(books: Books) -> None:
    """The order's version counts the event."""
    await duplicated(books)
    await books.send()
    before = (await books.case()).order.version
    assert await books.end() is not None
    assert await books.end() is None
    case = await books.case()
    assert (RefundStatus.SUCCEEDED, before + 1) == (case.refund.status, case.order.version)
    rows = await books.store.outbox.claim_events(later(9), later(9), later(9), 10)
    told = [row for row in rows if row.type == "refund.succeeded"]
    assert [(before + 1, RF)] == [
        (row.data["order_version"], row.data["refund_id"]) for row in told
    ]


async def test_a_success_may_turn_into_a_failure(books: Books) -> None:
    """And no failure into a success: that is noted, for a person."""
    await duplicated(books)
    await books.send()
    await books.end()
    await books.end(RefundReport(RefundOutcome.FAILED, "account closed"))
    assert RefundStatus.FAILED is (await books.case()).refund.status
    noted = await books.end()
    assert "refund.contradicted" == (noted and noted.entries[0].kind)
    assert await books.end() is None
    refund = (await books.case()).refund
    assert (RefundStatus.FAILED, later(1)) == (refund.status, refund.contradicted_at)


async def test_a_held_refund_of_which_the_gateway_speaks_takes_every_step(books: Books) -> None:
    """Whatever was believed of it."""
    await duplicated(books)
    await books.send(policy=replace(POLICY, auto=False))
    assert RefundStatus.HELD is (await books.case()).refund.status
    await books.end()
    refund = (await books.case()).refund
    assert (RefundStatus.SUCCEEDED, 1) == (refund.status, refund.attempts)


async def test_what_a_judge_refuses_changes_nothing(books: Books) -> None:
    """The transaction ends with it."""
    await duplicated(books)
    before = await books.case()
    with pytest.raises(Conflict, match="not-held"):
        await books.refunds.change(RF, partial(approve, by=ANN, policy=POLICY, now=NOW))
    assert before == await books.case()


async def test_an_unknown_refund_is_none(books: Books) -> None:
    """Its judge is not called."""
    assert await books.refunds.change("rf-none", lambda _: pytest.fail("called")) is None
    assert await books.refunds.change_payment("p0", lambda _: pytest.fail("called")) is None


async def test_the_owner_of_a_reported_reference_is_known(books: Books) -> None:
    """So that one charge is not refunded for two payments."""
    await duplicated(books)
    seen: list[str | None] = []

    def look(case: Case) -> None:
        seen.append(case.ref_owner)

    for ref in ("g1", "g9", None):
        await books.refunds.change(RF, look, reported_ref=ref)
    assert ["p1", None, None] == seen


async def test_a_look_is_noted_once(books: Books) -> None:
    """An older one is history; the same answer again is no line of the timeline."""
    await duplicated(books)

    async def looked(answer: str, looks: int) -> int | None:
        note = partial(note_look, answer=answer, looks=looks, revive_at=later(500), now=NOW)
        effects = await books.refunds.change(RF, note)
        return len(effects.entries) if effects else None

    assert [1, 0, None, 1] == [
        await looked("unknown", 1),
        await looked("unknown", 2),
        await looked("pending", 2),
        await looked("pending", 3),
    ]
    refund = (await books.case()).refund
    assert (3, "pending") == (refund.looks, refund.last_answer)
    assert [] == await overdue(books, 499)
    assert [RF] == await overdue(books, 500)


async def overdue(books: Books, seconds: float, limit: int = 10) -> list[str]:
    """Return the refunds that show no life at a time."""
    at = later(seconds)
    found = await books.refunds.overdue(at, later(seconds + 60), limit, ["mock"])
    return [one.refund_id for one in found]


async def test_a_refund_whose_message_was_lost_is_overdue_after_a_minute(books: Books) -> None:
    """Once a minute, until it has gone on."""
    await duplicated(books)
    assert [[], [RF], [], [RF]] == [await overdue(books, n) for n in (59, 60, 119, 120)]
    await books.send()
    await books.end()
    assert [] == await overdue(books, 10**6)


async def test_what_is_overdue_comes_in_batches_through_known_gateways(books: Books) -> None:
    """A gateway that another process alone knows is left to that."""
    await duplicated(books, 5)
    assert [3, 2, 0] == [len(await overdue(books, 200, 3)) for _ in range(3)]
    assert [] == await books.refunds.overdue(later(10**6), later(10**6), 9, ["other"])


async def test_a_held_refund_is_not_overdue(books: Books) -> None:
    """It waits for a person; approved, it is so at once."""
    await duplicated(books)
    await books.send(policy=replace(POLICY, auto=False))
    assert [] == await overdue(books, 10**6)
    await books.refunds.change(RF, partial(approve, by=ANN, policy=POLICY, now=later(7)))
    assert [RF] == await overdue(books, 7)


async def test_counts_are_of_what_was_sent(books: Books) -> None:
    """Within the hour, and of the order, without the refund itself."""
    names = await duplicated(books, 3)
    await books.send(names[0])
    await books.send(names[1])
    seen: list[tuple[int, int, int]] = []

    def look(case: Case) -> None:
        counts = case.counts
        seen.append((counts.of_order, counts.in_hour, counts.of_gateway_in_hour))

    await books.refunds.change(names[2], look, counting=True)
    await books.refunds.change(names[0], look, counting=True)
    assert [(0, 2, 2), (0, 1, 1)] == seen


async def test_a_mismatched_payment_is_refunded_as_it_was_captured(books: Books) -> None:
    """It leaves its list, and its refund is HELD."""
    await register(books.store, registration("p2"))
    await settle(books.store, success("p2", 70, currency="USD"))
    judge = partial(resolve_payment, resolved_as=ResolvedAs.REFUND, word=ANN, now=NOW)
    await books.refunds.change_payment("p2", judge)
    case = await books.case()
    assert (RefundStatus.HELD, 70, "USD", "ann") == (
        case.refund.status,
        case.refund.amount,
        case.refund.currency,
        case.refund.requested_by,
    )
    backlog = await books.store.overview.backlog()
    assert (0, 1) == (backlog.mismatched, backlog.refunds_held)
    with pytest.raises(Conflict, match="resolved-already"):
        await books.refunds.change_payment("p2", judge)


async def test_a_resolved_payment_that_then_does_not_fit_is_listed_again(books: Books) -> None:
    """Late money works as before: it was another entry that a person ended."""
    await register(books.store, registration("p2"))
    await settle(books.store, word("p2", Outcome.UNKNOWN, ended=True))
    judge = partial(resolve_payment, resolved_as=ResolvedAs.KEPT, word=ANN, now=NOW)
    await books.refunds.change_payment("p2", judge)
    assert 0 == (await books.store.overview.backlog()).unresolved
    await settle(books.store, success("p2", 70))
    assert 1 == (await books.store.overview.backlog()).mismatched


async def test_a_refund_that_was_made_elsewhere_takes_the_table_s_steps(books: Books) -> None:
    """HELD, out of our hands, SUCCEEDED: nothing is sent any more."""
    await duplicated(books)
    await books.send(policy=replace(POLICY, auto=False))
    how = ResolvedAs.REFUNDED_ELSEWHERE
    await books.refunds.change(RF, partial(resolve_refund, resolved_as=how, word=ANN, now=NOW))
    refund = (await books.case()).refund
    assert (RefundStatus.SUCCEEDED, 0, "ann") == (
        refund.status,
        refund.attempts,
        refund.resolved_by,
    )


async def test_a_person_asks_once_more_after_a_failure(books: Books) -> None:
    """Under a new id; a live refund of the payment forbids another."""
    await duplicated(books)
    request = partial(ask, amount=None, word=ANN, now=NOW)
    with pytest.raises(Conflict, match="refund-exists"):
        await books.refunds.change_payment("p2", request)
    await books.send()
    await books.end(RefundReport(RefundOutcome.FAILED))
    effects = await books.refunds.change_payment("p2", request)
    assert refund_id("p2", 2) == (effects and effects.refund and effects.refund.refund_id)
