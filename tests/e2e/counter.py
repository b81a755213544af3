"""Short ways to apply for payments of a town."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from gateway_mock.shopper import parse_script
from tests.support.shop import API_TOKEN, Answered, Shop, open_shop
from tests.support.town import Town

MANY = 200
SHOWN = {
    "payment_id",
    "order_id",
    "status",
    "qr",
    "pay_url",
    "checkout_url",
    "order_token",
    "expires_at",
}


@asynccontextmanager
async def opened(
    town: Town, *arguments: str, edges: int = 1, patient: bool = False, **changed: str
) -> AsyncIterator[list[Shop]]:
    """Give a shop before each of so many workers.

    `patient`: the gateway, which runs in the clickers' own loop, may take its time.
    """
    env = {"PAYONCE_HTTP__API_TOKEN": API_TOKEN, **changed}
    if patient:
        env["PAYONCE_GATEWAYS__MOCK__TIMEOUT_S"] = "10"
    workers = [town.worker(*arguments, **env) for _ in range(edges)]
    await asyncio.gather(*(worker.start() for worker in workers))
    async with open_shop(*workers) as shops:
        await asyncio.gather(*(shop.read_document() for shop in shops))
        yield shops


def ids(answers: list[Answered]) -> set[str]:
    """Return the payments that were answered with; each answer is a 201."""
    assert {201} == {one.status for one in answers}, [one.text for one in answers][:3]
    return {one.body["payment_id"] for one in answers}


def script(town: Town, order_id: str, **fields: Any) -> None:
    """Plan how the charges of an order go."""
    town.mock.scripts[order_id] = parse_script(fields)


def creates(town: Town) -> int:
    """Return how often the gateway was asked to create a charge."""
    return sum(town.mock.creates.values())


async def has_status(shop: Shop, order_id: str, status: str) -> bool:
    """Say whether an order stands so."""
    return bool((await shop.order(order_id)).body.get("status") == status)
