"""A whole payonce for a test: worker processes, a gateway with books, an order service, a shop."""

import asyncio
import json
import os
import signal
import sys
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aio_pika
import aiohttp
import asyncpg

from gateway_mock.app import serving
from gateway_mock.server import Mock
from gateway_mock.shopper import parse_script
from payonce.kit import OrderConsumer, OrderPaid
from tests.support.canaries import Canaries, canary, secrets_of
from tests.support.documents import check_event
from tests.support.ports import free_port
from tests.support.roles import WORKER, login
from tests.support.waiting import eventually
from tests.support.witness import install_witness

FAST_LADDER = ["200ms", "400ms", "800ms", "2s"]
SERVICE = "shop"


@dataclass
class OrderService:
    """What the order service saw and booked."""

    events: dict[str, list[str]] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)

    async def take(self, event: OrderPaid) -> bool:
        """Book an event, which is as its document says, unless its order is to fail."""
        check_event(event.body)
        self.events.setdefault(event.order_id, []).append(event.event_id)
        return event.order_id not in self.failing


class Worker:
    """One `payonce run` process."""

    def __init__(
        self, env: Mapping[str, str], log: Path, arguments: Sequence[str] = (), port: int = 0
    ) -> None:
        self.port = port or free_port()
        self.log = log
        self._env = {**env, "PAYONCE_HTTP__PORT": str(self.port)}
        self._arguments = arguments
        self.process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it is reached."""
        return f"http://127.0.0.1:{self.port}"

    def lead_here(self) -> None:
        """Let checkout pages and callbacks be addressed to it; before it is started."""
        self._env["PAYONCE_HTTP__PUBLIC_URL"] = self.url

    async def start(self, *, ready: bool = True) -> None:
        """Start it and, unless told otherwise, wait until it is ready."""
        with self.log.open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "payonce", "run", *self._arguments),
                env=dict(self._env),
                stdout=out,
                stderr=out,
            )
        if ready:
            await eventually(self.is_ready, 60, "the worker is ready")

    async def is_ready(self) -> bool:
        """Say whether /readyz answers 200."""
        return await self.get_status("/readyz") == 200

    async def get_status(self, path: str) -> int:
        """Return the status that `path` answers with, 0 where nobody answers."""
        return (await self._get(path))[0]

    async def get_text(self, path: str) -> str:
        """Return what `path` answers, nothing where nobody answers."""
        return (await self._get(path))[1]

    async def _get(self, path: str) -> tuple[int, str]:
        try:
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"http://127.0.0.1:{self.port}{path}") as answer,
            ):
                return answer.status, await answer.text()
        except aiohttp.ClientError:
            return 0, ""

    def send(self, number: signal.Signals) -> None:
        """Signal it."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and return its exit status."""
        assert self.process is not None
        self.send(number)
        return await asyncio.wait_for(self.process.wait(), 30)

    def leaks(self) -> set[str]:
        """Return which of the secrets that it was given stand in its log."""
        if not self.log.exists():
            return set()
        return Canaries(secrets_of(self._env)).found_in(self.log.read_bytes())

    def log_lines(self) -> list[dict[str, Any]]:
        """Return what it logged."""
        lines = self.log.read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


