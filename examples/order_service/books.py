"""What the order service keeps: each paid order is booked once, however often it is told."""

from collections.abc import Mapping
from typing import Any

import asyncpg

TABLES = """
CREATE SCHEMA IF NOT EXISTS order_service;
CREATE TABLE IF NOT EXISTS order_service.orders (
    order_id text PRIMARY KEY, status text NOT NULL, version integer NOT NULL
);
CREATE TABLE IF NOT EXISTS order_service.bookings (
    event_id text PRIMARY KEY, order_id text NOT NULL, payment_id text NOT NULL,
    amount bigint NOT NULL, currency text NOT NULL, booked_at timestamptz NOT NULL DEFAULT now()
);
"""

# The unique event_id is the memory of what came before. A twin waits here for the first to commit.
BOOK = """
INSERT INTO order_service.bookings (event_id, order_id, payment_id, amount, currency)
VALUES ($1, $2, $3, $4, $5) ON CONFLICT (event_id) DO NOTHING
RETURNING event_id
"""

# News of a later version may have come first: what is older than that changes nothing.
PAID = """
INSERT INTO order_service.orders AS o (order_id, status, version) VALUES ($1, 'paid', $2)
ON CONFLICT (order_id) DO UPDATE SET status = EXCLUDED.status, version = EXCLUDED.version
WHERE o.version < EXCLUDED.version
"""


class Books:
    """The order service's own tables."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def open(self) -> None:
        """Create the tables where they are missing."""
        await self._pool.execute(TABLES)

    async def book(self, event_id: str, paid: Mapping[str, Any]) -> None:
        """Book a paid order unless this event was booked: both in one transaction, or neither."""
        row = (paid["order_id"], paid["payment_id"], paid["amount"], paid["currency"])
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(BOOK, event_id, *row):
                await connection.execute(PAID, paid["order_id"], paid["order_version"])
