"""A shop under steady load: every kind of shopper, by both entrances, through every outage."""

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import aio_pika
import aiohttp
from aio_pika.abc import AbstractConnection, AbstractExchange

from payonce.adapters.rabbitmq.errors import as_unavailable
from payonce.domain.errors import Unavailable
from tests.soak.stage import GATEWAYS, VHOST, Stage
from tests.support.shop import API_TOKEN

TRY_FOR_S = 120.0
TIMEOUT_S = 20.0
_PAUSE_S = 0.5
_BUS_TIMEOUT_S = 5.0

_HEADERS = {"Authorization": f"Bearer {API_TOKEN}"}
_FINAL = frozenset({201, 202, 409, 422})
"""What answers an application for good, unless it says that the first try is in hand."""
_PAYMENT_IS_OVER = 502
"""The payment of this key has failed, such as by a shopper who declined it: the next is another."""


class Shop:
    """Opens orders at a steady rate.

    `asked`: payments that it was shown or sent; `answers` counts what became of applications.
    """

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._plan = stage.plan
        self._chance = random.Random(f"shop {stage.plan.seed}")
        self._bus = _Bus(stage.handles.rabbitmq.url_of(VHOST))
        self._in_hand: set[asyncio.Task[None]] = set()
        self.opened = 0
        self.asked: set[str] = set()
        self.answers: Counter[str] = Counter()
        self.troubles: list[str] = []

    async def run(self, until_s: float) -> None:
        """Open orders until the loop's clock says `until_s`; return once all are answered."""
        loop = asyncio.get_running_loop()
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
        began_s = loop.time()
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            self._session = session
            while (due_s := began_s + self.opened / self._plan.rate) < until_s:
                await asyncio.sleep(max(due_s - loop.time(), 0))
                self._begin(self._draw_story(), f"o-{self.opened}")
            await asyncio.gather(*self._in_hand)
        await self._bus.close()

    def _begin(self, story: "_Story", order_id: str) -> None:
        self.opened += 1
        task = asyncio.create_task(self._live(story, order_id))
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)

    async def _live(self, story: "_Story", order_id: str) -> None:
        try:
            await story(order_id)
        except Exception as error:  # noqa: BLE001 - one shopper's trouble ends no other's story
            self.troubles.append(f"{order_id}: {type(error).__name__}: {error}"[:600])

    def _draw_story(self) -> "_Story":
        stories = (self._single, self._double_click, self._two_channels, self._by_bus)
        return self._chance.choices(stories, (45, 15, 15, 25))[0]

    async def _single(self, order_id: str) -> None:
        await self._apply(order_id, self._chance.choice(GATEWAYS), "1")

    async def _double_click(self, order_id: str) -> None:
        clicks = (self._apply(order_id, GATEWAYS[0], key) for key in "12")
        await asyncio.gather(*clicks)

    async def _two_channels(self, order_id: str) -> None:
        await self._apply(order_id, GATEWAYS[0], "1")
        await asyncio.sleep(1 + 2 * self._chance.random())
        await self._apply(order_id, GATEWAYS[1], "2")

    async def _by_bus(self, order_id: str) -> None:
        """Open a charge that calls nobody back, then have it watched.

        A broker that loses its queues loses what nobody has read yet: a shop asks, and repeats.
        """
        payment = {"payment_id": f"p-{order_id}", **self._terms(order_id, GATEWAYS[0])}

        async def open_charge() -> bool:
            return bool(await self._stage.control("POST", "/charges", [dict(payment)]))

        async def is_known() -> bool:
            url = f"{self._worker_url()}/v1/payments/{payment['payment_id']}"
            async with self._session.get(url, headers=_HEADERS) as answer:
                return answer.status == 200

        async def is_sent() -> bool:
            if await self._bus.send(payment):
                await asyncio.sleep(self._plan.asks_after_s)
            return await is_known()

        await _until(open_charge, f"{order_id}'s charge is opened")
        await _until(is_sent, f"{order_id} is known")
        self.asked.add(f"p-{order_id}")
        self.answers["by bus"] += 1

    async def _apply(self, order_id: str, gateway: str, key: str) -> None:
        """Apply until the answer is definite, at either worker, as a shop's own retries do."""
        body = self._terms(order_id, gateway)
        headers = {**_HEADERS, "Idempotency-Key": f"{order_id}-{key}"}
        heard: Counter[str] = Counter()

        async def post() -> bool:
            url = f"{self._worker_url()}/v1/payments"
            async with self._session.post(url, json=body, headers=headers) as answer:
                said = await answer.json(content_type=None)
                name = str(said.get("type", answer.status)).rpartition("/")[2]
                is_final = answer.status in _FINAL and name != "in-hand"
                heard[f"{answer.status} {name} {said.get('detail', '')}"[:120]] += 1
                if answer.status == _PAYMENT_IS_OVER:
                    headers["Idempotency-Key"] += "-again"
                if is_final or answer.status == _PAYMENT_IS_OVER:
                    self.answers[name] += 1
                if is_final and "payment_id" in said:
                    self.asked.add(said["payment_id"])
                return is_final

        try:
            await _until(post, f"{order_id} is answered")
        except TimeoutError as error:
            raise TimeoutError(f"{error}; heard {dict(heard)}") from None

    def _worker_url(self) -> str:
        return self._chance.choice(self._stage.handles.workers).url

    def _terms(self, order_id: str, gateway: str) -> dict[str, Any]:
        expires_at = datetime.now(UTC) + timedelta(seconds=self._plan.expires_s)
        return {
            "order_id": order_id,
            "gateway": gateway,
            "amount": 1_000 + int(order_id[2:]) % 1_000,
            "currency": "CNY",
            "expires_at": expires_at.isoformat(),
        }


_Story = Callable[[str], Awaitable[None]]


async def _until(attempt: Callable[[], Awaitable[bool]], what: str) -> None:
    """Try until it works. Raises TimeoutError, naming `what`."""
    give_up_s = time.monotonic() + TRY_FOR_S
    while time.monotonic() < give_up_s:
        try:
            if await attempt():
                return
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            pass
        await asyncio.sleep(_PAUSE_S)
    raise TimeoutError(f"not within {TRY_FOR_S:g} s: {what}")


class _Bus:
    """Publishes with confirms; a connection that fails is made anew by the next message."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._lock = asyncio.Lock()
        self._connection: AbstractConnection | None = None
        self._exchange: AbstractExchange | None = None

    async def send(self, payment: Mapping[str, Any]) -> bool:
        """Publish one payment.initiated; False where the broker did not confirm it."""
        body = json.dumps(payment).encode()
        message = aio_pika.Message(body, content_type="application/json", delivery_mode=2)
        try:
            with as_unavailable(self._url):
                async with asyncio.timeout(_BUS_TIMEOUT_S):
                    exchange = await self._open()
                    await exchange.publish(message, routing_key="payment.initiated")
        except Unavailable:
            await self.close()
            return False
        return True

    async def close(self) -> None:
        """Let the connection go, whatever state it is in."""
        connection, self._connection, self._exchange = self._connection, None, None
        if connection is not None:
            with suppress(Unavailable), as_unavailable(self._url):
                async with asyncio.timeout(_BUS_TIMEOUT_S):
                    await connection.close()

    async def _open(self) -> AbstractExchange:
        async with self._lock:
            if self._exchange is None:
                self._connection = await aio_pika.connect(self._url, timeout=_BUS_TIMEOUT_S)
                channel = await self._connection.channel(publisher_confirms=True)
                self._exchange = await channel.get_exchange("payments", ensure=False)
            return self._exchange
