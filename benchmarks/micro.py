"""CPU of single operations of our adapters, in one process, 200 at a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import UTC, datetime, timedelta

import uvloop

from benchmarks.rig import Result, Setup, open_rig
from benchmarks.scenarios import Bench
from benchmarks.stub import AMOUNT, CURRENCY
from payonce.adapters.logs import configure_logs
from payonce.adapters.postgres.ledger import Ledger
from payonce.adapters.postgres.registrar import Registrar
from payonce.adapters.rabbitmq.topology import work_queue_name
from payonce.batching import Batcher
from payonce.bootstrap.world import World, open_world
from payonce.domain.effects import Occasion
from payonce.domain.events import Event
from payonce.domain.judge import Hearing
from payonce.domain.messages import PaymentInitiated, PollDue
from payonce.domain.report import GatewayReport, Outcome, Source
from payonce.handlers.announce import Announcer
from payonce.handlers.settle import Settler
from payonce.ports.bus import DONE, Delivery, Fate, WorkQueue
from payonce.ports.gateway import ChargeRef
from payonce.ports.store import Registered, Registration
from payonce.settings import load_settings

N = 5_000
AT_ONCE = 200
_CONSUMED_WITHIN_S = 60.0

Operation = Callable[[str], Awaitable[object]]


def run(bench: Bench) -> list[Result]:
    """Return microseconds of CPU for each operation, on the loop that `payonce run` uses."""
    configure_logs({"PAYONCE_LOG_LEVEL": "warning"})
    return uvloop.run(_run(bench))


async def _run(bench: Bench) -> list[Result]:
    async with open_rig(bench.servers, Setup(), bench.folder, warm_up=False) as rig:
        await rig.worker.stop()
        async with open_world(load_settings(rig.environment())) as world:
            running = asyncio.create_task(world.broker.run())
            try:
                return [await _measure(*one) for one in _operations(world)] + [
                    await _consume(world)
                ]
            finally:
                await world.broker.close(1.0)
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)


def _operations(world: World) -> list[tuple[str, Operation]]:
    gateway = world.gateways["mock"]
    registrations: Batcher[Registration, Registered] = Batcher(Registrar(world.database).register)
    settler = Settler(
        Ledger(world.database),
        _Silent(world),
        world.broker.timer,
        world.cache,
        world.clock,
        world.meter,
    )
    return [
        ("gateway query", lambda name: gateway.query(ChargeRef(name))),
        ("redis seen", lambda name: world.cache.seen(name, 0, 0)),
        ("redis mark", lambda name: world.cache.mark_step(name, 0, 0)),
        ("register", lambda name: registrations.submit(_registration(name))),
        ("settle, success remembered", lambda name: settler.settle(_hearing(name))),
        ("publish and confirm", lambda name: world.broker.timer.poll_after(300, _poll(name))),
    ]


async def _measure(name: str, operation: Operation) -> Result:
    await _repeat(operation, [f"warm-{n}" for n in range(AT_ONCE)])
    names = [f"m-{n}" for n in range(N)]
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    await _repeat(operation, names)
    return _result(name, time.process_time() - cpu_s, time.perf_counter() - wall_s)


async def _repeat(operation: Operation, names: Sequence[str]) -> None:
    left = iter(names)

    async def work() -> None:
        for name in left:
            await operation(name)

    await asyncio.gather(*(work() for _ in range(AT_ONCE)))


async def _consume(world: World) -> Result:
    """Take what `publish and confirm` left behind."""
    came = 0
    done = asyncio.Event()

    async def receive(_delivery: Delivery) -> Fate:
        nonlocal came
        came += 1
        if came >= N:
            done.set()
        return DONE

    consumer = world.broker.consumer(work_queue_name(WorkQueue.POLL), AT_ONCE, receive)
    cpu_s, wall_s = time.process_time(), time.perf_counter()
    running = asyncio.create_task(consumer.run())
    async with asyncio.timeout(_CONSUMED_WITHIN_S):
        await done.wait()
    result = _result("consume and ack", time.process_time() - cpu_s, time.perf_counter() - wall_s)
    await consumer.drain(5.0)
    await running
    return result


def _result(name: str, cpu_s: float, wall_s: float) -> Result:
    return {
        "scenario": "micro",
        "operation": name,
        "cpu_us": round(cpu_s / N * 1e6, 1),
        "per_s": round(N / wall_s),
    }


class _Silent(Announcer):
    """Tells nobody."""

    def __init__(self, world: World) -> None:
        del world

    async def announce(self, events: Sequence[Event], acknowledged: Collection[str] = ()) -> int:
        """Tell nobody of `events`."""
        del events, acknowledged
        return 0


def _registration(name: str) -> Registration:
    now = datetime.now(UTC)
    expires_at = now + timedelta(hours=2)
    message = PaymentInitiated(
        name, f"o-{name}", "mock", AMOUNT, CURRENCY, None, now, expires_at, expires_given=False
    )
    return Registration(message, expires_at)


def _hearing(name: str) -> Hearing:
    now = datetime.now(UTC)
    report = GatewayReport(Outcome.SUCCEEDED, f"ch_{name}", AMOUNT, CURRENCY, now)
    return Hearing(name, report, Occasion(now, Source.POLL, ()))


def _poll(name: str) -> PollDue:
    now_ms = time.time_ns() // 1_000_000
    return PollDue(name, f"o-{name}", "mock", AMOUNT, CURRENCY, 0, now_ms, now_ms + 7_200_000)
