"""A worker that is paused past its lock wakes up in a world that went on without it."""

import asyncio
import signal
from collections.abc import AsyncIterator

import pytest
from redis import asyncio as aioredis

from gateway_mock.app import serving
from gateway_mock.server import Mock
from tests.e2e.counter import creates, ids, opened, script
from tests.support.shop import Answered, Shop
from tests.support.town import Town
from tests.support.waiting import eventually


@pytest.fixture
async def boleto(town: Town) -> AsyncIterator[Mock]:
    """A second gateway of the town."""
    mock = Mock()
    async with serving(mock) as url:
        town.env |= {
            "PAYONCE_GATEWAYS__BOLETO__KIND": "http",
            "PAYONCE_GATEWAYS__BOLETO__BASE_URL": url,
            "PAYONCE_GATEWAYS__BOLETO__SECRET": mock.secret,
        }
        yield mock


async def paused_in_create(town: Town, shop: Shop) -> "asyncio.Task[Answered]":
    """Let the first worker apply, and stop it while the gateway creates the charge."""
    script(town, "o-1", create_latency_ms=500)
    applying = asyncio.create_task(shop.apply())
    await eventually(lambda: creates(town) == 1)
    town.workers[0].send(signal.SIGSTOP)
    return applying


async def lock_is_gone(town: Town) -> bool:
    """Say whether no order is locked."""
    async with aioredis.from_url(town.env["PAYONCE_REDIS_URL"]) as client:
        return not [key async for key in client.scan_iter("payonce:*:lock:*")]


async def test_another_channel_chosen_meanwhile_leaves_one_open_code(
    town: Town, boleto: Mock
) -> None:
    """What the paused worker created is superseded: closed, and never shown."""
    async with opened(town, edges=2) as [first, second]:
        applying = await paused_in_create(town, first)
        other = await second.apply(gateway="boleto")
        await eventually(lambda: lock_is_gone(town), 30, "the paused worker's lock has ended")
        town.workers[0].send(signal.SIGCONT)
        answer = await applying

        assert 201 == other.status
        assert (409, "superseded") == (answer.status, answer.problem)
        await eventually(lambda: town.mock.books.charges[_paused_id(town)].closed_at)
        order = (await second.order("o-1")).body
        assert ["CLOSED", "PENDING"] == [one["status"] for one in order["payments"]]
        assert [None] == [one.closed_at for one in boleto.books.charges.values()]


async def test_the_same_channel_clicked_again_meanwhile_is_the_same_payment(town: Town) -> None:
    """Whoever waits in vain goes on with the same id: one charge, two equal answers."""
    async with opened(town, edges=2) as [first, second]:
        applying = await paused_in_create(town, first)
        again = await second.apply()
        town.workers[0].send(signal.SIGCONT)
        both = [await applying, again]

        assert 1 == len(ids(both))
        assert 1 == len(town.mock.books.charges)


def _paused_id(town: Town) -> str:
    [payment_id] = town.mock.books.charges
    return payment_id
