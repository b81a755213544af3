"""What handlers may rely on, whichever bus it is."""

import asyncio
import time
from datetime import UTC, datetime

import pytest

from payonce.adapters.codec import decode_close, decode_notify, decode_poll
from payonce.adapters.rabbitmq.topology import (
    PAYMENTS,
    Binding,
    Queue,
    Topology,
)
from payonce.domain.errors import InvalidField, Unavailable, Unroutable
from payonce.domain.events import Event, EventType, make_event
from payonce.domain.messages import CloseDue, NotifyDue, PollDue
from payonce.ports.bus import DONE, Delivery, Fate, Park
from tests.broker.rigs import Rig, consuming, soon
from tests.support.waiting import eventually

POLL = PollDue("p-1", "o-1", "mock", 1999, "CNY", 0, 1_700_000_000_123, 1_700_007_200_000)
CLOSE = CloseDue("p-1", "o-1", "mock", 1999, "CNY", "order-paid")
SHOP = Topology(
    (),
    (Queue("shop", {"x-queue-type": "quorum"}),),
    (Binding(PAYMENTS, "shop", "payment.#"),),
)
INITIATED = "payonce.initiated"


def success(order_id: str = "o-1") -> Event:
    """Return the event of a paid order."""
    at = datetime(2026, 1, 31, 8, tzinfo=UTC)
    return make_event(EventType.PAYMENT_SUCCEEDED, order_id, order_id, at, {"amount": 1}, None)


class Recorder:
    """A receiver that keeps what it got."""

    def __init__(self, fate: Fate = DONE) -> None:
        self.got: list[Delivery] = []
        self.fate = fate

    async def __call__(self, delivery: Delivery) -> Fate:
        """Keep a delivery."""
        self.got.append(delivery)
        return self.fate


async def test_poll_comes_at_once(rig: Rig) -> None:
    """A wait of 0 delivers the poll without a delay queue."""
    receive = Recorder()
    async with consuming(rig.consumer("payonce.poll", 10, receive)):
        await rig.timer.poll_after(0, POLL)
        await eventually(lambda: receive.got)
    assert POLL == decode_poll(receive.got[0].body)


async def test_poll_comes_after_its_wait(rig: Rig) -> None:
    """A poll comes when its wait has passed, not before, and once."""
    receive = Recorder()
    async with consuming(rig.consumer("payonce.poll", 10, receive)):
        began = time.monotonic()
        await rig.timer.poll_after(300, POLL)
        await eventually(lambda: receive.got)
        assert 0.29 <= time.monotonic() - began
    assert [POLL] == [decode_poll(one.body) for one in receive.got]


async def test_a_short_wait_overtakes_a_long_one(rig: Rig) -> None:
    """Waits of different length do not block each other."""
    receive = Recorder()
    async with consuming(rig.consumer("payonce.poll", 10, receive)):
        await asyncio.gather(rig.timer.poll_after(300, POLL), rig.timer.poll_after(50, CLOSE_TWIN))
        await eventually(lambda: len(receive.got) == 2)
    assert ["p-2", "p-1"] == [decode_poll(one.body).payment_id for one in receive.got]


CLOSE_TWIN = PollDue("p-2", "o-2", "mock", 1, "CNY", 0, 1_700_000_000_123, 1_700_007_200_000)


@pytest.mark.parametrize("wait_ms", [0, 50])
async def test_close_comes(rig: Rig, wait_ms: int) -> None:
    """Closes have their own queue and waits."""
    receive = Recorder()
    async with consuming(rig.consumer("payonce.close", 10, receive)):
        await rig.timer.close_after(wait_ms, CLOSE)
        await eventually(lambda: receive.got)
    assert CLOSE == decode_close(receive.got[0].body)


@pytest.mark.parametrize("wait_ms", [0, 50])
async def test_notice_comes(rig: Rig, wait_ms: int) -> None:
    """Calls to the order service have their own queue and waits."""
    notice = NotifyDue("o-1", "p-1")
    receive = Recorder()
    async with consuming(rig.consumer("payonce.notify", 10, receive)):
        await rig.timer.notify_after(wait_ms, notice)
        await eventually(lambda: receive.got)
    assert notice == decode_notify(receive.got[0].body)


