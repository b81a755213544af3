"""All of payonce over TLS: the three servers want certificates of ours, too."""

import json
import re
import shutil
import ssl
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from payonce.adapters.rabbitmq.declare import declare
from payonce.adapters.rabbitmq.topology import service_topology
from payonce.kit import DEFAULT_LADDER
from tests.support.authority import Authority
from tests.support.consuming import consuming
from tests.support.servers import VARIABLES, Servers
from tests.support.standing import fronting
from tests.support.tls import Tls
from tests.support.town import Town, Worker, open_town, payments
from tests.support.waiting import eventually

SECRET = "whsec_" + "a2V5" * 8
VERIFIED = "encrypted, its certificate verified"


@pytest.fixture(scope="module")
def authority() -> Iterator[Authority]:
    """Who signs all certificates of this town."""
    folder = Path(tempfile.mkdtemp(prefix="payonce-authority-"))
    folder.chmod(0o711)
    yield Authority(folder)
    shutil.rmtree(folder)


@pytest.fixture(scope="module")
def files(authority: Authority) -> Tls:
    """What servers and clients show each other."""
    return authority.tls("server", mutual=True)


@pytest.fixture(scope="module")
def servers(files: Tls) -> Iterator[Servers]:
    """The three servers, which let nobody in without TLS and a certificate."""
    folder = Path(tempfile.mkdtemp(prefix="payonce-tls-"))
    folder.chmod(0o711)
    running = Servers(folder, fast=True, tls=files)
    try:
        running.start()
        yield running
    finally:
        running.stop()
        shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def told(files: Tls) -> AsyncIterator[tuple[str, list[str]]]:
    """Give the address of an order service over TLS, and the orders that it was told of."""
    orders: list[str] = []

    async def take(request: web.Request) -> web.Response:
        orders.append(f"{request.path} {(await request.json())['subject']}")
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/{who}", take)
    runner = web.AppRunner(app)
    await runner.setup()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(files.certificate, files.key)
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    yield f"https://127.0.0.1:{runner.addresses[0][1]}", orders
    await runner.cleanup()


@asynccontextmanager
async def town_over_tls(
    folder: Path, servers: Servers, files: Tls, dsn: str, amqp_url: str
) -> AsyncIterator[tuple[Town, list[str]]]:
    """Give a town in which everything is spoken to over TLS, and who was called."""
    async with told(files) as (url, orders):
        changed = {
            "SSL_CERT_FILE": str(files.ca),
            "PAYONCE_ORDER_SERVICE__NOTIFY_URL": f"{url}/paid",
            "PAYONCE_ORDER_SERVICE__SECRET": SECRET,
            "PAYONCE_BROKER__MANAGEMENT_URL": servers.rabbitmq.management_url,
        }
        async with open_town(folder, dsn, amqp_url, servers.redis.url, **changed) as town:
            plain = town.env["PAYONCE_GATEWAYS__MOCK__BASE_URL"]
            async with fronting(int(plain.rpartition(":")[2]), files) as port:
                town.env["PAYONCE_GATEWAYS__MOCK__BASE_URL"] = f"https://127.0.0.1:{port}"
                yield town, orders


@pytest.fixture
async def secured(
    tmp_path: Path, servers: Servers, files: Tls, postgres_dsn: str, amqp_url: str
) -> AsyncIterator[tuple[Town, list[str]]]:
    """Such a town."""
    async with town_over_tls(tmp_path, servers, files, postgres_dsn, amqp_url) as found:
        yield found


async def results(town: Town, *switches: str, **changed: str) -> dict[str, str]:
    """Return what `payonce check` says, by name."""
    _, out, err = await town.payonce("check", "--json", *switches, **changed)
    assert "guest:guest" not in out + err
    return {one["name"]: one["detail"] for one in map(json.loads, out.splitlines())}


