"""Many at once on PostgreSQL: the promises hold whatever the order of events."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import asyncpg
import pytest
from asyncpg.connection import LoggedQuery

from payonce.adapters.postgres import ledger, registrar
from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.ledger import Ledger
from payonce.adapters.postgres.registrar import Registrar
from payonce.domain.decide import Verdict
from payonce.domain.errors import Unavailable
from payonce.domain.messages import OrderAcknowledged
from payonce.domain.payment import Payment
from payonce.domain.report import Outcome
from payonce.ports.store import RegisterOutcome, Revival, StepDone
from tests.store.making import (
    Store,
    facts,
    later,
    opened,
    register,
    registration,
    settle,
    store_on,
    success,
    word,
)
from tests.support.waiting import eventually

Result = TypeVar("Result")

OURS = {*ledger.SQL.values(), *registrar.SQL.values()}


async def test_fifty_registrations_of_one_order_at_once(
    database: Database, postgres_store: Store
) -> None:
    """One of them fixes the price, and all of them know it."""
    wanted = [registration(f"p{n}", amount=100 + n) for n in range(50)]
    results = await asyncio.gather(*(register(postgres_store, one) for one in wanted))
    assert {RegisterOutcome.NEW} == {one.outcome for [one] in results}
    prices = {one.order.amount for [one] in results}
    [row] = await database.fetch("SELECT amount FROM orders")
    assert {row["amount"]} == prices


async def test_fifty_registrations_of_one_payment_at_once(postgres_store: Store) -> None:
    """One is NEW, the others are the SAME."""
    results = await asyncio.gather(*(register(postgres_store, registration()) for _ in range(50)))
    outcomes = [one.outcome for [one] in results]
    assert (1, 49) == (
        outcomes.count(RegisterOutcome.NEW),
        outcomes.count(RegisterOutcome.SAME),
    )


async def test_one_gateway_ref_wanted_for_many_orders_at_once(postgres_store: Store) -> None:
    """One gets it, for the others it is taken, and every other payment is registered."""
    calls = [
        register(
            postgres_store, registration(f"a{n}", f"x{n}"), registration(f"b{n}", f"y{n}", ref="g")
        )
        for n in range(20)
    ]
    results = await asyncio.gather(*calls)
    assert {RegisterOutcome.NEW} == {first.outcome for first, _ in results}
    outcomes = [second.outcome for _, second in results]
    assert (1, 19) == (
        outcomes.count(RegisterOutcome.NEW),
        outcomes.count(RegisterOutcome.REF_TAKEN),
    )


async def test_one_payment_id_wanted_for_many_orders_at_once(postgres_store: Store) -> None:
    """One order gets it, for the others it is a conflict, and they have no price."""
    wanted = [registration("p", f"o{n}", 100 + n) for n in range(20)]
    results = await asyncio.gather(*(register(postgres_store, one) for one in wanted))
    outcomes = [one.outcome for [one] in results]
    assert (1, 19) == (
        outcomes.count(RegisterOutcome.NEW),
        outcomes.count(RegisterOutcome.CONFLICT),
    )
    assert 1 == len([one for [one] in results if one.order.amount])


async def test_fifty_settlements_of_two_payments_of_an_order(
    database: Database, postgres_store: Store
) -> None:
    """Exactly one wins, the other is a duplicate, and everything else is ignored."""
    await register(postgres_store, registration("p1"), registration("p2"))
    hearings = [success(f"p{1 + n % 2}") for n in range(50)]
    judged = await asyncio.gather(*(settle(postgres_store, one) for one in hearings))
    verdicts = [one.decision.verdict for [one] in judged if one]
    assert (1, 1, 48) == (
        verdicts.count(Verdict.SETTLED),
        verdicts.count(Verdict.DUPLICATED),
        verdicts.count(Verdict.IGNORED),
    )
    events = await database.fetch("SELECT type FROM outbox ORDER BY type")
    assert ["payment.duplicated", "payment.succeeded"] == [e["type"] for e in events]


async def test_one_reported_ref_at_once(postgres_store: Store) -> None:
    """A ref that another transaction takes in between is a mismatch, not an error."""
    await register(postgres_store, *(registration(f"p{n}", f"o{n}") for n in range(20)))
    judged = await asyncio.gather(
        *(settle(postgres_store, success(f"p{n}", ref="g")) for n in range(20))
    )
    verdicts = [one.decision.verdict for [one] in judged if one]
    assert (1, 19) == (verdicts.count(Verdict.SETTLED), verdicts.count(Verdict.MISMATCHED))


async def test_random_batches_do_not_block_each_other(own_database: Database) -> None:
    """Registering, settling, recording, reviving, cancelling and acknowledging, all at once."""
    store = store_on(own_database)
    chance = random.Random(7)
    tasks = [step for _ in range(60) for step in _random_work(store, chance)]
    chance.shuffle(tasks)
    await asyncio.gather(*(_run(work) for work in tasks))
    await settle(store, *(success(f"p{n}") for n in range(60)))
    [row] = await own_database.fetch(
        "SELECT count(*) FILTER (WHERE deadlocks > 0) AS n FROM pg_stat_database"
        " WHERE datname = current_database()"
    )
    assert 0 == row["n"]
    unpaid = await own_database.fetch(
        "SELECT order_id FROM orders o WHERE status = 'PAID' AND 1 <> (SELECT count(*)"
        " FROM payments p WHERE p.order_id = o.order_id AND p.payment_id = o.settled_by"
        " AND status = 'SUCCEEDED' AND NOT duplicate)"
    )
    assert [] == unpaid
    lost = await own_database.fetch(
        "SELECT payment_id FROM payments p WHERE status = 'SUCCEEDED'"
        " AND NOT EXISTS (SELECT FROM orders o WHERE o.settled_by = p.payment_id)"
        " AND NOT EXISTS (SELECT FROM refunds r WHERE r.payment_id = p.payment_id)"
    )
    assert [] == lost


def _random_work(store: Store, chance: random.Random) -> list[Callable[[], Awaitable[object]]]:
    numbers = chance.sample(range(60), 12)
    payments = [f"p{n}" for n in numbers]
    order = f"o{numbers[0] // 3}"
    words = [
        success(one) if chance.random() < 0.5 else word(one, Outcome.CLOSED) for one in payments
    ]
    steps = [StepDone(one, 0, chance.randrange(4, 9), later(1)) for one in payments]
    acknowledged = [OrderAcknowledged(f"o{n // 3}", f"p{n}") for n in numbers]
    wanted = [registration(f"p{n}", f"o{n // 3}") for n in numbers]
    return [
        lambda: register(store, *wanted),
        lambda: settle(store, *words),
        lambda: store.watches.record_steps(steps),
        lambda: store.watches.revive(later(5), 20, _again),
        lambda: store.orders.acknowledge(acknowledged, later(1)),
        lambda: store.orders.cancel(order, later(1)),
        lambda: _claim_and_delete(store),
    ]


def _again(payments: Sequence[Payment]) -> list[Revival]:
    return [Revival(one.payment_id, one.epoch + 1, later(1)) for one in payments]


async def _run(work: Callable[[], Awaitable[object]]) -> None:
    await work()


async def _claim_and_delete(store: Store) -> None:
    rows = await store.outbox.claim_events(later(9), later(9), later(9), 20)
    await store.outbox.delete_events([row.event_id for row in rows])


async def test_two_sweepers_do_not_revive_the_same_payment(postgres_store: Store) -> None:
    """Rows that another has locked are skipped."""
    await register(
        postgres_store,
        *(registration(f"p{n}", f"o{n}", revive_at=later(0)) for n in range(40)),
    )

    def plan(payments: Sequence[Payment]) -> list[Revival]:
        return [Revival(one.payment_id, one.epoch + 1, None) for one in payments]

    rounds = [postgres_store.watches.revive(later(1), 10, plan) for _ in range(8)]
    found = [one.payment_id for some in await asyncio.gather(*rounds) for one in some]
    assert 40 == len(found) == len(set(found))


async def test_two_relays_do_not_claim_the_same_event(postgres_store: Store) -> None:
    """Until the lease is over."""
    await register(postgres_store, *(registration(f"p{n}", f"o{n}") for n in range(40)))
    await settle(postgres_store, *(success(f"p{n}") for n in range(40)))
    claims = [
        postgres_store.outbox.claim_events(later(9), later(9), later(60), 10) for _ in range(8)
    ]
    found = [row.event_id for rows in await asyncio.gather(*claims) for row in rows]
    assert 40 == len(found) == len(set(found))


async def test_a_cancellation_waits_for_a_registration_and_sees_it(
    database: Database, postgres_store: Store, dsn: str
) -> None:
    """The payment that was being registered meanwhile is closed too."""
    await register(postgres_store, registration("p1"))
    other = await asyncpg.connect(dsn)
    async with other.transaction():
        await other.execute("UPDATE orders SET version = version + 1 WHERE order_id = 'o1'")
        await other.execute(
            "INSERT INTO payments SELECT 'p2', order_id, gateway, amount, currency, status,"
            " duplicate, unresolved, mismatched, 'g2', initiated_at, expires_at, expires_given"
            " FROM payments"
        )
        cancelling = asyncio.ensure_future(postgres_store.orders.cancel("o1", later(0)))
        await eventually(lambda: _is_waiting(other))
    assert ["p1", "p2"] == [one.payment_id for one in await cancelling]
    await other.close()


async def _is_waiting(connection: "asyncpg.Connection[asyncpg.Record]") -> bool:
    return bool(await connection.fetchval("SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted)"))


async def test_a_decision_sees_what_was_committed_while_it_waited(
    postgres_store: Store, dsn: str
) -> None:
    """Both rows are read again once the lock is held."""
    await register(postgres_store, registration("p1"), registration("p2"))
    other = await asyncpg.connect(dsn)
    async with other.transaction():
        await other.execute("SELECT FROM orders FOR UPDATE")
        await other.execute("UPDATE payments SET status = 'SUCCEEDED' WHERE payment_id = 'p1'")
        await other.execute(
            "UPDATE orders SET status='PAID', settled_by='p1', settled_at=now(),"
            " version = version + 1"
        )
        settling = asyncio.ensure_future(settle(postgres_store, success("p1"), success("p2")))
        await eventually(lambda: _is_waiting(other))
    judged = await settling
    assert [Verdict.IGNORED, Verdict.DUPLICATED] == [one and one.decision.verdict for one in judged]
    await other.close()


class Crashing(Database):
    """Loses its connection at the given statement of a transaction."""

    crash_before = 0

    async def transact(
        self, work: Callable[[Connection], Awaitable[Result]], *, snapshot: bool = False
    ) -> Result:
        """Run `work` and cut the connection when it comes to the statement, or to the commit."""

        async def cut(connection: Connection) -> Result:
            if self.crash_before == 1:
                await _cut(connection)
            result = await work(connection)
            if self.crash_before == 2:
                await _cut(connection)
            return result

        return await super().transact(cut, snapshot=snapshot)


async def _cut(connection: Connection) -> None:
    await connection.execute("SELECT pg_terminate_backend(pg_backend_pid())")


@pytest.mark.parametrize("crash_before", [1, 2])
async def test_a_crash_in_between_leaves_all_or_nothing(
    dsn: str, postgres_store: Store, crash_before: int
) -> None:
    """Neither a payment without its order's price nor a winner without its event."""
    async with opened(Crashing(dsn)) as crashing:
        crashing.crash_before = crash_before
        with pytest.raises(Unavailable):
            await Registrar(crashing).register([registration()])
        assert {} == await facts(postgres_store, "p1")
        await register(postgres_store, registration())
        with pytest.raises(Unavailable):
            await settle(replace(postgres_store, ledger=Ledger(crashing)), success())
    assert (await facts(postgres_store, "p1"))["p1"].order.settled_by is None
    assert 0 == (await postgres_store.overview.backlog()).outbox_events
    [effects] = await settle(postgres_store, success())
    assert Verdict.SETTLED is (effects and effects.decision.verdict)


