"""Opens a stage: servers, proxies, gateway, order service and two workers, all on loopback."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg

from gateway_mock.server import DEFAULT_SECRET
from tests.campaign.proxy import Link
from tests.campaign.stage import Clock, Gateway, SmallDisk, Stage
from tests.support import rabbitmq
from tests.support.order_service import ROOT, OrderServiceProcess
from tests.support.ports import HOST, free_port
from tests.support.postgres import Postgres
from tests.support.rabbitmq import RabbitMQ
from tests.support.redis import Redis
from tests.support.shop import API_TOKEN
from tests.support.town import Worker
from tests.support.witness import install_witness

LADDER = ("200ms", "400ms", "800ms", "2s")
RETELLING = ("4s", "8s", "10s")
GATEWAYS = ("mock", "other")
WORKERS = 2
VHOST = DATABASE = "campaign"
_DISK_MB = 400
# Without these the database would keep more of its log than the small disk holds.
_SMALL_LOG = (
    "ALTER SYSTEM SET min_wal_size = '32MB'",
    "ALTER SYSTEM SET max_wal_size = '96MB'",
    "SELECT pg_reload_conf()",
)


@asynccontextmanager
async def open_stage(folder: Path, broker: type[RabbitMQ] = RabbitMQ) -> AsyncIterator[Stage]:
    """Give a stage on which everything runs; all of it is ended afterwards."""
    async with AsyncExitStack() as stack:
        stage = await _open_servers(folder, broker, stack)
        stage.clock = Clock.found(folder / "clock")
        await open_links(stage, stack)
        await stage.gateway.start()
        stack.push_async_callback(stage.gateway.end)
        env = _environment(stage)
        stage.workers += _workers(stage, env, folder)
        await asyncio.to_thread(_migrate, env, folder / "migrate.log")
        await install_witness(stage.dsn)
        stack.push_async_callback(_end_programs, stage)
        await asyncio.gather(stage.orders.start(), *(one.start() for one in stage.workers))
        yield stage


async def _open_servers(folder: Path, broker: type[RabbitMQ], stack: AsyncExitStack) -> Stage:
    disk: SmallDisk | None = SmallDisk(folder / "disk")
    if disk and await disk.mount(_DISK_MB):
        disk = None
    elif disk:
        stack.push_async_callback(disk.unmount)
    place = disk.folder if disk else folder
    postgres = Postgres(place / "postgres", free_port())
    shops = Postgres(folder / "shop", free_port())
    bus = broker(folder / "rabbitmq", rabbitmq.chosen_ports())
    redis = Redis(folder / "redis", free_port())
    servers: list[Any] = [postgres, shops, bus, redis]
    for one in servers:
        stack.push_async_callback(asyncio.to_thread, one.stop)
    await asyncio.gather(*(asyncio.to_thread(one.start) for one in servers))
    url = await asyncio.to_thread(bus.fresh_vhost, VHOST)
    dsn = await asyncio.to_thread(postgres.fresh_database, DATABASE)
    await _run_sql(dsn, _SMALL_LOG)
    orders = OrderServiceProcess(shops.dsn, folder / "orders.log", url)
    return Stage(postgres, bus, redis, Gateway(folder), orders, [], vhost=VHOST, disk=disk, dsn=dsn)


async def _run_sql(dsn: str, statements: Iterable[str]) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def open_links(stage: Stage, stack: AsyncExitStack) -> list[int]:
    """Put a link before everything that workers call or are called by; return their ports."""
    edges = [free_port() for _ in range(WORKERS)]
    targets = {
        "postgres": [stage.postgres.port],
        "rabbitmq": [stage.rabbitmq.port],
        "redis": [stage.redis.port],
        "gateway": [stage.gateway.front.port],
        "orders": [stage.orders.port],
        "callbacks": edges,
    }
    for name, ports in targets.items():
        link = Link(*ports)
        await link.start()
        stack.push_async_callback(link.close)
        stage.links[name] = link
    return edges


def _environment(stage: Stage) -> dict[str, str]:
    """Return the variables of a worker, all of whose ways lead through the proxy."""
    at = {name: f"{HOST}:{link.port}" for name, link in stage.links.items()}
    env = {
        **{name: value for name, value in os.environ.items() if "PAYONCE" not in name},
        "PAYONCE_POSTGRES_DSN": f"postgresql://payonce@{at['postgres']}/{DATABASE}",
        "PAYONCE_AMQP_URL": f"amqp://guest:guest@{at['rabbitmq']}/{VHOST}",
        "PAYONCE_REDIS_URL": f"redis://{at['redis']}/0",
        "PAYONCE_POLL__LADDER": json.dumps(LADDER),
        "PAYONCE_REFUND__LADDER": json.dumps(LADDER),
        "PAYONCE_REFUND__MAX_PER_HOUR": "100000",
        "PAYONCE_SWEEP__EVERY": "1s",
        "PAYONCE_SWEEP__GRACE": "2s",
        "PAYONCE_ORDER_SERVICE__LADDER": json.dumps(RETELLING),
        "PAYONCE_ORDER_SERVICE__TIMEOUT": "1s",
        "PAYONCE_HTTP__HOST": HOST,
        "PAYONCE_HTTP__API_TOKEN": API_TOKEN,
        "PAYONCE_HTTP__PUBLIC_URL": f"http://{at['callbacks']}",
        **stage.orders.variables,
        "PAYONCE_ORDER_SERVICE__NOTIFY_URL": f"http://{at['orders']}/paid",
    }
    for name in GATEWAYS:
        prefix = f"PAYONCE_GATEWAYS__{name.upper()}__"
        env[f"{prefix}KIND"] = "http"
        env[f"{prefix}BASE_URL"] = f"http://{at['gateway']}"
        env[f"{prefix}SECRET"] = DEFAULT_SECRET
        env[f"{prefix}TIMEOUT_S"] = "2"
    return env


def _workers(stage: Stage, env: dict[str, str], folder: Path) -> list[Worker]:
    """Return the workers; the last one has the clock that can be set."""
    ports = stage.links["callbacks"].targets
    own: list[dict[str, str]] = [{} for _ in ports]
    if stage.clock is not None:
        own[-1] = dict(stage.clock.variables)
    return [
        Worker({**env, **more}, folder / f"worker-{number}.log", port=port)
        for number, (port, more) in enumerate(zip(ports, own, strict=True))
    ]


def _migrate(env: dict[str, str], log: Path) -> None:
    with log.open("wb") as out:
        command = [sys.executable, "-m", "payonce", "migrate"]
        subprocess.run(command, env=env, cwd=ROOT, stdout=out, stderr=out, check=True, timeout=60)


async def _end_programs(stage: Stage) -> None:
    for worker in stage.workers:
        worker.send(signal.SIGCONT)
        if worker.process is not None:
            await worker.end(signal.SIGKILL)
    if stage.orders.process is not None and stage.orders.process.returncode is None:
        stage.orders.process.send_signal(signal.SIGCONT)
    await stage.orders.end()
