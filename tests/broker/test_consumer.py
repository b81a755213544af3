"""Consuming from a real broker: what the suite of both buses cannot see."""

import asyncio
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aio_pika
import pika
import pytest

from payonce.adapters.codec import decode_poll
from payonce.adapters.rabbitmq.consumer import Consumer
from payonce.adapters.rabbitmq.declare import delete_queue, plain_channel
from payonce.adapters.rabbitmq.parked import Parked, Replayed, list_parked, replay
from payonce.adapters.rabbitmq.topology import UNROUTED
from payonce.domain.errors import InvalidField
from payonce.domain.messages import PollDue
from payonce.ports.bus import DONE, Delivery, Fate, Park
from tests.broker.rigs import RabbitRig, consuming, soon
from tests.support.waiting import eventually

INITIATED = "payonce.initiated"
POLL = PollDue("p-1", "o-1", "mock", 1999, "CNY", 0, 1_700_000_000_123, 1_700_007_200_000)


async def foreign(rig: RabbitRig, key: str, **properties: Any) -> None:
    """Publish to `payments` with any properties, by another client."""
    connection = await aio_pika.connect(rig.url)
    async with connection:
        channel = await connection.channel()
        exchange = await channel.get_exchange("payments")
        await exchange.publish(aio_pika.Message(b"{}", **properties), key)


async def park(_delivery: Delivery) -> Fate:
    """Park everything."""
    return Park("because")


async def parked(rig: RabbitRig, queue: str = "payonce.parked") -> list[Parked]:
    """Return what is parked, once there is something."""
    return await soon(lambda: list_parked(rig.url, queue))


async def park_one(rig: RabbitRig, **properties: Any) -> Parked:
    """Have one message parked and return it."""
    async with consuming(rig.consumer(INITIATED, 10, park)):
        await foreign(rig, "payment.initiated", **properties)
        (one,) = await parked(rig)
    return one


async def test_parking_strips_what_would_harm(rabbit: RabbitRig) -> None:
    """Dead-letter history, copies, expiry and old reasons stay behind; the sender's words stay."""
    forged = {
        "x-death": [{"queue": "payonce.parked", "reason": "expired", "count": 1}],
        "x-first-death-queue": "somewhere",
        "x-last-death-reason": "expired",
        "x-parked-from": "elsewhere",
        "CC": ["payonce.cancelled"],
        "x-mine": "kept",
    }
    one = await park_one(
        rabbit,
        headers=forged,
        expiration=600,
        user_id="guest",
        content_type="application/json",
        message_id="m-7",
        correlation_id="c-7",
        timestamp=datetime(2026, 1, 31, tzinfo=UTC),
    )
    assert ("m-7", "because", INITIATED, "application/json") == (
        one.message_id,
        one.reason,
        one.came_from,
        one.content_type,
    )
    by_the_broker = {"x-delivery-count"}
    kept = set(one.headers) - by_the_broker
    assert {"x-mine", "x-parked-reason", "x-parked-from", "x-parked-at-ms"} == kept


async def test_odd_headers_do_not_stop_parking(rabbit: RabbitRig) -> None:
    """Every type that a table can hold goes through parking, by whatever client it came."""
    odd = {
        "time": datetime(2026, 1, 31, tzinfo=UTC),
        "price": Decimal("19.99"),
        "raw": b"\xff\x00",
        "none": None,
        "big": 2**62,
        "less": -(2**62),
        "yes": True,
        "list": [1, "two", {"three": [3]}],
    }
    with_pika(rabbit.url, odd)
    async with consuming(rabbit.consumer(INITIATED, 10, park)):
        (one,) = await parked(rabbit)
    assert set(odd) <= set(one.headers)


def with_pika(url: str, headers: dict[str, Any]) -> None:
    """Publish as a client with an encoder of its own."""
    properties = pika.BasicProperties(headers=headers)
    with pika.BlockingConnection(pika.URLParameters(url)) as connection:
        connection.channel().basic_publish("payments", "payment.initiated", b"{}", properties)


