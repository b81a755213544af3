"""The server itself: what it answers before payonce has started, and how it ends."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry
from structlog.testing import capture_logs

from payonce.edge import Edge
from payonce.edge.connections import Bounds, bounds_of_process
from payonce.settings import load_settings
from tests.support.ports import free_port
from tests.support.waiting import eventually


class Door:
    """An edge with one slow route, on a port of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.is_prepared = False
        self.entered = asyncio.Event()
        self.may_leave = asyncio.Event()
        environ = {"PAYONCE_HTTP__HOST": "127.0.0.1", "PAYONCE_HTTP__PORT": str(self.port)}
        self.edge = Edge(
            load_settings(environ).http,
            {},
            CollectorRegistry(),
            [web.get("/slow", self._slow)],
            is_prepared=lambda: self.is_prepared,
        )

    async def _slow(self, _request: web.Request) -> web.Response:
        self.entered.set()
        await self.may_leave.wait()
        return web.json_response({"done": True})

    async def get(self, path: str) -> tuple[int, str | None]:
        """Return status and Retry-After of an answer; 0 where nobody answers."""
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
            ):
                return answer.status, answer.headers.get("Retry-After")
        except aiohttp.ClientError:
            return 0, None


@asynccontextmanager
async def opened(bounds: Bounds | None = None) -> AsyncIterator[Door]:
    """Give a door that is served."""
    door = Door()
    running = asyncio.create_task(door.edge.run(bounds))

    async def answers() -> bool:
        return (await door.get("/healthz"))[0] == 200

    await eventually(answers)
    try:
        yield door
    finally:
        door.may_leave.set()
        await door.edge.drain()
        await running


async def test_nothing_is_taken_before_payonce_has_started() -> None:
    """The database may not even have its tables; the caller comes again. Health is told."""
    async with opened() as door:
        assert (503, "1") == await door.get("/slow")
        assert (200, None) == await door.get("/readyz")
        door.is_prepared = True
        door.may_leave.set()
        assert (200, None) == await door.get("/slow")


async def test_a_request_in_hand_is_answered_before_the_end() -> None:
    """The end waits for it."""
    async with opened() as door:
        door.is_prepared = True
        asking = asyncio.create_task(door.get("/slow"))
        await door.entered.wait()
        draining = asyncio.create_task(door.edge.drain())

        for _ in range(10):
            await asyncio.sleep(0)
        assert not draining.done()
        door.may_leave.set()
        assert (200, None) == await asking
        await draining


MALFORMED = [
    b"GET /slow?token=ot_secret 1 HTTP/1.1",
    b"GET /slow HTTP/1.1\r\nAuthorization: Bearer \x00secret",
    b"GET /slow HTTP/1.1\r\nCookie: " + b"secret" * 2_000,
    b"POST /slow HTTP/1.1\r\nContent-Length: secret",
]


@pytest.mark.parametrize("request_", MALFORMED, ids=range(len(MALFORMED)))
async def test_what_is_no_http_is_one_line_without_what_was_sent(
    request_: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """400, and nobody can fill the log with tracebacks, or find a token there."""
    async with opened() as door:
        with capture_logs() as lines:
            reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
            writer.write(request_ + b"\r\nHost: x\r\n\r\n")
            assert (await reader.read()).split()[1] == b"400"
            writer.close()
    assert ["request.malformed"] == [one["event"] for one in lines if "request" in one["event"]]
    assert "secret" not in str(lines) + caplog.text
    assert [] == caplog.records


async def silent(door: Door) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection and send half a line."""
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(b"GET /hea")
    return reader, writer


async def is_closed(reader: asyncio.StreamReader) -> bool:
    """Say whether the server has ended a connection, without a word."""
    try:
        async with asyncio.timeout(5):
            return await reader.read() == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


async def test_more_connections_than_the_bound_are_closed_at_once() -> None:
    """Those that are there are served, and whoever leaves makes room."""
    async with opened(Bounds(5, 60)) as door:
        kept = [await silent(door) for _ in range(5)]
        with capture_logs() as lines:
            for _ in range(20):
                reader, writer = await silent(door)
                assert await is_closed(reader)
                writer.close()
        assert ["edge.crowded"] == [one["event"] for one in lines]
        assert (0, None) == await door.get("/healthz")

        for _, writer in kept[1:]:
            writer.close()

        async def answers() -> bool:
            return (await door.get("/healthz"))[0] == 200

        await eventually(answers)
        reader, writer = kept[0]
        writer.write(b"lthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_who_brings_no_request_is_closed_and_makes_room() -> None:
    """Silent strangers hold out nobody for long; a request that takes long is none of them."""
    async with opened(Bounds(20, 0.5)) as door:
        door.is_prepared = True
        asking = asyncio.create_task(door.get("/slow"))
        await door.entered.wait()
        crowd = [await silent(door) for _ in range(19)]
        assert all([await is_closed(reader) for reader, _ in crowd])
        assert (200, None) == await door.get("/healthz")
        door.may_leave.set()
        assert (200, None) == await asking
        for _, writer in crowd:
            writer.close()


@pytest.mark.parametrize(("limit", "most"), [(65_536, 65_280), (1_024, 768), (256, 128)])
def test_the_bound_leaves_open_files_for_payments(
    limit: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At least half of what may be open is for callers."""
    monkeypatch.setattr("resource.getrlimit", lambda _: (limit, limit))
    assert most == bounds_of_process().most
