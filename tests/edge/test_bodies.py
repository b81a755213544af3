"""Bodies that never end, on every route: the connection is not held for longer than the bounds."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from payonce.domain.errors import BadCallback
from payonce.edge import Edge, bodies
from payonce.edge.auth import Auth
from payonce.edge.bodies import read_form, read_object
from payonce.edge.notify import notify_routes
from payonce.edge.ops import Ops
from payonce.edge.refunds import refund_routes
from payonce.edge.webhooks import Webhooks
from payonce.ports.gateway import CallbackAnswer
from payonce.settings import HttpSettings, Secret
from tests.support.ports import free_port
from tests.support.waiting import eventually

WITHIN_S = 0.3


class Receiver:
    """Takes no callback, and counts those that it was handed."""

    def __init__(self) -> None:
        self.handed = 0

    async def receive(self, _name: str, _headers: object, _body: bytes) -> CallbackAnswer | None:
        """Refuse."""
        self.handed += 1
        raise BadCallback("bad-signature", "is none")


async def key() -> bytes:
    """Return no key."""
    return b""


async def by_object(request: web.Request) -> web.Response:
    """Answer what the body holds."""
    return web.json_response(await read_object(request))


async def by_form(request: web.Request) -> web.Response:
    """Answer what the form holds."""
    return web.json_response(dict(await read_form(request)))


class Door:
    """An edge with a route for each way in which bodies are read."""

    def __init__(self) -> None:
        self.port = free_port()
        self.receiver = Receiver()
        settings = HttpSettings(
            "127.0.0.1", self.port, "http://h", Secret(""), {"ann": Secret("token-of-ann")}
        )
        auth, nothing = Auth(settings, key), object()

        async def note(_by: str, _action: str, _subject: str) -> None:
            """Note nothing."""

        # What these routes would use after the body is never reached.
        webhooks = Webhooks(self.receiver, nothing, auth, nothing, note)  # type: ignore[arg-type]
        ops = Ops(auth, {}, nothing, nothing, note)  # type: ignore[arg-type]
        routes = [
            *(web.post("/object", by_object), web.post("/form", by_form)),
            *webhooks.routes(),
            *ops.routes(),
            *refund_routes(auth, nothing, nothing),  # type: ignore[arg-type]
            *notify_routes(auth, nothing),  # type: ignore[arg-type]
        ]
        self.edge = Edge(settings, {}, CollectorRegistry(), routes)

    async def say(self, head: str, *pieces: bytes) -> tuple[int, float]:
        """Send a head and some pieces; return the status, and after how many seconds it came."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
        began = asyncio.get_running_loop().time()
        authorization = "Authorization: Bearer token-of-ann"
        writer.write(f"{head} HTTP/1.1\r\nHost: h\r\n{authorization}\r\n".encode())
        for piece in pieces:
            writer.write(piece)
        try:
            async with asyncio.timeout(10):
                line = await reader.readline()
            return int(line.split()[1]), asyncio.get_running_loop().time() - began
        finally:
            writer.close()


@pytest.fixture
async def door(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Door]:
    """Such an edge, which waits for a body not as long as it does otherwise."""
    monkeypatch.setattr(bodies, "READ_WITHIN_S", WITHIN_S)
    door = Door()
    running = asyncio.create_task(door.edge.run())

    async def listens() -> bool:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", door.port)
        except OSError:
            return False
        writer.close()
        return True

    await eventually(listens)
    yield door
    await door.edge.drain()
    await running


NEED_NONE = (
    "/v1/ops/webhooks/7/replay",
    "/v1/ops/refunds/r-1/approve",
    "/v1/ops/unacknowledged/o-1/notify",
)
"""Routes that ask for no body, and do nothing either before it is known to be within bounds."""

ROUTES = ("/object", "/form", "/v1/webhooks/mock", "/v1/ops/parked/replay", *NEED_NONE)
each_route = pytest.mark.parametrize("path", ROUTES)


@each_route
@pytest.mark.parametrize(
    "pieces",
    [
        (b"Content-Length: 10\r\n\r\n", b"{"),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n{\r\n"),
    ],
)
async def test_a_body_that_does_not_end_is_not_waited_for(
    door: Door, path: str, pieces: tuple[bytes, ...]
) -> None:
    """Whoever begins it keeps a connection for so long, and is told so."""
    status, after_s = await door.say(f"POST {path}", *pieces)
    assert 408 == status
    assert WITHIN_S <= after_s < WITHIN_S + 5
    assert 0 == door.receiver.handed


@each_route
@pytest.mark.parametrize(
    "pieces",
    [
        (b"Content-Length: 65537\r\n\r\n",),
        (b"Transfer-Encoding: chunked\r\n\r\n", b"10001\r\n" + b"x" * 65_537 + b"\r\n0\r\n\r\n"),
    ],
)
async def test_a_body_that_is_too_large_reaches_nobody(
    door: Door, path: str, pieces: tuple[bytes, ...]
) -> None:
    """One that says so is not even read; the verifier of callbacks is handed neither."""
    assert 413 == (await door.say(f"POST {path}", *pieces))[0]
    assert 0 == door.receiver.handed


async def test_a_signature_is_looked_at_before_the_body_means_anything(door: Door) -> None:
    """What is no JSON and not signed is not signed; nothing else is said of it."""
    whole = (b"Content-Length: 2\r\n\r\n", b"\xff{")
    assert 401 == (await door.say("POST /v1/webhooks/mock", *whole))[0]
    assert 1 == door.receiver.handed
