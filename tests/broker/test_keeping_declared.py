"""What others take from the broker without a word to anybody comes back by itself."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from payonce.adapters.clock import SystemClock
from payonce.adapters.rabbitmq.broker import RabbitBroker
from payonce.adapters.rabbitmq.declare import delete_queue, plain_channel, queue_depths
from payonce.adapters.rabbitmq.pulse import Depth, Depths, Pulse, Pulses, forsaken, looked_at
from payonce.adapters.rabbitmq.topology import UNROUTED
from payonce.domain.errors import Unavailable, Unroutable
from payonce.ports.bus import DONE, Delivery, Fate, Receiver
from tests.broker.rigs import TOPOLOGY, consuming
from tests.support.waiting import eventually

CHECK_EVERY_S = 0.2
INITIATED = "payonce.initiated"
POLL = "payonce.poll"
DELAY = "payonce.delay.poll.300"


@pytest.fixture
async def broker(amqp_url: str) -> AsyncIterator[RabbitBroker]:
    """One process's, which looks often."""
    broker = RabbitBroker(amqp_url, TOPOLOGY, SystemClock(), check_every_s=CHECK_EVERY_S)
    running = asyncio.create_task(broker.run())
    await eventually(broker.connected, 30)
    yield broker
    await broker.close(5)
    await running


@pytest.mark.parametrize("name", [UNROUTED, DELAY])
async def test_a_queue_that_nobody_consumes_comes_back(
    broker: RabbitBroker, amqp_url: str, name: str
) -> None:
    """Else what is undeliverable would block a delay queue for good."""
    await delete_queue(amqp_url, name)
    await eventually(lambda: _is_there(amqp_url, name), 30)
    assert broker.connected()


async def test_a_binding_that_is_gone_comes_back(broker: RabbitBroker, amqp_url: str) -> None:
    """The queue is there and consumed, and nothing would ever come."""
    got: list[bytes] = []
    async with consuming(broker.consumer(INITIATED, 10, _noting(got))):
        async with plain_channel(amqp_url) as channel:
            await channel.queue_unbind(INITIATED, "payments", "payment.initiated")
        await eventually(lambda: _sent_and_got(broker, got), 30)
    assert got


async def test_a_consumer_that_the_broker_has_forgotten_begins_anew(broker: RabbitBroker) -> None:
    """Nobody said so: here by a cancellation behind the consumer's back."""
    got: list[bytes] = []
    consumer = broker.consumer(INITIATED, 10, _noting(got))
    async with consuming(consumer):
        session = consumer._session
        assert session is not None
        await session.channel.rare.basic_cancel(session.consumer_tag)
        await eventually(lambda: _sent_and_got(broker, got), 30)
        assert consumer._session is not session


async def test_a_consumer_whose_deliveries_are_lost_begins_anew(broker: RabbitBroker) -> None:
    """Messages wait, its hands are empty, and nothing comes: what was sent to it comes again."""
    got: list[bytes] = []
    consumer = broker.consumer(INITIATED, 1, _noting(got))
    async with consuming(consumer):
        session = consumer._session
        assert session is not None
        session.channel.on_received = lambda _: None
        for name in (b"1", b"2", b"3"):
            await broker.publish(
                "payments", "payment.initiated", name, content_type="x", message_id=name.decode()
            )
        await eventually(lambda: {b"1", b"2", b"3"} <= set(got))
    assert {b"1", b"2", b"3"} == set(got)


async def test_where_one_queue_was_deleted_all_consumers_begin_anew(
    broker: RabbitBroker, amqp_url: str
) -> None:
    """Others may have been deleted too, and declared again before their consumers were told."""
    other, deleted = (broker.consumer(queue, 1, _noting([])) for queue in (INITIATED, POLL))
    async with consuming(other), consuming(deleted):
        sessions = (other._session, deleted._session)
        await eventually(lambda: _both_beat(broker), 30)
        await delete_queue(amqp_url, POLL)
        await eventually(lambda: other._session is not sessions[0], 30)
        await eventually(lambda: deleted._session is not sessions[1])
        assert await eventually(lambda: other.consuming() and deleted.consuming())