class Town:
    """Everything around one test. The database lets its workers in as members of payonce_app."""

    def __init__(self, env: dict[str, str], mock: Mock, folder: Path, amqp_url: str) -> None:
        self.env = env
        self.owner_dsn = env["PAYONCE_POSTGRES_DSN"]
        self.mock = mock
        self.folder = folder
        self.amqp_url = amqp_url
        self.orders = OrderService()
        self.workers: list[Worker] = []

    def worker(self, *arguments: str, **changed: str) -> Worker:
        """Return a new worker that is not running yet."""
        log = self.folder / f"worker-{len(self.workers)}.log"
        worker = Worker({**self.env, **changed}, log, arguments)
        self.workers.append(worker)
        return worker

    async def payonce(self, *arguments: str, **changed: str) -> tuple[int, str, str]:
        """Run a command; return its exit status, output and errors."""
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "payonce", *arguments),
            env={**self.env, **changed},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await asyncio.wait_for(process.communicate(), 60)
        return process.returncode or 0, out.decode(), err.decode()

    def open_charges(self, payments: Iterable[Mapping[str, Any]], **script: Any) -> None:
        """Open charges at the gateway, all with one script."""
        for payment in payments:
            self.mock.scripts[payment["payment_id"]] = parse_script(script)
            self.mock.open_charge(dict(payment))

    async def publish(
        self, routing_key: str, messages: Iterable[Mapping[str, Any] | bytes]
    ) -> None:
        """Publish bare data objects as a foreign client does, with confirms."""
        connection = await aio_pika.connect(self.amqp_url)
        async with connection:
            channel = await connection.channel(publisher_confirms=True)
            exchange = await channel.get_exchange("payments", ensure=False)
            for message in messages:
                body = message if isinstance(message, bytes) else json.dumps(message).encode()
                await exchange.publish(
                    aio_pika.Message(body, content_type="application/json", delivery_mode=2),
                    routing_key=routing_key,
                )

    async def rows(self, sql: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return what a query answers."""
        connection = await asyncpg.connect(self.owner_dsn)
        try:
            return await connection.fetch(sql, *arguments)
        finally:
            await connection.close()

    async def count(self, sql: str) -> int:
        """Return a single number."""
        return int((await self.rows(sql))[0][0])

    async def is_relayed(self) -> bool:
        """Say whether every event is published, and its row deleted."""
        return await self.count("SELECT count(*) FROM outbox") == 0

    async def acknowledged(self) -> int:
        """Return how many orders the order service has booked."""
        return await self.count("SELECT count(*) FROM orders WHERE acknowledged_at IS NOT NULL")

    @asynccontextmanager
    async def order_service(self, **knobs: Any) -> AsyncIterator[OrderConsumer]:
        """Run an order service built on the kit."""
        stop = asyncio.Event()
        consumer = OrderConsumer(
            SERVICE, self.amqp_url, self.orders.take, acknowledge=True, **knobs
        )
        running = asyncio.create_task(consumer.run(stop, drain_s=2.0))
        try:
            await eventually(consumer.consuming, 30, "the order service consumes")
            yield consumer
        finally:
            stop.set()
            await running


@asynccontextmanager
async def open_town(
    folder: Path, postgres_dsn: str, amqp_url: str, redis_url: str, **changed: str
) -> AsyncIterator[Town]:
    """Give a town whose schema and broker are migrated and whose gateway answers."""
    async with AsyncExitStack() as stack:
        mock = Mock()
        gateway_url = await stack.enter_async_context(serving(mock))
        env = {
            **{name: value for name, value in os.environ.items() if "PAYONCE" not in name},
            "PAYONCE_POSTGRES_DSN": postgres_dsn,
            "PAYONCE_AMQP_URL": amqp_url,
            "PAYONCE_REDIS_URL": redis_url,
            "PAYONCE_POLL__LADDER": json.dumps(FAST_LADDER),
            "PAYONCE_GATEWAYS__MOCK__BASE_URL": gateway_url,
            "PAYONCE_GATEWAYS__MOCK__TIMEOUT_S": "1",
            "PAYONCE_HTTP__HOST": "127.0.0.1",
            "PAYONCE_REFUND__LADDER": json.dumps(FAST_LADDER),
            "PAYONCE_REFUND__MAX_PER_HOUR": "100000",
            "PAYONCE_SWEEP__EVERY": "1s",
            "PAYONCE_SWEEP__GRACE": "2s",
            **changed,
        }
        town = Town(env, mock, folder, amqp_url)
        status, _, err = await town.payonce("migrate")
        assert status == 0, err
        await install_witness(postgres_dsn)
        env["PAYONCE_POSTGRES_DSN"] = await login(postgres_dsn, WORKER, canary("town"))
        try:
            yield town
        finally:
            for worker in town.workers:
                if worker.process is not None and worker.process.returncode is None:
                    await worker.end(signal.SIGKILL)
        assert [] == [(one.log.name, one.leaks()) for one in town.workers if one.leaks()]


def payments(count: int, prefix: str = "p", amount: int = 1999) -> list[dict[str, Any]]:
    """Return so many payments, each of an order of its own."""
    return [
        {
            "payment_id": f"{prefix}-{n}",
            "order_id": f"o-{prefix}-{n}",
            "gateway": "mock",
            "amount": amount,
            "currency": "CNY",
        }
        for n in range(count)
    ]
