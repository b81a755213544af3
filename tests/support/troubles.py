"""What operators have to look at: a town in which things went wrong, each in its own way."""

import json
from collections.abc import Mapping
from typing import Any

from tests.support.town import Town, Worker
from tests.support.waiting import eventually

OPERATORS = {"ann": "token-of-ann-1f0c", "bob": "token-of-bob-7d2e", "eve": "token-of-eve-90ab"}
ENV = {
    "PAYONCE_HTTP__OPERATORS": json.dumps(OPERATORS),
    "PAYONCE_REFUND__HOLD_ABOVE": '{"CNY": 5000}',
    "PAYONCE_REFUND__TWO_PEOPLE_ABOVE": '{"CNY": 50000}',
}
"""Makes refunds above 50 CNY wait for one person, above 500 CNY for two."""


def url_of(worker: Worker) -> str:
    """Return where a worker serves its pages."""
    return f"http://127.0.0.1:{worker.port}"


async def held(town: Town, name: str, amount: int = 19_900) -> str:
    """Have an order paid twice, so that the second payment's refund is HELD; return its id."""
    first, second = (_payment(name, n, amount) for n in (1, 2))
    town.open_charges([first], pays_after_s=0)
    await town.publish("payment.initiated", [first])
    await eventually(lambda: _settled(town, first["order_id"]), 20, f"{name} is paid")
    town.open_charges([second], pays_after_s=0, pays_though_closed=True)
    await town.publish("payment.initiated", [second])
    return await waits(town, second["payment_id"])


async def waits(town: Town, payment_id: str, status: str = "HELD") -> str:
    """Wait until a payment's refund stands so; return its id."""
    sql = "SELECT refund_id FROM refunds WHERE payment_id = $1 AND status = $2"
    rows = await eventually(
        lambda: town.rows(sql, payment_id, status), 20, f"{payment_id}'s refund is {status}"
    )
    return str(rows[0]["refund_id"])


async def mismatched(town: Town, name: str) -> None:
    """Have a payment paid with less than it asked for."""
    payment = _payment(name, 1)
    town.open_charges([payment], pays_after_s=0, reports_amount=1)
    await town.publish("payment.initiated", [payment])
    sql = "SELECT FROM payments WHERE payment_id = $1 AND mismatched IS NOT NULL"
    await eventually(lambda: town.rows(sql, payment["payment_id"]), 20, f"{name} is mismatched")


async def parked(town: Town) -> None:
    """Send what cannot be processed."""
    before = b'{"payment_id": "p-parked", "order_id": "o-parked", "gateway": "nowhere"}'
    await town.publish("payment.initiated", [before, b"not even JSON"])


def _payment(name: str, number: int, amount: int = 1_999) -> Mapping[str, Any]:
    return {
        "payment_id": f"{name}-{number}",
        "order_id": f"o-{name}",
        "gateway": "mock",
        "amount": amount,
        "currency": "CNY",
    }


async def _settled(town: Town, order_id: str) -> bool:
    return bool(
        await town.rows("SELECT FROM orders WHERE order_id = $1 AND status = 'PAID'", order_id)
    )
