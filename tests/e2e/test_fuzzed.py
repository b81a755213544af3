"""The API asked by a machine, good and bad: nothing breaks, and every answer is as documented."""

import asyncio
from typing import Any

import pytest

from tests.e2e.counter import opened, script
from tests.support.caller import Call, charge
from tests.support.fuzzing import Fuzzer
from tests.support.shop import API_TOKEN, Shop
from tests.support.town import Town, payments
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(300)

ANN = "token-of-ann"
EXAMPLES = 30


async def test_the_api_bears_whatever_is_asked(town: Town) -> None:
    """With the shop's token and with an operator's, on every route that takes one."""
    async with opened(
        town,
        PAYONCE_HTTP__OPERATORS=f'{{"ann": "{ANN}"}}',
        PAYONCE_ON_SECOND_PAYMENT__POLICY="allow",
        PAYONCE_REFUND__AUTO="false",
    ) as [shop]:
        known = await _fill(town, shop)
        url = f"http://127.0.0.1:{town.workers[0].port}"
        found = await asyncio.to_thread(_fuzz, url, known)
    assert [] == found
    assert [] == [one for one in town.workers[0].log_lines() if one.get("level") == "error"]


def _fuzz(url: str, known: dict[str, list[Any]]) -> list[str]:
    """Return what went wrong; each operation was asked, most of them well as well as badly."""
    found: list[str] = []
    for who, token in (("api_token", API_TOKEN), ("operator", ANN)):
        fuzzer = Fuzzer(url, who, token, known)
        found += fuzzer.run(EXAMPLES)
        assert fuzzer.wanted == set(fuzzer.asked)
        well = [name for name, statuses in fuzzer.asked.items() if min(statuses) < 400]
        assert len(well) > len(fuzzer.wanted) * 0.8, sorted(fuzzer.wanted - set(well))
    return found


async def _fill(town: Town, shop: Shop) -> dict[str, list[Any]]:
    """Have something in every list; return what there is, by the name of the path's part."""
    script(town, "o-twice", pays_after_s=4)
    applied = [await shop.apply(order) for order in ("o-1", "o-twice", "o-twice")]
    [odd] = payments(1, "odd")
    town.open_charges([odd], pays_after_s=0, reports_amount=1)
    await town.publish("payment.initiated", [odd, {"payment_id": "p/1"}])
    await Call(charge(odd, "pending")).post(town.workers[0])
    refunds = await eventually(lambda: _listed(shop, "refunds"))
    for name in ("mismatched", "unacknowledged", "parked"):
        await eventually(lambda name=name: _listed(shop, name), what=name)
    return {
        "payment_id": [one.body["payment_id"] for one in applied],
        "order_id": ["o-1", "o-twice"],
        "gateway": ["mock"],
        "name": ["mock"],
        "id": [*(one["refund_id"] for one in refunds), odd["payment_id"]],
        "inbox_id": [1],
    }


async def _listed(shop: Shop, name: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = (await shop.ask("GET", f"/v1/ops/{name}", ANN)).body["items"]
    return items
