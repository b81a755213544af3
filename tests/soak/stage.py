"""The stage of a long run: the campaign's handles, set up to stand for an hour."""

import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg

from gateway_mock.server import DEFAULT_SECRET
from tests.campaign.opening import open_links
from tests.campaign.stage import Gateway
from tests.campaign.stage import Stage as Handles
from tests.soak.plan import Plan
from tests.support import rabbitmq
from tests.support.order_service import ROOT, OrderServiceProcess
from tests.support.ports import HOST, free_port
from tests.support.postgres import Postgres
from tests.support.rabbitmq import RabbitMQ
from tests.support.redis import Redis
from tests.support.shop import API_TOKEN
from tests.support.town import Worker

GATEWAYS = ("mock", "other")
"""Two channels, which are one gateway with one pair of books."""

STRUCK, KEPT = "struck", "kept"
"""The worker that is killed and restarted, and the one that lives as long as the run."""

VHOST = DATABASE = "soak"
LATENESS = "2m"
"""How long after the end of a payment its money can come."""

PROFILE: Mapping[str, Any] = {
    "scripts": [
        {"weight": 50, "pays_after_s": 2},
        {"weight": 8, "pays_after_s": 20},
        {"weight": 6, "pays_after_s": 1, "pays_though_closed": True},
        {"weight": 16, "pays_after_s": 4, "callbacks": "lost"},
        {"weight": 8, "declines_after_s": 3},
        {"weight": 12},
    ],
    "pay_spread_s": 6,
    "error_percent": 1,
    "timeout_percent": 0.3,
    "nonsense_percent": 0.3,
    "lost_percent": 5,
    "doubled_percent": 5,
}
"""How shoppers pay and how the gateway fails, by chance."""


