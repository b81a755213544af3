"""The daemon: ends with its first dead task, drains in phases, and never for longer than told."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
import structlog
from structlog.testing import LogCapture

from payonce import daemon
from payonce.daemon import EXIT_DONE, EXIT_FAILED, Daemon, Service
from payonce.domain.errors import Unavailable


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> LogCapture:
    """What the daemon logs."""
    capture = LogCapture()
    monkeypatch.setattr(daemon, "log", structlog.wrap_logger(None, processors=[capture]))
    return capture


def stopped() -> asyncio.Event:
    """Return a stop that has been asked for."""
    stop = asyncio.Event()
    stop.set()
    return stop


async def for_ever() -> None:
    """Run as a service does."""
    await asyncio.Event().wait()


async def die() -> None:
    """End by an error."""
    raise Unavailable("rabbitmq", "refused")


async def come_back() -> None:
    """End for no reason."""


def noting(seen: list[str], what: str) -> Callable[[], Awaitable[None]]:
    """Return a drain that writes down when it begins and when it ends."""

    async def drain() -> None:
        seen.append(f"{what} begins")
        await asyncio.wait([asyncio.create_task(come_back())])
        seen.append(f"{what} ends")

    return drain


async def test_a_stop_ends_the_daemon_well(logs: LogCapture) -> None:
    """Exit status 0, and every service has ended."""
    ended: list[str] = []

    async def run() -> None:
        try:
            await for_ever()
        finally:
            ended.append("service")

    stop = asyncio.Event()
    running = asyncio.create_task(Daemon([Service("one", run)]).run(stop))
    stop.set()
    assert EXIT_DONE == await running
    assert ["service"] == ended
    assert ["daemon.started", "daemon.draining", "daemon.stopped"] == [
        entry["event"] for entry in logs.entries
    ]


@pytest.mark.parametrize(
    ("run", "reason"),
    [
        (die, "rabbitmq is unavailable: refused"),
        (come_back, "task two died: it returned"),
    ],
)
async def test_a_dead_service_ends_the_daemon_with_its_reason(
    logs: LogCapture, run: Callable[[], Awaitable[None]], reason: str
) -> None:
    """Exit status 1; the services that live are drained all the same."""
    seen: list[str] = []
    services = [Service("one", for_ever, noting(seen, "one")), Service("two", run)]
    assert EXIT_FAILED == await Daemon(services).run(asyncio.Event())
    assert ["one begins", "one ends"] == seen
    [died] = [entry for entry in logs.entries if entry["event"] == "daemon.task_died"]
    assert ("two", reason, "error") == (died["task"], died["reason"], died["log_level"])


async def test_phases_drain_one_after_the_other() -> None:
    """Services of one phase drain together; what others still need goes last."""
    seen: list[str] = []
    services = [
        Service("late", for_ever, noting(seen, "late"), phase=2),
        Service("a", for_ever, noting(seen, "a")),
        Service("b", for_ever, noting(seen, "b")),
        Service("middle", for_ever, noting(seen, "middle"), phase=1),
        Service("silent", for_ever, phase=1),
    ]
    assert EXIT_DONE == await Daemon(services).run(stopped())
    assert ["a begins", "b begins", "a ends", "b ends"] == seen[:4]
    assert ["middle begins", "middle ends", "late begins", "late ends"] == seen[4:]


async def test_services_run_on_while_they_are_drained() -> None:
    """A drain may wait for what its service has in hand; only afterwards is it cancelled."""
    finished = asyncio.Event()
    asked = asyncio.Event()

    async def run() -> None:
        await asked.wait()
        finished.set()
        await for_ever()

    async def drain() -> None:
        asked.set()
        await finished.wait()

    async with asyncio.timeout(5):
        assert EXIT_DONE == await Daemon([Service("one", run, drain)]).run(stopped())
    assert finished.is_set()


async def test_a_service_that_returns_because_it_was_drained_has_not_died(
    logs: LogCapture,
) -> None:
    """A consumer's run ends with its drain; that is exit status 0."""
    asked = asyncio.Event()

    async def run() -> None:
        await asked.wait()

    async def drain() -> None:
        asked.set()

    assert EXIT_DONE == await Daemon([Service("one", run, drain)]).run(stopped())
    assert "daemon.task_died" not in [entry["event"] for entry in logs.entries]


