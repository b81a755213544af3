"""Is everything there? For /readyz, for the gauges, for `payonce check`."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping

from payonce.adapters.postgres.migrate import check_migrated
from payonce.adapters.postgres.reader import Reader
from payonce.adapters.rabbitmq.declare import queue_depths
from payonce.adapters.rabbitmq.management import Management
from payonce.bootstrap.topology import topology_of
from payonce.bootstrap.world import World
from payonce.domain.errors import BadSettings, PayonceError

Check = Callable[[], Awaitable[str | None]]
"""Returns what is wrong; None: nothing."""


def readiness(world: World, prepared: "asyncio.Task[None]") -> dict[str, Check]:
    """Return the checks of /readyz. Redis is left out: without it payonce works on, slower."""

    async def schema() -> str | None:
        if not prepared.done():
            return "waiting for the database schema: run payonce migrate"
        return None

    async def postgresql() -> str | None:
        return await problem_of(world.database.ping())

    async def rabbitmq() -> str | None:
        return None if world.broker.connected() else "not connected"

    return {"schema": schema, "postgresql": postgresql, "rabbitmq": rabbitmq}


async def refuse_missing_gateways(reader: Reader, configured: Iterable[str]) -> None:
    """Raise BadSettings where payments are watched whose gateway is not configured."""
    missing = sorted(set(await reader.watched_gateways()) - set(configured))
    if missing:
        raise BadSettings(
            f"gateways.{missing[0]}",
            f"is missing while payments of {', '.join(missing)} are still watched",
            "to leave the configuration once its last watch has ended",
        )


async def problem_of(work: Awaitable[object]) -> str | None:
    """Return in one line what is wrong; None where the work succeeds."""
    try:
        await work
    except (TimeoutError, PayonceError) as error:
        return str(error) or type(error).__name__
    return None


def queue_depths_of(
    world: World,
) -> "Callable[[], Awaitable[Mapping[str, tuple[int, int | None]]]]":
    """Return what tells each queue's messages and, where the management API is set, stuck ones."""
    settings = world.settings
    names = topology_of(settings).queue_names()
    amqp_url, url = settings.servers.amqp_url, settings.broker.management_url

    async def depths() -> Mapping[str, tuple[int, int | None]]:
        if url:
            counts = await Management(url, amqp_url).counts()
            return {one.name: (one.messages, one.stuck) for one in counts if one.name in names}
        ready = await queue_depths(amqp_url, names)
        return {name: (count or 0, None) for name, count in ready.items()}

    return depths


async def migrated(dsn: str) -> None:
    """Raise MigrationFailed or Unavailable unless the schema is what this version needs."""
    await check_migrated(dsn)
