"""Streams over real connections: those of slow clients, of many, and at the end."""

import asyncio
import contextlib
import json
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from payonce.adapters.clock import SystemClock
from payonce.adapters.memory.changes import MemoryChanges
from payonce.edge import Edge
from payonce.edge.auth import Auth
from payonce.edge.listeners import Listeners
from payonce.edge.push import Push
from payonce.edge.views import Views
from payonce.settings import load_settings
from tests.edge.pushing import CountingMeter, FakeStates
from tests.support.documents import check_answer
from tests.support.ports import free_port
from tests.support.sse import open_stream
from tests.support.waiting import eventually

LARGE = "x" * 500_000
"""More than the kernel takes for a client that does not read."""

UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)

PING = b"\x89\x80mask"
"""An empty one, masked."""


class Door:
    """An edge with streams on states in memory."""

    def __init__(self, *, heartbeat_s: float, patience_s: float) -> None:
        self.port = free_port()
        self.states = FakeStates()
        self.meter = CountingMeter()
        self.changes = MemoryChanges()
        self.listeners = Listeners(
            Views(self.states, self.meter), self.changes, SystemClock(), self.meter
        )
        environ = {
            "PAYONCE_HTTP__HOST": "127.0.0.1",
            "PAYONCE_HTTP__PORT": str(self.port),
            "PAYONCE_HTTP__API_TOKEN": "api",
        }
        http = load_settings(environ).http
        self.auth = Auth(http, self._key)
        push = Push(
            self.auth, self.listeners, self.meter, heartbeat_s=heartbeat_s, patience_s=patience_s
        )
        self.edge = Edge(http, {}, CollectorRegistry(), push.routes())

    async def _key(self) -> bytes:
        return b"k" * 32

    async def url(self, order_id: str = "o1", kind: str = "events") -> str:
        """Return the address of an order's stream, the token in it."""
        token = await self.auth.order_token(order_id)
        return f"http://127.0.0.1:{self.port}/v1/orders/{order_id}/{kind}?token={token}"

    def change(self, order_id: str = "o1", status: str = "OPEN", *, filling: str = "") -> int:
        """Commit a change and tell of it."""
        version = self.states.put(order_id, status, filling=filling)
        self.changes.spread({order_id: version})
        return version

    async def answers(self) -> bool:
        """Say whether the edge is there."""
        async with aiohttp.ClientSession() as session:
            try:
                async with session.get(f"http://127.0.0.1:{self.port}/healthz"):
                    return True
            except aiohttp.ClientError:
                return False

    async def connect(self, *, kind: str = "events", more: str = "") -> socket.socket:
        """Open a stream and read nothing of it."""
        url = await self.url(kind=kind)
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        client.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(client, ("127.0.0.1", self.port))
        path = url.partition(str(self.port))[2]
        await loop.sock_sendall(client, f"GET {path} HTTP/1.1\r\nHost: x\r\n{more}\r\n".encode())
        return client


@asynccontextmanager
async def opened(*, heartbeat_s: float = 15.0, patience_s: float = 30.0) -> AsyncIterator[Door]:
    """Give a door that is served."""
    door = Door(heartbeat_s=heartbeat_s, patience_s=patience_s)
    door.states.put("o1")
    tasks = [asyncio.create_task(one.run()) for one in (door.edge, door.listeners)]
    await eventually(door.answers)
    try:
        yield door
    finally:
        await door.listeners.drain()
        await door.edge.drain()
        tasks[1].cancel()
        await asyncio.wait(tasks)


async def changed_until_gone(door: Door, transport: str, state: str) -> int:
    """Change the order again and again until nobody listens; return how often."""
    changes = 0

    def is_gone() -> bool:
        nonlocal changes
        changes += 1
        door.change(filling=f"{changes}{state}")
        return door.meter.listeners[transport] == 0

    await eventually(is_gone)
    return changes


async def test_a_silent_stream_has_a_heartbeat() -> None:
    """So that proxies keep it, and the client knows that it lives."""
    async with opened(heartbeat_s=0.05) as door, open_stream(await door.url()) as stream:
        await stream.next()
        with pytest.raises(TimeoutError):
            await stream.next(0.3)
        assert stream.comments >= 2


@pytest.mark.parametrize("state", [LARGE[:50_000], LARGE])
async def test_who_does_not_read_is_cut_off(state: str) -> None:
    """Whatever comes meanwhile, no more than one state waits for him, be it small or large."""
    async with opened(patience_s=1.0) as door:
        with await door.connect():
            await eventually(lambda: door.meter.listeners["sse"] == 1)
            changes = await changed_until_gone(door, "sse", state)
            assert door.meter.pushed < changes


async def test_who_reads_again_is_sent_the_latest_state() -> None:
    """What lay between is left out."""
    async with opened() as door, open_stream(await door.url()) as stream:
        await stream.next()
        versions = [door.change(filling=f"{n}{LARGE}") for n in range(10)]
        seen = [int((await stream.next()).id)]
        while seen[-1] != versions[-1]:
            seen.append(int((await stream.next()).id))
        assert sorted(set(seen)) == seen
        assert len(seen) < len(versions)


async def test_one_who_does_not_read_holds_up_nobody() -> None:
    """Neither others of his order, nor the end."""
    async with opened() as door:
        with await door.connect():
            await eventually(lambda: door.meter.pushed == 1)
            async with open_stream(await door.url()) as stream:
                await stream.next()
                for n in range(5):
                    wanted = door.change(filling=f"{n}{LARGE}")
                    assert wanted == int((await stream.next()).id)
                async with asyncio.timeout(3):
                    await door.listeners.drain()
                await stream.end()


