"""payonce consume as a process of its own, which a signal ends."""

import os
from collections.abc import AsyncIterator, Iterator

import pytest
from aiohttp import web

from payonce.adapters.rabbitmq.declare import declare
from payonce.adapters.rabbitmq.topology import service_topology
from payonce.kit import DEFAULT_LADDER
from tests.kit.shop import Shop
from tests.support.consuming import consuming
from tests.support.waiting import eventually


@pytest.fixture
def shop(amqp_url: str) -> Iterator[Shop]:
    """A foreign client, with queues for the events and for what is acknowledged."""
    client = Shop(amqp_url)
    client.bind("acks", "order.acknowledged")
    yield client
    client.close()


@pytest.fixture
async def endpoint() -> AsyncIterator[tuple[str, list[bytes]]]:
    """The URL of a service that takes everything, and what it took."""
    taken: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(await request.read())
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/paid", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/paid", taken
    await runner.cleanup()


@pytest.mark.parametrize(("switches", "acknowledged"), [((), 1), (("--no-acknowledge",), 0)])
async def test_order_is_acknowledged_unless_told_otherwise(
    amqp_url: str,
    shop: Shop,
    endpoint: tuple[str, list[bytes]],
    switches: tuple[str, ...],
    acknowledged: int,
) -> None:
    """A service that does not own the order takes its event and tells payonce nothing."""
    url, taken = endpoint
    await declare(amqp_url, service_topology("billing", DEFAULT_LADDER.waits_ms))
    shop.tell_paid("o-1")
    plain = {name: value for name, value in os.environ.items() if "PAYONCE" not in name}
    env = {**plain, "PAYONCE_AMQP_URL": amqp_url}
    async with consuming(env, url, *switches):
        await eventually(lambda: taken, 20)
    assert (1, 0, acknowledged) == (
        len(taken),
        shop.count("billing.payment-succeeded"),
        shop.count("acks"),
    )