async def test_parked_message_without_an_id_gets_one(rabbit: RabbitRig) -> None:
    """Every parked message can be named."""
    assert (await park_one(rabbit, message_id=None)).message_id


async def test_looking_often_loses_nothing(rabbit: RabbitRig) -> None:
    """A hundred looks at a parked message leave it where it is."""
    await park_one(rabbit, message_id="m-1")
    for _ in range(100):
        assert ["m-1"] == [one.message_id for one in await parked(rabbit)]


async def test_replayed_message_comes_again(rabbit: RabbitRig) -> None:
    """What is wanted goes back to its queue, clean; the rest stays parked."""
    async with consuming(rabbit.consumer(INITIATED, 10, park)):
        for message_id in ("m-1", "m-2", "m-3"):
            await foreign(rabbit, "payment.initiated", message_id=message_id)
        await soon(lambda: rabbit.ready("payonce.parked"))
    await soon(lambda: _count(rabbit, 3))
    assert Replayed(1, ()) == await replay(rabbit.url, lambda one: one.message_id == "m-2")
    got: list[Delivery] = []

    async def receive(delivery: Delivery) -> Fate:
        got.append(delivery)
        return DONE

    async with consuming(rabbit.consumer(INITIATED, 10, receive)):
        await eventually(lambda: got)
    assert [("m-2", {})] == [(one.message_id, dict(one.headers)) for one in got]
    assert {"m-1", "m-3"} == {one.message_id for one in await list_parked(rabbit.url)}


async def test_replay_ends_although_all_is_parked_again(rabbit: RabbitRig) -> None:
    """A replay takes each message once, also while the consumer parks it anew."""
    async with consuming(rabbit.consumer(INITIATED, 10, park)):
        for n in range(20):
            await foreign(rabbit, "payment.initiated", message_id=f"m-{n}")
        await soon(lambda: _count(rabbit, 20))
        assert Replayed(20, ()) == await replay(rabbit.url, lambda _: True)
        await soon(lambda: _count(rabbit, 20))


async def _count(rig: RabbitRig, count: int) -> bool:
    return await rig.ready("payonce.parked") == count


async def test_message_without_a_home_stays_parked(rabbit: RabbitRig) -> None:
    """A queue that is gone cannot take its message back: it stays, and the caller is told."""
    await rabbit.broker.publish(
        "payonce.parked",
        "payonce.old",
        b"{}",
        content_type="text/plain",
        message_id="m-1",
        headers={"x-parked-from": "payonce.old"},
    )
    result = await replay(rabbit.url, lambda _: True)
    assert Replayed(0, (("m-1", "there is no queue payonce.old"),)) == result
    await soon(lambda: _count(rabbit, 1))
    assert ["m-1"] == [one.message_id for one in await list_parked(rabbit.url)]


async def test_unknown_parked_queue_is_named(rabbit: RabbitRig) -> None:
    """A mistyped name is told, not taken for empty."""
    with pytest.raises(InvalidField, match=r"nobody\.parked"):
        await list_parked(rabbit.url, "nobody.parked")


async def test_what_the_broker_parks_can_be_replayed(rabbit: RabbitRig) -> None:
    """A message past its delivery limit is parked by the broker, with the queue it came from."""
    await rabbit.send("payonce.due", "0.poll", b"poison")
    connection = await aio_pika.connect(rabbit.url)
    async with connection:
        channel = await connection.channel()
        queue = await channel.get_queue("payonce.poll")
        for _ in range(51):
            message = await soon(lambda: queue.get(fail=False))
            assert message is not None
            await message.reject(requeue=True)
    (one,) = await parked(rabbit)
    assert ("payonce.poll", "delivery_limit", b"poison") == (one.came_from, one.reason, one.body)
    await soon(lambda: _count(rabbit, 1))
    assert 1 == (await replay(rabbit.url, lambda _: True)).count
    assert 1 == await soon(lambda: rabbit.ready("payonce.poll"))


