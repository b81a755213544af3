"""Where the demo takes place: on real servers with real processes, or all in this one."""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Protocol

import aiohttp

from payonce.adapters.codec import decode_object
from payonce.bootstrap import (
    migrate,
    open_parked,
    open_publisher,
    open_reader,
    open_refund_desk,
)
from payonce.bootstrap.embedded import Embedded, open_embedded
from payonce.bootstrap.refunds import refund_desk_of
from payonce.cli.demo.called import CalledService
from payonce.cli.demo.gateways import Gateways, OpenGateways, one_program
from payonce.cli.demo.stage import (
    Mock,
    content_of,
    find_example,
    free_port,
    wait_ready,
    worker_program,
)
from payonce.domain.errors import Unavailable
from payonce.kit import OrderConsumer, OrderPaid
from payonce.ports.bus import DONE, Delivery, Fate
from payonce.settings import Settings, load_settings

SERVICE = "demo-shop"
API_TOKEN = "demo"  # noqa: S105 - a demo's
OPERATOR = "demo-operator"
"""The token of the operator `demo`."""

Book = Callable[[str, str, str], Awaitable[bool]]
"""Called with order, payment and event id; False: come again."""


class Town(Protocol):
    """What the demo needs of its surroundings; `waits`: each gateway's ladder, in words."""

    mocks: Mapping[str, Mock]
    addresses: dict[str, str]
    waits: Mapping[str, Sequence[str]]

    async def send(self, routing_key: str, data: Mapping[str, Any]) -> None:
        """Publish a message as the shop's services do."""
        ...

    async def order(self, order_id: str) -> Mapping[str, Any] | None:
        """Return an order as `payonce show` sees it."""
        ...

    async def parked(self, run_id: str) -> int:
        """Return how many messages of this run were put aside."""
        ...

    async def crash_worker(self) -> str:
        """Kill the worker and start it again; return what was done, empty where it cannot be."""
        ...

    async def apply(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """Apply for a payment over HTTP; None where there is no edge, empty where it is paid."""
        ...

    def notify_url(self, gateway: str) -> str | None:
        """Return where a gateway calls back; None where there is no edge."""
        ...

    async def approve(self, refund_id: str, by: str) -> None:
        """Approve a held refund, as an operator does."""
        ...

    async def booked(self) -> list[str] | None:
        """Return the orders of the called order service's bookings; None where there is none."""
        ...


class RealTown:
    """RabbitMQ, PostgreSQL and Redis; the gateway and the worker are processes."""

    def __init__(
        self,
        stack: AsyncExitStack,
        session: aiohttp.ClientSession,
        gateways: Gateways,
        http_port: int,
    ) -> None:
        self._stack = stack
        self._session = session
        self._url = f"http://127.0.0.1:{http_port}"
        self._env = {
            **os.environ,
            **gateways.variables,
            "PAYONCE_HTTP__HOST": "127.0.0.1",
            "PAYONCE_HTTP__PORT": str(http_port),
            "PAYONCE_HTTP__PUBLIC_URL": self._url,
            "PAYONCE_HTTP__API_TOKEN": API_TOKEN,
            "PAYONCE_HTTP__OPERATORS": json.dumps({"demo": OPERATOR}),
            "PAYONCE_LOG_FORMAT": "json",
        }
        self._called = CalledService(self._env) if find_example() else None
        if self._called is not None:
            self._env.update(self._called.variables)
        self._settings = load_settings(self._env)
        self._worker = worker_program(self._env)
        self.mocks = gateways.mocks
        self.waits = _waits_of(self._settings)
        self.addresses = {
            **_addresses_of(gateways.mocks),
            "metrics": f"{self._url}/metrics",
            "worker's log": str(self._worker.log),
            "operators": f"{self._url}/ops  (token {OPERATOR})",
        }
        if self._called is not None:
            self.addresses["order service"] = self._called.url

    async def open(self, book: Book) -> None:
        """Start everything and wait until it is ready."""
        await migrate(self._settings)
        if self._called is not None:
            await self._stack.enter_async_context(self._called.running())
        self._stack.push_async_callback(self._worker.stop)
        await self._worker.start()
        await self._wait_for_worker()
        self._reader = await self._stack.enter_async_context(open_reader(self._settings))
        self._publish = await self._stack.enter_async_context(open_publisher(self._settings))
        await self._stack.enter_async_context(_order_service(self._settings.servers.amqp_url, book))

    async def send(self, routing_key: str, data: Mapping[str, Any]) -> None:
        """Publish a message as the shop's services do."""
        await self._publish(routing_key, data)

    async def order(self, order_id: str) -> Mapping[str, Any] | None:
        """Return an order as `payonce show` sees it."""
        return await self._reader.order(order_id)

    async def parked(self, run_id: str) -> int:
        """Return how many messages of this run were put aside."""
        async with open_parked(self._settings) as parked:
            return sum(run_id.encode() in one.body for one in await parked.list(1_000))

    async def crash_worker(self) -> str:
        """Kill the worker and start it again."""
        await self._worker.kill()
        await self._worker.start()
        await self._wait_for_worker()
        return "the worker was killed (SIGKILL) and started again"

    async def apply(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """Apply for a payment over HTTP."""
        headers = {"Authorization": f"Bearer {API_TOKEN}"}
        url = f"{self._url}/v1/payments"
        async with self._session.post(url, json=body, headers=headers) as answer:
            if answer.status == 409 and (await answer.json())["type"].endswith("order-paid"):
                return {}
            payment: dict[str, Any] = await content_of(answer)
            return payment

    def notify_url(self, gateway: str) -> str | None:
        """Return where a gateway calls back."""
        return f"{self._url}/v1/webhooks/{gateway}"

    async def approve(self, refund_id: str, by: str) -> None:
        """Approve a held refund, as an operator does."""
        async with open_refund_desk(self._settings) as desk:
            await desk.approve(refund_id, by)

    async def booked(self) -> list[str] | None:
        """Return the orders of the called order service's bookings."""
        return await self._called.booked() if self._called is not None else None

    async def _wait_for_worker(self) -> None:
        await wait_ready(self._session, f"{self._url}/readyz", self._worker)


class EmbeddedTown:
    """Everything in this process; nothing to install."""

    def __init__(self, mocks: Mapping[str, Mock], embedded: Embedded) -> None:
        self._embedded = embedded
        self._reader = embedded.world.reader()
        self.mocks = mocks
        self.addresses = _addresses_of(mocks)
        self.waits: Mapping[str, Sequence[str]] = {}

    async def send(self, routing_key: str, data: Mapping[str, Any]) -> None:
        """Publish a message as the shop's services do."""
        self._embedded.send(routing_key, data)

    async def order(self, order_id: str) -> Mapping[str, Any] | None:
        """Return an order as `payonce show` sees it."""
        return await self._reader.order(order_id)

    async def parked(self, run_id: str) -> int:
        """Return how many messages were put aside."""
        del run_id  # there are no other runs here
        return self._embedded.parked()

    async def crash_worker(self) -> str:
        """Do nothing: the worker is this process."""
        return ""

    async def apply(self, body: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return None: there is no edge."""
        del body  # nobody takes it
        return None

    def notify_url(self, gateway: str) -> str | None:
        """Return None: there is no edge."""
        del gateway  # nobody is called back
        return None

    async def approve(self, refund_id: str, by: str) -> None:
        """Approve a held refund, as an operator does."""
        await refund_desk_of(self._embedded.world).approve(refund_id, by)

    async def booked(self) -> list[str] | None:
        """Return None: the order service here is told by events."""
        return None


def _waits_of(settings: Settings) -> Mapping[str, Sequence[str]]:
    return {
        name: [_written(wait_ms) for wait_ms in one.terms.ladder.waits_ms]
        for name, one in settings.gateways.items()
    }


def _written(wait_ms: int) -> str:
    minutes, ms = divmod(wait_ms, 60_000)
    return f"{minutes}m" if ms == 0 else f"{wait_ms / 1000:g}s"


def _addresses_of(mocks: Mapping[str, Mock]) -> dict[str, str]:
    """Return where the books of the gateways are; one program needs no name."""
    urls = {name: mock.url for name, mock in mocks.items()}
    if len(set(urls.values())) == 1:
        urls = {"mock": next(iter(urls.values()))}
    return {f"gateway {name}": f"{url}/control/books" for name, url in urls.items()}


@asynccontextmanager
async def open_real_town(book: Book, gateways: OpenGateways = one_program) -> AsyncIterator[Town]:
    """Give the town on real servers, everything started."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        port = free_port()
        opened = await stack.enter_async_context(gateways(session, f"http://127.0.0.1:{port}"))
        town = RealTown(stack, session, opened, port)
        await town.open(book)
        yield town


@asynccontextmanager
async def open_embedded_town(book: Book) -> AsyncIterator[Town]:
    """Give the town in this process, everything started."""
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(aiohttp.ClientSession())
        gateways = await stack.enter_async_context(one_program(session, ""))
        settings = load_settings({**os.environ, **gateways.variables})
        embedded = await stack.enter_async_context(open_embedded(settings))
        await stack.enter_async_context(_running(embedded, book))
        yield EmbeddedTown(gateways.mocks, embedded)


@asynccontextmanager
async def _order_service(amqp_url: str, book: Book) -> AsyncIterator[None]:
    """Run the order service: a consumer built on the kit."""

    async def take(event: OrderPaid) -> bool:
        return await book(event.order_id, event.payment_id, event.event_id)

    stop = asyncio.Event()
    consumer = OrderConsumer(SERVICE, amqp_url, take, acknowledge=True)
    running = asyncio.create_task(consumer.run(stop, drain_s=2.0))
    try:
        yield
    finally:
        stop.set()
        await running


@asynccontextmanager
async def _running(embedded: Embedded, book: Book) -> AsyncIterator[None]:
    """Run the worker and an order service in this process."""

    async def receive(delivery: Delivery) -> Fate:
        event = decode_object(delivery.body)
        data = event["data"]
        if not await book(data["order_id"], data["payment_id"], event["id"]):
            raise Unavailable("order service", "it did not take the event")
        said = {"order_id": data["order_id"], "payment_id": data["payment_id"]}
        embedded.send("order.acknowledged", said)
        return DONE

    stop = asyncio.Event()
    running = asyncio.create_task(embedded.run(stop, SERVICE, receive))
    try:
        yield
    finally:
        stop.set()
        await running
