"""What the database itself refuses, whoever writes."""

import itertools
from collections.abc import AsyncIterator
from enum import StrEnum

import asyncpg
import pytest

from payonce.adapters.postgres.database import Database
from payonce.domain import order, payment, refund
from payonce.domain.payment import MismatchReason
from tests.store.conftest import emptied
from tests.store.making import Store, opened, register, registration, settle, success

REFUND = (
    "INSERT INTO refunds (refund_id, payment_id, order_id, gateway, amount, currency, status,"
    " reason) VALUES "
)
PAYMENT = (
    "INSERT INTO payments (payment_id, order_id, gateway, amount, currency, status, initiated_at,"
    " expires_at, expires_given) VALUES "
)

ACTIVITY = "INSERT INTO activity (minute, kind, gateway, name, count) VALUES "

TABLES = [
    ("orders", order.OrderStatus, order.TRANSITIONS),
    ("payments", payment.PaymentStatus, payment.TRANSITIONS),
    ("refunds", refund.RefundStatus, refund.TRANSITIONS),
]


@pytest.fixture
async def database(bare_dsn: str) -> AsyncIterator[Database]:
    """A pool for a database in which nothing but the schema itself is in the way."""
    async with opened(Database(await emptied(bare_dsn))) as database:
        yield database


async def refused_by(database: Database, statement: str, *arguments: object) -> str:
    """Run a statement that must fail, and return the name of what refused it."""
    with pytest.raises(asyncpg.IntegrityConstraintViolationError) as caught:
        await database.fetch(statement, *arguments)
    return caught.value.constraint_name or ""


async def allow_all_but_steps(database: Database, table: str) -> None:
    """Drop the CHECKs of a table and its foreign keys, so that only triggers are left."""
    rows = await database.fetch(
        "SELECT conname FROM pg_constraint WHERE conrelid = $1::text::regclass"
        " AND contype IN ('c', 'f') AND conname NOT LIKE '%_known'",
        table,
    )
    for row in rows:
        await database.fetch(f"ALTER TABLE {table} DROP CONSTRAINT {row['conname']}")


async def put(database: Database, table: str, status: str) -> None:
    """Write one row in this status into a table without constraints."""
    values = {
        "orders": "INSERT INTO orders (order_id, status) VALUES ('x', $1)",
        "payments": PAYMENT + "('x', 'x', 'g', 1, 'CNY', $1, now(), now(), false)",
        "refunds": REFUND + "('x', 'x', 'x', 'g', 1, 'CNY', $1, 'order-paid')",
    }
    await database.fetch(values[table], status)


@pytest.mark.parametrize(("table", "statuses", "transitions"), TABLES)
async def test_every_step_is_judged_as_in_the_domain(
    own_database: Database,
    table: str,
    statuses: type[StrEnum],
    transitions: frozenset[tuple[StrEnum, StrEnum]],
) -> None:
    """SQL and Python hold the same tables, step by step."""
    await allow_all_but_steps(own_database, table)
    if table == "refunds":
        await own_database.fetch("ALTER TABLE refunds DISABLE TRIGGER refunds_not_of_winner")
    for before, after in itertools.product(statuses, repeat=2):
        await put(own_database, table, before)
        update = f"UPDATE {table} SET status = $1"
        if before == after or (before, after) in transitions:
            await own_database.fetch(update, after)
        else:
            assert f"{table}_step" == await refused_by(own_database, update, after)
        await own_database.fetch(f"DELETE FROM {table}")


@pytest.mark.parametrize(("table", "statuses", "transitions"), TABLES)
async def test_an_unknown_status_is_refused(
    own_database: Database, table: str, statuses: type[StrEnum], transitions: object
) -> None:
    """Statuses are those of the domain, all of them and no other."""
    await allow_all_but_steps(own_database, table)
    assert f"{table}_status_known" == await refused_by_put(own_database, table, "ELSE")


async def refused_by_put(database: Database, table: str, status: str) -> str:
    """Return what refuses a row in this status."""
    with pytest.raises(asyncpg.CheckViolationError) as caught:
        await put(database, table, status)
    return caught.value.constraint_name or ""