async def test_a_stream_that_begins_at_the_end_is_empty() -> None:
    """A browser would not come again after an error, but after this it does, elsewhere."""
    async with opened() as door:
        await door.listeners.drain()
        async with open_stream(await door.url()) as stream:
            assert 200 == stream.status
            await stream.end()
            assert (2_000, "close") == (stream.retry_ms, stream.headers["Connection"])


async def test_a_websocket_that_nobody_answers_is_closed() -> None:
    """Its client is gone, though its connection seems to be there."""
    async with opened(heartbeat_s=0.5) as door, aiohttp.ClientSession() as session:
        url = await door.url(kind="ws")
        socket_ = await session.ws_connect(url, autoping=False)
        assert "OPEN" == (await socket_.receive_json(timeout=5))["status"]
        await eventually(lambda: door.meter.listeners["ws"] == 0)
        await socket_.close()


async def test_a_slow_websocket_is_cut_off_too() -> None:
    """By the same measure."""
    async with opened(patience_s=1.0) as door:
        client = await door.connect(kind="ws", more=UPGRADE)
        await eventually(lambda: door.meter.listeners["ws"] == 1)
        changes = await changed_until_gone(door, "ws", LARGE)
        assert door.meter.pushed < changes
        client.close()


async def test_who_asks_for_no_websocket_is_told_how() -> None:
    """In one line; whoever may not see the order learns that first."""
    async with opened() as door, aiohttp.ClientSession() as session:
        url = await door.url(kind="ws")
        for headers in ({}, {"Upgrade": "websocket", "Connection": "Upgrade"}):
            async with session.get(url, headers=headers) as answer:
                body = await answer.json()
                await check_answer(answer)
            assert (400, "/problems/no-websocket") == (answer.status, body["type"])
            assert body["detail"].startswith("ask for a WebSocket: Upgrade: websocket")
            assert body["detail"].isprintable()
        async with session.get(url.partition("?")[0]) as answer:
            assert 401 == answer.status
        assert 0 == door.meter.listeners["ws"]


async def test_a_websocket_that_pings_and_is_gone_is_no_fault() -> None:
    """The answers to its pings have nobody to go to."""
    async with opened() as door:
        with capture_logs() as lines:
            for _ in range(5):
                client = await door.connect(kind="ws", more=UPGRADE)
                await eventually(lambda: door.meter.listeners["ws"] == 1)
                with contextlib.suppress(BlockingIOError):
                    client.send(PING * 10_000)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
                await eventually(lambda: door.meter.listeners["ws"] == 0)
    assert "request.failed" not in [one["event"] for one in lines]


async def test_a_head_request_does_not_wait_for_the_end() -> None:
    """Nor is anything but a GET served."""
    async with opened() as door, aiohttp.ClientSession() as session:
        for kind in ("events", "ws"):
            async with asyncio.timeout(3), session.head(await door.url(kind=kind)) as answer:
                assert 405 == answer.status


async def test_a_database_that_is_away_at_the_beginning_is_told() -> None:
    """Before a stream begins: come again."""
    async with opened() as door:
        door.states.away = True
        async with open_stream(await door.url()) as stream:
            assert (503, "1") == (stream.status, stream.headers["Retry-After"])


async def test_five_hundred_listeners_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A change reaches the one it is for, a change of all reaches all, and all end together."""
    monkeypatch.setattr("payonce.edge.listeners.END_WITHIN_S", 60.0)
    async with opened() as door:
        orders = [f"n{n}" for n in range(500)]
        for order_id in orders:
            door.states.put(order_id)
        connector = aiohttp.TCPConnector(limit=0)
        async with aiohttp.ClientSession(connector=connector) as session:
            answers = await asyncio.gather(
                *[session.get(await door.url(order_id)) for order_id in orders]
            )
            assert {200} == {one.status for one in answers}
            await eventually(lambda: door.meter.pushed == 500)
            door.states.reads.clear()
            door.change("n7", "PAID")
            assert "PAID" == await _status_of(answers[7], "id: 2")
            assert 501 == door.meter.pushed
            door.changes.spread({order_id: door.states.put(order_id) for order_id in orders})
            await eventually(lambda: door.meter.pushed == 1_001)
            assert 1 + 500 / 100 >= len(door.states.reads)
            await door.listeners.drain()
            for one in answers:
                await one.read()
        assert {"sse": 0, "ws": 0} == door.meter.listeners


async def _status_of(answer: aiohttp.ClientResponse, wanted: str) -> str:
    """Return the status in the state that comes with this id."""
    async with asyncio.timeout(2):
        while (await answer.content.readline()).decode().strip() != wanted:
            pass
        await answer.content.readline()
        data = (await answer.content.readline()).decode().partition(": ")[2]
        return str(json.loads(data)["status"])


@pytest.mark.parametrize(("kind", "more"), [("events", ""), ("ws", UPGRADE)])
async def test_who_leaves_before_he_is_answered_is_no_fault(kind: str, more: str) -> None:
    """The order was still being read; nothing is left of him, and no fault of ours is logged."""
    with capture_logs() as logs:
        async with opened() as door:
            door.states.gate.clear()
            client = await door.connect(kind=kind, more=more)
            await eventually(lambda: bool(door.listeners._all()))
            [leaving] = door.listeners._all()
            client.close()
            await eventually(leaving.client.is_gone)
            door.states.gate.set()
            await eventually(lambda: not door.listeners._all())
    assert [] == [line for line in logs if line["log_level"] in {"warning", "error"}]
