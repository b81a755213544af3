"""The operators' routes for lists, parked messages and gateways: who may, what is answered."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from payonce.adapters.metrics import NullMeter
from payonce.adapters.postgres.reader import Page
from payonce.domain.errors import InvalidField, Unavailable
from payonce.edge.auth import Auth
from payonce.edge.ops import Ops
from payonce.edge.server import Edge
from payonce.handlers.gateway_desk import GatewayDesk
from payonce.ports import views
from payonce.settings.model import HttpSettings
from payonce.settings.secret import Secret
from tests.handlers.fakes import FakeClock
from tests.store.fake_board import FakeBoard
from tests.support.documents import check_answer

ANN = {"Authorization": "Bearer token-of-ann"}
Client = TestClient[web.Request, web.Application]


class Lists:
    """Pages that say what they were asked for; `away`: the database is."""

    def __init__(self) -> None:
        self.away = False
        self.asked: list[tuple[int, str | None]] = []
        self.replayed: list[list[str] | None] = []
        self.noted: list[tuple[str, str, str]] = []

    async def page(self, limit: int, cursor: str | None) -> Page[dict[str, Any]]:
        """Return one entry, and that there is more unless a cursor was given."""
        if self.away:
            raise Unavailable("postgresql", "away")
        if cursor == "nonsense":
            raise InvalidField("cursor", "is not one of ours", "the cursor of a page")
        self.asked.append((limit, cursor))
        return Page([{"payment_id": "p1"}], None if cursor else "next")

    async def note(self, by: str, action: str, subject: str) -> None:
        """Keep what the journal is told."""
        self.noted.append((by, action, subject))

    async def send_back(self, ids: list[str] | None) -> views.MessagesReplayed:
        """Note what was to be replayed."""
        self.replayed.append(ids)
        return {"replayed": 1, "left": [], "absent": 0}


@pytest.fixture
def lists() -> Lists:
    """What the routes read from."""
    return Lists()


@pytest.fixture
def board() -> FakeBoard:
    """What the desk writes on."""
    return FakeBoard()


async def test_a_list_is_a_page(client: Client, lists: Lists) -> None:
    """With `limit` and `cursor` handed through; 100 entries where nothing is said."""
    answer = await client.get("/v1/ops/unresolved?limit=7&cursor=abc", headers=ANN)
    assert (200, {"items": [{"payment_id": "p1"}], "cursor": None}) == (
        answer.status,
        await answer.json(),
    )
    answer = await client.get("/v1/ops/parked", headers=ANN)
    assert "next" == (await answer.json())["cursor"]
    assert [(7, "abc"), (100, None)] == lists.asked


ROUTES = [
    ("GET", "/v1/ops/unresolved"),
    ("GET", "/v1/ops/parked"),
    ("POST", "/v1/ops/parked/replay"),
    ("GET", "/v1/ops/gateways"),
    ("POST", "/v1/ops/gateways/mock/pause"),
    ("POST", "/v1/ops/gateways/mock/resume"),
]


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_only_operators_may(
    client: Client, lists: Lists, board: FakeBoard, method: str, path: str
) -> None:
    """Anybody else is refused, and nothing happens."""
    for headers in ({}, {"Authorization": "Bearer token-of-nobody"}):
        answer = await client.request(method, path, headers=headers)
        body = await answer.json()
        assert (401, "/problems/unauthorized") == (answer.status, body["type"])
    assert ([], [], []) == (lists.asked, lists.replayed, board.lines)


@pytest.mark.parametrize(("method", "path"), ROUTES)
async def test_without_operators_nobody_may(method: str, path: str, lists: Lists) -> None:
    """403, whatever is sent."""
    async for client in serve(lists, FakeBoard(), {}):
        answer = await client.request(method, path, headers=ANN)
        assert (403, "/problems/no-operators") == (answer.status, (await answer.json())["type"])


@pytest.mark.parametrize("limit", ["0", "1001", "x", "-1", "", "9" * 30, "\u0663"])
async def test_a_bad_limit_is_named(client: Client, limit: str) -> None:
    """422, with the field and what is allowed."""
    answer = await client.get("/v1/ops/unresolved", params={"limit": limit}, headers=ANN)
    body = await answer.json()
    assert (422, "limit", "1 to 1000") == (answer.status, body["field"], body["allowed"])


async def test_a_bad_cursor_is_named(client: Client) -> None:
    """422 too."""
    answer = await client.get("/v1/ops/unresolved?cursor=nonsense", headers=ANN)
    assert (422, "cursor") == (answer.status, (await answer.json())["field"])


async def test_a_database_that_is_away_is_said_to_be(client: Client, lists: Lists) -> None:
    """503, to be tried again."""
    lists.away = True
    answer = await client.get("/v1/ops/unresolved", headers=ANN)
    assert (503, "1") == (answer.status, answer.headers["Retry-After"])


async def test_messages_are_replayed(client: Client, lists: Lists) -> None:
    """Some of them by id, or all."""
    path = "/v1/ops/parked/replay"
    answer = await client.post(path, json={"message_ids": ["m1", "m2"]}, headers=ANN)
    assert {"replayed": 1, "left": [], "absent": 0} == await answer.json()
    await client.post(path, json={"all": True}, headers=ANN)
    assert [["m1", "m2"], None] == lists.replayed
    assert [
        ("ann", "replay", "parked: m1, m2"),
        ("ann", "replay", "parked: all"),
    ] == lists.noted


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b'{"all": false}',
        b'{"all": true, "message_ids": ["m1"]}',
        b'{"message_ids": []}',
        b'{"message_ids": "m1"}',
        b'{"every": true}',
        b"[]",
        b"\xff",
        b"[" * 10_000,
    ],
)
async def test_a_replay_says_what_is_meant(client: Client, lists: Lists, body: bytes) -> None:
    """Nothing is replayed by a slip of the pen."""
    answer = await client.post("/v1/ops/parked/replay", data=body, headers=ANN)
    assert 422 == answer.status
    assert [] == lists.replayed


async def test_an_operator_pauses_and_resumes(client: Client, board: FakeBoard) -> None:
    """Under the name that the token stands for."""
    answer = await client.post(
        "/v1/ops/gateways/mock/pause", json={"why": "their works"}, headers=ANN
    )
    body = await answer.json()
    assert (200, "paused", "ann", True) == (
        answer.status,
        body["state"],
        body["paused_by"],
        body["changed"],
    )
    listed = await (await client.get("/v1/ops/gateways", headers=ANN)).json()
    assert [("mock", "paused")] == [(one["gateway"], one["state"]) for one in listed["items"]]
    answer = await client.post("/v1/ops/gateways/mock/resume", headers=ANN)
    assert (200, "ok") == (answer.status, (await answer.json())["state"])
    assert [("paused", "ann", "their works"), ("resumed", "ann", None)] == [
        (one.kind, one.by, one.why) for one in board.lines
    ]


@pytest.mark.parametrize("body", [b"", b"{}", b'{"why": ""}', b'{"why": 5}', b'{"wy": "x"}'])
async def test_a_pause_needs_a_reason(client: Client, board: FakeBoard, body: bytes) -> None:
    """422, with the field or the body."""
    answer = await client.post("/v1/ops/gateways/mock/pause", data=body, headers=ANN)
    assert 422 == answer.status
    assert (await answer.json())["field"] in {"why", "body"}
    assert [] == board.lines


async def test_an_unknown_gateway_is_not_found(client: Client) -> None:
    """404, with the known ones."""
    for act in ("pause", "resume"):
        answer = await client.post(
            f"/v1/ops/gateways/mok/{act}", json={"why": "works"}, headers=ANN
        )
        body = await answer.json()
        assert (404, ["mock"]) == (answer.status, body["known"])
        assert "mok" in body["detail"]


async def test_the_routes_of_operators_have_the_same_limit(client: Client) -> None:
    """429 with Retry-After, the right token included; no token at all is no guess."""
    path, wrong = "/v1/ops/unresolved", {"Authorization": "Bearer wrong"}
    for _ in range(10):
        assert 401 == (await client.get(path)).status
    for _ in range(5):
        assert 401 == (await client.get(path, headers=wrong)).status
    answer = await client.get(path, headers={"Authorization": "Bearer token-of-ann"})
    body = await answer.json()
    assert (429, "1") == (answer.status, answer.headers["Retry-After"])
    assert ("/problems/too-many-attempts", 1) == (body["type"], body["retry_after_s"])
    await check_answer(answer)


@pytest.fixture
async def client(lists: Lists, board: FakeBoard) -> AsyncIterator[Client]:
    """A client of an edge with one operator."""
    async for client in serve(lists, board, {"ann": Secret("token-of-ann")}):
        yield client


async def serve(
    lists: Lists, board: FakeBoard, operators: dict[str, Secret]
) -> AsyncIterator[Client]:
    """Serve the routes."""
    settings = HttpSettings("127.0.0.1", 0, "http://localhost", Secret(""), operators)

    async def token_key() -> bytes:
        return b"key"

    desk = GatewayDesk(board, {"mock": 0.0}, FakeClock())
    ops = Ops(Auth(settings, token_key), {"unresolved": lists.page}, lists, desk, lists.note)
    edge = Edge(settings, {}, NullMeter().registry, ops.routes())
    async with TestClient(TestServer(edge.app)) as client:
        yield client
