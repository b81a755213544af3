"""The daemon: supervises services, drains them on a signal, and never limps."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import structlog

from payonce.domain.errors import PayonceError, TaskDied

log = structlog.get_logger(__name__)

DRAIN_S = 25.0
"""Longest time from the first signal to the end; container runtimes kill after 30 s."""

CANCEL_WITHIN_S = 2.0
"""Longest time that cancelled tasks are waited for: one that goes on must not hold up the end."""

EXIT_DONE = 0
EXIT_FAILED = 1


@dataclass(frozen=True, slots=True)
class Service:
    """One thing that runs for ever. `drain` finishes what is in hand and returns.

    Services of one `phase` drain together, after all those of lower phases: what others still need
    goes last.
    """

    name: str
    run: Callable[[], Awaitable[None]]
    drain: Callable[[], Awaitable[object]] | None = None
    phase: int = 0


class Daemon:
    """Runs services until told to stop or until one of them ends."""

    def __init__(self, services: Sequence[Service], *, drain_s: float = DRAIN_S) -> None:
        self._services = services
        self._drain_s = drain_s

    async def run(self, stop: asyncio.Event) -> int:
        """Return 0 after a stop, 1 after a service ended by itself."""
        tasks = {asyncio.create_task(_forever(one), name=one.name): one for one in self._services}
        stopper = asyncio.create_task(stop.wait(), name="stop")
        log.info("daemon.started", services=[one.name for one in self._services])
        await asyncio.wait([*tasks, stopper], return_when=asyncio.FIRST_COMPLETED)
        stopper.cancel()
        dead = [task for task in tasks if task.done()]
        for task in dead:
            log.error("daemon.task_died", task=task.get_name(), reason=_reason(task))
        await self._drain(tasks)
        log.info("daemon.stopped", failed=bool(dead))
        return EXIT_FAILED if dead else EXIT_DONE

    async def _drain(self, tasks: "dict[asyncio.Task[None], Service]") -> None:
        log.info("daemon.draining", within_s=self._drain_s)
        try:
            async with asyncio.timeout(self._drain_s):
                for phase in sorted({one.phase for one in tasks.values()}):
                    await _drain_phase([one for one in tasks.values() if one.phase == phase])
        except TimeoutError:
            log.warning("drain.cut_off", after_s=self._drain_s)
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=CANCEL_WITHIN_S)
        if left:
            log.warning("drain.tasks_left", tasks=sorted(task.get_name() for task in left))


async def _drain_phase(services: Sequence[Service]) -> None:
    drains = [one.drain() for one in services if one.drain]
    for problem in await asyncio.gather(*drains, return_exceptions=True):
        if isinstance(problem, BaseException):
            log.error("drain.failed", reason=repr(problem))


async def _forever(service: Service) -> None:
    await service.run()
    raise TaskDied(service.name, "it returned")


def _reason(task: "asyncio.Task[None]") -> str:
    error = None if task.cancelled() else task.exception()
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return str(error) if isinstance(error, PayonceError) else repr(error)


def stop_on_signals(stop: asyncio.Event) -> None:
    """Set `stop` on the first SIGTERM or SIGINT; end the process at once on the second."""
    loop = asyncio.get_running_loop()

    def on_signal(number: int) -> None:
        if stop.is_set():
            log.warning("daemon.ended_at_once", signal=signal.Signals(number).name)
            os._exit(128 + number)
        log.info("daemon.signalled", signal=signal.Signals(number).name)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, on_signal, number)
