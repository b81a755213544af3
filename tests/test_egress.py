"""The way out: a public-looking name that leads inside is refused, and no redirect is followed."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import aiohttp
import pytest
from aiohttp.abc import AbstractResolver, ResolveResult
from structlog.testing import capture_logs
from yarl import URL

from payonce import egress
from payonce.adapters import webhook
from payonce.adapters.rabbitmq.management import Management
from payonce.bootstrap.gateways import private_names
from payonce.domain.errors import Unavailable
from payonce.domain.events import Event, EventType, make_event
from payonce.gateways import client
from payonce.gateways.client import NoAnswer
from payonce.kit.consumer import OrderPaid
from payonce.kit.webhook import WebhookSender
from payonce.settings import load_settings
from tests.cli.conftest import NOWHERE
from tests.support.kinds import KINDS, environment_of

PUBLIC_NAME = "pay.example.com"
LIMIT = aiohttp.ClientTimeout(total=5)


class Poisoned(AbstractResolver):
    """A DNS that leads every name to the addresses it was told, one set after the other."""

    def __init__(self, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return the next set; the last one repeats."""
        found = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        return [
            ResolveResult(
                hostname=host,
                host=one,
                port=port,
                family=socket.AF_INET6 if ":" in one else socket.AF_INET,
                proto=0,
                flags=socket.AI_NUMERICHOST,
            )
            for one in found
        ]

    async def close(self) -> None:
        """Hold nothing."""


@pytest.fixture
def dns(monkeypatch: pytest.MonkeyPatch) -> Poisoned:
    """What every client of this process asks for names; at first all lead to this machine."""
    poisoned = Poisoned(["127.0.0.1"])
    monkeypatch.setattr(egress, "ThreadedResolver", lambda: poisoned)
    return poisoned