@dataclass(frozen=True)
class Stage:
    """What stands while a run goes on. `handles`: what can be struck; `env`: of payonce."""

    plan: Plan
    handles: Handles
    env: Mapping[str, str]
    session: aiohttp.ClientSession

    @property
    def workers(self) -> dict[str, Worker]:
        """Both workers by their names."""
        return dict(zip((STRUCK, KEPT), self.handles.workers, strict=True))

    async def rows(self, sql: str, *, dsn: str = "") -> list[asyncpg.Record]:
        """Return what payonce's database answers, or another one."""
        connection = await asyncpg.connect(dsn or self.handles.dsn, timeout=5, command_timeout=60)
        try:
            return await connection.fetch(sql)
        finally:
            await connection.close()

    async def control(self, method: str, path: str, body: object = None) -> Any:
        """Call the gateway's control API, past what is struck."""
        url = f"{self.handles.gateway.books_url}/control{path}"
        timeout = aiohttp.ClientTimeout(total=60)
        async with self.session.request(method, url, json=body, timeout=timeout) as answer:
            answer.raise_for_status()
            return await answer.json()

    async def parked(self) -> list[str]:
        """Return the messages that wait for a person, one a line."""
        found = [await self.payonce("parked", "list", "--json", *more) for more in ((), _UNROUTED)]
        return [line for text in found for line in text.splitlines()]

    async def payonce(self, *arguments: str) -> str:
        """Run a command and return its output. Raises RuntimeError."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "payonce", *arguments),
            env=self.env,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        if process.returncode:
            raise RuntimeError(f"payonce {' '.join(arguments)}: {err.decode()}")
        return out.decode()


_UNROUTED = ("--unrouted",)


def is_alive(worker: Worker) -> bool:
    """Say whether a worker runs."""
    return worker.process is not None and worker.process.returncode is None


@asynccontextmanager
async def open_stage(plan: Plan) -> AsyncIterator[Stage]:
    """Give a stage on private servers; everything is ended and its data forgotten afterwards."""
    folder = await asyncio.to_thread(_make_folder)
    async with AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        stack.callback(_keep_logs, folder, plan.out)
        handles = await _open_servers(folder, stack)
        edges = await open_links(handles, stack)
        env = _environment(plan, handles)
        handles.workers += [
            Worker(env, folder / f"{name}.log", port=port)
            for name, port in zip((STRUCK, KEPT), edges, strict=True)
        ]
        session = await stack.enter_async_context(aiohttp.ClientSession())
        stage = Stage(plan, handles, env, session)
        stack.push_async_callback(_end_programs, handles)
        await handles.gateway.start()
        await stage.control("POST", "/profile", {**PROFILE, "seed": plan.seed})
        await stage.payonce("migrate")
        await asyncio.gather(handles.orders.start(), *(one.start() for one in handles.workers))
        yield stage


async def _open_servers(folder: Path, stack: AsyncExitStack) -> Handles:
    postgres = Postgres(folder / "postgres", free_port())
    shops = Postgres(folder / "shop", free_port())
    broker = RabbitMQ(folder / "rabbitmq", rabbitmq.chosen_ports())
    redis = Redis(folder / "redis", free_port())
    servers: list[Any] = [postgres, shops, broker, redis]
    for one in servers:
        stack.push_async_callback(asyncio.to_thread, one.stop)
    await asyncio.gather(*(asyncio.to_thread(one.start) for one in servers))
    url = await asyncio.to_thread(broker.fresh_vhost, VHOST)
    dsn = await asyncio.to_thread(postgres.fresh_database, DATABASE)
    orders = OrderServiceProcess(shops.dsn, folder / "orders.log", url)
    return Handles(postgres, broker, redis, Gateway(folder), orders, [], vhost=VHOST, dsn=dsn)


def _environment(plan: Plan, handles: Handles) -> dict[str, str]:
    """Return payonce's variables: lengths that an hour can show, else as it comes."""
    at = {name: f"{HOST}:{link.port}" for name, link in handles.links.items()}
    env = {
        **{name: value for name, value in os.environ.items() if "PAYONCE" not in name},
        "PAYONCE_CONFIG": str(ROOT / "config/payonce.toml"),
        "PAYONCE_POSTGRES_DSN": f"postgresql://payonce@{at['postgres']}/{DATABASE}",
        "PAYONCE_AMQP_URL": f"amqp://guest:guest@{at['rabbitmq']}/{VHOST}",
        "PAYONCE_REDIS_URL": f"redis://{at['redis']}/0",
        "PAYONCE_BROKER__MANAGEMENT_URL": handles.rabbitmq.management_url,
        "PAYONCE_HTTP__HOST": HOST,
        "PAYONCE_HTTP__API_TOKEN": API_TOKEN,
        "PAYONCE_HTTP__PUBLIC_URL": f"http://{at['callbacks']}",
        "PAYONCE_POLL__LADDER": json.dumps(plan.ladder),
        "PAYONCE_REFUND__LADDER": json.dumps(plan.ladder),
        "PAYONCE_REFUND__MAX_PER_HOUR": "100000",
        **handles.orders.variables,
        "PAYONCE_ORDER_SERVICE__NOTIFY_URL": f"http://{at['orders']}/paid",
        "PAYONCE_ORDER_SERVICE__LADDER": json.dumps(["20s", "40s", "60s"]),
        "PAYONCE_ORDER_SERVICE__TIMEOUT": "2s",
        "PAYONCE_SWEEP__EVERY": "5s",
        "PAYONCE_SWEEP__GRACE": "5s",
        "PAYONCE_RETENTION__CALLBACKS": "10m",
        "PAYONCE_RETENTION__IDEMPOTENCY_KEYS": "10m",
        "PAYONCE_RETENTION__SUCCESSES": "10m",
    }
    for name in GATEWAYS:
        prefix = f"PAYONCE_GATEWAYS__{name.upper()}__"
        env |= {
            f"{prefix}KIND": "http",
            f"{prefix}BASE_URL": f"http://{at['gateway']}",
            f"{prefix}SECRET": DEFAULT_SECRET,
            f"{prefix}TIMEOUT_S": "2",
            f"{prefix}LATENESS": LATENESS,
        }
    return env


async def _end_programs(handles: Handles) -> None:
    for worker in handles.workers:
        worker.send(signal.SIGCONT)
        if is_alive(worker):
            await worker.end(signal.SIGKILL)
    if handles.orders.process is not None and handles.orders.process.returncode is None:
        handles.orders.process.send_signal(signal.SIGCONT)
    await handles.orders.end()
    await handles.gateway.end()


def _make_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="payonce-soak-"))
    # PostgreSQL may run as another user.
    folder.chmod(0o711)
    return folder


def _keep_logs(folder: Path, out: Path) -> None:
    for log in folder.glob("*.log"):
        shutil.copy(log, out / log.name)
