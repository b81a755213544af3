"""A crowd of shoppers of every kind, and the audit of what became of their money."""

import asyncio
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import aio_pika
import aiormq
import asyncpg

from gateway_mock.books import Charge
from tests.support.town import Town
from tests.support.waiting import eventually

_CHUNK = 100
_KINDS: Sequence[Mapping[str, Any]] = (
    {"pays_after_s": 0.2},
    {"pays_after_s": 1.5},
    {"pays_after_s": 3.0},
    {"pays_after_s": 0.5, "faults": ["500", "timeout", "nonsense"]},
    {"pays_after_queries": 3},
    {"pays_after_s": 6.0},
    {"declines_after_s": 1.0},
    {},
    # The next two are of one order: both channels are paid.
    {"pays_after_s": 0.3},
    {"pays_after_s": 0.9},
)
_GIVES_UP_AFTER_S = 7
AWAY = (
    OSError,
    TimeoutError,
    StopAsyncIteration,
    aio_pika.exceptions.AMQPError,
    aiormq.exceptions.AMQPError,
)
"""What the client library raises where the broker is away."""


@dataclass(frozen=True)
class Crowd:
    """Payments of shoppers of ten kinds by turns; the last two of ten share an order."""

    payments: Sequence[dict[str, Any]]
    scripts: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, count: int) -> "Crowd":
        """Return so many payments; those who do not pay may do so for some seconds only."""
        ends_at = datetime.now(UTC) + timedelta(seconds=_GIVES_UP_AFTER_S + count / 400)
        payments, scripts = [], []
        for n in range(count):
            kind = n % len(_KINDS)
            payment = {
                "payment_id": f"p-{n}",
                "order_id": f"o-{n - 1 if kind == len(_KINDS) - 1 else n}",
                "gateway": "mock",
                "amount": 1000 + n % 10,
                "currency": "CNY",
            }
            if kind == len(_KINDS) - 1:
                payment["amount"] = 1000 + (n - 1) % 10
            if not _KINDS[kind]:
                payment["expires_at"] = ends_at.isoformat()
            payments.append(payment)
            scripts.append(_KINDS[kind])
        return cls(payments, scripts)

    async def shop(self, town: Town) -> None:
        """Open all charges and send all messages, each until it is confirmed."""
        for start in range(0, len(self.payments), _CHUNK):
            chunk = slice(start, start + _CHUNK)
            for payment, script in zip(self.payments[chunk], self.scripts[chunk], strict=True):
                opened = {**payment, "expires_at": None}
                town.open_charges([opened], **script)
            await send_all(town, self.payments[chunk])


async def send_all(town: Town, payments: Sequence[Mapping[str, Any]]) -> None:
    """Publish payment.initiated for each, until the broker has confirmed all."""
    await eventually(partial(sent, town.amqp_url, payments), 60)


async def sent(url: str, payments: Sequence[Mapping[str, Any]]) -> bool:
    """Publish payment.initiated for each and say whether the broker has confirmed all."""
    try:
        async with asyncio.timeout(10), await aio_pika.connect(url) as connection:
            channel = await connection.channel(publisher_confirms=True)
            exchange = await channel.get_exchange("payments", ensure=False)
            messages = [
                aio_pika.Message(json.dumps(one).encode(), content_type="application/json")
                for one in payments
            ]
            await asyncio.gather(
                *(exchange.publish(one, routing_key="payment.initiated") for one in messages)
            )
    except AWAY:
        return False
    return True


async def unfinished(town: Town) -> int:
    """Return how many payments and refunds wait for an outcome, paid orders for their booking."""
    return await town.count(
        "SELECT (SELECT count(*) FROM payments WHERE status IN ('CREATED', 'PENDING'))"
        " + (SELECT count(*) FROM orders WHERE status = 'PAID' AND acknowledged_at IS NULL)"
        " + (SELECT count(*) FROM refunds WHERE status IN ('REQUESTED', 'SUBMITTED'))"
    )


async def audit(town: Town, crowd: Crowd) -> dict[str, int]:
    """Compare database, order service and the gateway's books; return the totals.

    Raises AssertionError where an order was paid other than once, or money is unaccounted for.
    """
    rows = await town.rows("SELECT * FROM payments")
    orders = {row["order_id"]: row for row in await town.rows("SELECT * FROM orders")}
    refunds = await town.rows("SELECT * FROM refunds")
    charges = town.mock.books.charges
    assert {row["payment_id"] for row in rows} == {one["payment_id"] for one in crowd.payments}
    for row in rows:
        _check_outcome(row, charges[row["payment_id"]])
    _check_winners(rows, orders)
    duplicates = {row["payment_id"] for row in rows if row["duplicate"]}
    assert {row["payment_id"] for row in refunds} == duplicates
    balance = town.mock.books.balance(town.mock.clock())
    known = sum(row["amount"] for row in rows if row["status"] == "SUCCEEDED")
    assert balance["captured"] == known, "money in, as the gateway says, is money known"
    assert {row["status"] for row in refunds} <= {"SUCCEEDED"}, "every duplicate went back"
    assert balance["refunded"] == sum(row["amount"] for row in refunds), "and went back once"
    paid = {order_id for order_id, row in orders.items() if row["status"] == "PAID"}
    assert set(town.orders.events) == paid
    assert all(len(set(ids)) == 1 for ids in town.orders.events.values()), "one id an order"
    told = sum(len(ids) for ids in town.orders.events.values())
    return {
        "payments": len(rows),
        **Counter(row["status"].lower() for row in rows),
        "orders": len(orders),
        "paid": len(paid),
        "duplicates": len(duplicates),
        "captured": balance["captured"],
        "refunded": balance["refunded"],
        "kept": sum(order["amount"] for order in orders.values() if order["status"] == "PAID"),
        "told_again": told - len(paid),
    }


def _check_outcome(row: asyncpg.Record, charge: Charge) -> None:
    expected = "SUCCEEDED" if charge.paid_at else "FAILED" if charge.failed else "CLOSED"
    assert row["status"] == expected, f"{row['payment_id']}: {row['status']}, books: {expected}"


def _check_winners(rows: Sequence[asyncpg.Record], orders: Mapping[str, asyncpg.Record]) -> None:
    winners = Counter(
        row["order_id"] for row in rows if row["status"] == "SUCCEEDED" and not row["duplicate"]
    )
    succeeded = {row["order_id"] for row in rows if row["status"] == "SUCCEEDED"}
    assert winners == Counter(dict.fromkeys(succeeded, 1)), "one winner an order"
    for order_id, order in orders.items():
        assert (order["status"] == "PAID") == (order_id in succeeded)
