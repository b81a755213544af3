"""The operators' routes that have orders told again: who may, what is answered."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from payonce.adapters.metrics import NullMeter
from payonce.domain.messages import OrderAcknowledged
from payonce.edge.auth import Auth
from payonce.edge.notify import notify_routes
from payonce.edge.server import Edge
from payonce.handlers.notify_desk import NotifyDesk
from payonce.settings.model import HttpSettings
from payonce.settings.secret import Secret
from tests.handlers.bench import Bench, opened_bench
from tests.store.making import registration, success

ANN = {"Authorization": "Bearer token-of-ann"}
ALL, ONE = "/v1/ops/unacknowledged/notify", "/v1/ops/unacknowledged/o1/notify"
Client = TestClient[web.Request, web.Application]


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """One worker on fakes, with a paid, a booked and an unpaid order."""
    async with opened_bench() as bench:
        await bench.registered(*(registration(f"p{n}", f"o{n}") for n in (1, 2, 3)))
        await bench.heard(success("p1"))
        await bench.heard(success("p2"))
        bench.clock.move(10)
        await bench.store.acknowledge([OrderAcknowledged("o2", "p2")], bench.clock.now())
        yield bench


@pytest.fixture
async def client(bench: Bench) -> AsyncIterator[Client]:
    """A client of an edge with one operator."""
    settings = HttpSettings("127.0.0.1", 0, "http://h", Secret(""), {"ann": Secret("token-of-ann")})

    async def token_key() -> bytes:
        return b"key"

    routes = notify_routes(Auth(settings, token_key), NotifyDesk(bench.store, bench.clock))
    edge = Edge(settings, {}, NullMeter().registry, routes)
    async with TestClient(TestServer(edge.app)) as client:
        yield client


def asked(bench: Bench) -> list[tuple[str, Any]]:
    """Return the wishes that stand in the timeline."""
    return [
        (entry.order_id, entry.detail["by"])
        for entry in bench.store.entries
        if entry.kind == "order.notify_asked"
    ]


async def test_an_order_is_made_due(client: Client, bench: Bench) -> None:
    """202, and the timeline knows the operator."""
    answer = await client.post(ONE, headers=ANN)
    assert (202, {"order_id": "o1", "due": True}) == (answer.status, await answer.json())
    assert [("o1", "ann")] == asked(bench)


async def test_all_are_made_due(client: Client, bench: Bench) -> None:
    """Only when the body says so."""
    answer = await client.post(ALL, json={"all": True}, headers=ANN)
    assert (202, {"orders": 1}) == (answer.status, await answer.json())
    assert [("o1", "ann")] == asked(bench)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"all": false}', b'{"all": "true"}', b"[]"])
async def test_all_must_be_meant(client: Client, bench: Bench, body: bytes) -> None:
    """An empty body is no wish for everything."""
    answer = await client.post(ALL, data=body, headers=ANN)
    assert (422, []) == (answer.status, asked(bench))


@pytest.mark.parametrize(
    ("order_id", "status", "problem"),
    [
        ("o2", 409, "order-acknowledged"),
        ("o3", 409, "order-not-paid"),
        ("o9", 404, "not-found"),
        ("o%209", 422, "invalid"),
    ],
)
async def test_what_cannot_be_told_says_why(
    client: Client, bench: Bench, order_id: str, status: int, problem: str
) -> None:
    """By a problem of the rule's name."""
    answer = await client.post(f"/v1/ops/unacknowledged/{order_id}/notify", headers=ANN)
    body = await answer.json()
    assert (status, f"/problems/{problem}", []) == (answer.status, body["type"], asked(bench))


@pytest.mark.parametrize("path", [ALL, ONE])
async def test_only_operators_may(client: Client, bench: Bench, path: str) -> None:
    """Anybody else is refused, and nothing happens."""
    for headers in ({}, {"Authorization": "Bearer token-of-nobody"}):
        answer = await client.post(path, json={"all": True}, headers=headers)
        assert 401 == answer.status
    assert [] == asked(bench)
