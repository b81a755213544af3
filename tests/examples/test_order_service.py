"""The example's order service: a paid order is booked once, and only on payonce's word."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from examples.order_service.books import Books
from examples.order_service.endpoint import make_app
from payonce.domain.signature import sign, signing_key
from tests.support.order_service import SECRET
from tests.support.ports import HOST, free_port

Client = TestClient[web.Request, web.Application]
PAID = {
    "order_id": "o-1",
    "payment_id": "p-1",
    "amount": 1999,
    "currency": "CNY",
    "order_version": 2,
}


@pytest.fixture
async def pool(postgres_dsn: str) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """A pool for a database of its own."""
    async with asyncpg.create_pool(postgres_dsn, min_size=1) as pool:
        yield pool


@pytest.fixture
async def books(pool: "asyncpg.Pool[asyncpg.Record]") -> Books:
    """Open books; opening them twice is no fault."""
    books = Books(pool)
    await books.open()
    await books.open()
    return books


@pytest.fixture
async def client(books: Books) -> AsyncIterator[Client]:
    """A client of the endpoint."""
    async with TestClient(TestServer(make_app(books, SECRET))) as client:
        yield client


@asynccontextmanager
async def running(environment: dict[str, str]) -> AsyncIterator[asyncio.subprocess.Process]:
    """Give the program, run with these of its variables."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("ORDER_SERVICE_")}
    service = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "examples.order_service",
        env=kept | environment,
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield service
    finally:
        if service.returncode is None:
            service.kill()
            await service.wait()


async def bookings(pool: "asyncpg.Pool[asyncpg.Record]") -> list[str]:
    """Return the order of every booking."""
    rows = await pool.fetch("SELECT order_id FROM order_service.bookings ORDER BY order_id")
    return [row["order_id"] for row in rows]


async def status_of(pool: "asyncpg.Pool[asyncpg.Record]", order_id: str) -> tuple[str, int]:
    """Return how an order stands, and by the news of which version."""
    row = await pool.fetchrow("SELECT * FROM order_service.orders WHERE order_id = $1", order_id)
    assert row is not None
    return row["status"], row["version"]


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({}, "ORDER_SERVICE_SECRET"),
        ({"ORDER_SERVICE_SECRET": SECRET}, "ORDER_SERVICE_DSN"),
        ({"ORDER_SERVICE_SECRET": SECRET, "ORDER_SERVICE_DSN": ""}, "ORDER_SERVICE_DSN"),
    ],
)
async def test_what_is_not_set_is_named(environment: dict[str, str], named: str) -> None:
    """In one line, and nothing is begun."""
    async with running(environment) as service:
        out, err = await asyncio.wait_for(service.communicate(), 20)
    assert (2, b"") == (service.returncode, out)
    [line] = err.decode().splitlines()
    assert named in line


async def test_it_says_where_it_listens_and_ends_by_a_signal(postgres_dsn: str) -> None:
    """By then calls are taken."""
    port = free_port()
    environment = {
        "ORDER_SERVICE_SECRET": SECRET,
        "ORDER_SERVICE_DSN": postgres_dsn,
        "ORDER_SERVICE_PORT": str(port),
    }
    async with running(environment) as service, aiohttp.ClientSession() as session:
        assert service.stdout is not None
        line = await asyncio.wait_for(service.stdout.readline(), 20)
        url = f"http://{HOST}:{port}/paid"
        assert f"order service: takes calls at {url}\n" == line.decode()
        async with session.post(url, **call(event())) as answer:
            assert 204 == answer.status
        service.terminate()
        out, err = await asyncio.wait_for(service.communicate(), 20)
    assert (0, b"", b"") == (service.returncode, out, err)


async def test_an_event_is_booked_once(pool: "asyncpg.Pool[asyncpg.Record]", books: Books) -> None:
    """However often it comes, also at the same moment by both ways."""
    await asyncio.gather(*(books.book("e-1", PAID) for _ in range(8)))
    await books.book("e-1", PAID)
    assert (["o-1"], ("paid", 2)) == (await bookings(pool), await status_of(pool, "o-1"))


async def test_old_news_changes_no_order(
    pool: "asyncpg.Pool[asyncpg.Record]", books: Books
) -> None:
    """A later version was told first."""
    await pool.execute("INSERT INTO order_service.orders VALUES ('o-1', 'reversed', 3)")
    await books.book("e-1", PAID)
    assert ("reversed", 3) == await status_of(pool, "o-1")


async def test_a_booking_that_fails_is_forgotten_whole(
    pool: "asyncpg.Pool[asyncpg.Record]", books: Books
) -> None:
    """So that the next telling books it."""
    await pool.execute("ALTER TABLE order_service.orders ADD CONSTRAINT no CHECK (version < 2)")
    with pytest.raises(asyncpg.CheckViolationError):
        await books.book("e-1", PAID)
    assert [] == await bookings(pool)
    await pool.execute("ALTER TABLE order_service.orders DROP CONSTRAINT no")
    await books.book("e-1", PAID)
    assert ["o-1"] == await bookings(pool)


def call(body: bytes, *, secret: str = SECRET, at: datetime | None = None) -> dict[str, Any]:
    """Return the arguments of a signed call."""
    seconds = int((at or datetime.now(UTC)).timestamp())
    return {"data": body, "headers": sign(signing_key(secret), "e-1", seconds, body)}


def event(event_type: str = "payment.succeeded") -> bytes:
    """Return an event's bytes."""
    return json.dumps({"id": "e-1", "type": event_type, "data": PAID}).encode()


async def test_a_signed_call_is_booked(client: Client, pool: "asyncpg.Pool[Any]") -> None:
    """And answered with 204, also when it comes again."""
    answers = [await client.post("/paid", **call(event())) for _ in range(2)]
    assert ([204, 204], ["o-1"]) == ([one.status for one in answers], await bookings(pool))


async def test_an_event_of_another_kind_is_taken_and_not_booked(
    client: Client, pool: "asyncpg.Pool[Any]"
) -> None:
    """It may come in a later version."""
    answer = await client.post("/paid", **call(event("payment.reversed")))
    assert (204, []) == (answer.status, await bookings(pool))


OTHER = "whsec_YW5vdGhlci1zZWNyZXQtYW5vdGhlcg=="
LONG_AGO = timedelta(minutes=6)


@pytest.mark.parametrize(
    "forged",
    [
        lambda: {"data": event()},
        lambda: call(event(), secret=OTHER),
        lambda: call(event(), at=datetime.now(UTC) - LONG_AGO),
        lambda: call(event(), at=datetime.now(UTC) + LONG_AGO),
        lambda: {**call(event()), "data": event() + b" "},
        lambda: {**call(event()), "headers": {**call(event())["headers"], "webhook-id": "e-2"}},
        lambda: {
            **call(event()),
            "headers": {**call(event())["headers"], "webhook-signature": "nonsense"},
        },
        lambda: call(b"\xff no text"),
    ],
)
async def test_no_other_call_books_anything(
    client: Client, pool: "asyncpg.Pool[Any]", forged: Any
) -> None:
    """Unsigned, signed by another, stale, early, changed, unreadable."""
    answer = await client.post("/paid", **forged())
    assert (401, []) == (answer.status, await bookings(pool))
