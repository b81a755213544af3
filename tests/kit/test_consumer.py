"""The order consumer on a real broker, fed by a foreign client."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from payonce.adapters.rabbitmq.declare import declare, delete_queue
from payonce.adapters.rabbitmq.parked import list_parked
from payonce.adapters.rabbitmq.topology import payonce_topology
from payonce.domain.errors import InvalidField
from payonce.kit import Handler, Ladder, OrderConsumer, OrderPaid
from payonce.ports.bus import WorkQueue
from tests.broker.rigs import soon
from tests.kit.shop import Shop
from tests.support.depths import ready_messages
from tests.support.waiting import eventually

LADDER = Ladder((50, 200))


@asynccontextmanager
async def running(consumer: OrderConsumer) -> AsyncIterator[None]:
    """Run an order consumer and stop it."""
    stop = asyncio.Event()
    task = asyncio.create_task(consumer.run(stop))
    await eventually(consumer.consuming)
    yield
    stop.set()
    await task


@pytest.fixture
def shop(amqp_url: str) -> Iterator[Shop]:
    """A foreign client."""
    client = Shop(amqp_url)
    yield client
    client.close()


def kit(url: str, handler: Handler, *, acknowledge: bool = False) -> OrderConsumer:
    """Return a consumer with a quick ladder."""
    return OrderConsumer("shop", url, handler, ladder=LADDER, acknowledge=acknowledge)


async def test_event_reaches_the_handler(amqp_url: str, shop: Shop) -> None:
    """An event comes once, with its ids, its data and its trace."""
    got: list[OrderPaid] = []

    async def book(event: OrderPaid) -> None:
        got.append(event)

    async with running(kit(amqp_url, book)):
        event_id = shop.tell_paid("o-1")
        await eventually(lambda: got)
    (event,) = got
    assert (event_id, "o-1", "p-o-1", 1999, 0) == (
        event.event_id,
        event.order_id,
        event.payment_id,
        event.data["amount"],
        event.attempt,
    )
    assert event.traceparent is not None
    assert 0 == await ready_messages(amqp_url, "shop.payment-succeeded")


async def test_events_wait_while_the_service_is_down(amqp_url: str, shop: Shop) -> None:
    """A service that ran once misses nothing while it is stopped."""
    got: list[str] = []

    async def book(event: OrderPaid) -> None:
        got.append(event.order_id)

    async with running(kit(amqp_url, book)):
        pass
    shop.tell_paid("o-1")
    assert [] == got
    async with running(kit(amqp_url, book)):
        await eventually(lambda: got)
    assert ["o-1"] == got


@pytest.mark.parametrize("failure", ["raises", "returns", "hangs"])
async def test_failed_event_comes_back_until_it_is_taken(
    amqp_url: str, shop: Shop, failure: str
) -> None:
    """A failure, of whatever kind, brings the event back on the ladder, counted."""
    attempts: list[int] = []

    async def book(event: OrderPaid) -> bool:
        attempts.append(event.attempt)
        if event.attempt == 3:
            return True
        if failure == "raises":
            raise ValueError("not now")
        if failure == "hangs":
            await asyncio.Event().wait()
        return False

    consumer = OrderConsumer("shop", amqp_url, book, ladder=LADDER, handler_timeout_s=0.1)
    async with running(consumer):
        shop.tell_paid("o-1")
        await eventually(lambda: len(attempts) == 4)
    assert [0, 1, 2, 3] == attempts
    assert 0 == await ready_messages(amqp_url, "shop.payment-succeeded")


async def test_a_failing_event_holds_up_nobody(amqp_url: str, shop: Shop) -> None:
    """While one event fails for ever, a hundred others pass, one at a time."""
    booked: Counter[str] = Counter()
    failures = 0

    async def book(event: OrderPaid) -> bool:
        nonlocal failures
        if event.order_id == "poison":
            failures += 1
            return False
        booked[event.order_id] += 1
        return True

    consumer = OrderConsumer("shop", amqp_url, book, ladder=LADDER, prefetch=1)
    async with running(consumer):
        shop.tell_paid("poison")
        for n in range(100):
            shop.tell_paid(f"o-{n}")
        await eventually(lambda: len(booked) == 100)
        await eventually(lambda: failures >= 3)
    assert [1] * 100 == list(booked.values())
    assert [] == await list_parked(amqp_url, "shop.parked")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\x00", "body"),
        (b"{}", "specversion"),
        (b'{"specversion":"1.0","id":"e","type":"payment.succeeded","data":{}}', "order_id"),
        (b'{"specversion":"1.0","id":"e","type":"payment.failed","data":{}}', "type"),
    ],
)
async def test_undecodable_event_is_parked(
    amqp_url: str, shop: Shop, body: bytes, reason: str
) -> None:
    """What no retry would mend is put aside, whole, in the service's own parked queue."""

    async def book(_event: OrderPaid) -> None:
        raise AssertionError("must not be called")

    async with running(kit(amqp_url, book)):
        shop.tell_paid("o-1", body)
        (one,) = await soon(lambda: list_parked(amqp_url, "shop.parked"))
    assert (body, "shop.payment-succeeded", reason) == (
        one.body,
        one.came_from,
        one.reason.partition(":")[0],
    )


