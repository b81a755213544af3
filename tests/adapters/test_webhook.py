"""The signed call to an order service, also where that is hostile, slow or gone."""

import asyncio
import base64
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from standardwebhooks import Webhook

from payonce.adapters.codec import encode_event
from payonce.adapters.webhook import WebhookPoster, open_session
from payonce.domain.events import Event, EventType, make_event
from payonce.domain.signature import signing_key
from payonce.ports.notifier import NoticeAnswer, NoticeOutcome
from tests.support.dripping import drip
from tests.support.ports import free_port

SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
TRACE = f"00-{'a' * 32}-{'b' * 16}-01"
DATA = {"payment_id": "p1", "order_id": "o1", "order_version": 1, "amount": 100}
TIMEOUT_S = 0.3

Behaviour = Callable[[asyncio.StreamWriter], Awaitable[None]]


def event(traceparent: str | None = TRACE) -> Event:
    """Return the event of a paid order."""
    at = datetime(2026, 1, 31, 8, 0, 0, 123_456, tzinfo=UTC)
    return make_event(EventType.PAYMENT_SUCCEEDED, "o1", "o1", at, DATA, traceparent)


class Receiver:
    """A raw TCP endpoint: it keeps what it was sent, and behaves as it is told."""

    def __init__(self, behave: Behaviour) -> None:
        self._behave = behave
        self.requests: list[tuple[str, dict[str, str], bytes]] = []
        self.connections = 0
        self.open = 0
        self.most_open = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Read one request after the other, and answer each."""
        self.connections += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            while head := await _head(reader):
                line, *fields = head.decode().split("\r\n")
                headers = dict(one.split(": ", 1) for one in fields)
                body = await reader.readexactly(int(headers.get("Content-Length", 0)))
                self.requests.append((line, headers, body))
                await self._behave(writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes:
    try:
        return (await reader.readuntil(b"\r\n\r\n")).removesuffix(b"\r\n\r\n")
    except asyncio.IncompleteReadError:
        return b""


@asynccontextmanager
async def receiving(
    behave: Behaviour, timeout_s: float = 10.0
) -> AsyncIterator[tuple[Receiver, WebhookPoster]]:
    """Give an endpoint and what posts to it."""
    receiver = Receiver(behave)
    server = await asyncio.start_server(receiver.take, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with open_session(timeout_s, 3) as session:
        key = signing_key(SECRET)
        yield receiver, WebhookPoster(session, f"http://127.0.0.1:{port}/paid?shop=1", key)
    server.close()


def answering(raw: bytes) -> Behaviour:
    """Return what sends these bytes."""

    async def behave(writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        await writer.drain()

    return behave


def status(code: int, more: str = "") -> Behaviour:
    """Return what answers with a status and no body."""
    return answering(f"HTTP/1.1 {code} So\r\n{more}Content-Length: 0\r\n\r\n".encode())


async def test_the_call_is_the_event_of_the_bus_signed() -> None:
    """The reference library accepts it; id, type and trace stand in its headers."""
    async with receiving(status(204)) as (receiver, poster):
        assert NoticeOutcome.OK is (await poster.notify(event())).outcome
    [(line, headers, body)] = receiver.requests
    assert "POST /paid?shop=1 HTTP/1.1" == line
    assert encode_event(event()) == body
    lower = {name.lower(): value for name, value in headers.items()}
    assert event().event_id == Webhook(SECRET).verify(body, lower)["id"]
    assert (event().event_id, TRACE, "application/cloudevents+json") == (
        lower["webhook-id"],
        lower["traceparent"],
        lower["content-type"],
    )


@pytest.mark.parametrize("traceparent", [None, "no trace", "00-x\r\nX-Evil: 1"])
async def test_a_bad_trace_costs_the_trace_alone(traceparent: str | None) -> None:
    """The order is told all the same."""
    async with receiving(status(200)) as (receiver, poster):
        assert NoticeOutcome.OK is (await poster.notify(event(traceparent))).outcome
    assert {"traceparent", "X-Evil"}.isdisjoint(receiver.requests[0][1])


@pytest.mark.parametrize(
    ("code", "outcome"),
    [
        *((code, NoticeOutcome.OK) for code in (200, 201, 202, 204, 299)),
        *((code, NoticeOutcome.REFUSED) for code in (400, 401, 404, 410, 500, 501)),
        *((code, NoticeOutcome.FAILED) for code in (429, 502, 503, 504)),
    ],
)
async def test_only_a_2xx_is_a_yes(code: int, outcome: NoticeOutcome) -> None:
    """What a proxy says of a service that is away is no word of the service."""
    async with receiving(status(code)) as (_, poster):
        assert NoticeAnswer(outcome, code) == await poster.notify(event())
        assert poster.address == poster._url.removesuffix("?shop=1")


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
async def test_a_redirect_is_a_refusal_and_nobody_follows_it(code: int) -> None:
    """The event goes to the configured address and to no other."""
    async with (
        receiving(status(200)) as (elsewhere, other),
        receiving(status(code, f"Location: {other._url}\r\n")) as (_, poster),
    ):
        assert NoticeOutcome.REFUSED is (await poster.notify(event())).outcome
    assert 0 == elsewhere.connections


async def test_no_cookie_comes_back() -> None:
    """What one answer sets, the next call does not carry."""
    async with receiving(status(200, "Set-Cookie: a=b\r\n")) as (receiver, poster):
        # Of a bare address no client would keep a cookie anyway.
        poster._url = poster._url.replace("127.0.0.1", "localhost")
        for _ in range(2):
            assert NoticeOutcome.OK is (await poster.notify(event())).outcome
    assert 2 == len(receiver.requests)
    assert all("Cookie" not in headers for _, headers, _ in receiver.requests)


async def test_calls_share_a_connection() -> None:
    """Where the answers allow it."""
    async with receiving(status(200)) as (receiver, poster):
        for _ in range(5):
            await poster.notify(event())
    assert (1, 5) == (receiver.connections, len(receiver.requests))


async def hang(_: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def endless_header(writer: asyncio.StreamWriter) -> None:
    """Send a header's bytes one by one, for ever."""
    writer.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
    await drip(writer, itertools.repeat(ord("a")), 0.01)