async def test_a_drain_is_cut_off_at_its_limit(logs: LogCapture) -> None:
    """Whatever hangs is cancelled, its service too; the stop itself was asked for and succeeds."""
    cancelled: list[str] = []

    async def hang(what: str) -> None:
        try:
            await for_ever()
        finally:
            cancelled.append(what)

    services = [Service("one", lambda: hang("run"), lambda: hang("drain"))]
    async with asyncio.timeout(5):
        assert EXIT_DONE == await Daemon(services, drain_s=0.02).run(stopped())
    assert ["drain", "run"] == cancelled
    [cut] = [entry for entry in logs.entries if entry["event"] == "drain.cut_off"]
    assert 0.02 == cut["after_s"]


async def test_the_limit_holds_for_all_phases_together(logs: LogCapture) -> None:
    """A phase that never gets its turn is not begun."""
    seen: list[str] = []
    services = [
        Service("one", for_ever, for_ever),
        Service("two", for_ever, noting(seen, "two"), phase=1),
    ]
    await Daemon(services, drain_s=0.02).run(stopped())
    assert [] == seen
    assert "drain.cut_off" in [entry["event"] for entry in logs.entries]


async def test_a_drain_that_fails_stops_no_other(logs: LogCapture) -> None:
    """It is told, and the later phases come."""
    seen: list[str] = []
    services = [
        Service("one", for_ever, die),
        Service("two", for_ever, noting(seen, "two")),
        Service("three", for_ever, noting(seen, "three"), phase=1),
    ]
    assert EXIT_DONE == await Daemon(services).run(stopped())
    assert ["two begins", "two ends", "three begins", "three ends"] == seen
    [failed] = [entry for entry in logs.entries if entry["event"] == "drain.failed"]
    assert "refused" in failed["reason"]


PROGRAM = """
import asyncio, sys
from payonce.daemon import Daemon, Service, stop_on_signals

async def run():
    print("running", flush=True)
    await asyncio.Event().wait()

async def drain():
    print("draining", flush=True)
    await asyncio.Event().wait()

async def main():
    stop = asyncio.Event()
    stop_on_signals(stop)
    return await Daemon([Service("one", run, drain)], drain_s=float(sys.argv[1])).run(stop)

sys.exit(asyncio.run(main()))
"""


@asynccontextmanager
async def started(drain_s: float) -> AsyncIterator[asyncio.subprocess.Process]:
    """Start a process whose drain hangs, wait until it runs, and leave nothing behind."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", PROGRAM, str(drain_s)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(30):
            await said(process, b"running")
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def said(process: asyncio.subprocess.Process, word: bytes) -> None:
    """Return once the process has printed this line."""
    assert process.stdout is not None
    while (line := await process.stdout.readline()).strip() != word:
        assert line, f"the process ended without a word of {word!r}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_asks_for_the_stop(number: signal.Signals) -> None:
    """The drain begins, here to its limit; exit status 0."""
    async with started(drain_s=0.05) as process:
        process.send_signal(number)
        await said(process, b"draining")
        assert EXIT_DONE == await process.wait()


async def test_a_second_signal_ends_the_process_at_once() -> None:
    """Though the drain has an hour left; the status names the signal."""
    async with started(drain_s=3_600) as process:
        process.send_signal(signal.SIGTERM)
        await said(process, b"draining")
        process.send_signal(signal.SIGTERM)
        assert 128 + signal.SIGTERM == await process.wait()
