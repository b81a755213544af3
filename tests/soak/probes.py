"""What is measured every few seconds, while servers come and go."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Mapping
from typing import Any

import aiohttp
import asyncpg
import psutil
from redis import asyncio as aioredis
from redis.exceptions import RedisError

from benchmarks.machine import pss_mb
from tests.soak.stage import VHOST, Stage, is_alive
from tests.support.town import Worker

Sample = dict[str, float | str]
"""Values by dotted name; what could not be measured is not in it."""

WITHIN_S = 8.0
KEPT = ("orders", "payments", "refunds", "timeline")
"""Tables that grow for ever on purpose: they are the books."""

PASSING = ("outbox", "webhook_inbox", "idempotency_keys", "workers")
"""Tables whose rows go again."""

_TOTALS = ("connections", "channels", "queues")
_COLUMNS = "name,messages,messages_unacknowledged"
_AWAY = (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError, RedisError)
_TASKS = re.compile(r"^payonce_tasks (\S+)$", re.MULTILINE)

_TABLES = """
SELECT
    c.relname, pg_table_size(c.oid) + pg_indexes_size(c.oid) AS bytes,
    COALESCE(s.n_dead_tup, 0) AS dead
FROM pg_class c
LEFT JOIN pg_stat_user_tables s ON s.relid = c.oid
WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace
"""

_COUNTS = """
SELECT
    (SELECT count(*) FROM payments) AS payments,
    (SELECT count(*) FROM payments WHERE status IN ('CREATED', 'PENDING')) AS in_flight,
    (SELECT count(*) FROM payments WHERE revive_at < now() - interval '20 s') AS overdue,
    (SELECT count(*) FROM orders WHERE retell_at IS NOT NULL) AS unacknowledged,
    (SELECT count(*) FROM outbox) AS outbox,
    (SELECT count(*) FROM webhook_inbox) AS webhook_inbox,
    (SELECT count(*) FROM idempotency_keys) AS idempotency_keys,
    (SELECT count(*) FROM workers) AS workers,
    (SELECT count(*) FROM pg_stat_activity WHERE application_name = 'payonce') AS connections
"""


async def take_sample(stage: Stage) -> Sample:
    """Return what can be measured now; the servers are asked side by side."""
    parts = await asyncio.gather(
        *(_process(name, worker) for name, worker in stage.workers.items()),
        _quietly(_postgres(stage)),
        _quietly(asyncio.to_thread(_rabbitmq, stage)),
        _quietly(_redis(stage)),
        asyncio.to_thread(_servers, stage),
    )
    return {name: value for part in parts for name, value in part.items()}


async def _quietly(work: Awaitable[Sample]) -> Sample:
    try:
        async with asyncio.timeout(WITHIN_S):
            return await work
    except _AWAY:
        return {}


async def _process(name: str, worker: Worker) -> Sample:
    """Measure a worker from outside, and ask it for its tasks."""
    found: Sample = {}
    if worker.process is not None and is_alive(worker):
        found = await asyncio.to_thread(_memory, name, worker.process.pid)
    tasks = _TASKS.search(await _metrics(worker))
    return {**found, f"{name}.tasks": float(tasks[1])} if tasks else found


async def _metrics(worker: Worker) -> str:
    try:
        async with asyncio.timeout(2):
            return await worker.get_text("/metrics")
    except (TimeoutError, aiohttp.ClientError):
        return ""


def _memory(name: str, pid: int) -> Sample:
    process = psutil.Process(pid)
    try:
        memory = process.memory_full_info()
        return {
            f"{name}.pid": pid,
            f"{name}.pss_mb": round(memory.pss / 2**20, 2),
            f"{name}.rss_mb": round(memory.rss / 2**20, 2),
            f"{name}.files": process.num_fds(),
            f"{name}.threads": process.num_threads(),
        }
    except psutil.Error:
        return {}


def _servers(stage: Stage) -> Sample:
    """Return the memory of each server: what our load does to them."""
    servers = stage.handles
    marks = {
        "postgres": servers.postgres.mark,
        "rabbitmq": servers.rabbitmq.mark,
        "redis": servers.redis.mark,
    }
    return {f"{name}.pss_mb": round(pss_mb(mark.pid), 1) for name, mark in marks.items() if mark}


async def _postgres(stage: Stage) -> Sample:
    """Return the counts and sizes of tables."""
    (counts,) = await stage.rows(_COUNTS)
    tables = {row["relname"]: row for row in await stage.rows(_TABLES)}
    found: Sample = {f"count.{name}": value for name, value in dict(counts).items()}
    for name, row in tables.items():
        found[f"bytes.{name}"] = row["bytes"]
        found[f"dead.{name}"] = row["dead"]
    if counts["payments"]:
        kept = sum(tables[name]["bytes"] for name in KEPT)
        found["bytes_a_payment"] = round(kept / counts["payments"], 1)
    return found


def _rabbitmq(stage: Stage) -> Sample:
    """Return what stands on the broker: connections, channels, and the messages of each queue."""
    api = stage.handles.rabbitmq.api
    overview: Any = api("GET", "/api/overview")
    totals: Mapping[str, int] = overview.get("object_totals", {})
    queues: Any = api("GET", f"/api/queues/{VHOST}?columns={_COLUMNS}")
    found: Sample = {f"broker.{name}": totals[name] for name in _TOTALS if name in totals}
    sums: Counter[str] = Counter()
    for queue in queues:
        sums[_kind(queue["name"])] += queue.get("messages", 0)
        sums["unacked"] += queue.get("messages_unacknowledged", 0)
    return found | {f"queue.{name}": count for name, count in sums.items()}


def _kind(queue: str) -> str:
    """Return which curve a queue belongs to: delays by work, all else by its name."""
    if queue.startswith("payonce.delay."):
        return "delay"
    return "aside" if queue.endswith((".parked", ".unrouted")) else "work"


async def _redis(stage: Stage) -> Sample:
    """Return how much is remembered, and how many keys would stay for ever."""
    async with aioredis.from_url(stage.handles.redis.url, socket_timeout=2) as client:
        info: Any = await client.info()
        calls: Any = await client.info("commandstats")
    flushes = calls.get("cmdstat_flushall", {}).get("calls", 0)
    keys = info.get("db0", {"keys": 0, "expires": 0})
    return {
        # Who begins with nothing begins anew, be it a process or one that was emptied.
        "redis.pid": f"{info['process_id']}, emptied {flushes} times",
        "redis.keys": keys["keys"],
        "redis.endless_keys": keys["keys"] - keys["expires"],
        "redis.memory_mb": round(info["used_memory"] / 2**20, 2),
        "redis.clients": info["connected_clients"] - 1,
    }
