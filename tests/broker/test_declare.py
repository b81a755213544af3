"""The topology on a real broker, and a ladder that changes."""

import asyncio
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest

from payonce.adapters.clock import SystemClock
from payonce.adapters.rabbitmq import declare as module
from payonce.adapters.rabbitmq.broker import RabbitBroker
from payonce.adapters.rabbitmq.declare import (
    RetiredDelay,
    declare,
    delete_drained,
    is_empty,
    plain_channel,
    queue_depths,
    unbind_delay,
)
from payonce.adapters.rabbitmq.management import Management
from payonce.adapters.rabbitmq.topology import (
    Queue,
    Topology,
    payonce_topology,
    service_topology,
)
from payonce.domain.errors import BrokerConflict, Unavailable
from payonce.domain.messages import PollDue
from payonce.ports.bus import DONE, Delivery, Fate, WorkQueue
from tests.broker.rigs import consuming, soon
from tests.support.depths import ready_messages
from tests.support.servers import Servers
from tests.support.waiting import eventually

NOW = datetime(2026, 1, 31, tzinfo=UTC)
POLL = PollDue("p-1", "o-1", "mock", 1999, "CNY", 0, 1_700_000_000_123, 1_700_007_200_000)


async def test_declaring_again_changes_nothing(amqp_url: str) -> None:
    """Order consumers and payonce declare in any order, as often as they like."""
    ours, theirs = payonce_topology({WorkQueue.POLL: [50]}), service_topology("shop", [50])
    for topology in (theirs, ours, theirs, ours):
        await declare(amqp_url, topology)
    depths = await queue_depths(amqp_url, [*ours.queue_names(), *theirs.queue_names(), "none"])
    assert {"none": None} == {name: depth for name, depth in depths.items() if depth != 0}


async def test_several_declare_at_once(amqp_url: str) -> None:
    """Workers that start together do not trip over each other."""
    topology = payonce_topology({WorkQueue.POLL: [50]})
    await asyncio.gather(*(declare(amqp_url, topology) for _ in range(4)))
    assert 0 == await ready_messages(amqp_url, "payonce.poll")


async def test_other_arguments_are_a_conflict_by_name(amqp_url: str) -> None:
    """A queue that is there otherwise stops the start, with its name and what to do."""
    foreign = Queue("payonce.poll", {"x-queue-type": "classic"})
    await declare(amqp_url, Topology((), (foreign,), ()))
    with pytest.raises(BrokerConflict, match="delete it, and start again") as caught:
        await declare(amqp_url, payonce_topology({}))
    assert "payonce.poll" == caught.value.name


async def test_conflict_ends_the_broker(amqp_url: str) -> None:
    """A running daemon ends with the conflict; it does not try for ever."""
    foreign = Queue("payonce.poll", {"x-queue-type": "classic"})
    await declare(amqp_url, Topology((), (foreign,), ()))
    broker = RabbitBroker(amqp_url, payonce_topology({}), SystemClock())
    with pytest.raises(BrokerConflict):
        await broker.run()
    await broker.close(1)


async def test_unreachable_server_is_named_without_its_password() -> None:
    """The error says where, not with which password."""
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1/") as caught:
        await declare("amqp://user:hush@127.0.0.1:1/", payonce_topology({}))
    assert "hush" not in str(caught.value)


async def test_wrong_password_is_named_without_it(amqp_url: str) -> None:
    """A refused login is an unavailable server, and the password stays out of it."""
    with pytest.raises(Unavailable) as caught:
        await declare(amqp_url.replace("guest:guest", "guest:hush"), payonce_topology({}))
    assert "hush" not in str(caught.value)


async def test_ladder_changes_without_loss(amqp_url: str) -> None:
    """What waits on an old rung comes due as ever; its queue goes once it is empty for sure."""
    got: list[Delivery] = []

    async def receive(delivery: Delivery) -> Fate:
        got.append(delivery)
        return DONE

    before = RabbitBroker(amqp_url, payonce_topology({WorkQueue.POLL: [700]}), SystemClock())
    running = asyncio.create_task(before.run())
    await eventually(before.connected)
    await asyncio.gather(*(before.timer.poll_after(700, POLL) for _ in range(50)))
    await before.close(5)
    await running

    await unbind_delay(amqp_url, "poll", 700)
    after = RabbitBroker(amqp_url, payonce_topology({WorkQueue.POLL: [50]}), SystemClock())
    running = asyncio.create_task(after.run())
    await eventually(after.connected)
    with pytest.raises(Unavailable, match="700"):
        await after.timer.poll_after(700, POLL)
    retired = RetiredDelay("poll", 700, NOW)
    assert [] == await delete_drained(amqp_url, [retired], NOW + timedelta(minutes=10))
    async with consuming(after.consumer("payonce.poll", 100, receive)):
        await after.timer.poll_after(50, POLL)
        await eventually(lambda: len(got) == 51)
    late = NOW + timedelta(minutes=10, seconds=1)
    assert [retired] == await delete_drained(amqp_url, [retired], late)
    assert await ready_messages(amqp_url, "payonce.delay.poll.700") is None
    await after.close(5)
    await running


