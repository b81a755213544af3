"""payonce demo: chooses the town and the stories, plays them, and stays up where it is asked to."""

import argparse
import asyncio
import os
from collections.abc import Mapping
from uuid import uuid4

import aiohttp

from payonce.adapters.logs import configure_logs
from payonce.cli.demo.board import Board
from payonce.cli.demo.director import Director
from payonce.cli.demo.every import EveryDirector
from payonce.cli.demo.gateways import every_kind
from payonce.cli.demo.kinds import CURRENCIES, STORIES_OF_KINDS
from payonce.cli.demo.stage import DemoFailed
from payonce.cli.demo.stories import CURRENCY, GATEWAY, STORIES, Shop
from payonce.cli.demo.towns import Town, open_embedded_town, open_real_town
from payonce.cli.demo.verdict import ShopBook
from payonce.daemon import stop_on_signals
from payonce.domain.errors import InvalidField, PayonceError

AMOUNT = 1_999
_EMBEDDED = (
    "no servers here: PostgreSQL comes from a wheel, the bus and the cache live in this process"
)


async def execute(arguments: argparse.Namespace) -> int:
    """Run the demo; 0 where everything ended as it has to.

    Of what its tasks fail with at the same time, the first is raised, as one that can be told.
    """
    failed: BaseException
    try:
        return await _run(arguments)
    except* PayonceError as group:
        failed = _first(group)
    except* (aiohttp.ClientError, OSError) as group:
        one = _first(group)
        failed = DemoFailed(
            f"a server of the demo cannot be reached: {str(one) or type(one).__name__}"
        )
    raise failed


async def _run(arguments: argparse.Namespace) -> int:
    configure_logs({**os.environ, "PAYONCE_LOG_LEVEL": "error"})
    stop = asyncio.Event()
    stop_on_signals(stop)
    is_every = arguments.gateways == "all"
    if is_every and arguments.embedded:
        raise InvalidField(
            "--gateways", "all needs servers, for callbacks", "mock, or no --embedded"
        )
    stories = STORIES_OF_KINDS if is_every else STORIES
    shop, book = Shop(uuid4().hex[:6], not arguments.embedded, stories), ShopBook()
    if arguments.embedded:
        print(_EMBEDDED, flush=True)

    async def booked(order_id: str, _payment_id: str, event_id: str) -> bool:
        return _book(shop, book, order_id, event_id)

    if is_every:
        opened = open_real_town(booked, every_kind)
    else:
        opened = open_embedded_town(booked) if arguments.embedded else open_real_town(booked)
    async with opened as town:
        directed = EveryDirector if is_every else Director
        board = Board(plain=arguments.plain, ladders=town.waits if is_every else None)
        ok = await directed(town, shop, book, board).play(stop)
        if arguments.keep and not stop.is_set():
            await _tell_addresses(town, shop, CURRENCIES if is_every else {GATEWAY: CURRENCY})
            await stop.wait()
    return 0 if ok else 1


def _first(error: BaseException) -> BaseException:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _book(shop: Shop, book: ShopBook, order_id: str, event_id: str) -> bool:
    """Book a paid order, as the order service does; some orders fail at first."""
    plan = next((one for one in shop.plans if one.order_id == order_id), None)
    if plan is None:
        return True
    book.deliveries += 1
    failures = book.failures.get(order_id, 0)
    if failures < plan.story.booking_failures:
        book.failures[order_id] = failures + 1
        return False
    book.events.setdefault(order_id, set()).add(event_id)
    return True


async def _tell_addresses(town: Town, shop: Shop, currencies: Mapping[str, str]) -> None:
    """Say where everything is, and open orders for whoever wants to be the shopper."""
    print("\neverything keeps running; Ctrl-C ends it")
    for name, address in town.addresses.items():
        print(f"  {name:<15} {address}")
    for gateway, currency in currencies.items():
        name = f"o-{shop.run_id}-you" if len(currencies) == 1 else f"o-{shop.run_id}-you-{gateway}"
        order = {"order_id": name, "amount": AMOUNT, "currency": currency}
        yours = await town.apply({**order, "gateway": gateway})
        if yours is not None:
            by = "pay yourself" if len(currencies) == 1 else f"pay by {gateway}"
            print(f"  {by:<15} {yours['checkout_url']}")
            if len(currencies) > 1:
                print(f"  {'  its code':<15} {yours['qr']}")
    print(f"  {'a story':<15} payonce show {shop.plans[0].order_id}", flush=True)
