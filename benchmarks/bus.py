"""A shop and an order service on the bus: foreigners that know CONTRACT.md alone."""

import asyncio
import json
import time
from collections.abc import Iterator

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractExchange, AbstractIncomingMessage

from benchmarks.stub import AMOUNT, CURRENCY

QUEUE = "bench.payment-succeeded"
_ACK_EVERY = 50
_PUBLISH_AT_ONCE = 64


class Bus:
    """Publishes payment.initiated, notes every payment.succeeded and when it came."""

    def __init__(self, connection: AbstractConnection) -> None:
        self._connection = connection
        self._exchange: AbstractExchange | None = None
        self._unacked = 0
        self._prefix = ""
        self._missing = 0
        self._done = asyncio.Event()
        self.came_s: dict[str, float] = {}
        self.event_ids: dict[str, set[str]] = {}
        self.repeats = 0

    @classmethod
    async def open(cls, url: str) -> "Bus":
        """Connect, bind a queue of its own, consume it."""
        bus = cls(await aio_pika.connect(url))
        channel = await bus._connection.channel()
        await channel.set_qos(prefetch_count=1_000)
        bus._exchange = await channel.get_exchange("payments")
        queue = await channel.declare_queue(QUEUE, durable=True)
        await queue.bind("payments", "payment.succeeded")
        await queue.consume(bus._on_event)
        return bus

    async def close(self) -> None:
        """Disconnect."""
        await self._connection.close()

    async def publish(self, prefix: str, n: int, rate: float = 0) -> None:
        """Publish `n` payments with confirm; `rate`: so many a second, 0: at once."""
        numbers = iter(range(n))
        if rate:
            await self._publish_steadily(prefix, numbers, rate)
        else:
            await asyncio.gather(
                *(self._publish_all(prefix, numbers) for _ in range(_PUBLISH_AT_ONCE))
            )

    def want(self, prefix: str, n: int) -> None:
        """Begin to wait for the events of `n` payments."""
        self._prefix = f"{prefix}-"
        self._missing = n - len(self.events(prefix))
        self._done.clear()
        self._look()

    async def wait(self, timeout_s: float) -> bool:
        """Say whether all wanted events came within `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._done.wait()
        except TimeoutError:
            return False
        return True

    def events(self, prefix: str) -> "dict[str, float]":
        """Return when the event of each payment came first, in seconds since 1970."""
        return {one: when for one, when in self.came_s.items() if one.startswith(f"{prefix}-")}

    def orders_told_twice(self) -> int:
        """Return how many orders had more than one event id: a broken promise."""
        return sum(len(ids) > 1 for ids in self.event_ids.values())

    async def _publish_all(self, prefix: str, numbers: Iterator[int]) -> None:
        for number in numbers:
            await self._publish_one(prefix, number)

    async def _publish_steadily(self, prefix: str, numbers: Iterator[int], rate: float) -> None:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in numbers:
                early_s = began + number / rate - time.perf_counter()
                if early_s > 0:
                    await asyncio.sleep(early_s)
                group.create_task(self._publish_one(prefix, number))

    async def _publish_one(self, prefix: str, number: int) -> None:
        name = f"{prefix}-{number}"
        await self.publish_payment(f"{name}.{time.time_ns() // 1000}", f"o-{name}")

    async def publish_payment(self, payment_id: str, order_id: str) -> None:
        """Publish one payment with confirm."""
        payment = {
            "payment_id": payment_id,
            "order_id": order_id,
            "gateway": "mock",
            "amount": AMOUNT,
            "currency": CURRENCY,
        }
        message = aio_pika.Message(
            json.dumps(payment).encode(), content_type="application/json", delivery_mode=2
        )
        if self._exchange is None:
            raise RuntimeError("the bus is not open")
        await self._exchange.publish(message, routing_key="payment.initiated")

    async def _on_event(self, message: AbstractIncomingMessage) -> None:
        now_s = time.time()
        event = json.loads(message.body)
        payment_id = event["data"]["payment_id"]
        self.event_ids.setdefault(event["data"]["order_id"], set()).add(event["id"])
        if payment_id in self.came_s:
            self.repeats += 1
        else:
            self.came_s[payment_id] = now_s
            self._missing -= payment_id.startswith(self._prefix)
            self._look()
        self._unacked += 1
        if self._unacked >= _ACK_EVERY or self._missing <= 0:
            self._unacked = 0
            await message.ack(multiple=True)

    def _look(self) -> None:
        if self._missing <= 0:
            self._done.set()