async def test_retired_queue_with_messages_stays(amqp_url: str) -> None:
    """However long ago a wait was retired, a queue that still holds messages is not deleted."""
    await declare(amqp_url, payonce_topology({WorkQueue.POLL: [60_000]}))
    broker = RabbitBroker(amqp_url, payonce_topology({WorkQueue.POLL: [60_000]}), SystemClock())
    running = asyncio.create_task(broker.run())
    await eventually(broker.connected)
    await broker.timer.poll_after(60_000, POLL)
    retired = RetiredDelay("poll", 60_000, NOW)
    assert [] == await delete_drained(amqp_url, [retired], NOW + timedelta(days=9))
    await broker.close(5)
    await running


async def test_retired_queue_of_a_slow_leader_stays(
    amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RabbitMQ declares it with 0 messages then; it is asked for one before it is deleted."""
    await declare(amqp_url, payonce_topology({WorkQueue.POLL: [60_000]}))
    async with plain_channel(amqp_url) as channel:
        await channel.basic_publish(
            b"{}", exchange="payonce.delay", routing_key="60000.poll", mandatory=True
        )

    async def slow(_url: str, names: Iterable[str]) -> dict[str, int | None]:
        return dict.fromkeys(names, 0)

    monkeypatch.setattr(module, "queue_depths", slow)
    retired = [RetiredDelay("poll", 60_000, NOW), RetiredDelay("poll", 50, NOW)]
    gone = await delete_drained(amqp_url, retired, NOW + timedelta(days=9))
    assert retired[1:] == gone
    assert await is_empty(amqp_url, "payonce.delay.poll.50")
    assert not await is_empty(amqp_url, "payonce.delay.poll.60000")


async def test_unbinding_twice_or_nothing_is_fine(amqp_url: str) -> None:
    """A start that was cut short is repeated."""
    await declare(amqp_url, payonce_topology({WorkQueue.POLL: [50]}))
    for wait_ms in (50, 50, 51):
        await unbind_delay(amqp_url, "poll", wait_ms)
    assert 0 == await ready_messages(amqp_url, "payonce.delay.poll.50")


@pytest.mark.parametrize(
    ("messages", "age", "gone"), [(0, 61, True), (1, 61, False), (None, 61, True), (0, 59, False)]
)
async def test_management_tells_sooner(
    amqp_url: str, messages: int | None, age: int, gone: bool
) -> None:
    """With the API's count of all messages a drained queue goes after a minute."""
    await declare(amqp_url, payonce_topology({WorkQueue.POLL: [50]}))

    async def count(queue: str) -> int | None:
        assert "payonce.delay.poll.50" == queue
        return messages

    retired = RetiredDelay("poll", 50, NOW)
    done = await delete_drained(amqp_url, [retired], NOW + timedelta(seconds=age), count)
    assert gone is (done == [retired])
    assert gone is (await ready_messages(amqp_url, "payonce.delay.poll.50") is None)


async def test_management_counts_messages(servers: Servers, amqp_url: str) -> None:
    """The API tells of every queue of the virtual host, and of a missing one that it is none."""
    await declare(amqp_url, payonce_topology({WorkQueue.POLL: [50]}))
    management = Management(servers.rabbitmq.management_url, amqp_url)
    counts = await management.counts()
    assert set(payonce_topology({WorkQueue.POLL: [50]}).queue_names()) == {
        one.name for one in counts
    }
    assert [0] * len(counts) == [one.stuck for one in counts]
    assert await management.messages("none") is None

    async def known() -> bool:
        try:
            return await management.messages("payonce.poll") == 0
        except Unavailable:
            return False

    await soon(known, timeout_s=20)


async def test_management_that_is_away_is_named(amqp_url: str) -> None:
    """The error names the API without its password."""
    management = Management("http://user:hush@127.0.0.1:1", amqp_url)
    with pytest.raises(Unavailable, match=r"127\.0\.0\.1:1") as caught:
        await management.counts()
    assert "hush" not in str(caught.value)
