"""A loop that lives: `run_once` at an interval, with jitter, through outages."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Protocol

import structlog

from payonce.domain.errors import Unavailable

log = structlog.get_logger(__name__)


class Sleeper(Protocol):
    """The one method of a clock that a loop needs."""

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` seconds."""
        ...


async def repeat(
    name: str,
    run_once: Callable[[], Awaitable[bool]],
    every: timedelta,
    clock: Sleeper,
    jitter: Callable[[], float] = random.random,
) -> None:
    """Call `run_once` for ever; again at once while it returns True (there is more to do).

    The pause is `every`, shortened by up to a tenth so that processes drift apart. An unavailable
    server is logged and waited for; any other error ends the loop, and with it the process.
    """
    while True:
        try:
            more = await run_once()
        except Unavailable as error:
            log.warning("loop.postponed", loop=name, reason=str(error))
            more = False
        _end_if_cancelled()
        if not more:
            await clock.sleep(every.total_seconds() * (1 - jitter() / 10))


def _end_if_cancelled() -> None:
    """End the loop where it was cancelled and a client library turned that into an error."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError
