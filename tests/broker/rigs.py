"""The in-process bus and RabbitMQ behind one face, for the suite that both must pass."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Protocol, TypeVar

from payonce.adapters.clock import SystemClock
from payonce.adapters.memory.bus import MemoryBus, Message
from payonce.adapters.rabbitmq.broker import RabbitBroker
from payonce.adapters.rabbitmq.declare import declare
from payonce.adapters.rabbitmq.parked import list_parked
from payonce.adapters.rabbitmq.topology import PARKED, Topology, payonce_topology
from payonce.ports.bus import EventBus, Receiver, Timer, WorkQueue
from tests.support.depths import ready_messages
from tests.support.waiting import eventually

TOPOLOGY = payonce_topology(
    {WorkQueue.POLL: [50, 300], WorkQueue.CLOSE: [50], WorkQueue.NOTIFY: [50]}
)

Found = TypeVar("Found")

Put = tuple[str, str, bytes]
"""A parked message: where it came from, why, and its body."""


class Consuming(Protocol):
    """A consumer of either bus."""

    @property
    def in_hand(self) -> int:
        """Messages being worked on."""
        ...

    def consuming(self) -> bool:
        """Whether messages come."""
        ...

    async def run(self) -> None:
        """Consume."""
        ...

    async def drain(self, timeout_s: float) -> int:
        """Finish."""
        ...


Taking = TypeVar("Taking", bound=Consuming)


class Rig(Protocol):
    """A bus under test."""

    timer: Timer
    events: EventBus

    def consumer(self, queue: str, prefetch: int, receiver: Receiver) -> Consuming:
        """Return a consumer that is not running."""
        ...

    async def declare(self, topology: Topology) -> None:
        """Add a foreigner's queues."""
        ...

    async def send(
        self, exchange: str, key: str, body: bytes, headers: Mapping[str, Any] | None = None
    ) -> None:
        """Publish as a foreigner."""
        ...

    async def ready(self, queue: str) -> int:
        """Return how many messages wait in a queue."""
        ...

    async def parked(self) -> list[Put]:
        """Return what was parked."""
        ...


class MemoryRig:
    """The in-process bus."""

    def __init__(self) -> None:
        self.bus = MemoryBus(SystemClock(), TOPOLOGY)
        self.timer: Timer = self.bus
        self.events: EventBus = self.bus

    def consumer(self, queue: str, prefetch: int, receiver: Receiver) -> Consuming:
        """Return a consumer that is not running."""
        return self.bus.consumer(queue, prefetch, receiver)

    async def declare(self, topology: Topology) -> None:
        """Add a foreigner's queues."""
        self.bus.declare(topology)

    async def send(
        self, exchange: str, key: str, body: bytes, headers: Mapping[str, Any] | None = None
    ) -> None:
        """Publish as a foreigner."""
        self.bus.route(exchange, Message(key, body, "application/json", "m-1", headers or {}))

    async def ready(self, queue: str) -> int:
        """Return how many messages wait in a queue."""
        return self.bus.depth(queue)

    async def parked(self) -> list[Put]:
        """Return what was parked."""
        return [
            (one.headers["x-parked-from"], one.headers["x-parked-reason"], one.body)
            for one in self.bus.queue(PARKED).messages
        ]


class RabbitRig:
    """A real broker."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.broker = RabbitBroker(url, TOPOLOGY, SystemClock())
        self.timer: Timer = self.broker.timer
        self.events: EventBus = self.broker.events

    def consumer(self, queue: str, prefetch: int, receiver: Receiver) -> Consuming:
        """Return a consumer that is not running."""
        return self.broker.consumer(queue, prefetch, receiver)

    async def declare(self, topology: Topology) -> None:
        """Add a foreigner's queues."""
        await declare(self.url, topology)

    async def send(
        self, exchange: str, key: str, body: bytes, headers: Mapping[str, Any] | None = None
    ) -> None:
        """Publish as a foreigner."""
        await self.broker.publish(
            exchange,
            key,
            body,
            content_type="application/json",
            message_id="m-1",
            headers=dict(headers or {}),
        )

    async def ready(self, queue: str) -> int:
        """Return how many messages wait in a queue."""
        return await ready_messages(self.url, queue) or 0

    async def parked(self) -> list[Put]:
        """Return what was parked."""
        return [(one.came_from or "", one.reason, one.body) for one in await list_parked(self.url)]


@asynccontextmanager
async def memory_rig() -> AsyncIterator[MemoryRig]:
    """Run the in-process bus."""
    rig = MemoryRig()
    yield rig
    await rig.bus.close()


@asynccontextmanager
async def rabbit_rig(url: str) -> AsyncIterator[RabbitRig]:
    """Run a broker's connections and publisher."""
    rig = RabbitRig(url)
    running = asyncio.create_task(rig.broker.run())
    await eventually(rig.broker.connected)
    yield rig
    await rig.broker.close(5)
    await running


@asynccontextmanager
async def consuming(consumer: Taking, drain_s: float = 5) -> AsyncIterator[Taking]:
    """Run a consumer, drain it at the end, and see that it did not die."""
    running = asyncio.create_task(consumer.run())
    await eventually(consumer.consuming)
    yield consumer
    await consumer.drain(drain_s)
    await running


async def soon(check: Callable[[], Awaitable[Found]], timeout_s: float = 30.0) -> Found:
    """Return the first truthy answer of a check that asks a server."""
    return await eventually(check, timeout_s)