async def test_every_reason_of_a_mismatch_is_known(
    database: Database, postgres_store: Store
) -> None:
    """The CHECK lists what the domain lists."""
    await register(postgres_store, registration())
    for reason in MismatchReason:
        await database.fetch("UPDATE payments SET mismatched = $1", reason)
    assert "payments_mismatched_known" == await refused_by(
        database, "UPDATE payments SET mismatched = 'mood'"
    )


@pytest.fixture
async def settled(database: Database, postgres_store: Store) -> Database:
    """Order o1 is paid by p1, p2 is its duplicate with refund; o2 is open with p3 and p4."""
    await register(
        postgres_store,
        registration("p1", ref="g1"),
        registration("p2"),
        registration("p3", "o2", ref="g3"),
        registration("p4", "o2"),
    )
    await settle(postgres_store, success("p1", ref="g1"), success("p2"))
    await database.fetch("UPDATE refunds SET status = 'HELD', rule = 'kill-switch'")
    await database.fetch(
        "INSERT INTO gateway_journal (gateway, at, kind) VALUES ('mock', now(), 'paused')"
    )
    await database.fetch(
        "INSERT INTO operator_journal (at, by, action, subject) VALUES (now(), 'a', 'pause', 'g')"
    )
    return database


IDEMPOTENCY = (
    "INSERT INTO idempotency_keys (key, request_hash, status, answer, leased_until, created_at)"
    " VALUES "
)

CAPTURE = (
    "INSERT INTO captures (payment_id, order_id, state, attempt, claimed_at, held_until, why)"
    " VALUES "
)