class Counting(Database):
    """Counts our statements in its transactions; asyncpg asks about types on its own."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self.statements = 0

    async def transact(
        self, work: Callable[[Connection], Awaitable[Result]], *, snapshot: bool = False
    ) -> Result:
        """Run `work` with an ear at its connection."""

        async def listened(connection: Connection) -> Result:
            def count(record: LoggedQuery) -> None:
                self.statements += record.query in OURS

            with connection.query_logger(count):
                return await work(connection)

        return await super().transact(listened, snapshot=snapshot)


async def test_many_payments_cost_two_statements(dsn: str, postgres_store: Store) -> None:
    """Registering takes two, repeats and second payments included; settling two; nothing none."""
    wanted = [registration(f"p{n}", f"o{n // 2}") for n in range(100)]
    async with opened(Counting(dsn)) as counting:
        for _ in range(2):
            counting.statements = 0
            await Registrar(counting).register(wanted)
            assert 2 == counting.statements
        store = replace(postgres_store, ledger=Ledger(counting))
        for expected in (2, 1):
            counting.statements = 0
            await settle(store, *(success(f"p{n}") for n in range(100)))
            assert expected == counting.statements


async def test_a_ref_that_stays_taken_holds_up_nobody_else(own_database: Database) -> None:
    """Where one write is refused again and again, the others of its call are written."""
    store = store_on(own_database)
    await register(
        store,
        registration("p1", "o1", ref="g1"),
        registration("p2", "o2"),
        registration("p3", "o3"),
    )
    await own_database.fetch(
        "CREATE FUNCTION spoil() RETURNS trigger LANGUAGE plpgsql AS"
        " $$ BEGIN NEW.gateway_ref := 'g1'; RETURN NEW; END $$"
    )
    await own_database.fetch(
        "CREATE TRIGGER spoil BEFORE UPDATE ON payments FOR EACH ROW"
        " WHEN (NEW.payment_id = 'p2') EXECUTE FUNCTION spoil()"
    )
    with pytest.raises(asyncpg.UniqueViolationError):
        await settle(store, success("p1", ref="g1"), success("p2"), success("p3"))
    stored = await facts(store, "p1", "p2", "p3")
    assert ["p1", None, "p3"] == [stored[one].order.settled_by for one in ("p1", "p2", "p3")]
