"""Events handed to an HTTP endpoint that verifies, fails, hangs or redirects."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from aiormq.exceptions import ChannelNotFoundEntity
from standardwebhooks import Webhook

from payonce.adapters.rabbitmq.declare import plain_channel
from payonce.domain.errors import InvalidField
from payonce.kit import Ladder, OrderPaid, run_webhook_consumer
from payonce.kit.webhook import WebhookSender
from tests.broker.rigs import soon
from tests.kit.shop import Shop
from tests.support.depths import ready_messages
from tests.support.waiting import eventually

SECRET = "whsec_" + base64.b64encode(b"k" * 24).decode()
LADDER = Ladder((50,))
QUEUE = "shop.payment-succeeded"

Answer = Callable[[int], Awaitable[int]]


class Endpoint:
    """An order service's HTTP endpoint, which answers the n-th call as it is told."""

    def __init__(self, answer: Answer) -> None:
        self.calls: list[tuple[dict[str, str], bytes]] = []
        self.redirected = 0
        self._answer = answer

    async def take(self, request: web.Request) -> web.Response:
        """Note a call and answer it."""
        self.calls.append((dict(request.headers), await request.read()))
        status = await self._answer(len(self.calls))
        headers = {"Location": "/elsewhere"} if 300 <= status < 400 else {}
        return web.Response(status=status, headers=headers)

    async def elsewhere(self, _request: web.Request) -> web.Response:
        """Note that a redirect was followed."""
        self.redirected += 1
        return web.Response()


@asynccontextmanager
async def serving(endpoint: Endpoint) -> AsyncIterator[str]:
    """Serve on a free port of loopback and yield the URL."""
    app = web.Application()
    app.router.add_post("/paid", endpoint.take)
    app.router.add_post("/elsewhere", endpoint.elsewhere)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}/paid"
    await runner.cleanup()


@asynccontextmanager
async def posting(amqp_url: str, url: str, **options: Any) -> AsyncIterator[None]:
    """Run the webhook consumer and stop it."""
    stop = asyncio.Event()
    task = asyncio.create_task(
        run_webhook_consumer("shop", amqp_url, url, stop, ladder=LADDER, **options)
    )
    await soon(lambda: _is_consumed(amqp_url))
    yield
    stop.set()
    await task


async def _is_consumed(amqp_url: str) -> bool:
    async with plain_channel(amqp_url) as channel:
        try:
            declared = await channel.queue_declare(QUEUE, passive=True)
        except ChannelNotFoundEntity:
            return False
        return bool(declared.consumer_count)


@pytest.fixture
def shop(amqp_url: str) -> Iterator[Shop]:
    """A foreign client, with a queue for acknowledgements."""
    client = Shop(amqp_url)
    client.bind("acks", "order.acknowledged")
    yield client
    client.close()


async def accept(_call: int) -> int:
    """Answer 204."""
    return 204


async def test_event_is_posted_signed_and_acknowledged(amqp_url: str, shop: Shop) -> None:
    """The endpoint gets the CloudEvent with a signature that the reference library accepts."""
    endpoint = Endpoint(accept)
    async with serving(endpoint) as url, posting(amqp_url, url, secret=SECRET):
        event_id = shop.tell_paid("o-1")
        await eventually(lambda: shop.count("acks"))
    ((headers, body),) = endpoint.calls
    verified = Webhook(SECRET).verify(body, {name.lower(): one for name, one in headers.items()})
    assert ("application/cloudevents+json", event_id, "o-1") == (
        headers["Content-Type"],
        verified["id"],
        verified["data"]["order_id"],
    )
    assert event_id == headers["webhook-id"]
    assert headers["traceparent"].startswith("00-4bf92f")


async def test_without_a_secret_nothing_is_signed(amqp_url: str, shop: Shop) -> None:
    """No secret, no signature."""
    endpoint = Endpoint(accept)
    async with serving(endpoint) as url, posting(amqp_url, url):
        shop.tell_paid("o-1")
        await eventually(lambda: endpoint.calls)
    assert "webhook-signature" not in endpoint.calls[0][0]


@pytest.mark.parametrize(
    "more", ["-\r\nX-Evil: 1", "-\rX-Evil: 1", "-\n", "-\x00", "-\udcff", f"-{'x' * 9_000}"]
)
async def test_an_odd_traceparent_costs_the_trace_alone(more: str) -> None:
    """It may have been stored long ago; the event is told without it."""
    endpoint = Endpoint(accept)
    trace = f"01-{'a' * 32}-{'b' * 16}-01{more}"
    event = OrderPaid("e-1", "o-1", "p-1", {}, 0, b"{}", trace)
    async with serving(endpoint) as url, aiohttp.ClientSession() as session:
        assert await WebhookSender(session, url, SECRET).send(event)
    ((headers, _),) = endpoint.calls
    assert {"traceparent", "X-Evil"}.isdisjoint(headers)


@pytest.mark.parametrize("status", [500, 404, 302, 307])
async def test_anything_but_2xx_comes_again(amqp_url: str, shop: Shop, status: int) -> None:
    """A refusal is repeated with the same id until it is a 2xx; no redirect is followed."""

    async def answer(call: int) -> int:
        return status if call < 3 else 200

    endpoint = Endpoint(answer)
    async with serving(endpoint) as url, posting(amqp_url, url, secret=SECRET):
        shop.tell_paid("o-1")
        await eventually(lambda: shop.count("acks"))
    assert (3, 0) == (len(endpoint.calls), endpoint.redirected)
    assert 1 == len({headers["webhook-id"] for headers, _ in endpoint.calls})


async def test_hanging_endpoint_is_given_up_and_asked_again(amqp_url: str, shop: Shop) -> None:
    """An endpoint that does not answer in time is a failure like any other."""
    released = asyncio.Event()

    async def answer(call: int) -> int:
        if call == 1:
            await released.wait()
        return 200

    endpoint = Endpoint(answer)
    async with serving(endpoint) as url, posting(amqp_url, url, timeout_s=0.1):
        shop.tell_paid("o-1")
        await eventually(lambda: shop.count("acks"))
        released.set()
    assert 2 <= len(endpoint.calls)


async def test_unreachable_endpoint_loses_nothing(amqp_url: str, shop: Shop) -> None:
    """While nobody listens at the URL the event goes round; then it arrives."""
    endpoint = Endpoint(accept)
    async with serving(endpoint) as url:
        pass
    async with posting(amqp_url, url):
        shop.tell_paid("o-1")
        await soon(lambda: _waits(amqp_url))
    async with serving(endpoint) as url, posting(amqp_url, url):
        await eventually(lambda: shop.count("acks"))
    assert 1 == len(endpoint.calls)


async def _waits(amqp_url: str) -> bool:
    return bool(await ready_messages(amqp_url, "payonce.delay.svc-shop.50"))


@pytest.mark.parametrize(
    ("url", "secret", "field"), [("shop", None, "url"), ("http://shop/", "whsec_x", "secret")]
)
async def test_bad_settings_are_refused(
    amqp_url: str, url: str, secret: str | None, field: str
) -> None:
    """A bad URL or secret is told before anything is consumed."""
    with pytest.raises(InvalidField) as caught:
        await run_webhook_consumer("shop", amqp_url, url, asyncio.Event(), secret=secret)
    assert field == caught.value.field
