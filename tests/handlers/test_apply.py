"""Applying: claimed first, created once, confirmed before it is shown."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from payonce.domain.application import Policy
from payonce.domain.claim import Refusal
from payonce.domain.errors import Unavailable
from payonce.domain.payment import PaymentStatus
from payonce.domain.report import GatewayReport, Outcome
from payonce.handlers.apply import Denied, Shown, Unsure
from payonce.ports.gateway import CloseAnswer
from tests.handlers.applying import (
    AMBIGUOUS,
    BUDGET_S,
    Counter,
    NoRedis,
    opened_counter,
    paid,
    payment_of,
    refusal,
)
from tests.handlers.fakes import NOT_FOUND, PENDING
from tests.store.making import registration, success
from tests.support.waiting import eventually


@pytest.fixture
async def reusing() -> AsyncIterator[Counter]:
    """A counter that answers with the pending payment."""
    async with opened_counter(Policy.REUSE) as counter:
        yield counter


@pytest.fixture
async def allowing() -> AsyncIterator[Counter]:
    """A counter that lets both run."""
    async with opened_counter(Policy.ALLOW) as counter:
        yield counter


async def test_a_payment_is_claimed_created_confirmed_then_shown(counter: Counter) -> None:
    """In this order; the watch starts over the bus."""
    result = await counter.applied()
    assert isinstance(result, Shown)
    assert ("https://mock/a1", PaymentStatus.PENDING) == (
        result.applied.qr,
        result.applied.payment.status,
    )
    assert ["payment.applied", "payment.created"] == counter.kinds()
    [charge] = counter.mock.created
    assert ("a1", "https://pay.example/v1/webhooks/mock") == (charge.payment_id, charge.notify_url)
    assert f"https://pay.example/checkout/a1?token={charge.order_id}" == charge.return_url
    await eventually(lambda: counter.bench.told() == ["payment.initiated"])
    assert [("mock", "created")] == counter.bench.meter.of("application_answered")
    assert [("mock", "applied")] == counter.bench.meter.of("payment_registered")


async def test_a_double_click_is_one_payment(counter: Counter) -> None:
    """Everybody who comes while the first is in hand gets its answer."""
    results = await asyncio.gather(*(counter.applied() for _ in range(20)))
    assert {"a1"} == {payment_of(one) for one in results}
    assert ["a1"] == counter.mock.keys()
    assert [("mock", "applied")] == counter.bench.meter.of("payment_registered")
    assert [("mock", "shared")] * 19 == counter.bench.meter.of("application_answered")[1:]


@pytest.mark.parametrize("has_redis", [True, False])
async def test_clicks_in_two_processes_are_one_payment(counter: Counter, has_redis: bool) -> None:
    """With the order lock or without, the second process waits for the first one's answer."""
    if not has_redis:
        counter.locks = NoRedis()
        counter.apply = counter.edge()
    second = counter.edge()
    counter.mock.gate.clear()
    first = asyncio.create_task(counter.applied())
    await counter.until_creating()
    waiting = asyncio.create_task(second.apply(counter.application()))
    if not has_redis:
        await counter.until_asleep()
    counter.mock.gate.set()
    shown = await first
    counter.bench.clock.move(0.05)
    assert payment_of(shown) == payment_of(await waiting)
    assert ["a1"] == counter.mock.keys()


async def test_who_waits_in_vain_goes_on_under_the_same_key(counter: Counter) -> None:
    """The first process has died between claim and create: its payment is created all the same."""
    counter.locks = NoRedis()
    first, second = counter.edge(), counter.edge()
    counter.mock.gate.clear()
    dead = asyncio.create_task(first.apply(counter.application()))
    await counter.until_creating()
    waiting = asyncio.create_task(second.apply(counter.application()))
    await counter.until_asleep()
    counter.mock.gate = asyncio.Event()
    counter.mock.gate.set()
    counter.bench.clock.move(BUDGET_S)
    assert "a1" == payment_of(await waiting)
    assert ["a1", "a1"] == counter.mock.keys()
    dead.cancel()


async def test_a_later_click_takes_the_place_of_the_earlier_payment(counter: Counter) -> None:
    """By `cancel` the earlier one is closed, asked about, and ended before the later is made."""
    await counter.applied()
    counter.mock.will_say(GatewayReport(Outcome.CLOSED))
    counter.bench.journal.calls.clear()
    assert "a2" == payment_of(await counter.later())
    assert ["close", "query", "settle", "create"] == counter.bench.journal.of(
        "close", "query", "settle", "create"
    )
    assert PaymentStatus.CLOSED is counter.bench.payment("a1").status


