"""Refunds on PostgreSQL: many at once, and what people and metrics are shown."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial

import pytest

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.overview import Overview
from payonce.adapters.postgres.reader import Reader
from payonce.adapters.postgres.refunds import Refunds as PostgresRefunds
from payonce.domain.errors import Conflict
from payonce.domain.ids import refund_id
from payonce.domain.people import Word, approve, ask, resolve_refund
from payonce.domain.refunding import RefundEffects, ResolvedAs, consider
from payonce.domain.report import RefundOutcome, RefundReport
from payonce.domain.risk import Answers, GatewayPolicy, Policy, Verdict
from payonce.domain.times import format_time
from tests.handlers.fakes import FakeClock
from tests.store.making import NOW, Store, later, register, registration, settle, success
from tests.store.refund_books import (
    ANN,
    NO_REFUNDS,
    PAID,
    PAID_WINNER,
    POLICY,
    RF,
    Books,
    duplicated,
)


@pytest.fixture
def postgres_books(database: Database, postgres_store: Store) -> Books:
    """Both on PostgreSQL."""
    return Books(postgres_store, PostgresRefunds(database, FakeClock()))


async def at_once(work: Callable[[int], object], count: int) -> list[object]:
    """Return what many calls at the same time return or raise."""
    calls = [work(n) for n in range(count)]
    return await asyncio.gather(*calls, return_exceptions=True)  # type: ignore[call-overload, no-any-return]


async def test_twenty_workers_send_one_refund_once(postgres_books: Books) -> None:
    """All looked before anybody sent; one of them sends, nineteen leave it alone."""
    await duplicated(postgres_books)
    case = await postgres_books.case()
    answers = Answers(0, case.order.settled_by, PAID, PAID_WINNER)
    judge = partial(consider, answers=answers, policy=POLICY, now=NOW)
    change = postgres_books.refunds.change
    found = await at_once(lambda _: change(RF, judge, counting=True), 20)
    verdicts = [one.verdict for one in found if isinstance(one, RefundEffects)]
    assert (1, 19) == (verdicts.count(Verdict.SEND), verdicts.count(Verdict.IGNORE))
    assert 1 == (await postgres_books.case()).refund.attempts


@pytest.mark.parametrize(
    "policy",
    [
        replace(POLICY, max_per_hour=7),
        replace(POLICY, gateways={"mock": GatewayPolicy(max_per_hour=7)}),
    ],
)
async def test_caps_are_exact_under_concurrency(postgres_books: Books, policy: Policy) -> None:
    """Of thirty refunds of thirty orders at once seven leave, and twenty-three are held."""
    names = await duplicated(postgres_books, 30)
    found = await at_once(lambda n: postgres_books.send(names[n], policy), 30)
    verdicts = [one.verdict for one in found if isinstance(one, RefundEffects)]
    assert (7, 23) == (verdicts.count(Verdict.SEND), verdicts.count(Verdict.HOLD))


async def test_twenty_requests_at_once_make_one_refund(postgres_books: Books) -> None:
    """The others are refused by name."""
    await register(postgres_books.store, registration("p2"))
    await settle(postgres_books.store, success("p2", 70))
    request = partial(ask, amount=None, word=ANN, now=NOW)
    change = postgres_books.refunds.change_payment
    found = await at_once(lambda _: change("p2", request), 20)
    refused = [one.rule for one in found if isinstance(one, Conflict)]
    assert ["refund-exists"] * 19 == refused


async def test_two_approvals_at_once_are_one(postgres_books: Books) -> None:
    """The second finds that nothing is held any more."""
    await duplicated(postgres_books)
    await postgres_books.send(policy=replace(POLICY, auto=False))
    change = postgres_books.refunds.change
    found = await at_once(
        lambda n: change(RF, partial(approve, by=Word(f"op-{n}", "-"), policy=POLICY, now=NOW)), 10
    )
    assert ["not-held"] * 9 == [one.rule for one in found if isinstance(one, Conflict)]


async def test_refunds_are_listed_while_they_wait_for_a_person(
    postgres_books: Books, database: Database
) -> None:
    """A FAILED one until another was asked for."""
    reader = Reader(database)
    names = await duplicated(postgres_books, 3)
    await postgres_books.send(names[0], replace(POLICY, auto=False))
    await postgres_books.send(names[1], replace(POLICY, gateways={"mock": NO_REFUNDS}))
    await postgres_books.send(names[2])
    await postgres_books.end(RefundReport(RefundOutcome.FAILED), names[2])
    assert {"HELD", "MANUAL", "FAILED"} == {one["status"] for one in (await reader.refunds()).items}
    first = await reader.refunds(2)
    rest = await reader.refunds(2, first.cursor)
    assert (2, 1, None) == (len(first.items), len(rest.items), rest.cursor)
    request = partial(ask, amount=None, word=ANN, now=NOW)
    await postgres_books.refunds.change_payment("p6", request)
    waiting = sorted(one["status"] for one in (await reader.refunds()).items)
    assert ["HELD", "HELD", "MANUAL"] == waiting
    failed = (await reader.refunds(status="FAILED")).items
    assert [names[2]] == [one["refund_id"] for one in failed]


async def test_a_contradicted_refund_is_listed_until_a_person_ends_it(
    postgres_books: Books, database: Database
) -> None:
    """Also one that was taken care of already, or that another one followed."""
    reader, change = Reader(database), postgres_books.refunds.change
    await duplicated(postgres_books)
    await postgres_books.send()
    await postgres_books.end(RefundReport(RefundOutcome.FAILED))
    resolve = partial(resolve_refund, resolved_as=ResolvedAs.KEPT, word=ANN, now=NOW)
    await change(RF, resolve)
    await postgres_books.refunds.change_payment("p2", partial(ask, amount=None, word=ANN, now=NOW))
    second = refund_id("p2", 2)
    assert [second] == [one["refund_id"] for one in (await reader.refunds()).items]
    await postgres_books.end()
    listed = {one["refund_id"]: one["contradicted_at"] for one in (await reader.refunds()).items}
    assert {RF: format_time(later(1)), second: None} == listed
    await change(RF, resolve)
    assert [second] == [one["refund_id"] for one in (await reader.refunds()).items]


async def test_what_was_sent_lately_is_counted_for_the_metrics(
    postgres_books: Books, database: Database
) -> None:
    """By gateway and currency."""
    names = await duplicated(postgres_books, 2)
    assert 2 == (await Overview(database).backlog()).refunds_requested
    for name in names:
        await postgres_books.send(name)
    [sent] = await Overview(database).refunds_since(later(-1))
    assert ("mock", "CNY", 2, 200) == (sent.gateway, sent.currency, sent.sent, sent.amount)
    assert [] == await Overview(database).refunds_since(later(1))
    backlog = await Overview(database).backlog()
    assert (0, 2, NOW) == (
        backlog.refunds_requested,
        backlog.refunds_submitted,
        backlog.refunds_submitted_oldest_at,
    )
