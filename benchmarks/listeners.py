"""How much do listeners weigh, and how soon does a change reach the one it is for?"""

import asyncio
import hashlib
import json
import time
from collections.abc import Mapping, Sequence

import aiohttp
import asyncpg
from redis import asyncio as aioredis

from benchmarks.crowd import Ear, allow_files, listen
from benchmarks.machine import pss_mb
from benchmarks.rig import Result, Rig, Setup, open_rig
from benchmarks.scenarios import Bench

SPARE_FILES = 1_000
IDLE_S = 30.0
CHANGES = 200
RATE = 50.0
SETTLE_S = 3.0
PUSHED_WITHIN_S = 10.0

_ORDERS = """
WITH ordered AS (
    INSERT INTO orders (order_id, amount, currency)
    SELECT 'listen-' || n, 1999, 'CNY' FROM generate_series(1, $1::integer) AS n
    RETURNING order_id
)
INSERT INTO payments (
    payment_id, order_id, gateway, amount, currency, status, initiated_at, expires_at,
    expires_given
)
SELECT
    'p-' || order_id, order_id, 'mock', 1999, 'CNY', 'PENDING', now(), now() + interval '2 h',
    true
FROM ordered
"""

_CHANGE = "UPDATE orders SET version = version + 1 WHERE order_id = $1 RETURNING version"


async def listeners(bench: Bench, n: int) -> Result:
    """Open `n` streams of as many orders, let them idle, then change some of the orders."""
    allow_files(n + SPARE_FILES)
    bench.quiet()
    async with open_rig(bench.servers, Setup(), bench.folder) as rig:
        await rig.fetch(_ORDERS, n)
        [(key,)] = await rig.fetch("SELECT token_key FROM installation")
        order_ids = [f"listen-{number}" for number in range(1, n + 1)]
        await asyncio.sleep(SETTLE_S)
        before_mb = pss_mb(rig.worker.pid)
        began_s = time.perf_counter()
        ears = await listen(rig.port, bytes(key), order_ids)
        opened_s = time.perf_counter() - began_s
        await asyncio.sleep(SETTLE_S)
        after_mb = pss_mb(rig.worker.pid)
        span = rig.span()
        await asyncio.sleep(IDLE_S)
        idle, foreign = span.stop()
        step = max(2, n // CHANGES)
        pushed_ms = await _change_some(rig, bytes(key), ears, order_ids[::step])
        others = [ears[one] for number, one in enumerate(order_ids) if number % step]
        strays = sum(len(one.came_s) - 1 for one in others)
        healed = await _counted(rig, "payonce_pushes_healed_total")
        for one in ears.values():
            one.close()
    return {
        "scenario": "listeners",
        "n": n,
        "foreign": foreign,
        "opened_per_s": round(n / opened_s),
        "kb_each": round((after_mb - before_mb) * 1024 / n, 1),
        "worker_mb": round(after_mb, 1),
        "idle_cpu_percent": round(idle["worker"] / IDLE_S * 100, 2),
        "heartbeats": min(one.heartbeats for one in ears.values()),
        "pushed_ms": {name: _quantile(pushed_ms, q) for name, q in _QUANTILES.items()},
        "healed": healed,
        "ok": len(pushed_ms) == len(order_ids[::step]) and strays == 0,
    }


_QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


async def _change_some(
    rig: Rig, key: bytes, ears: Mapping[str, Ear], order_ids: Sequence[str]
) -> list[float]:
    """Change orders at a steady rate and tell of it, as another process does.

    Returns the ms from each commit to the event at its listener.
    """
    channel = f"payonce:{hashlib.sha256(b'name' + key).hexdigest()[:12]}:changes"
    changed_s: dict[str, float] = {}
    connection = await asyncpg.connect(rig.dsn)
    redis = aioredis.Redis.from_url(rig.servers.redis_url)
    try:
        began_s = time.perf_counter()
        for number, order_id in enumerate(order_ids):
            await asyncio.sleep(max(0.0, began_s + number / RATE - time.perf_counter()))
            version = await connection.fetchval(_CHANGE, order_id)
            changed_s[order_id] = time.time()
            await redis.publish(channel, json.dumps(["bench", {order_id: version}]))
        await asyncio.wait([ears[one].second for one in order_ids], timeout=PUSHED_WITHIN_S)
    finally:
        await connection.close()
        await redis.aclose()
    return [
        (ears[one].came_s[1] - when_s) * 1e3
        for one, when_s in changed_s.items()
        if len(ears[one].came_s) > 1
    ]


async def _counted(rig: Rig, name: str) -> float:
    """Return a counter of the worker's without labels."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{rig.port}/metrics") as answer,
    ):
        lines = (await answer.text()).splitlines()
    return sum(float(line.split()[1]) for line in lines if line.split()[0] == name)


def _quantile(values: Sequence[float], share: float) -> float:
    found = sorted(values)
    return round(found[min(len(found) - 1, int(share * len(found)))], 1) if found else 0.0
