"""How soon, and how surely, the order service knows: the example's, called by payonce.

`told` measures from paid, in the gateway's word, to acknowledged. `outage` takes the order service
away under load, brings it back, and counts what its table holds.
"""

import asyncio
import random
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import aiohttp

from benchmarks.rig import Result, Rig, Setup, database_of, open_rig
from benchmarks.scenarios import DRAIN_WITHIN_S, Bench
from benchmarks.stub import AMOUNT, CURRENCY
from benchmarks.worker import ROOT
from tests.support import ports
from tests.support.order_service import OrderServiceProcess

PAYS_WITHIN_S = 3.0
"""A shopper takes between nothing and this long to pay: as long as the first wait of the ladder."""
ONE_WAIT_MS = (3_000, 10_000)
NO_POLL_MS = (600_000,)
_CHARGES_AT_ONCE = 10


async def told(bench: Bench, way: str, rate: float, seconds: float) -> Result:
    """Let shoppers pay at a steady rate; `way`: who tells first, "callback" or "poll"."""
    bench.quiet()
    n = int(rate * seconds)
    gateway_url = f"http://127.0.0.1:{ports.free_port()}"
    service = _order_service(bench)
    ladder_ms = NO_POLL_MS if way == "callback" else ONE_WAIT_MS
    changed = {**service.variables, "PAYONCE_GATEWAYS__MOCK__BASE_URL": gateway_url}
    setup = Setup(ladder_ms, environment=changed)
    async with (
        open_rig(bench.servers, setup, bench.folder, warm_up=False) as rig,
        _gateway(gateway_url),
        _serving(service),
        aiohttp.ClientSession() as session,
    ):
        town = _Town(rig, session, gateway_url, calls_back=way == "callback")
        # The first seconds of load warm caches and connections; they are not looked at.
        await town.pay("warm", int(rate * 2), rate)
        span = rig.span()
        await town.pay("told", n, rate)
        acknowledged = await _acknowledged(rig, "told", n)
        _, foreign = span.stop()
        (row,) = await rig.fetch(_DELAYS, "told-%")
        booked = await service.booked("o-told-")
        totals = await rig.totals("told", n)
    return {
        "scenario": "told",
        "way": way,
        "rate": rate,
        "n": n,
        "foreign": foreign,
        **{name: round(value, 1) for name, value in dict(row).items() if value is not None},
        "paid": totals["paid"],
        "acknowledged": acknowledged,
        "booked_twice": len(booked) - len(set(booked)),
        "ok": totals["paid"] == acknowledged == len(set(booked)) == len(booked) == n,
    }


async def outage(bench: Bench, rate: float, down_s: float) -> Result:
    """Take the order service away under load; afterwards everything is booked, nothing twice."""
    bench.quiet()
    around_s = max(down_s / 8, 2.0)
    n = int(rate * (down_s + 2 * around_s))
    service = _order_service(bench)
    setup = Setup(environment=service.variables)
    async with open_rig(bench.servers, setup, bench.folder) as rig, _serving(service):
        await rig.reset_stub()
        rig.bus.want("down", n)
        span = rig.span()
        paying = asyncio.create_task(rig.bus.publish("down", n, rate))
        await asyncio.sleep(around_s)
        await service.end()
        await asyncio.sleep(down_s)
        waiting = (await rig.fetch(_UNACKNOWLEDGED))[0]["n"]
        await service.start()
        began_s = time.monotonic()
        behind_s = await _caught_up(rig, began_s)
        await paying
        await rig.bus.wait(DRAIN_WITHIN_S)
        acknowledged = await _acknowledged(rig, "down", n)
        _, foreign = span.stop()
        booked = await service.booked("o-down-")
        totals = await rig.totals("down", n)
    return {
        "scenario": "outage",
        "rate": rate,
        "down_s": down_s,
        "n": n,
        "foreign": foreign,
        "waiting": waiting,
        "behind_s": round(behind_s, 1),
        "acknowledged": acknowledged,
        "booked_twice": len(booked) - len(set(booked)),
        "events": totals["events"],
        "events_again": totals["repeats"],
        "ok": acknowledged == totals["paid"] == len(set(booked)) == len(booked) == n,
    }


