"""One channel after the other, for as long as its owner wants."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from payonce.adapters.backoff import Backoff
from payonce.adapters.rabbitmq.connection import BrokerConnection
from payonce.adapters.rabbitmq.errors import as_unavailable
from payonce.adapters.rabbitmq.transport import HotChannel
from payonce.domain.errors import Unavailable

log = structlog.get_logger(__name__)

REOPEN_LEAST_S, REOPEN_MOST_S = 0.1, 5.0
_CLOSE_TIMEOUT_S = 5.0

Serve = Callable[[HotChannel], Awaitable[None]]


async def keep_channel(
    connection: BrokerConnection, purpose: str, serve: Serve, *, confirms: bool
) -> None:
    """Open a channel, let `serve` use it until it is gone, for ever.

    A channel that dies on a living connection lacks something on the broker (a queue was deleted),
    so the topology is declared again, as a whole, before the next one: a queue whose binding is
    missing would be consumed in peace, and nothing would ever come. Raises BrokerConflict.
    """
    backoff = Backoff(REOPEN_LEAST_S, REOPEN_MOST_S)
    time = asyncio.get_running_loop().time
    while True:
        link = await connection.link()
        opened_at = time()
        try:
            await serve(await link.open_channel(confirms=confirms))
            log.warning("channel.lost", purpose=purpose, connected=link.is_open)
        except Unavailable as error:
            log.warning("channel.failed", purpose=purpose, reason=str(error))
        if time() - opened_at > REOPEN_MOST_S:
            backoff.reset()
        is_declared = False
        while link.is_open and not is_declared:
            await asyncio.sleep(backoff.next_s())
            is_declared = await _prepare(connection)


async def _prepare(connection: BrokerConnection) -> bool:
    """Declare the topology; say whether all of it is there."""
    try:
        await connection.prepare()
    except Unavailable as error:
        log.warning("topology.undeclared", reason=str(error))
        return False
    return True


async def close_channel(connection: BrokerConnection, channel: HotChannel) -> None:
    """Close a channel after what is unsent; quietly, since it may be gone already."""
    channel.flush()
    try:
        with as_unavailable(connection.server):
            async with asyncio.timeout(_CLOSE_TIMEOUT_S):
                await channel.rare.close()
    except Unavailable as error:
        log.info("channel.close_failed", reason=str(error))