async def test_undeclared_wait_is_refused(rig: Rig) -> None:
    """A wait without a queue is an error at once, not a poll that never comes."""
    with pytest.raises(Unavailable, match="123"):
        await rig.timer.poll_after(123, POLL)


async def test_event_reaches_who_listens(rig: Rig) -> None:
    """An event comes to every bound queue, with its id and content type."""
    await rig.declare(SHOP)
    receive = Recorder()
    async with consuming(rig.consumer("shop", 10, receive)):
        await rig.events.publish(success())
        await eventually(lambda: receive.got)
    got = receive.got[0]
    assert (success().event_id, "application/cloudevents+json", "payment.succeeded") == (
        got.message_id,
        got.content_type,
        got.routing_key,
    )


async def test_event_without_a_listener_is_unroutable(rig: Rig) -> None:
    """The publisher is told that nobody listens."""
    with pytest.raises(Unroutable) as caught:
        await rig.events.publish(success())
    assert ("payments", "payment.succeeded") == (
        caught.value.exchange,
        caught.value.routing_key,
    )


async def test_foreign_message_reaches_its_work_queue(rig: Rig) -> None:
    """What a shop publishes lies in payonce's queue, told with queue and time of receipt."""
    receive = Recorder()
    before = datetime.now(UTC)
    async with consuming(rig.consumer(INITIATED, 10, receive)):
        await rig.send(PAYMENTS, "payment.initiated", b"{}", {"x-mine": 7})
        await eventually(lambda: receive.got)
    got = receive.got[0]
    assert (INITIATED, b"{}", 7, 0) == (
        got.queue,
        got.body,
        got.headers["x-mine"],
        got.delivery_count,
    )
    assert before <= got.received_at <= datetime.now(UTC)


@pytest.mark.parametrize("size", [0, 1, 131_000, 300_000])
async def test_bodies_of_any_size_come_whole(rig: Rig, size: int) -> None:
    """Nothing is lost at the borders of frames."""
    receive = Recorder()
    body = bytes(n % 251 for n in range(size))
    async with consuming(rig.consumer(INITIATED, 10, receive)):
        await rig.send(PAYMENTS, "payment.initiated", body)
        await eventually(lambda: receive.got)
    assert body == receive.got[0].body


async def test_done_is_acknowledged(rig: Rig) -> None:
    """A finished message is gone."""
    receive = Recorder()
    async with consuming(rig.consumer(INITIATED, 10, receive)):
        await rig.send(PAYMENTS, "payment.initiated", b"{}")
        await eventually(lambda: receive.got)
    assert 0 == await rig.ready(INITIATED)


async def test_parked_message_is_kept_whole(rig: Rig) -> None:
    """A parked message keeps its body and says why and from where."""
    receive = Recorder(Park("conflict: amount"))
    async with consuming(rig.consumer(INITIATED, 10, receive)):
        await rig.send(PAYMENTS, "payment.initiated", b"\x00whole", {"x-mine": 7})
        await soon(rig.parked)
    assert [(INITIATED, "conflict: amount", b"\x00whole")] == await rig.parked()
    assert (0, 1) == (await rig.ready(INITIATED), len(receive.got))


async def test_invalid_field_parks(rig: Rig) -> None:
    """A receiver that finds a bad field parks by raising."""

    async def receive(_delivery: Delivery) -> Fate:
        raise InvalidField("amount", "is text", "an integer")

    async with consuming(rig.consumer(INITIATED, 10, receive)):
        await rig.send(PAYMENTS, "payment.initiated", b"{}")
        await soon(rig.parked)
    assert [(INITIATED, "amount: is text; allowed: an integer", b"{}")] == await rig.parked()


async def test_a_fault_parks_after_three_tries(rig: Rig) -> None:
    """An exception that nobody foresaw is tried three times, then put aside with its text."""
    calls = []

    async def receive(_delivery: Delivery) -> Fate:
        calls.append(1)
        raise KeyError("gone")

    async with consuming(rig.consumer(INITIATED, 10, receive)):
        await rig.send(PAYMENTS, "payment.initiated", b"{}")
        await soon(rig.parked)
    assert [(INITIATED, "error: KeyError: 'gone'", b"{}")] == await rig.parked()
    assert 3 == len(calls)


