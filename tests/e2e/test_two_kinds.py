"""One order at two true kinds of gateways: its money is kept once, by the books of both."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gateway_mock.app import serving
from gateway_mock.server import Mock
from gateway_mock.shopper import parse_script
from tests.support.kinds import KINDS, KindOfGateway, environment_of
from tests.support.shop import API_TOKEN, Answered, Shop, open_shop
from tests.support.town import Town, open_town
from tests.support.waiting import eventually

SLOW_LADDER = ["1m"]
"""On which no poll comes to its turn while a test lasts."""

PAIRS = [
    ("alipay", "wechatpay", "CNY"),
    ("wechatpay", "alipay", "CNY"),
    ("boleto", "paypal", "BRL"),
    ("paypal", "boleto", "BRL"),
]
AMOUNT = 1_999

Place = tuple[Path, str, str, str]


@dataclass
class Channel:
    """One of the two: its kind, its mock, and what the one order's payment there is called."""

    kind: KindOfGateway
    mock: Mock
    payment_id: str = ""

    def pay(self) -> None:
        """Let the shopper pay; the gateway calls back unless its script says otherwise."""
        self.kind.pay(self.mock, self.payment_id)

    def left(self) -> int:
        """Return what the gateway holds for the shop."""
        kept: int = self.mock.books.balance(self.mock.clock())["kept"]
        return kept

    def captured(self) -> int:
        """Return what the shopper paid here."""
        captured: int = self.mock.books.balance(self.mock.clock())["captured"]
        return captured


@dataclass
class Counter:
    """A shop with both, where each knows of its payment of the order."""

    town: Town
    shop: Shop
    first: Channel
    second: Channel

    async def apply(self, channel: Channel, name: str, currency: str, **script: Any) -> Answered:
        """Apply for a payment."""
        channel.mock.scripts["o-1"] = parse_script({**channel.kind.script, **script})
        answer = await self.shop.apply("o-1", gateway=name, currency=currency)
        channel.payment_id = answer.body["payment_id"]
        return answer

    async def order(self) -> dict[str, Any]:
        """Return the order."""
        order: dict[str, Any] = (await self.shop.order("o-1")).body
        return order


@pytest.fixture
def place(tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str) -> Place:
    """Where a town is opened."""
    return tmp_path, postgres_dsn, amqp_url, redis_url


@asynccontextmanager
async def counter_of(pair: tuple[str, str, str], place: Place) -> AsyncIterator[Counter]:
    """Open a town with both gateways, named as their kinds are."""
    kinds = [KINDS[name] for name in pair[:2]]
    mocks = [kind.make() for kind in kinds]
    async with serving(mocks[0]) as url_0, serving(mocks[1]) as url_1:
        env = {
            **environment_of(kinds[0], mocks[0], url_0, pair[0], SLOW_LADDER),
            **environment_of(kinds[1], mocks[1], url_1, pair[1], SLOW_LADDER),
            "PAYONCE_HTTP__API_TOKEN": API_TOKEN,
            "PAYONCE_ON_SECOND_PAYMENT__POLICY": "allow",
            "PAYONCE_REFUND__HOLD_ABOVE": json.dumps({pair[2]: 100_000}),
        }
        folder, dsn, amqp, redis = place
        async with open_town(folder, dsn, amqp, redis, **env) as town:
            worker = town.worker()
            worker._env["PAYONCE_HTTP__PUBLIC_URL"] = f"http://127.0.0.1:{worker.port}"
            for name, kind, mock in zip(pair, kinds, mocks, strict=False):
                kind.listen(mock, f"http://127.0.0.1:{worker.port}/v1/webhooks/{name}")
            await worker.start()
            async with open_shop(worker) as [shop]:
                channels = [Channel(*one) for one in zip(kinds, mocks, strict=True)]
                counter = Counter(town, shop, *channels)
                for name, channel in zip(pair, channels, strict=False):
                    script = {"pays_though_closed": channel is counter.second}
                    answer = await counter.apply(channel, name, pair[2], **script)
                    assert 201 == answer.status
                yield counter


async def in_the_end(counter: Counter) -> dict[str, Any]:
    """Return the order once nothing is under way any more."""

    async def ended() -> dict[str, Any] | None:
        order = await counter.order()
        statuses = {one["status"] for one in order["payments"]}
        refunds = {one["status"] for one in order["refunds"]}
        double = sum(one["duplicate"] for one in order["payments"])
        over = statuses <= {"SUCCEEDED", "CLOSED"} and refunds <= {"SUCCEEDED", "MANUAL"}
        return order if over and len(order["refunds"]) == double else None

    order: dict[str, Any] | None = await eventually(ended, 40, "all is over")
    assert order is not None
    return order


def check_kept_once(counter: Counter, order: dict[str, Any]) -> None:
    """Assert that one payment's money stayed, and the other's went back or is a person's."""
    manual = sum(one["amount"] for one in order["refunds"] if one["status"] == "MANUAL")
    left = counter.first.left() + counter.second.left()
    assert AMOUNT == left - manual
    winners = [
        one["payment_id"]
        for one in order["payments"]
        if one["status"] == "SUCCEEDED" and not one["duplicate"]
    ]
    assert [order["settled_by"]] == winners


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_paid_at_both_at_once(pair: tuple[str, str, str], place: Place) -> None:
    """Both call back at the same time; whichever settles, the other is undone."""
    async with counter_of(pair, place) as counter:
        counter.first.pay()
        counter.second.pay()
        order = await in_the_end(counter)
        check_kept_once(counter, order)


@pytest.mark.parametrize("pair", PAIRS, ids="-".join)
async def test_paid_at_one_after_the_other_settled(
    pair: tuple[str, str, str], place: Place
) -> None:
    """The first settles; the shopper pays the second all the same, whether it is closed or not."""
    async with counter_of(pair, place) as counter:
        counter.first.pay()
        settled = await eventually(lambda: _settled(counter), 30, "the first settles")
        assert counter.first.payment_id == settled
        counter.second.pay()
        kind = counter.second.kind
        if not kind.needs_capture:
            await eventually(lambda: _has_refund(counter), 30, "the second is found")
        order = await in_the_end(counter)
        check_kept_once(counter, order)
        assert (0 if kind.needs_capture else AMOUNT) == counter.second.captured()
        refunds = [] if kind.needs_capture else ["SUCCEEDED" if kind.can_refund else "MANUAL"]
        assert refunds == [one["status"] for one in order["refunds"]]


async def _settled(counter: Counter) -> str | None:
    settled: str | None = (await counter.order())["settled_by"]
    return settled


async def _has_refund(counter: Counter) -> bool:
    return bool((await counter.order())["refunds"])
