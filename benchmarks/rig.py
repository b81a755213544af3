"""One fresh installation for one measurement: database, virtual host, stub, worker, bus."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import asyncpg
from redis import asyncio as aioredis

from benchmarks.bus import Bus
from benchmarks.machine import Span, pss_mb
from benchmarks.servers import Servers
from benchmarks.worker import PAYONCE, ROOT, Worker
from tests.support import ports

DATABASE = "payonce_bench"
WARM_UP = 20
WARM_UP_WITHIN_S = 40.0
_STUB_OPEN_WITHIN_S = 10.0

Result = dict[str, Any]


@dataclass(frozen=True)
class Setup:
    """How the worker and the stub are to behave."""

    ladder_ms: Sequence[int] = (300, 1_000)
    pending: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    roles: str = ""
    command: Sequence[str] = PAYONCE


class Rig:
    """What a scenario drives."""

    def __init__(self, servers: Servers, setup: Setup, folder: Path) -> None:
        self.servers = servers
        self.setup = setup
        self.gateway_url = f"http://127.0.0.1:{ports.free_port()}"
        self.dsn = database_of(servers)
        self.amqp_url = servers.fresh_vhost()
        self.port = ports.free_port()
        self.worker = Worker(self.environment(), folder / "worker.log", setup.command)
        self._bus: Bus | None = None
        self._http: aiohttp.ClientSession | None = None

    @property
    def bus(self) -> Bus:
        """The shop and the order service."""
        if self._bus is None:
            raise RuntimeError("the rig is not open")
        return self._bus

    async def open(self) -> None:
        """Start the worker and connect."""
        self._http = aiohttp.ClientSession()
        await asyncio.to_thread(self.worker.migrate)
        await self.reset_stub()
        self._bus = await Bus.open(self.amqp_url)
        self.start_worker()
        await self.worker.ready()

    async def warm_up(self) -> None:
        """Let some payments pass."""
        self.bus.want("w", WARM_UP)
        await self.bus.publish("w", WARM_UP)
        if not await self.bus.wait(WARM_UP_WITHIN_S):
            raise RuntimeError("the warm-up did not finish")
        await asyncio.sleep(0.5)

    async def close(self) -> None:
        """Stop the worker and disconnect."""
        await self.worker.stop()
        if self._bus is not None:
            await self._bus.close()
        if self._http is not None:
            await self._http.close()

    def start_worker(self) -> None:
        """Begin to run the worker, in the roles that were asked for."""
        self.worker.start(*(("--only", self.setup.roles) if self.setup.roles else ()))

    def pause(self) -> None:
        """Stop the worker's clock."""
        self.worker.signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let the worker go on."""
        self.worker.signal(signal.SIGCONT)

    def span(self) -> Span:
        """Begin to measure CPU."""
        return Span({"worker": self.worker.pid, **self.servers.pids})

    def memory_mb(self) -> dict[str, float]:
        """Return the memory of the worker and of each server in MiB."""
        pids = {"worker": self.worker.pid, **self.servers.pids}
        return {name: round(pss_mb(pid), 1) for name, pid in pids.items()}

    async def reset_stub(self, pending: int | None = None) -> None:
        """Let the stub forget all, and be pending for so many queries."""
        wanted = self.setup.pending if pending is None else pending
        await self._ask_stub("/reset", {"pending": wanted, "ladder_ms": [*self.setup.ladder_ms]})

    async def stub_stats(self) -> Result:
        """Return what the stub counted."""
        return await self._ask_stub("/stats", None)

    async def fetch(self, statement: str, *arguments: object) -> "list[asyncpg.Record]":
        """Ask the database, past the worker."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return await connection.fetch(statement, *arguments)
        finally:
            await connection.close()

    async def totals(self, prefix: str, n: int) -> Result:
        """Return how the payments of `prefix` stand, and whether all is as it must be."""
        like = f"{prefix}-%"
        (row,) = await self.fetch(_TOTALS, like)
        events = len(self.bus.events(prefix))
        twice = self.bus.orders_told_twice()
        ok = row["settled"] == row["paid"] == events == n and not twice and not row["outbox"]
        return {
            **dict(row),
            "events": events,
            "repeats": self.bus.repeats,
            "told_twice": twice,
            "ok": ok,
        }

    async def outbox_empty(self, timeout_s: float = 10.0) -> None:
        """Return once no event waits any more, or after `timeout_s`."""
        for _ in range(int(timeout_s / 0.1)):
            (row,) = await self.fetch("SELECT count(*) AS n FROM outbox")
            if not row["n"]:
                return
            await asyncio.sleep(0.1)

    def environment(self) -> dict[str, str]:
        """Return the PAYONCE_* variables of the worker."""
        ladder = json.dumps([f"{wait_ms}ms" for wait_ms in self.setup.ladder_ms])
        return {
            "PAYONCE_CONFIG": str(ROOT / "config/payonce.toml"),
            "PAYONCE_POSTGRES_DSN": self.dsn,
            "PAYONCE_AMQP_URL": self.amqp_url,
            "PAYONCE_REDIS_URL": self.servers.redis_url,
            "PAYONCE_POLL__LADDER": ladder,
            "PAYONCE_GATEWAYS__MOCK__BASE_URL": self.gateway_url,
            "PAYONCE_HTTP__HOST": "127.0.0.1",
            "PAYONCE_HTTP__PORT": str(self.port),
            "PAYONCE_LOG_LEVEL": "info",
            **self.setup.environment,
        }

    async def _ask_stub(self, path: str, body: Result | None) -> Result:
        if self._http is None:
            raise RuntimeError("the rig is not open")
        method = "GET" if body is None else "POST"
        async with self._http.request(method, self.gateway_url + path, json=body) as answer:
            found: Result = await answer.json()
            return found


_TOTALS = """
SELECT
    (SELECT count(*) FROM payments WHERE payment_id LIKE $1) AS registered,
    (SELECT count(*) FROM payments WHERE payment_id LIKE $1 AND status = 'SUCCEEDED') AS settled,
    (SELECT count(*) FROM orders WHERE settled_by LIKE $1 AND status = 'PAID') AS paid,
    (SELECT count(*) FROM outbox) AS outbox
"""


@asynccontextmanager
async def open_rig(
    servers: Servers, setup: Setup, folder: Path, *, warm_up: bool = True
) -> AsyncIterator[Rig]:
    """Give a rig on emptied servers; everything it started is ended afterwards."""
    await _empty(servers)
    rig = Rig(servers, setup, folder)
    stub = _start_stub(urlsplit(rig.gateway_url).port or 0)
    try:
        await rig.open()
        if warm_up:
            await rig.warm_up()
        yield rig
    finally:
        await rig.close()
        stub.kill()
        stub.wait()


def _start_stub(port: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "benchmarks.stub", str(port)]
    stub = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    try:
        ports.wait_open(port, _STUB_OPEN_WITHIN_S, "the stub")
    except TimeoutError:
        stub.kill()
        raise
    return stub


async def _empty(servers: Servers) -> None:
    connection = await asyncpg.connect(servers.postgres_dsn)
    try:
        await connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        await connection.execute(f"CREATE DATABASE {DATABASE}")
        await connection.execute("CHECKPOINT")
    finally:
        await connection.close()
    redis = aioredis.Redis.from_url(servers.redis_url)
    await redis.flushall()
    await redis.aclose()


def database_of(servers: Servers) -> str:
    """Return the DSN of the database that payonce gets."""
    return urlunsplit(urlsplit(servers.postgres_dsn)._replace(path=f"/{DATABASE}"))