async def test_two_qr_codes_of_one_channel_are_never_both_open(counter: Counter) -> None:
    """Each new code closes the one before it."""
    counter.mock.will_say(GatewayReport(Outcome.CLOSED))
    for _ in range(5):
        await counter.later()
    open_ones = [
        one.payment_id
        for one in counter.bench.store.payments.values()
        if one.status is PaymentStatus.PENDING
    ]
    assert ["a5"] == open_ones


async def test_a_close_that_says_closed_is_not_believed(counter: Counter) -> None:
    """The earlier payment was paid: the query tells, the order is paid, nothing new is created."""
    await counter.applied()
    counter.mock.will_close(CloseAnswer.CLOSED)
    counter.mock.will_say(paid())
    result = await counter.later(gateway="other")
    assert Refusal.ORDER_PAID is refusal(result)
    assert [] == counter.other.created
    assert "a1" == counter.bench.store.orders["o1"].settled_by
    assert PaymentStatus.CLOSED is counter.bench.payment("a2").status
    await eventually(lambda: "payment.closed" in counter.bench.told())
    [entry] = [one for one in counter.bench.store.entries if one.kind == "payment.closed"]
    assert ("never-created", "apply") == (entry.detail["reason"], entry.detail["source"])


@pytest.mark.parametrize("answer", [CloseAnswer.UNKNOWN, CloseAnswer.CANNOT_CLOSE])
async def test_where_the_earlier_cannot_be_closed_both_run(
    counter: Counter, answer: CloseAnswer
) -> None:
    """PayPal and Boleto: the second is shown; whichever is paid second is refunded."""
    await counter.applied()
    counter.mock.will_close(answer)
    counter.mock.will_say(PENDING)
    assert "a2" == payment_of(await counter.later(gateway="other"))
    await counter.bench.heard(success("a2"))
    await counter.bench.heard(success("a1"))
    assert "a2" == counter.bench.store.orders["o1"].settled_by
    assert counter.bench.payment("a1").duplicate
    assert ["a1"] == [one.payment_id for one in counter.bench.store.refunds]


async def test_a_broker_that_is_away_keeps_nobody_from_paying(counter: Counter) -> None:
    """What is to be closed stays marked; what is to be watched stays in the outbox."""
    counter.bench.journal.away |= {"publish", "close_after", "poll_after"}
    await counter.applied()
    counter.mock.will_close(CloseAnswer.UNKNOWN)
    assert "a2" == payment_of(await counter.later())
    assert "superseded" == counter.bench.payment("a1").closing
    waiting = [one.event.data["payment_id"] for one in counter.bench.store.outbox.values()]
    assert ["a1", "a2"] == waiting


async def test_the_first_poll_knows_the_gateways_own_id(counter: Counter) -> None:
    """The watch starts over the bus once the charge is there."""
    await counter.applied()
    [event] = [one.event for one in counter.bench.store.outbox.values()]
    await counter.bench.register.handle(event.data, None)
    [(wait_ms, poll)] = counter.bench.bus.polls
    assert (3_000, "a1", "ref-a1") == (wait_ms, poll.payment_id, poll.gateway_ref)


async def test_without_a_listener_the_start_of_a_watch_waits(counter: Counter) -> None:
    """An unroutable payment.initiated is not dropped."""
    counter.bench.bus.stop_listening()
    counter.bench.bus._bindings = {
        one for one in counter.bench.bus._bindings if one.queue != "payonce.initiated"
    }
    await counter.applied()
    [waiting] = counter.bench.store.outbox.values()
    assert 0 == await counter.bench.announcer.announce([waiting.event])
    assert [waiting] == list(counter.bench.store.outbox.values())


async def test_by_policy_the_same_code_is_shown_again(reusing: Counter) -> None:
    """`reuse`: no second charge; another gateway closes the first."""
    first = await reusing.applied()
    again = await reusing.later()
    assert isinstance(first, Shown)
    assert isinstance(again, Shown)
    assert (payment_of(first), first.applied.qr) == (payment_of(again), again.applied.qr)
    assert ["a1"] == reusing.mock.keys()
    assert "a3" == payment_of(await reusing.later(gateway="other"))
    assert "superseded" == reusing.bench.payment("a1").closing