REFUSED = {
    "orders_id_length": "INSERT INTO orders (order_id) VALUES (repeat('x', 65))",
    "orders_amount_range": "UPDATE orders SET amount = 0 WHERE order_id = 'o3'",
    "orders_currency_shape": "UPDATE orders SET currency = 'cny' WHERE order_id = 'o3'",
    "orders_money_whole": "INSERT INTO orders (order_id, amount) VALUES ('o4', 5)",
    "orders_paid_has_winner": "INSERT INTO orders (order_id, status) VALUES ('o4', 'PAID')",
    "orders_winner_has_time": "UPDATE orders SET status = 'PAID', settled_by = 'p3'"
    " WHERE order_id = 'o2'",
    "orders_acknowledged_is_paid": "UPDATE orders SET acknowledged_at = now()"
    " WHERE order_id = 'o2'",
    "orders_retell_whole": "UPDATE orders SET success_data = NULL WHERE order_id = 'o1'",
    "orders_retell_until_acknowledged": "UPDATE orders SET retell_at = now(), success_data = '{}'"
    " WHERE order_id = 'o2'",
    "orders_version_counts": "UPDATE orders SET version = -1",
    "orders_settled_by_own_payment": "UPDATE orders SET status = 'PAID', settled_by = 'p1',"
    " settled_at = now() WHERE order_id = 'o2'",
    "orders_settled_once": "UPDATE orders SET settled_by = 'p2' WHERE order_id = 'o1'",
    "orders_price_fixed": "UPDATE orders SET amount = 7 WHERE order_id = 'o2'",
    "payments_order_id_fkey": PAYMENT
    + "('x', 'none', 'g', 1, 'CNY', 'PENDING', now(), now(), false)",
    "payments_id_length": "UPDATE payments SET payment_id = '' WHERE payment_id = 'p4'",
    "payments_amount_range": PAYMENT + "('x', 'o2', 'g', 0, 'CNY', 'PENDING', now(), now(), false)",
    "payments_currency_shape": PAYMENT
    + "('x', 'o2', 'g', 1, 'yuan', 'PENDING', now(), now(), false)",
    "payments_ref_length": "UPDATE payments SET gateway_ref = '' WHERE payment_id = 'p4'",
    "payments_duplicate_succeeded": "UPDATE payments SET duplicate = true WHERE payment_id = 'p4'",
    "payments_unresolved_unfinished": "UPDATE payments SET unresolved = true"
    " WHERE payment_id = 'p1'",
    "payments_settled_succeeded": "UPDATE payments SET settled_at = now() WHERE payment_id = 'p4'",
    "payments_watch_counts": "UPDATE payments SET step = -1 WHERE payment_id = 'p4'",
    "payments_gateway_ref": "UPDATE payments SET gateway_ref = 'g3' WHERE payment_id = 'p4'",
    "payments_closing_unfinished": "UPDATE payments SET closing = 'x' WHERE payment_id = 'p1'",
    "payments_captured_range": "UPDATE payments SET captured_amount = 0, captured_currency = 'CNY'"
    " WHERE payment_id = 'p4'",
    "payments_captured_whole": "UPDATE payments SET captured_amount = 5 WHERE payment_id = 'p4'",
    "payments_reversed_range": "UPDATE payments SET reversed_amount = -1 WHERE payment_id = 'p4'",
    "payments_resolved_known": "UPDATE payments SET resolved_as = 'forgotten', resolved_by = 'a',"
    " resolved_why = 'b', resolved_at = now() WHERE payment_id = 'p4'",
    "payments_resolved_by_someone": "UPDATE payments SET resolved_as = 'kept'"
    " WHERE payment_id = 'p4'",
    "payments_one_winner": "UPDATE payments SET duplicate = false WHERE payment_id = 'p2'",
    "payments_terms_fixed": "UPDATE payments SET amount = 7 WHERE payment_id = 'p4'",
    "payments_step": "UPDATE payments SET status = 'PENDING' WHERE payment_id = 'p2'",
    "refunds_one_a_payment": REFUND + "('r', 'p2', 'o1', 'mock', 1, 'CNY', 'REQUESTED', 'asked')",
    "refunds_not_of_winner": REFUND + "('r', 'p1', 'o1', 'mock', 1, 'CNY', 'REQUESTED', 'asked')",
    "refunds_of_payment": REFUND + "('r', 'p3', 'o1', 'mock', 1, 'CNY', 'REQUESTED', 'asked')",
    "refunds_held_has_rule": "UPDATE refunds SET rule = NULL",
    "refunds_approver_is_another": "UPDATE refunds SET requested_by = 'a', approved_by = 'a'",
    "refunds_second_approver_is_another": "UPDATE refunds SET requested_by = 'a',"
    " approved_by = 'b', approved_again_by = 'b'",
    "refunds_rejected_by_someone": "UPDATE refunds SET status = 'REJECTED'",
    "refunds_amount_range": REFUND + "('r', 'p4', 'o2', 'mock', 0, 'CNY', 'REQUESTED', 'asked')",
    "refunds_attempts_count": "UPDATE refunds SET attempts = -1",
    "refunds_looks_count": "UPDATE refunds SET looks = -1",
    "refunds_terms_fixed": "UPDATE refunds SET amount = 1",
    "idempotency_keys_length": IDEMPOTENCY + "('', '', NULL, NULL, now(), now())",
    "idempotency_keys_answer_whole": IDEMPOTENCY + "('k', '', 201, NULL, now(), now())",
    "installation_single_check": "INSERT INTO installation VALUES (false, 'k')",
    "gateways_paused_by_someone": "INSERT INTO gateways (gateway, paused_at) VALUES ('g', now())",
    "gateways_openings_count": "INSERT INTO gateways (gateway, openings) VALUES ('g', -1)",
    "captures_state_known": CAPTURE + "('p4', 'o2', 'TAKEN', 1, now(), now(), '')",
    "captures_attempt_counts": CAPTURE + "('p4', 'o2', 'FREE', -1, now(), now(), '')",
    "captures_forbidden_why": CAPTURE + "('p4', 'o2', 'FORBIDDEN', 1, now(), now(), '')",
    "captures_of_own_order": CAPTURE + "('p4', 'o1', 'FREE', 1, now(), now(), '')",
    "captures_step": "UPDATE captures SET state = 'FREE', why = '' WHERE payment_id = 'p3'",
    "gateway_journal_only_grows": "DELETE FROM gateway_journal",
    "activity_kind_known": ACTIVITY + "(now(), 'else', 'g', 'n', 1)",
    "activity_count_range": ACTIVITY + "(now(), 'late', 'g', 'n', 0)",
    "operator_journal_only_grows": "UPDATE operator_journal SET by = 'eve'",
    "timeline_only_grows": "DELETE FROM timeline",
    "timeline_is_not_emptied": "TRUNCATE timeline",
}


