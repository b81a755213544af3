"""How much do listeners weigh, and how soon does a change reach the one it is for?"""

import asyncio
import json
import time
from collections.abc import Mapping, Sequence

import aio_pika

from benchmarks.crowd import Ear, allow_files, listen
from benchmarks.machine import pss_mb
from benchmarks.rig import Result, Rig, Setup, open_rig
from benchmarks.scenarios import Bench

SPARE_FILES = 1_000
IDLE_S = 30.0
CHANGES = 200
RATE = 20.0
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
        delays_ms = await _change_some(rig, ears, order_ids[::step])
        others = [ears[one] for number, one in enumerate(order_ids) if number % step]
        strays = sum(len(one.came_s) - 1 for one in others)
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
        "pushed_ms": {name: _quantile(delays_ms, q) for name, q in _QUANTILES.items()},
        "ok": len(delays_ms) == len(order_ids[::step]) and strays == 0,
    }


_QUANTILES = {"p50": 0.5, "p99": 0.99, "max": 1.0}


async def _change_some(rig: Rig, ears: Mapping[str, Ear], order_ids: Sequence[str]) -> list[float]:
    """Cancel orders at a steady rate; return the ms from each publish to the stream's event."""
    connection = await aio_pika.connect(rig.amqp_url)
    sent_s: dict[str, float] = {}
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("payments", ensure=False)
        began_s = time.perf_counter()
        for number, order_id in enumerate(order_ids):
            await asyncio.sleep(max(0.0, began_s + number / RATE - time.perf_counter()))
            body = json.dumps({"order_id": order_id}).encode()
            sent_s[order_id] = time.time()
            message = aio_pika.Message(body, content_type="application/json", delivery_mode=2)
            await exchange.publish(message, routing_key="order.cancelled")
        await asyncio.wait([ears[one].second for one in order_ids], timeout=PUSHED_WITHIN_S)
    return [
        (ears[one].came_s[1] - when_s) * 1e3
        for one, when_s in sent_s.items()
        if len(ears[one].came_s) > 1
    ]


def _quantile(values: Sequence[float], share: float) -> float:
    found = sorted(values)
    return round(found[min(len(found) - 1, int(share * len(found)))], 1) if found else 0.0
