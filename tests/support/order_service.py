"""The example's order service as a process, and what it booked."""

import asyncio
import base64
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from tests.support.ports import free_port, is_open
from tests.support.waiting import eventually

SECRET = "whsec_" + base64.b64encode(b"the-order-service-s-own").decode()
ROOT = Path(__file__).resolve().parents[2]


class OrderServiceProcess:
    """`python -m examples.order_service`; it can be ended and started again on the same port."""

    def __init__(self, dsn: str, log: Path, amqp_url: str = "", port: int = 0) -> None:
        self.dsn = dsn
        self.port = port or free_port()
        self._log = log
        self._env = {
            **os.environ,
            "ORDER_SERVICE_DSN": dsn,
            "ORDER_SERVICE_SECRET": SECRET,
            "ORDER_SERVICE_PORT": str(self.port),
            "ORDER_SERVICE_AMQP_URL": amqp_url,
        }
        self.process: asyncio.subprocess.Process | None = None

    @property
    def variables(self) -> dict[str, str]:
        """The variables by which payonce calls it."""
        return {
            "PAYONCE_ORDER_SERVICE__NOTIFY_URL": f"http://127.0.0.1:{self.port}/paid",
            "PAYONCE_ORDER_SERVICE__SECRET": SECRET,
        }

    async def start(self) -> None:
        """Start it and wait until calls are taken."""
        with self._log.open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "examples.order_service"),
                env=self._env,
                cwd=ROOT,
                stdout=out,
                stderr=out,
            )
        await eventually(lambda: is_open(self.port), 30, "the order service takes calls")

    async def end(self) -> int:
        """End it and return its exit status."""
        if self.process is None or self.process.returncode is not None:
            return 0
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), 30)

    async def booked(self, prefix: str = "") -> list[str]:
        """Return the order of every booking; one that was booked twice stands there twice."""
        connection = await asyncpg.connect(self.dsn)
        try:
            rows = await connection.fetch(
                "SELECT order_id FROM order_service.bookings WHERE starts_with(order_id, $1)",
                prefix,
            )
        except asyncpg.UndefinedTableError:
            return []
        finally:
            await connection.close()
        return [row["order_id"] for row in rows]


@asynccontextmanager
async def running(service: OrderServiceProcess) -> AsyncIterator[OrderServiceProcess]:
    """Start it, and end it in any case."""
    try:
        await service.start()
        yield service
    finally:
        await service.end()
