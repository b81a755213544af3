"""A shop whose customers have browsers: a worker, two gateways, and Chromium."""

import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page, expect

from gateway_mock.app import serving
from gateway_mock.server import DEFAULT_SECRET, Mock
from gateway_mock.shopper import parse_script
from tests.support.browser import Shoppers, shopping
from tests.support.shop import API_TOKEN, Shop, open_shop
from tests.support.town import FAST_LADDER, Town, Worker, open_town


@dataclass
class Street:
    """A town, the bank that is its second gateway, its shop and its shoppers."""

    town: Town
    bank: Mock
    worker: Worker
    shop: Shop
    shoppers: Shoppers

    async def order(self, **changed: Any) -> dict[str, Any]:
        """Apply for a payment, as the shop's service does."""
        answer = await self.shop.apply(**changed)
        assert 201 == answer.status, answer.text
        return answer.body

    async def payments(self) -> dict[str, str]:
        """Return how each payment of the order stands."""
        order = (await self.shop.order("o-1")).body
        return {one["payment_id"]: one["status"] for one in order["payments"]}

    def bank_is_paid(self) -> None:
        """Let the one payment at the bank be paid."""
        [charge] = self.bank.books.charges.values()
        self.bank.pay(charge)

    def lose_callbacks(self) -> None:
        """Let nothing but polls tell of a payment."""
        self.town.mock.scripts["o-1"] = parse_script({"callbacks": "lost"})


@asynccontextmanager
async def open_street(
    town: Town, shoppers: Shoppers, ladder: Sequence[str] = FAST_LADDER
) -> AsyncIterator[Street]:
    """Give a street in a town."""
    bank = Mock()
    async with serving(bank) as url:
        worker = town.worker(
            PAYONCE_HTTP__API_TOKEN=API_TOKEN,
            PAYONCE_GATEWAYS__MOCK__LABEL="Test wallet",
            PAYONCE_GATEWAYS__BANK__KIND="http",
            PAYONCE_GATEWAYS__BANK__LABEL="Bank & Sons",
            PAYONCE_GATEWAYS__BANK__BASE_URL=url,
            PAYONCE_GATEWAYS__BANK__SECRET=DEFAULT_SECRET,
            PAYONCE_POLL__LADDER=json.dumps(ladder),
        )
        worker.lead_here()
        await worker.start()
        async with open_shop(worker) as [shop]:
            yield Street(town, bank, worker, shop, shoppers)


@pytest.fixture
def ladder() -> Sequence[str]:
    """When the gateways are asked; a test that waits for a callback asks for later."""
    return FAST_LADDER


@pytest.fixture
async def street(
    tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str, ladder: Sequence[str]
) -> AsyncIterator[Street]:
    """A street on which no browser complains."""
    async with (
        open_town(tmp_path, postgres_dsn, amqp_url, redis_url) as town,
        shopping() as shoppers,
        open_street(town, shoppers, ladder) as street,
    ):
        yield street
        shoppers.check()


async def says(page: Page, words: str) -> None:
    """Wait until a page's heading says this."""
    await expect(page.get_by_role("heading", level=1)).to_have_text(words)
