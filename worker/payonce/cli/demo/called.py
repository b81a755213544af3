"""The examples' order service, called by the demo's worker."""

import base64
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import asyncpg

from payonce.cli.demo.stage import free_port, order_service_program
from payonce.settings import load_settings


class CalledService:
    """A process with tables of its own, in a schema of the demo's database."""

    def __init__(self, env: Mapping[str, str]) -> None:
        port = free_port()
        secret = f"whsec_{base64.b64encode(os.urandom(24)).decode()}"
        self.url = f"http://127.0.0.1:{port}/paid"
        self.variables = {
            "PAYONCE_ORDER_SERVICE__NOTIFY_URL": self.url,
            "PAYONCE_ORDER_SERVICE__SECRET": secret,
        }
        self._dsn = load_settings(env).servers.postgres_dsn
        self._program = order_service_program(
            {
                **env,
                "ORDER_SERVICE_DSN": self._dsn,
                "ORDER_SERVICE_SECRET": secret,
                "ORDER_SERVICE_PORT": str(port),
            }
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Run it; payonce calls again where it is not ready yet."""
        await self._program.start()
        try:
            yield
        finally:
            await self._program.stop()

    async def booked(self) -> list[str]:
        """Return the order of every booking; one that was booked twice stands there twice."""
        connection = await asyncpg.connect(self._dsn)
        try:
            rows = await connection.fetch("SELECT order_id FROM order_service.bookings")
        finally:
            await connection.close()
        return [row["order_id"] for row in rows]
