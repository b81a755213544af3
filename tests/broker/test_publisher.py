"""Publishing on a real broker: confirmed, returned, refused, late, away."""

import asyncio
from contextlib import suppress

import pytest

from payonce.adapters.clock import SystemClock
from payonce.adapters.rabbitmq import publisher as publishing
from payonce.adapters.rabbitmq.broker import RabbitBroker
from payonce.adapters.rabbitmq.declare import declare, delete_queue, plain_channel
from payonce.adapters.rabbitmq.topology import Binding, Exchange, Queue, Topology
from payonce.domain.errors import Unavailable, Unroutable
from payonce.domain.messages import PollDue
from payonce.ports.bus import DONE, Delivery, Fate
from tests.broker.rigs import TOPOLOGY, RabbitRig, consuming, soon
from tests.support.servers import Servers
from tests.support.waiting import eventually

POLL = PollDue("p-1", "o-1", "mock", 1999, "CNY", 0, 1_700_000_000_123, 1_700_007_200_000)
ODD = Exchange("odd", "direct")


async def send(rig: RabbitRig, exchange: str, key: str, message_id: str = "m-1") -> str:
    """Publish and return in a word what came of it."""
    try:
        await rig.broker.publish(
            exchange, key, b"{}", content_type="application/json", message_id=message_id
        )
    except Unroutable:
        return "returned"
    except Unavailable:
        return "unavailable"
    return "confirmed"


async def test_returns_find_their_publish_among_equal_ids(rabbit: RabbitRig) -> None:
    """Of many publishes in flight with one message id, those without a queue are told so."""
    keys = ["payment.initiated" if n % 3 else "payment.nobody" for n in range(600)]
    outcomes = await asyncio.gather(*(send(rabbit, "payments", key) for key in keys))
    expected = ["confirmed" if n % 3 else "returned" for n in range(600)]
    assert expected == list(outcomes)
    assert 400 == await soon(lambda: rabbit.ready("payonce.initiated"))


