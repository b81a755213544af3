"""A stranger's queue that is bound for payment.succeeded, and what came into it."""

import asyncio
import json
from collections import defaultdict

import aio_pika

from payonce.adapters.rabbitmq.declare import queue_depths
from tests.support.crowd import AWAY

QUEUE = "campaign.witness"
_AGAIN_S = 0.5
_AWAY = (*AWAY, asyncio.InvalidStateError)


class Witness:
    """Takes every event, whatever happens to the broker; `ids` are those of an order's events."""

    def __init__(self, url: str) -> None:
        self.ids: dict[str, list[str]] = defaultdict(list)
        self._url = url

    async def run(self) -> None:
        """Take events until cancelled."""
        while True:
            try:
                await self._take()
            except _AWAY:
                await asyncio.sleep(_AGAIN_S)

    async def _take(self) -> None:
        async with asyncio.timeout(10):
            connection = await aio_pika.connect(self._url)
        async with connection:
            channel = await connection.channel()
            await channel.set_qos(prefetch_count=100)
            queue = await channel.declare_queue(
                QUEUE, durable=True, arguments={"x-queue-type": "quorum"}
            )
            await queue.bind("payments", "payment.succeeded")
            async with queue.iterator() as messages:
                async for message in messages:
                    event = json.loads(message.body)
                    self.ids[event["subject"]].append(event["id"])
                    await message.ack()


async def lying(url: str, *queues: str) -> dict[str, int]:
    """Return how many messages lie in each of these queues; one that is missing counts as one."""
    depths = await queue_depths(url, queues)
    return {name: 1 if count is None else count for name, count in depths.items()}
