"""What the tests of refunds share: pairs of payments, operators, and how refunds stand."""

from typing import Any

import aiohttp

from tests.support.town import Town, Worker
from tests.support.waiting import eventually

OPERATORS = {"ann": "t-ann", "bob": "t-bob", "eve": "t-eve"}
AMOUNT = 1999


def pair(name: str, amount: int = AMOUNT, currency: str = "CNY") -> list[dict[str, Any]]:
    """Return two payments of one order."""
    return [
        {
            "payment_id": f"{name}-{n}",
            "order_id": f"o-{name}",
            "gateway": "mock",
            "amount": amount,
            "currency": currency,
        }
        for n in (1, 2)
    ]


async def pay_twice(town: Town, name: str, *, amount: int = AMOUNT, **script: Any) -> None:
    """Have the first payment settle an order, then the second be paid all the same."""
    first, second = pair(name, amount)
    town.open_charges([first], pays_after_s=0)
    await town.publish("payment.initiated", [first])
    await eventually(lambda: settled(town, first["order_id"]))
    town.open_charges([second], **{"pays_after_s": 0, "pays_though_closed": True, **script})
    await town.publish("payment.initiated", [second])


async def settled(town: Town, order_id: str) -> bool:
    """Say whether an order is paid."""
    return bool(
        await town.rows("SELECT FROM orders WHERE order_id = $1 AND status='PAID'", order_id)
    )


async def stands(town: Town, name: str, status: str, rule: str | None = None) -> dict[str, Any]:
    """Wait until the latest refund of a duplicate stands so, and return it."""

    async def look() -> dict[str, Any] | None:
        rows = await town.rows(
            "SELECT * FROM refunds WHERE payment_id = $1 ORDER BY created_at DESC LIMIT 1",
            f"{name}-2",
        )
        found = dict(rows[0]) if rows else None
        return found if found and (found["status"], found["rule"]) == (status, rule) else None

    found: dict[str, Any] | None = await eventually(look, 30, f"{name} is {status} {rule or ''}")
    assert found is not None
    return found


def balance(town: Town, name: str) -> tuple[int, int, int]:
    """Return what the gateway captured, gave back and kept of an order."""
    orders = town.mock.books.balance(town.mock.clock())["orders"][f"o-{name}"]
    return orders["captured"], orders["refunded"], orders["kept"]


async def ask(worker: Worker, by: str, method: str, path: str, **body: Any) -> tuple[int, Any]:
    """Call an operators' route, and return status and answer."""
    headers = {"Authorization": f"Bearer {OPERATORS.get(by, by)}"}
    url = f"http://127.0.0.1:{worker.port}{path}"
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, url, headers=headers, json=body or None) as answer,
    ):
        return answer.status, await answer.json()


def problem(answer: tuple[int, Any]) -> tuple[int, str]:
    """Return status and name of a problem document."""
    return answer[0], answer[1]["type"].rsplit("/", 1)[-1]


async def kinds(town: Town, name: str) -> list[str]:
    """Return what the timeline of an order tells of refunds."""
    rows = await town.rows(
        "SELECT kind FROM timeline WHERE order_id = $1 AND kind LIKE 'refund.%' ORDER BY entry_id",
        f"o-{name}",
    )
    return [row["kind"] for row in rows]
