"""A paid order is told of until it is acknowledged, though its event was lost when confirmed."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from tests.support.documents import check_event
from tests.support.town import SERVICE, Town, open_town, payments
from tests.support.waiting import eventually

QUEUE = f"{SERVICE}.payment-succeeded"


@asynccontextmanager
async def impatient_town(folder: Path, *servers: str) -> AsyncIterator[Town]:
    """Give a town that tells again after a second."""
    ladder = {"PAYONCE_ORDER_SERVICE__LADDER": '["1s"]'}
    async with open_town(folder, *servers, **ladder) as town:
        yield town


async def listen(channel: Any, name: str) -> list[Any]:
    """Return a list that fills with every payment.succeeded."""
    queue = await channel.declare_queue(name, durable=True)
    await queue.bind("payments", "payment.succeeded")
    heard: list[Any] = []

    async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
        check_event(message.body)
        heard.append((message.message_id, json.loads(message.body)))
        await message.ack()

    await queue.consume(take)
    return heard


@pytest.mark.parametrize("loss", ["purge", "delete"])
async def test_an_order_whose_event_was_lost_is_acknowledged_all_the_same(
    tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str, loss: str
) -> None:
    """The same event, under the same id, until the order service has heard; then no more."""
    async with impatient_town(tmp_path, postgres_dsn, amqp_url, redis_url) as town:
        paid = payments(3)
        settled = {one["order_id"] for one in paid}
        town.open_charges(paid, pays_after_s=0.1)
        worker = town.worker()
        async with town.order_service():
            pass  # its queue is there, and nobody consumes
        connection = await aio_pika.connect(amqp_url)
        async with connection:
            channel = await connection.channel()
            heard = await listen(channel, "witness")
            await worker.start()
            await town.publish("payment.initiated", paid)
            await eventually(lambda: len(heard) >= 3)
            await worker.end()
            if loss == "delete":
                await channel.queue_delete(QUEUE)
            else:
                await (await channel.get_queue(QUEUE)).purge()

            await worker.start()
            async with town.order_service():
                await eventually(lambda: acknowledged(town, 3), 30)
                await eventually(lambda: is_relayed(town))
                told = len(heard)
                await retell_another(town, heard)
            assert told == sum(event["subject"] in settled for _, event in heard)

        by_id: dict[str, list[Any]] = {}
        for event_id, event in heard:
            by_id.setdefault(event_id, []).append(event)
        assert 4 == len(by_id)
        assert all(len(events) >= 2 for events in by_id.values())
        assert all(event == events[0] for events in by_id.values() for event in events)


async def acknowledged(town: Town, count: int) -> bool:
    """Say whether so many orders are booked."""
    return await town.acknowledged() == count


async def is_relayed(town: Town) -> bool:
    """Say whether nothing that was put back waits: it goes out, whoever has acknowledged."""
    return await town.count("SELECT count(*) FROM outbox") == 0


async def retell_another(town: Town, heard: list[Any]) -> None:
    """Have an order told thrice that nobody acknowledges: the others were due as well."""
    [canary] = payments(1, "canary")
    town.orders.failing.add(canary["order_id"])
    town.open_charges([canary], pays_after_s=0.1)
    await town.publish("payment.initiated", [canary])

    def tellings() -> int:
        return sum(event["subject"] == canary["order_id"] for _, event in heard)

    await eventually(lambda: tellings() >= 3, 30)
