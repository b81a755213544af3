"""What the tests of gateways stand on: settings, a meter that notes, a server that misbehaves."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from payonce.adapters.metrics import NullMeter
from payonce.domain.ladder import Ladder
from payonce.domain.watch import Terms
from payonce.gateways.client import open_session
from payonce.gateways.registry import build_gateways
from payonce.ports.gateway import ChargeRef, Gateway, NewCharge, NewRefund
from payonce.settings import GatewaySettings
from payonce.settings.kinds.http import HttpCredentials
from payonce.settings.secret import Secret

SECRET = "whsec_aG9zdGlsZS1zZXJ2ZXItdGVzdC1rZXk="
OLD_SECRET = "whsec_dGhlLXNlY3JldC1vZi15ZXN0ZXJkYXk="
TIMEOUT_S = 0.6
CHARGE = ChargeRef("p-1")
NEW_CHARGE = NewCharge(
    payment_id="p-1",
    order_id="o-1",
    amount=1999,
    currency="CNY",
    expires_at=datetime(2030, 1, 1, tzinfo=UTC),
    notify_url="http://shop/",
    return_url="http://shop/checkout/p-1?token=ot_1",
)
NEW_REFUND = NewRefund("rf-1", "p-1", 1999, "CNY", 1999, "order-paid")

Serve = Callable[["Request", asyncio.StreamWriter], Awaitable[None]]


def charge_json(**changed: Any) -> dict[str, Any]:
    """Return a charge as a gateway in order writes it."""
    return {
        "payment_id": "p-1",
        "gateway_ref": "ch_1",
        "status": "succeeded",
        "amount": 1999,
        "currency": "CNY",
        "paid_at": "2026-01-31T08:00:00Z",
        "refunded": 0,
    } | changed


def refund_json(**changed: Any) -> dict[str, Any]:
    """Return a refund as a gateway in order writes it."""
    return {
        "refund_id": "rf-1",
        "payment_id": "p-1",
        "amount": 1999,
        "status": "succeeded",
    } | changed


def settings_for(base_url: str, **changed: Any) -> GatewaySettings:
    """Return the settings of a gateway at `base_url`."""
    terms = Terms(
        ladder=Ladder((3_000,)),
        watch_for=timedelta(hours=2),
        lateness=timedelta(minutes=10),
        grace=timedelta(seconds=15),
        can_close=True,
    )
    settings = GatewaySettings(
        name="mock",
        kind="http",
        base_url=base_url,
        credentials=HttpCredentials((Secret(SECRET),)),
        can_close=True,
        timeout_s=TIMEOUT_S,
        max_in_flight=50,
        rate_per_s=0,
        can_refund=True,
        refund_auto=True,
        refund_max_per_hour=None,
        refund_key_window=timedelta(hours=24),
        terms=terms,
    )
    return replace(settings, **changed)


class NotingMeter(NullMeter):
    """Keeps what gateways were asked: (gateway, call, outcome)."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[str, str, str]] = []

    def gateway_asked(self, gateway: str, call: str, outcome: str, seconds: float) -> None:
        """Note one call to a gateway."""
        super().gateway_asked(gateway, call, outcome, seconds)
        self.asked.append((gateway, call, outcome))


@asynccontextmanager
async def open_gateway(
    base_url: str, meter: NotingMeter | None = None, **changed: Any
) -> AsyncIterator[Gateway]:
    """Give the `http` adapter for `base_url`, built as the daemon builds it."""
    settings = settings_for(base_url, **changed)
    async with open_session() as session:
        yield build_gateways({"mock": settings}, session, meter or NotingMeter())["mock"]


@dataclass(frozen=True)
class Request:
    """One request as it came over the wire."""

    line: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Hostile:
    """A server that reads requests properly and answers them as badly as it is told."""

    serve: Serve
    url: str = ""
    requests: list[Request] = field(default_factory=list)
    connections: list[asyncio.Task[None]] = field(default_factory=list)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a connection."""
        self.connections.append(asyncio.create_task(self._talk(reader, writer)))

    async def close(self) -> None:
        """End all connections."""
        for task in self.connections:
            task.cancel()
        await asyncio.gather(*self.connections, return_exceptions=True)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve until either side has enough; `hung_up` tells that the other side had."""
        try:
            while not writer.is_closing():
                request = await _read_request(reader)
                self.requests.append(request)
                await self.serve(request, writer)
                await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            self.hung_up.set()
        finally:
            writer.close()


@asynccontextmanager
async def hostile(serve: Serve) -> AsyncIterator[Hostile]:
    """Give a server that answers with `serve`."""
    server = Hostile(serve)
    async with await asyncio.start_server(server.accept, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        server.url = f"http://127.0.0.1:{port}"
        try:
            yield server
        finally:
            await server.close()


@asynccontextmanager
async def asking(serve: Serve, **changed: Any) -> AsyncIterator[tuple[Gateway, Hostile]]:
    """Give the adapter and the hostile server that it asks."""
    async with hostile(serve) as server, open_gateway(server.url, **changed) as gateway:
        yield gateway, server


def answer(
    body: bytes | Mapping[str, Any] = b"{}",
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> bytes:
    """Return an HTTP answer whose framing is in order, whatever stands in it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = {"Content-Type": "application/json", "Content-Length": str(len(content))}
    head = "".join(f"{name}: {one}\r\n" for name, one in (lines | dict(headers or {})).items())
    return f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode("latin-1") + content


def always(raw: bytes, *, close: bool = False) -> Serve:
    """Return a `serve` that sends these bytes; `close`: and hangs up."""

    async def serve(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)
        if close:
            writer.close()

    return serve


async def silence(_request: Request, _writer: asyncio.StreamWriter) -> None:
    """Never answer."""
    await asyncio.Event().wait()


async def _read_request(reader: asyncio.StreamReader) -> Request:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    line, *rest = head.rstrip("\r\n").split("\r\n")
    headers = {name.lower(): one for name, _, one in (each.partition(": ") for each in rest)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Request(line, headers, body)