class _Town:
    """Shoppers that pay charges which the shop opened at the gateway."""

    def __init__(
        self, rig: Rig, session: aiohttp.ClientSession, gateway_url: str, *, calls_back: bool
    ) -> None:
        self._rig = rig
        self._session = session
        self._charges_url = f"{gateway_url}/control/charges"
        port = rig.port
        self._notify_url = f"http://127.0.0.1:{port}/v1/webhooks/mock" if calls_back else None
        self._chance = random.Random(1)

    async def pay(self, prefix: str, n: int, rate: float) -> None:
        """Open so many charges, each paid within PAYS_WITHIN_S, and have them watched."""
        numbers = range(n)
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for first in range(0, n, _CHARGES_AT_ONCE):
                early_s = began + first / rate - time.perf_counter()
                await asyncio.sleep(max(early_s, 0))
                names = [f"{prefix}-{k}" for k in numbers[first : first + _CHARGES_AT_ONCE]]
                group.create_task(self._open(names))

    async def _open(self, names: list[str]) -> None:
        charges = [
            {
                "payment_id": name,
                "order_id": f"o-{name}",
                "amount": AMOUNT,
                "currency": CURRENCY,
                "notify_url": self._notify_url,
                "script": {"pays_after_s": self._chance.random() * PAYS_WITHIN_S},
            }
            for name in names
        ]
        for name in names:
            await self._rig.bus.publish_payment(name, f"o-{name}")
        async with self._session.post(self._charges_url, json=charges) as answer:
            answer.raise_for_status()


def _order_service(bench: Bench) -> OrderServiceProcess:
    return OrderServiceProcess(database_of(bench.servers), bench.folder / "order-service.log")


@asynccontextmanager
async def _serving(service: OrderServiceProcess) -> AsyncIterator[None]:
    """Run the order service, also where the scenario ends and starts it in between."""
    await service.start()
    try:
        yield
    finally:
        await service.end()


@asynccontextmanager
async def _gateway(url: str) -> AsyncIterator[None]:
    """Run the gateway mock: unlike the stub, it knows when a charge was paid, and calls back."""
    port = urlsplit(url).port or 0
    command = [sys.executable, "-m", "gateway_mock", "--port", str(port)]
    gateway = await asyncio.to_thread(subprocess.Popen, command, cwd=ROOT)
    try:
        await asyncio.to_thread(ports.wait_open, port, 10, "the gateway mock")
        yield
    finally:
        gateway.terminate()
        await asyncio.to_thread(gateway.wait)


async def _acknowledged(rig: Rig, prefix: str, n: int) -> int:
    """Return how many orders are acknowledged, once that is `n` or did not grow for a minute.

    A callback that was not taken in time comes again up to a minute later.
    """
    last, same = -1, 0
    while last < n and same < 120:
        await asyncio.sleep(0.5)
        (row,) = await rig.fetch(_ACKNOWLEDGED, f"{prefix}-%")
        same = same + 1 if row["n"] == last else 0
        last = row["n"]
    return last


async def _caught_up(rig: Rig, began_s: float) -> float:
    """Return after how many seconds nothing was unacknowledged that was paid 2 s before."""
    while time.monotonic() - began_s < 2 * DRAIN_WITHIN_S:
        (row,) = await rig.fetch(_BEHIND)
        if not row["n"]:
            break
        await asyncio.sleep(0.1)
    return time.monotonic() - began_s


_ACKNOWLEDGED = """
SELECT count(*) AS n FROM orders WHERE settled_by LIKE $1 AND acknowledged_at IS NOT NULL
"""

_UNACKNOWLEDGED = "SELECT count(*) AS n FROM orders WHERE retell_at IS NOT NULL"

_BEHIND = f"{_UNACKNOWLEDGED} AND settled_at < now() - interval '2 s'"

_DELAYS = """
SELECT
    percentile_cont(0.5) WITHIN GROUP (ORDER BY paid_ms) AS paid_p50_ms,
    percentile_cont(0.99) WITHIN GROUP (ORDER BY paid_ms) AS paid_p99_ms,
    percentile_cont(0.5) WITHIN GROUP (ORDER BY settled_ms) AS settled_p50_ms,
    percentile_cont(0.99) WITHIN GROUP (ORDER BY settled_ms) AS settled_p99_ms
FROM (
    SELECT
        extract(epoch FROM o.acknowledged_at - p.paid_at)::float8 * 1000 AS paid_ms,
        extract(epoch FROM o.acknowledged_at - o.settled_at)::float8 * 1000 AS settled_ms
    FROM orders o JOIN payments p ON p.payment_id = o.settled_by
    WHERE o.settled_by LIKE $1
) AS delays
"""
