"""What is measured, one function each: it returns figures and whether all totals were right."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import wait_quiet
from benchmarks.rig import Result, Rig, Setup, database_of, open_rig
from benchmarks.servers import Servers
from benchmarks.wire_tap import WireTap

BURST_WITHIN_S = 120.0
DRAIN_WITHIN_S = 60.0
QUIET_WITHIN_S = 15.0
RESTART_AFTER_S = 6.0
LONG_LADDER_MS = (600_000,)
SHORT_LADDER_MS = (100, 100, 100, 100, 2_000)
UNRECORDED_QUERIES = 4


@dataclass(frozen=True)
class Bench:
    """Where scenarios run."""

    servers: Servers
    folder: Path

    def quiet(self) -> float:
        """Wait a little for other programs to be idle; return their share."""
        return wait_quiet(self.servers.pids.values(), QUIET_WITHIN_S)


async def burst(bench: Bench, n: int, setup: Setup | None = None) -> Result:
    """Enqueue `n` payments before a stopped worker, let it go, time the n-th distinct event."""
    bench.quiet()
    async with open_rig(bench.servers, setup or Setup(), bench.folder) as rig:
        rig.pause()
        await rig.bus.publish("t", n)
        await rig.reset_stub()
        rig.bus.want("t", n)
        span = rig.span()
        rig.resume()
        await rig.bus.wait(BURST_WITHIN_S)
        used, foreign = span.stop()
        events = rig.bus.events("t")
        wall_s = max(events.values(), default=span.began_s) - span.began_s
        result = await _checked(rig, "t", n)
    told = max(1, len(events))
    return {
        "scenario": "burst",
        "n": n,
        "foreign": foreign,
        "wall_s": round(wall_s, 2),
        "per_s": round(told / max(wall_s, 1e-6), 1),
        "cpu_ms": {name: round(seconds * 1e3 / told, 3) for name, seconds in used.items()},
        **result,
    }


async def steady(bench: Bench, rate: float, seconds: float) -> Result:
    """Publish payments at a steady rate; how late are their polls?"""
    bench.quiet()
    n = int(rate * seconds)
    async with open_rig(bench.servers, Setup(), bench.folder) as rig:
        # The first seconds of load warm caches and connections; they are not looked at.
        await rig.bus.publish("warm", int(rate * 2), rate)
        rig.bus.want("warm", int(rate * 2))
        await rig.bus.wait(DRAIN_WITHIN_S)
        await rig.reset_stub()
        rig.bus.want("s", n)
        span = rig.span()
        await rig.bus.publish("s", n, rate)
        await rig.bus.wait(DRAIN_WITHIN_S)
        used, foreign = span.stop()
        result = await _checked(rig, "s", n)
    cpu_ms = {name: round(seconds * 1e3 / n, 3) for name, seconds in used.items()}
    return {"scenario": "steady", "rate": rate, "foreign": foreign, "cpu_ms": cpu_ms, **result}


async def memory(bench: Bench, n: int) -> Result:
    """Let `n` payments wait for ten minutes; what does that weigh?"""
    async with open_rig(bench.servers, Setup(), bench.folder) as rig:
        await rig.bus.publish("busy", n // 20)
        rig.bus.want("busy", n // 20)
        await rig.bus.wait(DRAIN_WITHIN_S)
        busy = await _settled_memory(rig)
    setup = Setup(LONG_LADDER_MS)
    async with open_rig(bench.servers, setup, bench.folder, warm_up=False) as rig:
        before = await _settled_memory(rig)
        await rig.bus.publish("m", n)
        registered = await _registered(rig, n)
        after = await _settled_memory(rig)
    return {
        "scenario": "memory",
        "n": n,
        "worker_after_work_mb": busy["worker"],
        "before_mb": before,
        "after_mb": after,
        "grown_mb": {name: round(after[name] - before[name], 1) for name in before},
        "ok": registered == n,
    }


async def loss(bench: Bench, rate: float, seconds: float) -> Result:
    """Kill the worker twice while payments come steadily; what is missing or doubled?"""
    n = int(rate * seconds)
    async with open_rig(bench.servers, Setup(), bench.folder) as rig:
        await rig.reset_stub()
        rig.bus.want("l", n)
        publishing = asyncio.create_task(rig.bus.publish("l", n, rate))
        for pause_s in (seconds * 0.4, RESTART_AFTER_S):
            await asyncio.sleep(pause_s)
            rig.worker.kill()
            rig.start_worker()
        await publishing
        await rig.bus.wait(DRAIN_WITHIN_S * 2)
        result = await _checked(rig, "l", n)
    return {
        "scenario": "loss",
        "n": n,
        "kills": 2,
        "never_settled": n - result["settled"],
        "without_event": n - result["events"],
        **result,
    }


async def statements(bench: Bench, n: int) -> Result:
    """Count what is sent to PostgreSQL: at registering, during four waits, at settling."""
    async with WireTap(bench.servers.postgres_dsn) as tap:
        dsn = tap.dsn_of(database_of(bench.servers))
        # Relay and sweeper look at the database from time to time, whatever the payments do.
        setup = Setup(
            SHORT_LADDER_MS, UNRECORDED_QUERIES, {"PAYONCE_POSTGRES_DSN": dsn}, "consumer,edge"
        )
        async with open_rig(bench.servers, setup, bench.folder) as rig:
            rig.pause()
            await rig.bus.publish("q", n)
            await rig.reset_stub()
            rig.bus.want("q", n)
            tap.take()
            rig.resume()
            await _registered(rig, n, "q")
            registering = tap.take()
            await _asked(rig, n)
            waiting = tap.take()
            await rig.bus.wait(DRAIN_WITHIN_S)
            result = await _checked(rig, "q", n)
            settling = tap.take()
    total = sum((registering + waiting + settling).values())
    return {
        "scenario": "statements",
        "n": n,
        "per_payment": round(total / n, 3),
        "registering": dict(registering),
        "during_four_waits": dict(waiting),
        "settling": dict(settling),
        **result,
    }


async def _checked(rig: Rig, prefix: str, n: int) -> Result:
    """Return the totals once the outbox had time to empty, with what the stub saw."""
    await rig.outbox_empty()
    stats = await rig.stub_stats()
    totals = await rig.totals(prefix, n)
    return {**totals, **{name: stats[name] for name in ("extra_queries", "first_ms", "next_ms")}}


async def _registered(rig: Rig, n: int, prefix: str = "m") -> int:
    """Return how many payments are registered, once that is `n` or did not grow for 10 s."""
    last, same = -1, 0
    while last < n and same < 50:
        await asyncio.sleep(0.2)
        (row,) = await rig.fetch(
            "SELECT count(*) AS n FROM payments WHERE payment_id LIKE $1", f"{prefix}-%"
        )
        same = same + 1 if row["n"] == last else 0
        last = row["n"]
    return last


async def _asked(rig: Rig, n: int) -> None:
    """Return once each payment was asked about four times."""
    async with asyncio.timeout(DRAIN_WITHIN_S):
        while True:
            stats = await rig.stub_stats()
            if stats["ids"] >= n and stats["least_queries"] >= UNRECORDED_QUERIES:
                return
            await asyncio.sleep(0.05)


async def _settled_memory(rig: Rig) -> dict[str, float]:
    """Return the memory in MiB once the worker's did not move for some seconds."""
    last, same = rig.memory_mb(), 0
    for _ in range(30):
        await asyncio.sleep(1)
        now = rig.memory_mb()
        same = same + 1 if abs(now["worker"] - last["worker"]) < 1 else 0
        last = now
        if same >= 3:
            break
    return last
