"""What the commands besides `run` do with the world."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from payonce.adapters.clock import SystemClock
from payonce.adapters.codec import CLOUDEVENT, encode_cloudevent
from payonce.adapters.metrics import NullMeter
from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.inbox import InboxDesk
from payonce.adapters.postgres.migrate import check_migrated
from payonce.adapters.postgres.migrate import migrate as migrate_schema
from payonce.adapters.postgres.reader import Reader
from payonce.adapters.postgres.roles import Standing, describe_standing, standing
from payonce.adapters.rabbitmq.broker import RabbitBroker
from payonce.adapters.rabbitmq.declare import declare, queue_depths
from payonce.adapters.rabbitmq.topology import PAYMENTS, Topology
from payonce.adapters.webhook import connect_problem
from payonce.bootstrap.checks import problem_of, refuse_missing_gateways
from payonce.bootstrap.gateways import open_desk, private_names
from payonce.bootstrap.notices import UNSIGNED
from payonce.bootstrap.protection import Way, ways_to
from payonce.bootstrap.topology import topology_of
from payonce.bootstrap.world import cache_of
from payonce.domain.ids import event_id
from payonce.domain.report import Outcome
from payonce.domain.times import format_time
from payonce.gateways.client import open_session
from payonce.gateways.registry import build_gateways
from payonce.handlers.gateway_desk import told
from payonce.ports.gateway import ChargeRef, Gateway
from payonce.settings import Settings

PUBLISH_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class MigrateReport:
    """What was applied, whether the roles have their rights, how many queues the broker holds."""

    applied: tuple[str, ...]
    granted: bool
    declared: int


@dataclass(frozen=True, slots=True)
class CheckResult:
    """One thing that was checked.

    payonce works on without what is not `required`; `warning`: in order, but somebody should know.
    """

    name: str
    ok: bool
    detail: str
    required: bool = True
    warning: bool = False


async def migrate(settings: Settings) -> MigrateReport:
    """Bring schema and broker topology up to date. Raises MigrationFailed, Unavailable."""
    applied = await migrate_schema(settings.servers.postgres_dsn)
    granted = (await _standing(settings)).granted
    topology = topology_of(settings)
    await declare(settings.servers.amqp_url, topology)
    return MigrateReport(tuple(applied), granted, len(topology.queues))


async def check(settings: Settings, *, online: bool = False) -> list[CheckResult]:
    """Ask every server whether it is there and holds what payonce needs; `online`: gateways too.

    Raises BadSettings where `run` would refuse the configuration before it asked any server.
    """
    async with open_session(private_names(settings.gateways)) as session:
        gateways = build_gateways(settings.gateways, session, NullMeter())
        ways = await ways_to(settings.servers)
        database = await _check("postgresql", check_migrated(settings.servers.postgres_dsn))
        results = [
            _with_way(database, ways),
            _with_way(await _check("rabbitmq", _check_declared(settings)), ways),
            _with_way(await _check("redis", _check_cache(settings), required=False), ways),
        ]
        if database.ok:
            results += await _database_login(settings)
            results.append(await _check("gateways", _check_watched(settings)))
            results += await _spared_gateways(settings)
        results += await _order_service(settings, online=online)
        if online:
            results += [await _ask_gateway(one) for one in gateways.values()]
        return results


async def _database_login(settings: Settings) -> list[CheckResult]:
    """Return a warning where the worker could do more to its database than its work needs."""
    told = describe_standing(await _standing(settings))
    return [CheckResult("database login", ok=True, detail=told, warning=True)] if told else []


async def _standing(settings: Settings) -> Standing:
    async with _open_database(settings) as database:
        return await standing(database)


def _with_way(result: CheckResult, ways: Mapping[str, Way]) -> CheckResult:
    """Return a server's result; one that is well says how the way to it is protected."""
    way = ways[result.name]
    return replace(result, detail=way.words, warning=way.warning) if result.ok else result


async def _check_declared(settings: Settings) -> str | None:
    queues = topology_of(settings).queue_names()
    depths = await queue_depths(settings.servers.amqp_url, queues)
    missing = [name for name, depth in depths.items() if depth is None]
    return f"{len(missing)} queues are missing: run payonce migrate" if missing else None


async def _check_cache(settings: Settings) -> None:
    cache = cache_of(settings, NullMeter())
    try:
        await cache.ping()
    finally:
        await cache.close()


async def _check_watched(settings: Settings) -> None:
    async with open_reader(settings) as reader:
        await refuse_missing_gateways(reader, settings.gateways)


