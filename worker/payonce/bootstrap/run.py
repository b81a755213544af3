"""`payonce run`: wait for the servers, put the services together, supervise them."""

import asyncio
import gc
from collections.abc import Callable, Coroutine
from typing import Any

import structlog

from payonce.adapters.metrics import Gauges
from payonce.adapters.postgres.migrate import check_migrated
from payonce.adapters.rabbitmq.topology import work_queue_name
from payonce.bootstrap.applications import key_expiry
from payonce.bootstrap.checks import queue_depths_of, readiness
from payonce.bootstrap.edge import routes_of
from payonce.bootstrap.world import World, open_world
from payonce.daemon import Daemon, Service, stop_on_signals
from payonce.domain.errors import BadSettings, MigrationFailed, Unavailable
from payonce.edge import Edge
from payonce.ports.bus import Receiver, WorkQueue
from payonce.settings import Settings

log = structlog.get_logger(__name__)

ROLES = frozenset({"consumer", "relay", "sweeper", "edge"})
PREFETCH = 200
CONSUMERS_WITHIN_S = 18.0
BROKER_WITHIN_S = 4.0
_ASK_AGAIN_S = 2.0

Run = Callable[[], Coroutine[Any, Any, None]]


async def run_daemon(settings: Settings, roles: frozenset[str] = ROLES) -> int:
    """Run until a signal or the death of a service; return the exit status. Raises BadSettings."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    async with open_world(settings) as world:
        prepared = asyncio.create_task(prepare(world))
        services = [*workers(world, roles, prepared)]
        if "edge" in roles:
            services.append(_edge(world, prepared))
        status = await Daemon(services).run(stop)
        prepared.cancel()
        await asyncio.wait([prepared])
        if not prepared.cancelled() and isinstance(error := prepared.exception(), BadSettings):
            raise error
        return status


async def prepare(world: World) -> None:
    """Return once the schema is there and every watched gateway is configured."""
    said = ""
    while True:
        try:
            await check_migrated(world.settings.servers.postgres_dsn)
            await refuse_missing_gateways(world)
            # What start-up made lives as long as the process: the collector need not look at it.
            gc.collect()
            gc.freeze()
            return
        except (Unavailable, MigrationFailed) as error:
            if str(error) != said:
                said = str(error)
                log.warning("daemon.waiting", reason=said)
            await asyncio.sleep(_ASK_AGAIN_S)


async def refuse_missing_gateways(world: World) -> None:
    """Raise BadSettings where payments are watched whose gateway is not configured."""
    watched = await world.reader().watched_gateways()
    missing = sorted(set(watched) - set(world.gateways))
    if missing:
        names = ", ".join(missing)
        raise BadSettings(
            f"gateways.{missing[0]}",
            f"is missing while payments of {names} are still watched",
            "keep the gateway in the configuration until its last watch has ended",
        )


def workers(world: World, roles: frozenset[str], prepared: "asyncio.Task[None]") -> list[Service]:
    """Return the services of these roles, edge excepted; they begin once `prepared` has ended."""
    services = []
    if "consumer" in roles:
        services += [
            _consumer(world, queue, receiver, prepared)
            for queue, receiver in world.receivers().items()
        ]
    if "relay" in roles:
        services.append(Service("relay", _after(prepared, world.relay().run)))
    if "sweeper" in roles:
        services.append(Service("sweeper", _after(prepared, world.sweeper().run)))
        services.append(Service("keys", _after(prepared, key_expiry(world).run)))
        if world.keeps_delays:
            services.append(Service("delays", _after(prepared, world.delay_keeper().run)))
    services.append(_broker(world))
    return services


def _consumer(
    world: World, queue: WorkQueue, receiver: Receiver, prepared: "asyncio.Task[None]"
) -> Service:
    name = work_queue_name(queue)
    consumer = world.broker.consumer(name, PREFETCH, receiver)
    return Service(name, _after(prepared, consumer.run), lambda: consumer.drain(CONSUMERS_WITHIN_S))


def _broker(world: World) -> Service:
    return Service("broker", world.broker.run, lambda: world.broker.close(BROKER_WITHIN_S), phase=2)


def _edge(world: World, prepared: "asyncio.Task[None]") -> Service:
    edge = Edge(
        world.settings.http, readiness(world, prepared), world.meter.registry, routes_of(world)
    )
    gauges = Gauges(world.meter.registry, world.overview(), queue_depths_of(world), world.clock)

    async def serve() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(edge.run())
            group.create_task(_after(prepared, gauges.run)())

    # Requests in hand may still have something to publish: the broker goes after the edge.
    return Service("edge", serve, edge.drain, phase=1)


def _after(prepared: "asyncio.Task[None]", run: Run) -> Run:
    """Return a `run` that begins once `prepared` has ended well."""

    async def waiting() -> None:
        await asyncio.shield(prepared)
        await run()

    return waiting
