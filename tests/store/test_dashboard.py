"""Counts for people on PostgreSQL, and that they stay cheap on large tables."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from payonce.adapters.postgres.dashboard import SQL, Dashboard, Flight, Found
from payonce.adapters.postgres.database import Connection, Database
from payonce.domain.report import Outcome
from tests.store.making import Store, register, registration, settle, success, word

COPY_AS_CREATED = """
INSERT INTO payments (
    payment_id, order_id, gateway, amount, currency, status, initiated_at, expires_at,
    expires_given, revive_at
)
SELECT 'p8', order_id, gateway, amount, currency, 'CREATED', initiated_at, expires_at,
    expires_given, revive_at
FROM payments WHERE payment_id = 'p7'
"""
BOUNDS = [timedelta(seconds=3), timedelta(seconds=13)]


@pytest.fixture
def dashboard(database: Database) -> Dashboard:
    """What counts."""
    return Dashboard(database)


async def age(database: Database, payment_id: str, seconds: int) -> None:
    """Have a payment received so long ago."""
    await database.fetch(
        "UPDATE payments SET created_at = now() - $2 * interval '1 s' WHERE payment_id = $1",
        payment_id,
        seconds,
    )


async def change(database: Database, statement: str) -> None:
    """Change what is shown of orders, and so their versions."""
    await database.fetch(f"WITH seen AS (UPDATE orders SET version = version + 1) {statement}")


async def test_what_is_watched_is_counted_by_age(
    postgres_store: Store, dashboard: Dashboard, owner: Database
) -> None:
    """By gateway, since receipt; what has ended or stands in a list of its own is left out."""
    await register(
        postgres_store,
        *(registration(f"p{n}", f"o{n}", gateway="mock" if n < 7 else "slow") for n in range(8)),
    )
    for n, seconds in enumerate((0, 4, 14, 15)):
        await age(owner, f"p{n}", seconds)
    await settle(postgres_store, success("p4"), success("p5", amount=1))
    await settle(postgres_store, word("p6", Outcome.UNKNOWN, ended=True))
    await change(owner, COPY_AS_CREATED)
    await change(owner, "UPDATE payments SET closing = 'superseded' WHERE payment_id = 'p7'")
    assert [
        Flight("mock", 0, 1, 0, 0),
        Flight("mock", 1, 1, 0, 0),
        Flight("mock", 2, 2, 0, 0),
        Flight("slow", 0, 2, 1, 1),
    ] == await dashboard.in_flight(BOUNDS, 100)
    assert 3 == sum(one.payments for one in await dashboard.in_flight(BOUNDS, 3))


async def test_an_id_leads_to_its_order(
    postgres_store: Store, dashboard: Dashboard, database: Database
) -> None:
    """An order's, a payment's, a refund's, a gateway's own; to several where it is several."""
    await register(postgres_store, registration("p1", "o1", ref="ref-1"))
    await settle(postgres_store, success("p1", ref="ref-1"))
    await register(
        postgres_store,
        registration("p2", "o1"),
        registration("p3", "o3", gateway="other", ref="ref-1"),
    )
    await settle(postgres_store, success("p2"))
    [[refund_id]] = await database.fetch("SELECT refund_id FROM refunds")
    assert [Found("order", "o1")] == await dashboard.find("o1")
    assert [Found("payment", "o1")] == await dashboard.find("p2")
    assert [Found("refund", "o1")] == await dashboard.find(refund_id)
    assert [Found("gateway", "o1"), Found("gateway", "o3")] == await dashboard.find("ref-1")
    assert [] == await dashboard.find("o")


async def test_refunds_that_wait_are_counted_by_status(
    postgres_store: Store, dashboard: Dashboard, database: Database
) -> None:
    """As the list holds them."""
    for n in range(4):
        await register(postgres_store, registration(f"a{n}", f"o{n}"))
        await settle(postgres_store, success(f"a{n}"))
        await register(postgres_store, registration(f"b{n}", f"o{n}"))
        await settle(postgres_store, success(f"b{n}"))
    for n, changed in enumerate(
        (
            "status = 'HELD', rule = 'over-limit'",
            "status = 'SUBMITTED'",
            "status = 'REJECTED', rejected_by = 'ann', contradicted_at = now()",
        )
    ):
        if "REJECTED" in changed:
            held = "UPDATE refunds SET status = 'HELD', rule = 'x' WHERE payment_id = 'b2'"
            await change(database, held)
        await change(database, f"UPDATE refunds SET {changed} WHERE payment_id = 'b{n}'")
    assert {"HELD": 1, "contradicted": 1} == await dashboard.refunds_waiting()


def nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield a plan's nodes."""
    yield plan
    for one in plan.get("Plans", []):
        yield from nodes(one)


@pytest.mark.parametrize(
    ("name", "arguments", "indexes"),
    [
        ("in_flight", ([3.0, 13.0], 1000), {"payments_to_revive"}),
        ("refunds_waiting", (1000,), {"refunds_open", "refunds_of_order"}),
        (
            "find",
            ("x", 20),
            {"orders_pkey", "payments_pkey", "refunds_pkey", "payments_gateway_ref"},
        ),
    ],
)
async def test_no_table_is_read_whole(
    database: Database, name: str, arguments: tuple[object, ...], indexes: set[str]
) -> None:
    """Each question has an index that holds little more than its answer."""

    async def explain(connection: Connection) -> dict[str, Any]:
        await connection.set_type_codec(
            "json", encoder=str, decoder=json.loads, schema="pg_catalog"
        )
        plan = await connection.fetchval(f"EXPLAIN (FORMAT JSON) {SQL[name]}", *arguments)
        found: dict[str, Any] = plan[0]["Plan"]
        return found

    found = list(nodes(await database.transact(explain)))
    assert [] == [one for one in found if one["Node Type"] == "Seq Scan"]
    assert indexes == {one["Index Name"] for one in found if "Index Name" in one}