@asynccontextmanager
async def billing(town: Town) -> AsyncIterator[None]:
    """Run `payonce consume`, which calls the order service at another path."""
    await declare(town.amqp_url, service_topology("billing", DEFAULT_LADDER.waits_ms))
    url = town.env["PAYONCE_ORDER_SERVICE__NOTIFY_URL"].replace("/paid", "/billing")
    async with consuming(town.env, url):
        yield


async def test_a_payment_is_settled_over_tls_alone(secured: tuple[Town, list[str]]) -> None:
    """Servers, gateway, order service, management API, and order consumers of both kinds."""
    town, called = secured
    paid = payments(3)
    town.open_charges(paid, pays_after_s=0.2)
    worker = town.worker()
    await worker.start()

    async with town.order_service(), billing(town):
        await town.publish("payment.initiated", paid)
        await eventually(lambda: _all_acknowledged(town, 3))
        expected = {f"/{who} {one['order_id']}" for who in ("paid", "billing") for one in paid}
        await eventually(lambda: expected == set(called))
        ours = "FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) WHERE client_addr IS NOT NULL"
        assert 0 == await town.count(f"SELECT count(*) {ours} AND NOT ssl")
    assert set(town.orders.events) == {one["order_id"] for one in paid}
    await eventually(lambda: _knows_stuck_messages(worker), 30)


async def _all_acknowledged(town: Town, count: int) -> bool:
    return await town.acknowledged() == count


async def _knows_stuck_messages(worker: Worker) -> bool:
    """Say whether the management API has been asked."""
    return "payonce_queue_stuck_messages{" in await worker.get_text("/metrics")


async def test_check_says_that_all_is_encrypted(secured: tuple[Town, list[str]]) -> None:
    """Line by line; gateway and order service are asked, too."""
    town, _ = secured
    said = await results(town, "--online")
    assert {"postgresql": VERIFIED, "rabbitmq": VERIFIED, "redis": VERIFIED} == {
        name: said[name] for name in ("postgresql", "rabbitmq", "redis")
    }
    assert ("ok", "accepts connections; nothing was posted") == (
        said["gateway mock"],
        said["order service"],
    )


async def test_a_gateway_that_nobody_vouches_for_is_refused(
    secured: tuple[Town, list[str]],
) -> None:
    """Without the private CA neither it nor the order service is spoken to."""
    town, _ = secured
    said = await results(town, "--online", SSL_CERT_FILE="")
    nobody = "its certificate comes from nobody trusted here: name its CA by SSL_CERT_FILE"
    assert nobody in said["gateway mock"]
    assert nobody in said["order service"]
    assert VERIFIED == said["postgresql"]


async def test_a_gateway_under_another_name_is_refused(secured: tuple[Town, list[str]]) -> None:
    """Its certificate is for an address, not for this name."""
    town, _ = secured
    there = town.env["PAYONCE_GATEWAYS__MOCK__BASE_URL"].replace("127.0.0.1", "localhost")
    said = await results(town, "--online", PAYONCE_GATEWAYS__MOCK__BASE_URL=there)
    assert "its certificate is for another host" in said["gateway mock"]


async def test_who_shows_no_certificate_is_not_let_in(secured: tuple[Town, list[str]]) -> None:
    """The servers ask for one; what is said names the server, and no password."""
    town, _ = secured
    bare = {
        name: re.sub(r"&(ssl)?_?(cert|key|certfile|keyfile)=[^&]*", "", town.env[name])
        for name in VARIABLES
    }
    said = await results(town, **bare)
    assert "valid client certificate" in said["postgresql"]
    assert "does it want a certificate of ours?" in said["rabbitmq"]
    assert "does it want a certificate of ours?" in said["redis"]


async def test_plain_text_is_not_let_in(secured: tuple[Town, list[str]]) -> None:
    """A DSN without TLS meets a server that wants it."""
    town, _ = secured
    dsn = town.env["PAYONCE_POSTGRES_DSN"].partition("?")[0]
    said = await results(town, PAYONCE_POSTGRES_DSN=f"{dsn}?sslmode=disable")
    assert "no pg_hba.conf entry" in said["postgresql"]
