"""Looks at books and tables all the time: what is late, and how late it was in the end."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import asyncpg

from tests.campaign.judge import Evidence, Row
from tests.campaign.stage import Stage
from tests.campaign.witness import lying

LOOK_EVERY_S = 0.4
LEAST_ALLOWED_S = 5.0
"""The longest wait of the ladder is 2 s; callbacks and events take less."""

_DONE = """
SELECT o.order_id FROM orders o
WHERE starts_with(o.order_id, $1) AND o.acknowledged_at IS NOT NULL
  AND NOT EXISTS (
    SELECT FROM refunds r WHERE r.order_id = o.order_id AND r.status <> 'SUCCEEDED'
  )
"""
_OPEN = """
SELECT (SELECT count(*) FROM payments
        WHERE starts_with(order_id, $1) AND status IN ('CREATED', 'PENDING'))
     + (SELECT count(*) FROM orders
        WHERE starts_with(order_id, $1) AND status = 'PAID' AND acknowledged_at IS NULL)
     + (SELECT count(*) FROM refunds
        WHERE starts_with(order_id, $1) AND status IN ('REQUESTED', 'SUBMITTED'))
     + (SELECT count(*) FROM outbox WHERE starts_with(order_id, $1)) AS open
"""
_REGISTERED = "SELECT payment_id FROM payments WHERE starts_with(order_id, $1)"
_BOOKED = "SELECT * FROM order_service.bookings WHERE starts_with(order_id, $1)"
_AWAY = (OSError, TimeoutError, aiohttp.ClientError, asyncpg.PostgresError, asyncpg.InterfaceError)


@dataclass
class Seen:
    """What was seen so far; times by the loop's clock, in seconds.

    `paid`: when an order's money was first seen at the gateway; `done`: when it was first seen
    acknowledged, its duplicates refunded; `late`: by look, how many were late.
    """

    paid: dict[str, float] = field(default_factory=dict)
    done: dict[str, float] = field(default_factory=dict)
    late: list[tuple[float, int]] = field(default_factory=list)
    registered: set[str] = field(default_factory=set)

    def slowest(self) -> tuple[float, str]:
        """Return how long the slowest order took from its money to its end, and which it was."""
        took = [(self.done[one] - at, one) for one, at in self.paid.items() if one in self.done]
        return max(took, default=(0.0, ""))


class Watcher:
    """Watches the orders of one trial, those that begin with `prefix`.

    `allowed_s`: an order that is paid at the gateway is to be done within this, else it is late.
    """

    def __init__(self, stage: Stage, prefix: str) -> None:
        self.seen = Seen()
        self.allowed_s = LEAST_ALLOWED_S
        self._stage = stage
        self._prefix = prefix

    async def run(self) -> None:
        """Look until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as session:
            while True:
                try:
                    await self._look(session)
                except _AWAY:
                    # Who is away cannot be seen; what is late by then is still late afterwards.
                    self._count_late()
                await asyncio.sleep(LOOK_EVERY_S)

    def learn(self) -> None:
        """Allow what the slowest order took so far, half as much again, where that is long."""
        self.allowed_s = max(LEAST_ALLOWED_S, 1.5 * self.seen.slowest()[0])

    async def _look(self, session: aiohttp.ClientSession) -> None:
        now = asyncio.get_running_loop().time()
        for charge in await self._charges(session):
            if charge["captured"]:
                self.seen.paid.setdefault(charge["order_id"], now)
        done, registered = await self._ask(_DONE, _REGISTERED)
        self.seen.registered = {row["payment_id"] for row in registered}
        for row in done:
            self.seen.done.setdefault(row["order_id"], now)
        self._count_late()

    def _count_late(self) -> None:
        now = asyncio.get_running_loop().time()
        waiting = [at for one, at in self.seen.paid.items() if one not in self.seen.done]
        self.seen.late.append((now, sum(now - at > self.allowed_s for at in waiting)))

    async def _charges(self, session: aiohttp.ClientSession) -> list[dict[str, Any]]:
        async with session.get(f"{self._stage.gateway.books_url}/control/books") as answer:
            listed = (await answer.json())["charges"]
        return [one for one in listed if one["order_id"].startswith(self._prefix)]

    async def _ask(self, *statements: str, dsn: str = "") -> list[list[Row]]:
        async with asyncio.timeout(5):
            connection = await asyncpg.connect(dsn or self._stage.dsn)
            try:
                return [
                    [dict(row) for row in await connection.fetch(one, self._prefix)]
                    for one in statements
                ]
            finally:
                connection.terminate()

    async def open(self) -> int:
        """Return how much of the trial is not over yet; 1 where nobody can say."""
        try:
            (counted,) = await self._ask(_OPEN)
        except _AWAY:
            return 1
        return int(counted[0]["open"])

    async def evidence(self, asked: frozenset[str], told: dict[str, list[str]] | None) -> Evidence:
        """Return everything that the judge is to see."""
        async with aiohttp.ClientSession() as session:
            charges = await self._charges(session)
        orders, payments, refunds, outbox = await self._ask(
            "SELECT *, acknowledged_at IS NOT NULL AS acknowledged FROM orders"
            " WHERE starts_with(order_id, $1)",
            "SELECT * FROM payments WHERE starts_with(order_id, $1)",
            "SELECT * FROM refunds WHERE starts_with(order_id, $1)",
            "SELECT event_id FROM outbox WHERE starts_with(order_id, $1)",
        )
        (bookings,) = await self._ask(_BOOKED, dsn=self._stage.orders.dsn)
        url = self._stage.rabbitmq.url_of(self._stage.vhost)
        left = await lying(url, "payonce.parked", "payonce.unrouted")
        return Evidence(
            asked=asked,
            charges=charges,
            orders=orders,
            payments=payments,
            refunds=refunds,
            bookings=bookings,
            told=told,
            left={**left, "the outbox": len(outbox)},
        )