async def test_every_rule_refuses_what_it_is_for(settled: Database) -> None:
    """Each by its name."""
    await settled.fetch("INSERT INTO orders (order_id, amount, currency) VALUES ('o3', 5, 'CNY')")
    await settled.fetch(CAPTURE + "('p3', 'o2', 'FORBIDDEN', 0, now(), now(), 'closed')")
    refusing = {name: await refused_by(settled, REFUSED[name]) for name in REFUSED}
    assert {name: name for name in REFUSED} == refusing


@pytest.mark.parametrize(
    ("gateway", "amount", "currency"),
    [("other", 1, "CNY"), ("mock", 101, "CNY"), ("mock", 1, "USD")],
)
async def test_a_refund_stays_within_its_payment(
    settled: Database, gateway: str, amount: int, currency: str
) -> None:
    """Through its gateway, in its currency, not above its amount."""
    statement = REFUND + "('r', 'p4', 'o2', $1, $2, $3, 'REQUESTED', 'asked')"
    assert "refunds_not_of_winner" == await refused_by(
        settled, statement, gateway, amount, currency
    )


async def test_a_settlement_and_a_refund_of_it_cannot_be_one_statement(settled: Database) -> None:
    """The rule looks at the end of the statement."""
    statement = (
        "WITH paid AS (UPDATE orders SET status = 'PAID', settled_by = 'p4', settled_at = now()"
        " WHERE order_id = 'o2') INSERT INTO refunds (refund_id, payment_id, order_id, gateway,"
        " amount, currency, status, reason)"
        " VALUES ('r', 'p4', 'o2', 'mock', 1, 'CNY', 'REQUESTED', 'asked')"
    )
    assert "refunds_not_of_winner" == await refused_by(settled, statement)


async def test_a_failed_refund_may_be_followed_by_another(settled: Database) -> None:
    """One refund a payment that is neither FAILED nor REJECTED."""
    await settled.fetch("UPDATE refunds SET status = 'REJECTED', rejected_by = 'a'")
    await settled.fetch(REFUND + "('r', 'p2', 'o1', 'mock', 100, 'CNY', 'REQUESTED', 'asked')")
    rows = await settled.fetch("SELECT status FROM refunds WHERE payment_id = 'p2' ORDER BY status")
    assert ["REJECTED", "REQUESTED"] == [row["status"] for row in rows]


async def test_every_check_and_index_has_a_test(database: Database) -> None:
    """A new rule needs a statement that it refuses."""
    rows = await database.fetch(
        "SELECT conname AS name FROM pg_constraint WHERE contype IN ('c', 'f')"
        " AND connamespace = 'public'::regnamespace"
        " UNION SELECT tgname FROM pg_trigger WHERE NOT tgisinternal"
    )
    elsewhere = {"webhook_inbox", "delay_queues", "payonce_migrations"}
    names = {
        row["name"] for row in rows if not any(row["name"].startswith(table) for table in elsewhere)
    }
    tested = set(REFUSED) | {"payments_mismatched_known"}
    tested |= {f"{table}_{what}" for table, *_ in TABLES for what in ("step", "status_known")}
    left = names - tested
    assert {"refunds_currency_shape"} >= left


async def test_the_inbox_takes_a_callback_once(database: Database) -> None:
    """By gateway and event id, up to 64 KiB."""
    insert = (
        "INSERT INTO webhook_inbox (gateway, event_id, received_at, headers, body)"
        " VALUES ($1, $2, now(), '{}', $3)"
    )
    await database.fetch(insert, "mock", "e1", b"{}")
    await database.fetch(insert, "other", "e1", b"{}")
    assert "webhook_inbox_once" == await refused_by(database, insert, "mock", "e1", b"{}")
    assert "webhook_inbox_body_size" == await refused_by(
        database, insert, "mock", "e2", bytes(65537)
    )
