"""`payonce run`: wait for the servers, put the services together, supervise them."""

import asyncio
import gc
import resource
from collections.abc import Callable, Coroutine, Iterator
from functools import partial
from typing import Any

import structlog

from payonce.adapters.metrics import Gauges
from payonce.adapters.postgres.installation import Installation
from payonce.adapters.postgres.migrate import check_migrated
from payonce.adapters.rabbitmq.topology import work_queue_name
from payonce.adapters.refund_gauges import RefundGauges
from payonce.bootstrap.applications import key_expiry
from payonce.bootstrap.checks import queue_depths_of, readiness, refuse_missing_gateways
from payonce.bootstrap.edge import routes_of
from payonce.bootstrap.refunds import policy_of, refund_sweep_of
from payonce.bootstrap.world import World, open_world
from payonce.daemon import Daemon, Service, stop_on_signals
from payonce.domain.errors import BadSettings, MigrationFailed, Unavailable
from payonce.edge import Edge
from payonce.ports.bus import Receiver, WorkQueue
from payonce.settings import Settings

log = structlog.get_logger(__name__)

ROLES = frozenset({"consumer", "relay", "sweeper", "edge"})
PREFETCH = 200
MOST_PREFETCH = 65_535
CONSUMERS_WITHIN_S = 18.0
BROKER_WITHIN_S = 4.0
NOTICES_WITHIN_S = 3.0
MOST_OPEN_FILES = 65_536
_ASK_AGAIN_S = 2.0

Run = Callable[[], Coroutine[Any, Any, None]]


async def run_daemon(settings: Settings, roles: frozenset[str] = ROLES) -> int:
    """Run until a signal or the death of a service; return the exit status. Raises BadSettings."""
    stop = asyncio.Event()
    stop_on_signals(stop)
    _allow_open_files()
    async with open_world(settings) as world:
        prepared = asyncio.create_task(prepare(world))
        services = [*workers(world, roles, prepared)]
        if "edge" in roles:
            services += [*_push(world, prepared), _edge(world, prepared)]
        status = await Daemon(services).run(stop)
        prepared.cancel()
        await asyncio.wait([prepared])
        if not prepared.cancelled() and isinstance(error := prepared.exception(), BadSettings):
            raise error
        return status


