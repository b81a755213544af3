"""A thousand shoppers who pay twice over two channels, while callbacks and workers are lost."""

import asyncio
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest

from gateway_mock.app import serving
from gateway_mock.books import Charge
from gateway_mock.server import Mock
from gateway_mock.shopper import parse_script
from tests.e2e.test_crashes import shopping
from tests.support.crowd import send_all
from tests.support.servers import Servers
from tests.support.town import Town, Worker
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(900)

ORDERS = 1_000
KILLS = 3
CHUNK = 50
WITHIN_S = 400
_KEPT = "SELECT count(*) FROM orders WHERE status = 'PAID'"
_OPEN = (
    "SELECT (SELECT count(*) FROM payments WHERE status IN ('CREATED', 'PENDING'))"
    " + (SELECT count(*) FROM refunds WHERE status IN ('REQUESTED', 'SUBMITTED'))"
    " + (SELECT count(*) FROM orders WHERE status = 'PAID' AND acknowledged_at IS NULL)"
)


@dataclass(frozen=True)
class Channels:
    """The two gateways of a town: a wallet whose codes can be closed, a slip that cannot."""

    wallet: Mock
    slip: Mock

    def charges(self) -> list[Charge]:
        """Return what both keep in their books."""
        return [*self.wallet.books.charges.values(), *self.slip.books.charges.values()]

    def open(self, payment: dict[str, Any], pays_after_s: float, worker: Worker) -> None:
        """Open a charge that its gateway calls back about."""
        mock = self.slip if payment["gateway"] == "slip" else self.wallet
        mock.scripts[payment["payment_id"]] = parse_script({"pays_after_s": pays_after_s})
        url = f"http://127.0.0.1:{worker.port}/v1/webhooks/{payment['gateway']}"
        mock.open_charge({**payment, "notify_url": url})


@pytest.fixture
async def channels(town: Town) -> AsyncIterator[Channels]:
    """Two gateways that lose three callbacks of ten and send three of ten twice."""
    slip = Mock()
    slip.profile.can_close = False
    for mock in (town.mock, slip):
        mock.profile.lost_percent = 30
        mock.profile.doubled_percent = 30
    async with serving(slip) as url:
        town.env |= {
            "PAYONCE_GATEWAYS__SLIP__KIND": "http",
            "PAYONCE_GATEWAYS__SLIP__BASE_URL": url,
            "PAYONCE_GATEWAYS__SLIP__SECRET": slip.secret,
            "PAYONCE_GATEWAYS__SLIP__CAN_CLOSE": "false",
        }
        yield Channels(town.mock, slip)


@pytest.mark.parametrize("redis", ["redis", "without redis"])
async def test_what_was_paid_twice_is_kept_once(
    town: Town, channels: Channels, mortal: Servers, redis: str
) -> None:
    """By the books: captured = kept + refunded, one payment kept an order, no winner refunded."""
    if redis == "without redis":
        await asyncio.to_thread(mortal.redis.kill)
    worker = town.worker()
    await worker.start()

    async with town.order_service(), shopping(_shop(town, channels, worker)) as done:
        for n in range(1, KILLS + 1):
            await eventually(partial(_has_paid, town, n * ORDERS // 5), 120)
            await worker.end(signal.SIGKILL)
            await worker.start()
        await done
        await eventually(partial(_is_over, town), WITHIN_S, "all is paid, refunded, acknowledged")

    totals = await _audit(town, channels)
    sys.stdout.write(f"{redis}: {totals}\n")
    assert totals["orders"] == totals["kept"] == ORDERS
    assert totals["paid twice"] > ORDERS / 2


async def _shop(town: Town, channels: Channels, worker: Worker) -> None:
    """Start two payments an order: the slip first, but for every fifth, whose code is closed."""
    for start in range(0, ORDERS, CHUNK):
        chunk = []
        for n in range(start, start + CHUNK):
            gateways = ("mock", "slip") if n % 5 == 0 else ("slip", "mock")
            for turn, gateway in enumerate(gateways):
                payment = {
                    "payment_id": f"p-{n}-{turn}",
                    "order_id": f"o-{n}",
                    "gateway": gateway,
                    "amount": 1_000 + n,
                    "currency": "CNY",
                }
                channels.open(payment, 0.3 + (n + turn) % 7 / 4, worker)
                chunk.append(payment)
        await send_all(town, chunk)


async def _has_paid(town: Town, count: int) -> bool:
    return await town.count(_KEPT) >= count


async def _is_over(town: Town) -> bool:
    return await town.count(_OPEN) == 0


async def _audit(town: Town, channels: Channels) -> dict[str, int]:
    """Compare payonce's tables with both books, order by order; return the totals."""
    charges = channels.charges()
    kept: Counter[str] = Counter()
    for charge in charges:
        kept[charge.order_id] += charge.captured - charge.refunded
    winners = {
        row["order_id"]: row
        for row in await town.rows(
            "SELECT o.order_id, o.settled_by, o.amount FROM orders o WHERE o.status = 'PAID'"
        )
    }
    assert {key: row["amount"] for key, row in winners.items()} == {
        key: amount for key, amount in kept.items() if amount
    }, "exactly one payment is kept of each paid order, whole"
    settled = {row["settled_by"] for row in winners.values()}
    assert [] == [one.payment_id for one in charges if one.payment_id in settled and one.refunded]
    twice = Counter(one.order_id for one in charges if one.captured)
    refunds = await town.rows("SELECT status, rule FROM refunds")
    assert {("SUCCEEDED", None)} == {(row["status"], row["rule"]) for row in refunds}
    assert all(len(set(ids)) == 1 for ids in town.orders.events.values())
    captured = sum(one.captured for one in charges)
    refunded = sum(one.refunded for one in charges)
    assert captured == sum(kept.values()) + refunded
    return {
        "orders": len(winners),
        "kept": len(settled),
        "paid twice": sum(count == 2 for count in twice.values()),
        "refunds": len(refunds),
        "captured": captured,
        "refunded": refunded,
        "callbacks": channels.wallet.callbacks.sent + channels.slip.callbacks.sent,
    }