async def test_a_cancelled_future_inside_is_a_fault(rig: Rig) -> None:
    """A receiver that dies of somebody else's cancellation does not swallow its message."""

    async def receive(_delivery: Delivery) -> Fate:
        raise asyncio.CancelledError

    async with consuming(rig.consumer(INITIATED, 10, receive)):
        await rig.send(PAYMENTS, "payment.initiated", b"{}")
        await soon(rig.parked)
    assert [(INITIATED, "error: CancelledError: ", b"{}")] == await rig.parked()


async def test_a_server_away_parks_nothing(rig: Rig) -> None:
    """Messages stay in hand while a server is away, and are processed once it is back."""
    away = True
    calls = 0
    done: set[bytes] = set()

    async def receive(delivery: Delivery) -> Fate:
        nonlocal calls
        calls += 1
        if away:
            raise Unavailable("postgres", "gone")
        done.add(delivery.body)
        return DONE

    async with consuming(rig.consumer(INITIATED, 20, receive)) as consumer:
        for n in range(60):
            await rig.send(PAYMENTS, "payment.initiated", b"%d" % n)
        await eventually(lambda: calls >= 60)
        assert (20, []) == (consumer.in_hand, await rig.parked())
        away = False
        await eventually(lambda: len(done) == 60)
    assert (0, []) == (await rig.ready(INITIATED), await rig.parked())


async def test_prefetch_bounds_what_is_in_hand(rig: Rig) -> None:
    """No more than `prefetch` messages are worked on at once."""
    open_gate = asyncio.Event()
    most = 0

    async def receive(_delivery: Delivery) -> Fate:
        nonlocal most
        most = max(most, consumer.in_hand)
        await open_gate.wait()
        return DONE

    consumer = rig.consumer(INITIATED, 5, receive)
    async with consuming(consumer):
        for n in range(12):
            await rig.send(PAYMENTS, "payment.initiated", b"%d" % n)
        await eventually(lambda: most == 5)
        open_gate.set()
        await eventually(lambda: consumer.in_hand == 0)
    assert 5 == most


async def test_drain_finishes_all_in_hand(rig: Rig) -> None:
    """Fifty in hand, fifty finished and acknowledged; what was not taken stays."""
    open_gate = asyncio.Event()
    finished = 0

    async def receive(_delivery: Delivery) -> Fate:
        nonlocal finished
        await open_gate.wait()
        finished += 1
        return DONE

    consumer = rig.consumer(INITIATED, 50, receive)
    running = asyncio.create_task(consumer.run())
    for n in range(60):
        await rig.send(PAYMENTS, "payment.initiated", b"%d" % n)
    await eventually(lambda: consumer.in_hand == 50)
    draining = asyncio.create_task(consumer.drain(10))
    # Cancelled at the broker before anything is acknowledged: else it sends the next ten.
    await asyncio.wait([draining], timeout=0.5)
    open_gate.set()
    assert 0 == await draining
    await running
    assert (50, 10) == (finished, await rig.ready(INITIATED))


async def test_drain_gives_back_what_it_cannot_finish(rig: Rig) -> None:
    """A message that outlives the drain comes again, to somebody else."""

    async def receive(_delivery: Delivery) -> Fate:
        await asyncio.Event().wait()
        return DONE

    consumer = rig.consumer(INITIATED, 5, receive)
    running = asyncio.create_task(consumer.run())
    await rig.send(PAYMENTS, "payment.initiated", b"{}")
    await eventually(lambda: consumer.in_hand == 1)
    assert 1 == await consumer.drain(0.05)
    await running
    again = Recorder()
    async with consuming(rig.consumer(INITIATED, 5, again)):
        await eventually(lambda: again.got)
    assert 1 == again.got[0].delivery_count


async def test_unrouted_due_message_is_kept(rig: Rig) -> None:
    """What comes due for nobody is kept for a person."""
    await rig.send("payonce.due", "0.nobody", b"{}")
    assert 1 == await soon(lambda: rig.ready("payonce.unrouted"))