async def _spared_gateways(settings: Settings) -> list[CheckResult]:
    """Return a warning for each gateway that is paused or whose breaker is open."""
    async with open_desk(settings) as desk:
        views = await desk.list()
    return [
        CheckResult(f"gateway {one['gateway']}", ok=True, detail=told(one), warning=True)
        for one in views
        if one["state"] != "ok"
    ]


async def _ask_gateway(gateway: Gateway) -> CheckResult:
    """Ask for a charge that does not exist: harmless, and the gateway must say so."""
    report = await gateway.query(ChargeRef("payonce-check"))
    ok = report.outcome is not Outcome.UNKNOWN
    detail = "ok" if ok else f"no usable answer: {report.reason}"
    return CheckResult(f"gateway {gateway.name}", ok, detail)


async def _order_service(settings: Settings, *, online: bool) -> list[CheckResult]:
    """Return what somebody should know of the order service; payonce works on without it."""
    wanted = settings.order_service
    if not wanted.notify_url:
        return []
    problems = [] if wanted.secret else [UNSIGNED]
    if online:
        problem = await connect_problem(
            wanted.notify_url, wanted.timeout_s, allow_private=wanted.allow_private
        )
        problems += [problem] if problem else []
    elif not problems:
        return []
    detail = "; ".join(problems) or "accepts connections; nothing was posted"
    return [CheckResult("order service", ok=True, detail=detail, warning=bool(problems))]


@asynccontextmanager
async def open_reader(settings: Settings) -> AsyncIterator[Reader]:
    """Give what answers questions about orders and payments."""
    async with _open_database(settings) as database:
        yield Reader(database)


@asynccontextmanager
async def open_inbox(settings: Settings) -> AsyncIterator[InboxDesk]:
    """Give what operators do with callbacks. Raises MigrationFailed, Unavailable."""
    await check_migrated(settings.servers.postgres_dsn)
    async with _open_database(settings) as database:
        yield InboxDesk(database)


@asynccontextmanager
async def _open_database(settings: Settings) -> AsyncIterator[Database]:
    database = Database(settings.servers.postgres_dsn)
    await database.open()
    try:
        yield database
    finally:
        await database.close()


async def publish_initiated(
    settings: Settings, payments: Sequence[Mapping[str, Any]], rate: float | None = None
) -> int:
    """Publish payment.initiated for each; `rate` per second at most. Return how many were taken.

    Raises Unavailable; Unroutable where payonce was never migrated on this broker.
    """
    gate = asyncio.Semaphore(PUBLISH_AT_ONCE)
    async with open_publisher(settings) as publish:

        async def send(payment: Mapping[str, Any]) -> None:
            async with gate:
                await publish("payment.initiated", payment)

        with _first_error():
            async with asyncio.TaskGroup() as group:
                for payment in payments:
                    group.create_task(send(payment))
                    if rate:
                        await asyncio.sleep(1 / rate)
    return len(payments)


Publish = Callable[[str, Mapping[str, Any]], Awaitable[None]]
"""Publishes data under a routing key, as the shop's services do."""


@asynccontextmanager
async def open_publisher(settings: Settings) -> AsyncIterator[Publish]:
    """Give what publishes messages from outside, as CloudEvents. It may raise Unavailable."""
    clock = SystemClock()
    broker = RabbitBroker(settings.servers.amqp_url, Topology((), (), ()), clock)
    running = asyncio.create_task(broker.run())

    async def publish(routing_key: str, data: Mapping[str, Any]) -> None:
        about = str(data.get("payment_id", data["order_id"]))
        message_id = event_id(routing_key, about)
        body = encode_cloudevent(
            event_id=message_id,
            event_type=routing_key,
            subject=str(data["order_id"]),
            time=format_time(clock.now()),
            data=data,
            source="/payonce/pay",
        )
        await broker.publish(
            PAYMENTS, routing_key, body, content_type=CLOUDEVENT, message_id=message_id
        )

    try:
        yield publish
    finally:
        await broker.close(1.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@contextmanager
def _first_error() -> Iterator[None]:
    """Raise the first of a group's errors: they all tell the same."""
    try:
        yield
    except BaseExceptionGroup as group:
        raise group.exceptions[0] from None


async def _check(name: str, work: Awaitable[str | None], *, required: bool = True) -> CheckResult:
    found: list[str | None] = []

    async def run() -> None:
        found.append(await work)

    problem = await problem_of(run())
    problem = problem or (found[0] if found else None)
    return CheckResult(name, problem is None, problem or "ok", required)