async def cut(writer: asyncio.StreamWriter) -> None:
    """Close in the middle of the answer's head."""
    writer.write(b"HTTP/1.1 2")
    await writer.drain()
    writer.close()


@pytest.mark.parametrize("behave", [hang, endless_header])
async def test_a_slow_answer_is_given_up_in_time(behave: Behaviour) -> None:
    """However steadily it drips."""
    began = time.monotonic()
    async with receiving(behave, TIMEOUT_S) as (_, poster):
        assert NoticeOutcome.TIMEOUT is (await poster.notify(event())).outcome
    assert time.monotonic() - began < 10 * TIMEOUT_S


@pytest.mark.parametrize(
    "behave",
    [
        cut,
        answering(b"\x16\x03\x01 this is no HTTP\r\n\r\n"),
        answering(b"HTTP/1.1 200 OK\r\nX: " + b"x" * 1_000_000),
    ],
    ids=["cut", "nonsense", "endless-head"],
)
async def test_a_broken_answer_is_a_failure(behave: Behaviour) -> None:
    """Not a yes, and not an exception."""
    async with receiving(behave) as (_, poster):
        assert NoticeOutcome.FAILED is (await poster.notify(event())).outcome


async def test_nobody_there_is_a_failure() -> None:
    """A refused connection; and a name that does not resolve."""
    async with open_session(TIMEOUT_S, 3) as session:
        for url in (f"http://127.0.0.1:{free_port()}/", "http://order-service.invalid/"):
            answer = await WebhookPoster(session, url, None).notify(event())
            assert answer.outcome in {NoticeOutcome.FAILED, NoticeOutcome.TIMEOUT}
            assert (None, True) == (answer.status, bool(answer.reason))


async def test_a_closed_session_is_a_failure() -> None:
    """A call that comes while the process ends."""
    async with open_session(TIMEOUT_S, 3) as session:
        poster = WebhookPoster(session, "http://127.0.0.1:9/", None)
    assert NoticeOutcome.FAILED is (await poster.notify(event())).outcome


async def flood(writer: asyncio.StreamWriter) -> None:
    """Send a body without an end."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n")
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()


async def test_a_body_without_an_end_is_not_read() -> None:
    """The status says it all."""
    async with receiving(flood) as (_, poster):
        assert NoticeOutcome.OK is (await poster.notify(event())).outcome


async def test_connections_are_bounded() -> None:
    """More calls than connections wait for their turn, within their own time."""
    async with receiving(status(200)) as (receiver, poster):
        answers = await asyncio.gather(*(poster.notify(event()) for _ in range(40)))
    assert ([NoticeOutcome.OK] * 40, 40) == (
        [one.outcome for one in answers],
        len(receiver.requests),
    )
    assert receiver.most_open <= 3