async def test_by_policy_an_unknown_creation_is_tried_again(reusing: Counter) -> None:
    """`reuse`: what may exist is created under its own key, which brings its code."""
    reusing.mock.problems.extend([AMBIGUOUS] * 4)
    unsure = asyncio.create_task(reusing.applied())
    for n in range(3):
        await reusing.until_asleep(n + 1)
        reusing.bench.clock.move(2)
    assert isinstance(await unsure, Unsure)
    assert "a1" == payment_of(await reusing.later())
    assert ["a1"] * 5 == reusing.mock.keys()


async def test_by_policy_both_run(allowing: Counter) -> None:
    """`allow`: nothing is closed."""
    assert ["a1", "a2"] == [payment_of(await allowing.later()) for _ in range(2)]
    assert [] == allowing.bench.journal.of("close")


async def test_payments_made_elsewhere_cannot_be_shown_again(reusing: Counter) -> None:
    """A payment that came over the bus has no code here: it is closed like any other."""
    await reusing.bench.registered(registration("p1"))
    assert "a1" == payment_of(await reusing.later())
    assert "superseded" == reusing.bench.payment("p1").closing


async def test_a_paid_order_is_refused_from_memory(counter: Counter) -> None:
    """Before any other work: neither lock nor database are asked."""
    await counter.bench.registered(registration("p1"))
    await counter.bench.heard(success("p1"))
    counter.bench.journal.away |= {"settle"}
    result = await counter.applied()
    assert isinstance(result, Denied)
    assert (Refusal.ORDER_PAID, "p1") == (result.refusal, result.settled_by)
    assert [] == counter.bench.meter.of("order_lock_waited")


async def test_orders_that_take_no_payment(counter: Counter) -> None:
    """Cancelled, at another price, unknown to its shopper."""
    await counter.bench.store.cancel("o2", counter.bench.clock.now())
    await counter.bench.registered(registration("p3", "o3"))
    results = [
        await counter.applied(order_id="o2"),
        await counter.applied(order_id="o3", amount=5),
        await counter.applied(order_id="o4", amount=None, currency=None),
    ]
    assert [Refusal.ORDER_CANCELLED, Refusal.AMOUNT_DIFFERS, Refusal.NOT_FOUND] == [
        refusal(one) for one in results
    ]
    assert [] == counter.mock.created


async def test_the_same_payment_id_again_makes_no_second_payment(counter: Counter) -> None:
    """A repeat under one Idempotency-Key goes on where the first process died."""
    application = counter.application()
    counter.bench.journal.away.add("create")
    with pytest.raises(Unavailable):
        await counter.apply.apply(application)
    counter.bench.journal.away.clear()
    counter.bench.clock.move(300)
    assert "a1" == payment_of(await counter.edge().apply(application))
    assert {"a1"} == set(counter.bench.store.payments)


async def test_close_is_not_asked_where_the_gateway_cannot(counter: Counter) -> None:
    """A gateway with can_close=false is asked how it stands, and is not marked for ever."""
    counter.mock.terms = replace(counter.mock.terms, can_close=False)
    await counter.applied()
    counter.mock.will_say(NOT_FOUND)
    assert "a2" == payment_of(await counter.later(gateway="other"))
    assert [] == counter.bench.journal.of("close")
    assert counter.bench.payment("a1").closing is None


async def test_a_shopper_cannot_have_charges_made_without_end(
    counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After so many payments of an order its token makes no more; the shop still can."""
    monkeypatch.setattr("payonce.domain.claim.MOST_BY_CHOICE", 3)
    chosen: dict[str, Any] = {"amount": None, "currency": None}
    await counter.applied()
    await counter.later(gateway="other", **chosen)
    assert isinstance(await counter.later(**chosen), Shown)
    before = len(counter.mock.created) + len(counter.other.created)

    for _ in range(5):
        assert Refusal.TOO_MANY_PAYMENTS is refusal(await counter.later(gateway="other", **chosen))
    assert before == len(counter.mock.created) + len(counter.other.created)
    payments = counter.bench.store.payments.values()
    assert 1 == sum(one.closing is None for one in payments if one.status.value == "PENDING"), (
        "what the shopper has in hand is left to him"
    )
    assert isinstance(await counter.later(gateway="other"), Shown)