async def test_poll_that_found_no_queue_can_be_replayed(rabbit: RabbitRig) -> None:
    """It names the work queue that it expired for, not the delay queue that it lay in."""
    async with plain_channel(rabbit.url) as channel:
        await channel.queue_unbind("payonce.poll", "payonce.due", "*.poll")
    await rabbit.timer.poll_after(50, POLL)
    await soon(lambda: rabbit.ready(UNROUTED))
    (one,) = await list_parked(rabbit.url, UNROUTED)
    assert ("payonce.poll", "no queue is bound for 50.poll") == (one.came_from, one.reason)
    await soon(lambda: rabbit.ready(UNROUTED))
    assert Replayed(1, ()) == await replay(rabbit.url, lambda _: True, UNROUTED)
    got: list[Delivery] = []

    async def receive(delivery: Delivery) -> Fate:
        got.append(delivery)
        return DONE

    async with consuming(rabbit.consumer("payonce.poll", 10, receive)):
        await eventually(lambda: got)
    assert [(POLL, {})] == [(decode_poll(one.body), dict(one.headers)) for one in got]


async def test_broken_machinery_ends_the_run(
    rabbit: RabbitRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A fault outside the receiver ends the consumer with it: it never limps."""

    def broken(_self: Consumer, _received: object) -> Delivery:
        raise ArithmeticError("broken")

    monkeypatch.setattr(Consumer, "_delivery", broken)

    async def receive(_delivery: Delivery) -> Fate:
        return DONE

    consumer = rabbit.consumer(INITIATED, 10, receive)
    running = asyncio.create_task(consumer.run())
    await foreign(rabbit, "payment.initiated")
    with pytest.raises(ArithmeticError):
        await running
    await consumer.drain(1)


async def test_deleted_queue_is_declared_and_consumed_again(rabbit: RabbitRig) -> None:
    """A queue that somebody deletes comes back with its bindings, and its consumer with it."""
    got: list[Delivery] = []

    async def receive(delivery: Delivery) -> Fate:
        got.append(delivery)
        return DONE

    async with consuming(rabbit.broker.consumer(INITIATED, 10, receive)) as consumer:
        session = consumer._session
        await delete_queue(rabbit.url, INITIATED)
        await eventually(lambda: consumer._session is not session and consumer.consuming())
        await foreign(rabbit, "payment.initiated")
        assert await eventually(lambda: got)


async def test_parked_exchange_without_its_queue_keeps_the_message(rabbit: RabbitRig) -> None:
    """Where the parked queue was deleted, parking puts it back first."""
    await delete_queue(rabbit.url, "payonce.parked")
    one = await park_one_again(rabbit)
    assert "because" == one.reason


async def park_one_again(rig: RabbitRig) -> Parked:
    """Have one message parked although the queue for it is not there yet."""
    async with consuming(rig.consumer(INITIATED, 10, park)) as consumer:
        await foreign(rig, "payment.initiated")
        await eventually(lambda: consumer.in_hand == 0, what="parked")
        (one,) = await parked_when_there(rig)
    return one


async def parked_when_there(rig: RabbitRig) -> list[Parked]:
    """Return what is parked, once the queue is back."""

    async def look() -> list[Parked]:
        try:
            return await list_parked(rig.url)
        except InvalidField:
            return []

    return await soon(look)


async def test_many_are_acknowledged_and_none_twice(rabbit: RabbitRig) -> None:
    """A slow message among quick ones: all are acknowledged once, on a channel that lives on."""
    slow = asyncio.Event()
    done = 0

    async def receive(delivery: Delivery) -> Fate:
        nonlocal done
        if delivery.message_id == "m-0":
            await slow.wait()
        done += 1
        return DONE

    async with consuming(rabbit.consumer(INITIATED, 50, receive)):
        for n in range(400):
            await rabbit.broker.publish(
                "payments", "payment.initiated", b"{}", content_type="x", message_id=f"m-{n}"
            )
        await eventually(lambda: done == 399)
        slow.set()
        await eventually(lambda: done == 400)
    assert (0, 400) == (await rabbit.ready(INITIATED), done)