async def test_more_than_the_window_waits(
    rabbit: RabbitRig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many publish at once, all are confirmed within the bound of what is in flight."""
    monkeypatch.setattr(publishing, "MAX_UNCONFIRMED", 50)
    await asyncio.gather(*(rabbit.timer.poll_after(0, POLL) for _ in range(500)))
    assert 500 == await soon(lambda: rabbit.ready("payonce.poll"))


async def test_refused_publish_is_unavailable(rabbit: RabbitRig) -> None:
    """A broker that nacks has not taken the message."""
    full = {"x-max-length": 1, "x-overflow": "reject-publish"}
    await declare(
        rabbit.url, Topology((ODD,), (Queue("full", full),), (Binding("odd", "full", "k"),))
    )
    outcomes = [await send(rabbit, "odd", "k") for _ in range(3)]
    assert ["confirmed", "unavailable", "unavailable"] == outcomes


async def test_missing_exchange_harms_only_its_publish(rabbit: RabbitRig) -> None:
    """A channel that the broker closes is opened again."""
    assert "unavailable" == await send(rabbit, "no-such-exchange", "k")
    assert "confirmed" == await send(rabbit, "payments", "payment.initiated")


async def test_deleted_delay_queue_is_declared_again(rabbit: RabbitRig) -> None:
    """A rung that somebody deleted is put back when it is needed."""
    await delete_queue(rabbit.url, "payonce.delay.poll.50")
    await rabbit.timer.poll_after(50, POLL)
    assert 1 == await soon(lambda: rabbit.ready("payonce.poll"))


async def test_deleted_exchange_is_declared_again(rabbit: RabbitRig) -> None:
    """An exchange that somebody deleted is put back with the next channel."""
    async with plain_channel(rabbit.url) as channel:
        await channel.exchange_delete("payments")
    await send(rabbit, "payments", "payment.initiated")

    async def confirmed() -> bool:
        return await send(rabbit, "payments", "payment.initiated") == "confirmed"

    assert await soon(confirmed)


async def test_silent_broker_is_unavailable_in_time(servers: Servers, amqp_url: str) -> None:
    """A frozen broker confirms nothing: the publish ends within its time-out; thawed, it works."""
    broker = RabbitBroker(amqp_url, TOPOLOGY, SystemClock(), confirm_timeout_s=0.5)
    running = asyncio.create_task(broker.run())
    await eventually(broker.connected)
    servers.rabbitmq.pause()
    try:
        async with asyncio.timeout(10):
            with pytest.raises(Unavailable, match="no confirm within"):
                await broker.timer.poll_after(0, POLL)
    finally:
        servers.rabbitmq.resume()

    async def works() -> bool:
        with suppress(Unavailable):
            await broker.timer.poll_after(0, POLL)
            return True
        return False

    await eventually(works)
    await broker.close(5)
    await running


async def test_memory_alarm_blocks_publishing_not_acks(rabbit: RabbitRig, servers: Servers) -> None:
    """A broker short of memory takes no publish, but what is in hand is acknowledged."""
    gate = asyncio.Event()
    done: list[Delivery] = []

    async def receive(delivery: Delivery) -> Fate:
        await gate.wait()
        done.append(delivery)
        return DONE

    async with consuming(rabbit.consumer("payonce.initiated", 10, receive)) as consumer:
        for n in range(10):
            assert "confirmed" == await send(rabbit, "payments", "payment.initiated", f"m-{n}")
        await eventually(lambda: consumer.in_hand == 10)
        limit = ("set_vm_memory_high_watermark",)
        await asyncio.to_thread(servers.rabbitmq.ctl, *limit, "0")
        try:
            assert "unavailable" == await send(rabbit, "payments", "payment.initiated")
            gate.set()
            await eventually(lambda: len(done) == 10)
            await soon(lambda: _unacked(servers, rabbit))
        finally:
            await asyncio.to_thread(servers.rabbitmq.ctl, *limit, "0.4")
        assert "confirmed" == await send(rabbit, "payments", "payment.initiated")


async def _unacked(servers: Servers, rig: RabbitRig) -> bool:
    vhost = rig.url.rpartition("/")[2]
    listed = await asyncio.to_thread(
        servers.rabbitmq.ctl, "list_queues", "-p", vhost, "name", "messages_unacknowledged"
    )
    return "payonce.initiated\t0" in listed


async def test_unreachable_broker_is_unavailable_in_time() -> None:
    """Without a connection a publish waits a bounded time and names the server."""
    url = "amqp://guest:hush@127.0.0.1:1/"
    broker = RabbitBroker(url, TOPOLOGY, SystemClock(), confirm_timeout_s=0.2)
    running = asyncio.create_task(broker.run())
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1/ is not connected") as caught:
        await broker.timer.poll_after(0, POLL)
    assert (False, False) == (broker.connected(), "hush" in str(caught.value))
    await broker.close(1)
    await running


async def test_each_failed_use_of_the_broker_is_counted() -> None:
    """Every failure to connect, by either connection, and every publish without a confirm."""
    counted: list[str] = []
    url = "amqp://127.0.0.1:1/"
    broker = RabbitBroker(
        url, TOPOLOGY, SystemClock(), confirm_timeout_s=0.01, on_away=counted.append
    )
    running = asyncio.create_task(broker.run())
    await eventually(lambda: len(counted) >= 2)
    before = len(counted)
    with pytest.raises(Unavailable):
        await broker.timer.poll_after(0, POLL)
    assert before < len(counted)
    assert {"rabbitmq"} == set(counted)
    await broker.close(1)
    await running


async def test_drain_waits_for_confirms(rabbit: RabbitRig) -> None:
    """What was sent before the end is confirmed before the end."""
    sending = [asyncio.create_task(rabbit.timer.poll_after(0, POLL)) for _ in range(300)]
    await asyncio.sleep(0)
    await rabbit.broker.close(5)
    assert [None] * 300 == await asyncio.gather(*sending)
