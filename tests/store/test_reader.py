"""What is shown of orders, payments and lists."""

import json

import pytest

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.reader import Reader, make_cursor
from payonce.domain.errors import InvalidField
from payonce.domain.messages import OrderAcknowledged
from payonce.domain.report import Outcome
from tests.store.making import NOW, Store, later, register, registration, settle, success, word


@pytest.fixture
def reader(database: Database) -> Reader:
    """A reader of the test's database."""
    return Reader(database)


async def test_an_order_is_shown_whole(reader: Reader, postgres_store: Store) -> None:
    """With its payments, refunds and timeline, as JSON."""
    await register(postgres_store, registration("p1", ref="g1"), registration("p2"))
    await settle(postgres_store, success("p1", ref="g1"))
    await settle(postgres_store, success("p2"))
    await postgres_store.orders.acknowledge([OrderAcknowledged("o1", "p1")], later(3))
    view = await reader.order("o1")
    assert view is not None
    json.dumps(view)
    head = {name: value for name, value in view.items() if not isinstance(value, list)}
    assert {
        "order_id": "o1",
        "status": "PAID",
        "amount": 100,
        "currency": "CNY",
        "settled_by": "p1",
        "settled_at": "2026-03-01T08:00:00.000Z",
        "acknowledged": True,
        "version": 3,
    } == head
    assert [("p1", "SUCCEEDED", False), ("p2", "SUCCEEDED", True)] == [
        (one["payment_id"], one["status"], one["duplicate"]) for one in view["payments"]
    ]
    [refund] = view["refunds"]
    assert ("p2", 100, "REQUESTED", "order-paid") == (
        refund["payment_id"],
        refund["amount"],
        refund["status"],
        refund["reason"],
    )
    assert [
        "payment.registered",
        "payment.registered",
        "payment.settled",
        "payment.closing",
        "payment.duplicated",
        "order.acknowledged",
    ] == [line["kind"] for line in view["timeline"]]


async def test_what_is_unknown_is_none(reader: Reader) -> None:
    """Neither an order nor a payment."""
    assert await reader.order("o1") is None
    assert await reader.payment("p1") is None


async def test_a_payment_is_shown(reader: Reader, postgres_store: Store) -> None:
    """Times are text in UTC."""
    await register(postgres_store, registration())
    view = await reader.payment("p1")
    assert view is not None
    assert ("o1", "PENDING", "2026-03-01T10:00:00.000Z", None) == (
        view["order_id"],
        view["status"],
        view["expires_at"],
        view["paid_at"],
    )


async def test_a_cancelled_order_without_a_payment_has_no_price(
    reader: Reader, postgres_store: Store
) -> None:
    """It may be cancelled before it is known."""
    await postgres_store.orders.cancel("o1", later(0))
    view = await reader.order("o1")
    assert view is not None
    assert ("CANCELLED", None, [], 1) == (
        view["status"],
        view["amount"],
        view["payments"],
        len(view["timeline"]),
    )


async def pages(list_one: "object", limit: int) -> list[list[str]]:
    """Return the ids of all pages of a list."""
    found, cursor = [], None
    while True:
        page = await list_one(limit, cursor)  # type: ignore[operator]
        found.append([one.get("payment_id") or one["order_id"] for one in page.items])
        cursor = page.cursor
        if cursor is None:
            return found


async def test_lists_come_in_pages_oldest_first(reader: Reader, postgres_store: Store) -> None:
    """The cursor leads on, the last page has none."""
    numbers = range(1, 6)
    await register(
        postgres_store,
        *(registration(f"u{n}", f"a{n}", expires_at=later(n)) for n in numbers),
        *(registration(f"m{n}", f"b{n}") for n in numbers),
        *(registration(f"s{n}", f"c{n}") for n in numbers),
    )
    await settle(
        postgres_store,
        *(word(f"u{n}", Outcome.UNKNOWN, ended=True) for n in numbers),
        *(success(f"m{n}", 99) for n in numbers),
        *(success(f"s{n}", at=later(10 - n)) for n in numbers),
    )
    assert [["u1", "u2"], ["u3", "u4"], ["u5"]] == await pages(reader.unresolved, 2)
    assert [["m1", "m2", "m3"], ["m4", "m5"]] == await pages(reader.mismatched, 3)
    assert [["c5", "c4", "c3", "c2", "c1"]] == await pages(reader.unacknowledged, 5)


async def test_empty_lists(reader: Reader) -> None:
    """Nothing to show is an empty page."""
    assert [[]] == await pages(reader.unresolved, 1)


NUL = make_cursor(NOW, "\0")


@pytest.mark.parametrize("cursor", ["", "x", "AAAA", "é", "bm90IGEgdGltZQ", "MjAyNi0wMy0wMQ", NUL])
async def test_a_foreign_cursor_is_refused(reader: Reader, cursor: str) -> None:
    """It names its field."""
    with pytest.raises(InvalidField, match="cursor"):
        await reader.unresolved(10, cursor)


@pytest.mark.parametrize("limit", [0, -1, 1001])
async def test_a_limit_is_bounded(reader: Reader, limit: int) -> None:
    """Between 1 and 1000."""
    with pytest.raises(InvalidField, match="limit"):
        await reader.mismatched(limit)


async def test_gateways_that_are_still_to_be_asked(reader: Reader, postgres_store: Store) -> None:
    """Those may not leave the configuration."""
    await register(
        postgres_store,
        registration("p1", "o1", gateway="one"),
        registration("p2", "o2", gateway="two"),
    )
    assert ["one", "two"] == await reader.watched_gateways()
    await settle(postgres_store, success("p1"))
    assert ["two"] == await reader.watched_gateways()