def _allow_open_files() -> None:
    """Raise what may be open at once to what the system allows: every listener is an open file."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MOST_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


async def prepare(world: World) -> None:
    """Return once the schema is there and every watched gateway is configured."""
    said = ""
    while True:
        try:
            await _check_migrated(world)
            await refuse_missing_gateways(world.reader(), world.gateways)
            installation = Installation(world.database)
            name = await installation.name()
            for one in world.belongings:
                one.belong_to(name)
            world.prove_cache_by(await installation.cache_key())
            # No gateway is asked before this process knows which ones are paused.
            await world.keeper.run_once()
            # What start-up made lives as long as the process: the collector need not look at it.
            gc.collect()
            gc.freeze()
            return
        except (Unavailable, MigrationFailed) as error:
            if str(error) != said:
                said = str(error)
                log.warning("daemon.waiting", reason=said)
            await asyncio.sleep(_ASK_AGAIN_S)


async def _check_migrated(world: World) -> None:
    try:
        await check_migrated(world.settings.servers.postgres_dsn)
    except Unavailable as error:
        world.meter.server_away(error.server)
        raise


def workers(world: World, roles: frozenset[str], prepared: "asyncio.Task[None]") -> list[Service]:
    """Return the services of these roles, edge excepted, and the broker that every role needs.

    They begin once `prepared` has ended, the broker at once.
    """
    services: list[Service] = [_start(prepared)]
    if "consumer" in roles:
        services += [
            _consumer(world, queue, receiver, prepared)
            for queue, receiver in world.receivers().items()
        ]
    if "relay" in roles:
        services.append(Service("relay", _after(prepared, world.relay().run)))
    if "sweeper" in roles:
        services.append(Service("sweeper", _after(prepared, world.sweeper().run)))
        services.append(Service("inbox-retention", _after(prepared, world.retention().run)))
        services.append(Service("reteller", _after(prepared, world.reteller().run)))
        services.append(Service("refund-sweep", _after(prepared, refund_sweep_of(world).run)))
        services.append(Service("keys", _after(prepared, key_expiry(world).run)))
        if world.keeps_delays:
            services.append(Service("delays", _after(prepared, world.delay_keeper().run)))
    if roles - {"relay"}:
        services.append(_keeper(world, roles, prepared))
    services += [_inbox(world, roles, prepared), *_notices(world)]
    services += [_tallying(world, prepared), _broker(world)]
    return services


def _start(prepared: "asyncio.Task[None]") -> Service:
    """Return what fails, once for all services, where payonce may not start."""

    async def run() -> None:
        await asyncio.shield(prepared)
        await asyncio.Event().wait()

    return Service("start", run)


def _keeper(world: World, roles: frozenset[str], prepared: "asyncio.Task[None]") -> Service:
    """Return what keeps the gates: it is there as long as anything may ask a gateway."""
    run = partial(world.keeper.run, asks=bool(roles & {"consumer", "edge"}))
    return Service("gateways", _after(prepared, run), world.keeper.leave, phase=1)


def _consumer(
    world: World, queue: WorkQueue, receiver: Receiver, prepared: "asyncio.Task[None]"
) -> Service:
    name = work_queue_name(queue)
    consumer = world.broker.consumer(name, _prefetch(world, queue), receiver)
    return Service(name, _after(prepared, consumer.run), lambda: consumer.drain(CONSUMERS_WITHIN_S))


def _prefetch(world: World, queue: WorkQueue) -> int:
    """Return how many messages a consumer has in hand: more polls than all gateways have places.

    Of the order service's, as many as it may be called at once: the others wait in the queue.
    """
    if queue is WorkQueue.NOTIFY:
        return world.settings.order_service.max_in_flight
    places = sum(one.max_in_flight for one in world.settings.gateways.values())
    return min(PREFETCH + places, MOST_PREFETCH) if queue is WorkQueue.POLL else PREFETCH


def _inbox(world: World, roles: frozenset[str], prepared: "asyncio.Task[None]") -> Service:
    """Return what owns the callbacks in hand; only the sweeper's role looks for more of them."""
    reception = world.reception

    async def run() -> None:
        await (reception.run() if "sweeper" in roles else asyncio.Event().wait())

    return Service("inbox", _after(prepared, run), reception.drain)


def _notices(world: World) -> list[Service]:
    """Return what finishes the calls to the order service that are made without the bus."""
    notices = world.notices
    if notices is None:
        return []

    async def run() -> None:
        await asyncio.Event().wait()

    return [Service("notices", run, partial(notices.drain, NOTICES_WITHIN_S), phase=1)]


def _tallying(world: World, prepared: "asyncio.Task[None]") -> Service:
    """Return what carries this process's counts away, the last of them once all work is done."""
    tallying = world.tallying()
    return Service("activity", _after(prepared, tallying.run), tallying.leave, phase=2)


def _broker(world: World) -> Service:
    return Service("broker", world.broker.run, lambda: world.broker.close(BROKER_WITHIN_S), phase=2)


def _push(world: World, prepared: "asyncio.Task[None]") -> Iterator[Service]:
    """Yield what tells listeners of changes; at the end streams do not wait for work in hand."""
    yield Service("changes", _after(prepared, world.changes.run))
    yield Service("listeners", _after(prepared, world.listeners.run), world.listeners.drain)


def _edge(world: World, prepared: "asyncio.Task[None]") -> Service:
    edge = Edge(
        world.settings.http,
        readiness(world, prepared),
        world.meter.registry,
        routes_of(world),
        is_prepared=prepared.done,
    )
    gauges = Gauges(world.meter.registry, world.overview(), queue_depths_of(world), world.clock)
    refunds = RefundGauges(
        world.meter.registry, world.overview(), policy_of(world.settings), world.clock
    )

    async def serve() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(edge.run())
            group.create_task(_after(prepared, gauges.run)())
            group.create_task(_after(prepared, refunds.run)())

    # Requests in hand may still have something to publish: the broker goes after the edge.
    return Service("edge", serve, edge.drain, phase=1)


def _after(prepared: "asyncio.Task[None]", run: Run) -> Run:
    """Return a `run` that begins once `prepared` has ended well, and else leaves it to `_start`."""

    async def waiting() -> None:
        await asyncio.wait([prepared])
        if prepared.cancelled() or prepared.exception() is not None:
            await asyncio.Event().wait()
        await run()

    return waiting
