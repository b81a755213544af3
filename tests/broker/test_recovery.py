"""A broker that is killed, restarted, frozen or cuts connections."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from payonce.adapters.clock import SystemClock
from payonce.adapters.rabbitmq.broker import RabbitBroker
from payonce.adapters.rabbitmq.declare import delete_queue
from payonce.adapters.rabbitmq.topology import Topology
from payonce.domain.errors import Unavailable, Unroutable
from payonce.domain.messages import PollDue
from payonce.ports.bus import DONE, Delivery, Fate
from tests.broker.rigs import TOPOLOGY, RabbitRig, consuming
from tests.support.servers import Servers
from tests.support.waiting import eventually

POLL = PollDue("p-1", "o-1", "mock", 1999, "CNY", 0, 1_700_000_000_123, 1_700_007_200_000)
INITIATED = "payonce.initiated"


@pytest.fixture
async def mortal(servers: Servers) -> AsyncIterator[Servers]:
    """Servers whose broker may be killed; it lives again afterwards."""
    yield servers
    if servers.rabbitmq.mark is None:
        await asyncio.to_thread(servers.rabbitmq.start)


def cut_connections(servers: Servers, purpose: str) -> int:
    """Have the broker close connections by the purpose in their name; return how many."""
    listed = servers.rabbitmq.ctl("list_connections", "pid", "client_properties", "--silent")
    pids = [line.split("\t")[0] for line in listed.splitlines() if f"payonce {purpose}" in line]
    for pid in pids:
        servers.rabbitmq.ctl("close_connection", pid, "test")
    return len(pids)


async def send(rig: RabbitRig, name: str) -> None:
    """Publish until it is confirmed, as a sender does that is unsure."""
    while True:
        try:
            await rig.broker.publish(
                "payments", "payment.initiated", name.encode(), content_type="x", message_id=name
            )
        except Unavailable:
            continue
        return


async def test_consumer_comes_back_and_gets_again_what_it_held(
    rabbit: RabbitRig, servers: Servers
) -> None:
    """A cut connection: unacknowledged messages come again, late acks harm nobody."""
    gate = asyncio.Event()
    got: Counter[bytes] = Counter()

    async def receive(delivery: Delivery) -> Fate:
        got[delivery.body] += 1
        await gate.wait()
        return DONE

    async with consuming(rabbit.consumer(INITIATED, 20, receive)) as consumer:
        for n in range(20):
            await send(rabbit, f"m-{n}")
        await eventually(lambda: len(got) == 20)
        assert 1 == await asyncio.to_thread(cut_connections, servers, "consuming")
        await eventually(lambda: sum(got.values()) == 40, timeout_s=20)
        gate.set()
        await eventually(lambda: consumer.in_hand == 0)
    assert ([2] * 20, 0) == (list(got.values()), await rabbit.ready(INITIATED))


async def test_messages_of_a_dead_channel_stop_trying(rabbit: RabbitRig, servers: Servers) -> None:
    """What waits for a server when its channel dies is left to the redelivery."""
    away = True
    again: set[bytes] = set()

    async def receive(delivery: Delivery) -> Fate:
        if delivery.delivery_count:
            again.add(delivery.body)
        if away:
            raise Unavailable("postgres", "gone")
        return DONE

    async with consuming(rabbit.consumer(INITIATED, 20, receive)) as consumer:
        for n in range(20):
            await send(rabbit, f"m-{n}")
        await eventually(lambda: consumer.in_hand == 20)
        assert 1 == await asyncio.to_thread(cut_connections, servers, "consuming")
        await eventually(lambda: len(again) == 20, timeout_s=20, what="redelivered")
        await eventually(lambda: consumer.in_hand == 20, timeout_s=20, what="old tasks end")
        away = False
        await eventually(lambda: consumer.in_hand == 0, timeout_s=20)
    assert (0, []) == (await rabbit.ready(INITIATED), await rabbit.parked())


async def test_publisher_comes_back(rabbit: RabbitRig, servers: Servers) -> None:
    """A cut connection: what was unconfirmed is told, the next publishes go through."""
    assert 1 == await asyncio.to_thread(cut_connections, servers, "publishing")
    await asyncio.gather(*(send(rabbit, f"m-{n}") for n in range(50)))
    assert 50 <= await rabbit.ready(INITIATED)


async def test_lost_connection_is_counted(servers: Servers, amqp_url: str) -> None:
    """Once; what works, what finds no queue, and our own good-bye are not counted."""
    counted: list[str] = []
    broker = RabbitBroker(amqp_url, TOPOLOGY, SystemClock(), on_away=counted.append)
    running = asyncio.create_task(broker.run())
    await eventually(broker.connected)
    await broker.timer.poll_after(0, POLL)
    with pytest.raises(Unroutable):
        await broker.publish("payments", "nobody", b"", content_type="x", message_id="m-1")
    assert [] == counted
    assert 1 == await asyncio.to_thread(cut_connections, servers, "consuming")
    await eventually(lambda: counted)
    await eventually(broker.connected)
    await broker.close(5)
    await running
    assert ["rabbitmq"] == counted


async def test_killed_broker_loses_nothing(rabbit: RabbitRig, mortal: Servers) -> None:
    """Killed in the middle: every confirmed message comes, also those on a delay queue."""
    got: set[bytes] = set()
    polls = 0

    async def receive(delivery: Delivery) -> Fate:
        got.add(delivery.body)
        return DONE

    async def receive_poll(_delivery: Delivery) -> Fate:
        nonlocal polls
        polls += 1
        return DONE

    initiated = rabbit.consumer(INITIATED, 50, receive)
    due = rabbit.consumer("payonce.poll", 50, receive_poll)
    async with consuming(initiated), consuming(due):
        await asyncio.gather(*(rabbit.timer.poll_after(300, POLL) for _ in range(100)))
        sending = [asyncio.create_task(send(rabbit, f"m-{n}")) for n in range(500)]
        await eventually(lambda: got)
        await asyncio.to_thread(mortal.rabbitmq.kill)
        await eventually(lambda: not rabbit.broker.connected())
        await asyncio.to_thread(mortal.rabbitmq.start)
        await eventually(lambda: all(task.done() for task in sending), timeout_s=60)
        await eventually(lambda: len(got) == 500, timeout_s=60)
        await eventually(lambda: polls >= 100, timeout_s=60)
    assert {f"m-{n}".encode() for n in range(500)} == got


async def test_lost_topology_is_declared_again(rabbit: RabbitRig, mortal: Servers) -> None:
    """A broker that comes back empty gets its queues before anything is consumed."""
    got: list[Delivery] = []

    async def receive(delivery: Delivery) -> Fate:
        got.append(delivery)
        return DONE

    vhost = rabbit.url.rpartition("/")[2]
    async with consuming(rabbit.broker.consumer(INITIATED, 50, receive)) as consumer:
        session = consumer._session
        await asyncio.to_thread(mortal.rabbitmq.fresh_vhost, vhost)
        await eventually(lambda: consumer._session is not session and consumer.consuming(), 60)
        await send(rabbit, "m-1")
        assert await eventually(lambda: got)


async def test_nothing_is_consumed_before_all_is_declared_again(rabbit: RabbitRig) -> None:
    """A declaration that broke off between queue and binding is made again, not forgotten."""
    whole, halves = rabbit.broker.declare, 0
    (queue,) = [one for one in TOPOLOGY.queues if one.name == INITIATED]
    got: list[bytes] = []

    async def receive(delivery: Delivery) -> Fate:
        got.append(delivery.body)
        return DONE

    async def half_twice() -> None:
        nonlocal halves
        halves += 1
        if halves > 2:
            await whole()
            return
        await rabbit.declare(Topology((), (queue,), ()))
        raise Unavailable("rabbitmq", "timed out")

    async def has_come() -> bool:
        with suppress(Unroutable):
            await send(rabbit, "late")
        return bool(got)

    rabbit.broker._consuming._prepare = half_twice
    async with consuming(rabbit.consumer(INITIATED, 10, receive)):
        await delete_queue(rabbit.url, INITIATED)
        await eventually(has_come, 30)
    assert halves >= 3