async def test_taken_event_is_acknowledged(amqp_url: str, shop: Shop) -> None:
    """With `acknowledge`, what was booked is told to payonce, and only that."""
    shop.bind("acks", "order.acknowledged")

    async def book(event: OrderPaid) -> bool:
        return event.order_id == "o-1" or event.attempt > 0

    async with running(kit(amqp_url, book, acknowledge=True)):
        for order_id in ("o-1", "o-2"):
            shop.tell_paid(order_id)
        await eventually(lambda: shop.count("acks") == 2)
    first, second = shop.take("acks"), shop.take("acks")
    assert first is not None
    assert second is not None
    assert ("order.acknowledged", {"order_id": "o-1", "payment_id": "p-o-1"}) == (
        first["type"],
        first["data"],
    )
    assert "o-2" == second["data"]["order_id"]


async def test_acknowledging_to_nobody_is_no_failure(amqp_url: str, shop: Shop) -> None:
    """Where no payonce has ever declared its queue, the event is booked all the same, once."""
    calls = 0

    async def book(_event: OrderPaid) -> None:
        nonlocal calls
        calls += 1

    async with running(kit(amqp_url, book, acknowledge=True)):
        shop.tell_paid("o-1")
        await eventually(lambda: calls)
    assert (1, 0) == (calls, shop.count("shop.payment-succeeded"))


async def test_services_do_not_see_each_other(amqp_url: str, shop: Shop) -> None:
    """Each service has all events, and only its own retries."""
    got: Counter[str] = Counter()

    async def fail_once(event: OrderPaid) -> bool:
        got["shop"] += 1
        return event.attempt > 0

    async def take(_event: OrderPaid) -> None:
        got["mail"] += 1

    mail = OrderConsumer("mail", amqp_url, take, ladder=LADDER)
    async with running(kit(amqp_url, fail_once)), running(mail):
        shop.tell_paid("o-1")
        await eventually(lambda: got["shop"] == 2 and got["mail"])
    assert {"shop": 2, "mail": 1} == dict(got)


async def test_changed_ladder_loses_nothing(amqp_url: str, shop: Shop) -> None:
    """What waits on an old rung comes due for the next process; the old queue stays, empty."""
    attempts: list[int] = []

    async def fail_at_first(event: OrderPaid) -> bool:
        attempts.append(event.attempt)
        return event.attempt > 0

    before = OrderConsumer("shop", amqp_url, fail_at_first, ladder=Ladder((700,)))
    async with running(before):
        shop.tell_paid("o-1")
        await eventually(lambda: attempts)
    async with running(kit(amqp_url, fail_at_first)):
        await eventually(lambda: len(attempts) == 2)
    assert ([0, 1], 0) == (attempts, await ready_messages(amqp_url, "payonce.delay.svc-shop.700"))


async def test_deleted_delay_queue_is_declared_when_it_is_needed(amqp_url: str, shop: Shop) -> None:
    """A delay queue that is removed while it is empty, though still in use, costs no event."""
    attempts: list[int] = []

    async def fail_once(event: OrderPaid) -> bool:
        attempts.append(event.attempt)
        return event.attempt > 0

    async with running(kit(amqp_url, fail_once)):
        await delete_queue(amqp_url, "payonce.delay.svc-shop.50")
        shop.tell_paid("o-1")
        await eventually(lambda: len(attempts) == 2)
    assert [0, 1] == attempts


@pytest.mark.parametrize("first", ["payonce", "service"])
async def test_either_may_come_first(amqp_url: str, shop: Shop, first: str) -> None:
    """Service and payonce declare what they share in the same way."""
    got: list[OrderPaid] = []

    async def book(event: OrderPaid) -> None:
        got.append(event)

    topology = payonce_topology({WorkQueue.POLL: [50]})
    if first == "payonce":
        await declare(amqp_url, topology)
    async with running(kit(amqp_url, book)):
        await declare(amqp_url, topology)
        shop.tell_paid("o-1")
        assert await eventually(lambda: got)


async def test_bad_name_is_refused(amqp_url: str) -> None:
    """A bad service name is told at once."""

    async def book(_event: OrderPaid) -> None:
        pass

    with pytest.raises(InvalidField, match="service"):
        OrderConsumer("Shop!", amqp_url, book)