async def test_a_look_that_failed_forgets_nothing(
    broker: RabbitBroker, amqp_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The queues were deleted just then: the next look knows how it was before."""
    other, deleted = (broker.consumer(queue, 1, _noting([])) for queue in (INITIATED, POLL))
    async with consuming(other), consuming(deleted):
        session = other._session
        await eventually(lambda: _both_beat(broker), 30)
        looks = []

        async def fail() -> Depths:
            looks.append(1)
            raise Unavailable("rabbitmq", "slow")

        with monkeypatch.context() as patched:
            patched.setattr(broker, "declare", fail)
            await eventually(lambda: len(looks) > 1, 30)
            await delete_queue(amqp_url, POLL)
        await eventually(lambda: other._session is not session, 30)
        assert broker.connected()


async def test_who_ends_by_choice_is_no_sign_of_trouble(broker: RabbitBroker) -> None:
    """Consumers are drained one after the other: the others go on as they were."""
    other, drained = (broker.consumer(queue, 1, _noting([])) for queue in (INITIATED, POLL))
    async with consuming(other), consuming(drained):
        session = other._session
        await eventually(lambda: _both_beat(broker), 30)
        await drained.drain(5)
        await eventually(lambda: broker._pulses.keys() == {INITIATED}, 30)
        seen = broker._pulses
        await eventually(lambda: broker._pulses is not seen, 30)
        assert other._session is session


HOME, UNSEEN = Pulse(1, 7, 0), Pulse(1, 7, 0, unseen=True)


@pytest.mark.parametrize(
    ("before", "now", "depth", "expected"),
    [
        ({"a": HOME}, {"a": HOME}, Depth(0, 2), set()),
        ({"a": HOME}, {"a": HOME}, Depth(0, 0), set()),
        ({"a": UNSEEN}, {"a": HOME}, Depth(0, 0), {"a"}),
        ({"a": UNSEEN}, {"a": Pulse(1, 8, 0)}, Depth(0, 0), set()),
        ({"a": UNSEEN}, {"a": Pulse(1, 7, 3)}, Depth(0, 0), set()),
        ({"a": HOME}, {"a": HOME}, Depth(5, 0), {"a"}),
        ({"a": HOME}, {"a": HOME}, Depth(5, 2), {"a"}),
        ({"a": HOME}, {"a": Pulse(1, 8, 0)}, Depth(5, 2), set()),
        ({"a": HOME}, {"a": Pulse(1, 7, 3)}, Depth(5, 2), set()),
        ({"a": HOME}, {"a": Pulse(2, 0, 0)}, Depth(5, 2), {"a"}),
        ({}, {"a": HOME}, Depth(5, 0), set()),
        ({"a": None}, {"a": HOME}, Depth(5, 0), set()),
        ({"a": HOME}, {"a": None}, Depth(5, 0), set()),
        ({"a": HOME, "b": HOME}, {"a": HOME, "b": Pulse(2, 0, 0)}, Depth(0, 2), {"a", "b"}),
        ({"a": HOME, "b": HOME}, {"a": HOME, "b": None}, Depth(0, 2), {"a"}),
        ({"a": HOME, "b": None}, {"a": HOME, "b": Pulse(2, 0, 0)}, Depth(0, 2), set()),
        ({"a": HOME, "b": HOME}, {"a": HOME}, Depth(0, 2), set()),
    ],
)
def test_who_is_forsaken(before: Pulses, now: Pulses, depth: Depth, expected: set[str]) -> None:
    """Whom the broker has forgotten, who gets nothing of what waits, who may have been deleted."""
    assert expected == forsaken(before, now, {"a": depth, "b": depth})


def test_a_look_remembers_of_whom_the_broker_spoke() -> None:
    """No consumer and no message: it may be a slow leader, so the next look decides."""
    depths = {"a": Depth(0, 0), "b": Depth(0, 1), "c": Depth(0, 0)}
    seen = looked_at({"a": HOME, "b": HOME, "c": None}, depths)
    assert {"a": UNSEEN, "b": HOME, "c": None} == seen


def _both_beat(broker: RabbitBroker) -> bool:
    """Say whether the latest look saw both consumers at work: only then the next can compare."""
    return len([pulse for pulse in broker._pulses.values() if pulse]) == 2


async def _is_there(url: str, name: str) -> bool:
    try:
        return (await queue_depths(url, [name]))[name] is not None
    except Unavailable:
        return False


def _noting(got: list[bytes]) -> Receiver:
    async def receive(delivery: Delivery) -> Fate:
        got.append(delivery.body)
        return DONE

    return receive


async def _sent_and_got(broker: RabbitBroker, got: list[bytes]) -> bool:
    """Publish one, which is returned where nothing is bound; say whether any has come."""
    try:
        await broker.publish(
            "payments", "payment.initiated", b"late", content_type="x", message_id="late"
        )
    except (Unavailable, Unroutable):
        return False
    return bool(got)
