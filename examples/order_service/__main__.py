"""python -m examples.order_service: serve and consume until a signal.

ORDER_SERVICE_DSN       its own database
ORDER_SERVICE_AMQP_URL  payonce's broker; without it, no events are consumed
ORDER_SERVICE_SECRET    whsec_..., payonce's order_service.secret; without it, no calls are taken
ORDER_SERVICE_PORT      where calls are taken, at POST /paid; default: 8090
"""

import asyncio
import os
import signal
import sys
from typing import NoReturn

import asyncpg
from aiohttp import web

from examples.order_service.books import Books
from examples.order_service.endpoint import make_app
from payonce.kit import OrderConsumer, OrderPaid


async def main() -> None:
    """Run until SIGTERM or SIGINT, then finish what is in hand."""
    secret = os.environ.get("ORDER_SERVICE_SECRET")
    amqp_url = os.environ.get("ORDER_SERVICE_AMQP_URL")
    if not (secret or amqp_url):
        refuse("set ORDER_SERVICE_SECRET, ORDER_SERVICE_AMQP_URL, or both")
    dsn = os.environ.get("ORDER_SERVICE_DSN")
    if not dsn:
        refuse("set ORDER_SERVICE_DSN, its own database: postgresql://...")
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with asyncpg.create_pool(dsn, min_size=1) as pool:
        books = Books(pool)
        await books.open()
        async with asyncio.TaskGroup() as group:
            if secret:
                group.create_task(serve(books, secret, stop))
            if amqp_url:
                group.create_task(consume(books, amqp_url, stop))


def refuse(problem: str) -> NoReturn:
    """Say what is wrong with the environment, and end."""
    print(f"order service: {problem}", file=sys.stderr)
    sys.exit(2)


async def consume(books: Books, amqp_url: str, stop: asyncio.Event) -> None:
    """Take events from a queue of our own; the kit acknowledges what was booked."""

    async def book(event: OrderPaid) -> None:
        await books.book(event.event_id, event.data)

    await OrderConsumer("order-service", amqp_url, book, acknowledge=True).run(stop)


async def serve(books: Books, secret: str, stop: asyncio.Event) -> None:
    """Take calls; the answer acknowledges what was booked."""
    runner = web.AppRunner(make_app(books, secret))
    await runner.setup()
    port = int(os.environ.get("ORDER_SERVICE_PORT", "8090"))
    await web.TCPSite(runner, "127.0.0.1", port).start()
    print(f"order service: takes calls at http://127.0.0.1:{port}/paid", flush=True)
    await stop.wait()
    await runner.cleanup()


asyncio.run(main())