class Counting:
    """An HTTP server that answers all alike and counts its connections."""

    def __init__(self, raw: bytes) -> None:
        self.raw = raw
        self.connections = 0
        self.paths: list[str] = []
        self.port = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one request."""
        self.connections += 1
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            self.paths.append(head.split(" ")[1])
            writer.write(self.raw.replace(b"PORT", str(self.port).encode()))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


@asynccontextmanager
async def counting(raw: bytes) -> AsyncIterator[Counting]:
    """Give such a server."""
    found = Counting(raw)
    server = await asyncio.start_server(found.take, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    async with server:
        yield found


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n[]"


def event() -> Event:
    """Return the event of a paid order."""
    at = datetime(2026, 1, 31, tzinfo=UTC)
    data = {"payment_id": "p1", "order_id": "o1", "order_version": 1, "amount": 100}
    return make_event(EventType.PAYMENT_SUCCEEDED, "o1", "o1", at, data, None)


async def by_gateway(url: str, allowed: tuple[str, ...]) -> object:
    """Call as gateways are called: the status, or why there is none."""
    async with client.open_session(allowed) as session:
        try:
            return (await client.call(session, "GET", URL(url), {}, LIMIT)).status
        except NoAnswer as error:
            return error.problem if not error.sent else ("sent", error.problem)


async def by_notice(url: str, allowed: tuple[str, ...]) -> object:
    """Call as the order service is called."""
    async with webhook.open_session(5, 3, allowed) as session:
        answer = await webhook.WebhookPoster(session, url, None).notify(event())
        return answer.status or answer.reason


async def by_consumer(url: str, allowed: tuple[str, ...]) -> object:
    """Call as `payonce consume` does: taken or not, and what was logged."""
    paid = OrderPaid("e1", "o1", "p1", {}, 0, b"{}", None)
    async with webhook.open_session(5, 3, allowed) as session:
        with capture_logs() as logs:
            taken = await WebhookSender(session, url, None).send(paid)
        told = [one for one in logs if one["event"] != "address.refused"]
        return 200 if taken else (told[0].get("status") or told[0]["reason"])


CALLERS: dict[str, Callable[[str, tuple[str, ...]], Awaitable[object]]] = {
    "gateway": by_gateway,
    "order service": by_notice,
    "payonce consume": by_consumer,
}
each_caller = pytest.mark.parametrize("caller", sorted(CALLERS))


@each_caller
async def test_a_public_name_that_leads_inside_is_refused(caller: str, dns: Poisoned) -> None:
    """No connection is made; the error and the log say where it leads."""
    async with counting(OK) as server:
        with capture_logs() as logs:
            found = await CALLERS[caller](f"http://{PUBLIC_NAME}:{server.port}/", ())
        assert f"{PUBLIC_NAME} leads to 127.0.0.1: private" in str(found)
        assert "sent" not in str(found)
        assert 0 == server.connections
    refused = [one for one in logs if one["event"] == "address.refused"]
    if caller != "payonce consume":
        assert [(PUBLIC_NAME, "127.0.0.1")] == [(one["host"], one["address"]) for one in refused]


@each_caller
async def test_a_name_that_is_allowed_may_lead_inside(caller: str, dns: Poisoned) -> None:
    """As `allow_private` says of it."""
    async with counting(OK) as server:
        url = f"http://{PUBLIC_NAME}:{server.port}/"
        assert 200 == await CALLERS[caller](url, (PUBLIC_NAME,))


@each_caller
@pytest.mark.parametrize("host", ["gateway-mock", "shop.default.svc.cluster.local", "localhost"])
async def test_a_private_name_may_lead_inside(caller: str, host: str, dns: Poisoned) -> None:
    """Nothing has to be allowed for what the configuration always could."""
    async with counting(OK) as server:
        assert 200 == await CALLERS[caller](f"http://{host}:{server.port}/", ())


@each_caller
@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "fd00:ec2::254", "224.0.0.1"])
async def test_credentials_of_the_cloud_are_out_of_reach(
    caller: str, address: str, dns: Poisoned
) -> None:
    """Whatever the name, and whatever is allowed."""
    dns.answers = [[address]]
    found = await CALLERS[caller]("http://metadata.google.internal/", ("metadata.google.internal",))
    assert f"leads to {address}" in str(found)


async def test_a_name_that_changes_its_mind_is_refused(dns: Poisoned) -> None:
    """DNS rebinding: what was looked up is what is connected to, and one bad address spoils all."""
    dns.answers = [["1.1.1.1", "10.0.0.7"], ["10.0.0.7"]]
    async with counting(OK) as server:
        url = f"http://{PUBLIC_NAME}:{server.port}/"
        assert "10.0.0.7" in str(await by_gateway(url, ()))
        assert "10.0.0.7" in str(await by_gateway(url, ()))
        assert (2, 0) == (dns.asked, server.connections)


async def test_a_refused_name_is_told_by_check(dns: Poisoned) -> None:
    """`payonce check --online` connects to the order service only where payonce would."""
    async with counting(OK) as server:
        url = f"http://{PUBLIC_NAME}:{server.port}/"
        problem = await webhook.connect_problem(url, 5, allow_private=False)
        assert problem is not None
        assert f"{PUBLIC_NAME} leads to 127.0.0.1: private" in problem
        assert 0 == server.connections


async def test_management_may_lie_inside_but_not_everywhere(dns: Poisoned) -> None:
    """RabbitMQ's management API is one of the operator's own servers, whatever it is called."""
    async with counting(
        OK.replace(b"OK\r\n", b"OK\r\nContent-Type: application/json\r\n")
    ) as server:
        url = f"http://u:hunter2@{PUBLIC_NAME}:{server.port}"
        assert [] == await Management(url, "amqp://h/").counts()
        dns.answers = [["169.254.169.254"]]
        with pytest.raises(Unavailable) as caught:
            await Management(url, "amqp://h/").counts()
    assert "hunter2" not in str(caught.value)


@each_caller
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_no_redirect_is_followed(caller: str, status: int) -> None:
    """It is an answer like any other that does not say yes; where it points to is not called."""
    raw = f"HTTP/1.1 {status} Moved\r\nLocation: http://127.0.0.1:PORT/moved\r\n"
    raw += "Content-Length: 0\r\nConnection: close\r\n\r\n"
    async with counting(raw.encode()) as server:
        assert status == await CALLERS[caller](f"http://127.0.0.1:{server.port}/first", ())
        assert ["/first"] == server.paths


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_management_follows_no_redirect(status: int) -> None:
    """Its password goes where the configuration says."""
    raw = f"HTTP/1.1 {status} Moved\r\nLocation: http://127.0.0.1:PORT/moved\r\n"
    raw += "Content-Length: 0\r\nConnection: close\r\n\r\n"
    async with counting(raw.encode()) as server:
        with pytest.raises(Unavailable):
            await Management(f"http://u:p@127.0.0.1:{server.port}", "amqp://h/").counts()
        assert 1 == len(server.paths)


def test_names_are_allowed_gateway_by_gateway() -> None:
    """Those whose table says so, with the hosts of PayPal's certificates."""
    paypal = KINDS["paypal"]
    told = environment_of(paypal, paypal.make(), "https://api-m.paypal.com", "paypal", ["1m"])
    told["PAYONCE_GATEWAYS__PAYPAL__CERT_HOSTS"] = '["*.paypal.com"]'
    assert () == private_names(load_settings({**NOWHERE, **told}).gateways)
    told["PAYONCE_GATEWAYS__PAYPAL__ALLOW_PRIVATE"] = "true"
    allowed = private_names(load_settings({**NOWHERE, **told}).gateways)
    assert ("api-m.paypal.com", "*.paypal.com") == allowed
