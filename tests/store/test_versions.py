"""Every commit that changes an order tells so, with the version that the order has then."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial

import pytest

from payonce.adapters.postgres.applications import Applications
from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.refunds import Refunds
from payonce.adapters.postgres.states import States
from payonce.domain.application import Application, Applied, Policy
from payonce.domain.claim import Claim, Creation, claim, confirm
from payonce.domain.messages import OrderAcknowledged
from payonce.domain.order import Order
from payonce.domain.people import Word, resolve_payment
from payonce.domain.refunding import ResolvedAs
from payonce.domain.report import GatewayReport, Outcome
from payonce.ports.states import Known
from tests.handlers.fakes import FakeClock
from tests.store.making import (
    EXPIRES,
    NOW,
    Store,
    later,
    opened,
    register,
    registration,
    settle,
    store_on,
    success,
    word,
)
from tests.store.refund_books import RF, Books, duplicated


class Ear:
    """Keeps the latest version that it was told of each order."""

    def __init__(self) -> None:
        self.versions: dict[str, int] = {}

    def take(self, versions: Mapping[str, int]) -> None:
        """Note versions."""
        self.versions.update(versions)


class Bench:
    """A store whose changes are told to an ear."""

    def __init__(self, database: Database, ear: Ear) -> None:
        self.ear = ear
        self.store: Store = store_on(database)
        self.states = States(database)
        self.applications = Applications(database)
        self.books = Books(self.store, Refunds(database, FakeClock()))

    async def told_after(self, work: Awaitable[object], order_id: str = "o1") -> bool:
        """Do something; say whether it was told, once it is done, as it stands."""
        before = (await self.states.versions([order_id])).get(order_id, -1)
        self.ear.versions.clear()
        await work
        after = (await self.states.versions([order_id]))[order_id]
        return after > before and self.ear.versions.get(order_id) == after


@pytest.fixture
async def bench(dsn: str) -> AsyncIterator[Bench]:
    """A bench on PostgreSQL."""
    ear = Ear()
    async with opened(Database(dsn, on_change=ear.take)) as database:
        yield Bench(database, ear)


async def test_a_new_order_is_told_to_nobody(bench: Bench) -> None:
    """Nobody can listen to it yet; a further payment of it is told."""
    assert not await bench.told_after(register(bench.store, registration("p1")))
    assert {} == bench.ear.versions
    assert await bench.told_after(register(bench.store, registration("p2")))


async def test_registrations_are_told(bench: Bench) -> None:
    """Also what a repeat fills in, and what is superseded; a repeat with nothing new is not."""
    await register(bench.store, registration("p1"))
    more = registration("p1", ref="g1")
    assert await bench.told_after(register(bench.store, more))
    assert not await bench.told_after(register(bench.store, more))
    newer = [registration("p2", initiated_at=later(1))]
    assert await bench.told_after(bench.store.registrar.register(newer, supersede=True))
    await bench.store.orders.cancel("o2", NOW)
    assert await bench.told_after(register(bench.store, registration("p3", "o2")), "o2")


async def test_what_the_gateway_says_is_told(bench: Bench) -> None:
    """Each verdict; what changes nothing is not told."""
    await register(bench.store, *(registration(f"p{n}") for n in range(1, 5)))
    for hearing in (
        word("p1", Outcome.UNKNOWN, ended=True),
        word("p2", Outcome.FAILED),
        success("p3"),
        success("p2"),
        success("p4", 99),
    ):
        assert await bench.told_after(settle(bench.store, hearing))
    assert not await bench.told_after(settle(bench.store, success("p3")))
    assert {} == bench.ear.versions


async def test_what_the_shop_says_is_told(bench: Bench) -> None:
    """Once, however often it is said."""
    await register(bench.store, registration("p1"), registration("p2", "o2"))
    await settle(bench.store, success("p1"))
    booked = [OrderAcknowledged("o1", "p1"), OrderAcknowledged("o2", "p2")]
    assert await bench.told_after(bench.store.orders.acknowledge(booked, NOW))
    assert {"o1"} == bench.ear.versions.keys()
    assert not await bench.told_after(bench.store.orders.acknowledge(booked, NOW))
    assert await bench.told_after(bench.store.orders.cancel("o2", NOW), "o2")
    assert not await bench.told_after(bench.store.orders.cancel("o2", NOW), "o2")


async def test_a_close_that_was_refused_is_told(bench: Bench) -> None:
    """The payment is offered to the shopper again."""
    await register(bench.store, registration("p1"))
    await bench.store.orders.cancel("o1", NOW)
    assert await bench.told_after(bench.store.watches.end_closing("p1", NOW))
    assert not await bench.told_after(bench.store.watches.end_closing("p1", NOW))


async def test_an_application_is_told_at_its_claim_and_at_its_links(bench: Bench) -> None:
    """The page waits for the second one."""
    wanted = Application("p1", "o1", "mock", 100, "CNY", EXPIRES, NOW)

    def judge(order: Order | None, known: Sequence[Applied], _count: int) -> Claim:
        return claim(wanted, order, known, Policy.CANCEL, NOW)

    revive_at = NOW + timedelta(minutes=1)
    assert await bench.told_after(bench.applications.claim(wanted, revive_at, judge))
    created = Creation(NOW, 1, 1, GatewayReport(Outcome.PENDING, "g1"), qr="https://pay")
    linked = partial(confirm, creation=created)
    assert await bench.told_after(bench.applications.confirm("p1", "g1", linked))


async def test_each_step_of_a_refund_is_told(bench: Bench) -> None:
    """Sent, which has no event, and ended."""
    await duplicated(bench.books)
    steps: list[Callable[[], Awaitable[object]]] = [bench.books.send, bench.books.end]
    for step in steps:
        assert await bench.told_after(step())
    assert RF == (await bench.books.case()).refund.refund_id


async def test_a_persons_word_is_told(bench: Bench) -> None:
    """It ends an entry of a list."""
    await register(bench.store, registration("p1"))
    await settle(bench.store, success("p1", 99))
    judge = partial(
        resolve_payment, resolved_as=ResolvedAs.KEPT, word=Word("ann", "a gift"), now=NOW
    )
    assert await bench.told_after(bench.books.refunds.change_payment("p1", judge))


async def test_of_very_many_payments_the_newest_are_shown_and_the_winner(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By time, as ever."""
    monkeypatch.setattr("payonce.adapters.postgres.states.MOST_SHOWN", 4)
    await register(bench.store, registration("winner"))
    await settle(bench.store, success("winner"))
    many = [
        registration(f"p{n}", initiated_at=later(n + 1), expires_at=later(n + 900))
        for n in range(6)
    ]
    await register(bench.store, *many)
    [state] = await bench.states.read([Known("o1")])
    assert state is not None
    assert state.view is not None
    shown = [one["payment_id"] for one in state.view["payments"]]
    assert ["winner", "p3", "p4", "p5"] == shown
