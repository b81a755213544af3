"""Applying, where the gateway's answer to the create is not the plain one."""

import asyncio
from dataclasses import replace

import pytest

from payonce.domain.claim import Refusal
from payonce.domain.order import OrderStatus
from payonce.domain.payment import MismatchReason, PaymentStatus
from payonce.domain.report import GatewayReport, Outcome
from payonce.handlers.apply import Denied, Result, Shown, Unsure
from tests.handlers.applying import (
    AMBIGUOUS,
    PAUSED,
    REFUSED,
    RETRYABLE,
    Counter,
    paid,
    payment_of,
    refusal,
)
from tests.store.making import registration


@pytest.mark.parametrize("problem", [AMBIGUOUS, RETRYABLE])
async def test_an_open_outcome_is_repeated_with_the_same_key(
    counter: Counter, problem: Exception
) -> None:
    """One payment, one key, however often it is sent."""
    counter.mock.problems.extend([problem] * 2)  # type: ignore[list-item]
    applying = asyncio.create_task(counter.applied())
    for n in range(2):
        await counter.until_asleep(n + 1)
        counter.bench.clock.move(1)
    assert isinstance(await applying, Shown)
    assert ["a1"] * 3 == counter.mock.keys()


async def test_an_outcome_that_stays_open_is_answered_so(counter: Counter) -> None:
    """202: the payment stays CREATED and watched; nothing is concluded."""
    counter.mock.problems.extend([AMBIGUOUS] * 9)
    applying = asyncio.create_task(counter.applied())
    for n in range(3):
        await counter.until_asleep(n + 1)
        counter.bench.clock.move(1)
    result = await applying
    assert isinstance(result, Unsure)
    assert PaymentStatus.CREATED is counter.bench.payment("a1").status
    assert counter.bench.store.revive_at["a1"] is not None
    assert ["payment.applied", "payment.create_unknown"] == counter.kinds()
    assert "a2" == payment_of(await _answered(counter))


async def _answered(counter: Counter) -> Result:
    """Apply again later, the gateway being well."""
    counter.mock.problems.clear()
    return await counter.later()


async def test_a_refusal_is_the_gateways_definite_word(counter: Counter) -> None:
    """FAILED, with the gateway's words in answer and timeline."""
    counter.mock.problems.append(REFUSED)
    result = await counter.applied()
    assert (Refusal.GATEWAY_REFUSED, "http-422 no such currency here") == (
        refusal(result),
        result.words if isinstance(result, Denied) else "",
    )
    assert PaymentStatus.FAILED is counter.bench.payment("a1").status
    assert (
        "refused: http-422 no such currency here"
        == (counter.bench.store.entries[-1].detail["reason"])
    )


async def test_a_refusal_of_a_repeat_proves_nothing_of_the_first(counter: Counter) -> None:
    """What timed out before may have been taken: the watch goes on."""
    counter.mock.problems.extend([AMBIGUOUS, REFUSED])
    applying = asyncio.create_task(counter.applied())
    await counter.until_asleep()
    counter.bench.clock.move(1)
    assert isinstance(await applying, Unsure)
    assert PaymentStatus.CREATED is counter.bench.payment("a1").status


async def test_a_paused_gateway_is_told_and_leaves_nothing(counter: Counter) -> None:
    """Nothing was sent, so the payment provably cannot be paid."""
    counter.mock.problems.append(PAUSED)
    assert Refusal.GATEWAY_PAUSED is refusal(await counter.applied())
    assert PaymentStatus.CLOSED is counter.bench.payment("a1").status
    assert "never-created" == counter.bench.store.entries[-1].detail["reason"]


async def test_a_gateway_known_to_be_paused_gets_nothing_new_and_ends_nothing(
    counter: Counter,
) -> None:
    """The earlier code can still be paid, and no row says that anybody tried."""
    earlier = payment_of(await counter.applied(gateway="other"))
    store = counter.bench.store
    before = (dict(store.payments), dict(store.orders), list(store.entries))
    counter.paused.add("mock")
    assert Refusal.GATEWAY_PAUSED is refusal(await counter.later())
    assert Refusal.GATEWAY_PAUSED is refusal(await counter.applied(order_id="o-new"))
    assert before == (store.payments, store.orders, store.entries)
    assert ["create"] == counter.bench.journal.of("create", "close", "query")
    assert PaymentStatus.PENDING is counter.bench.payment(earlier).status
    counter.paused.clear()
    assert "a4" == payment_of(await counter.later())
    assert "superseded" == counter.bench.payment(earlier).closing


async def test_a_pause_changes_no_answer_that_there_is(counter: Counter) -> None:
    """A repeat finds its payment, and a paid order is paid."""
    assert "a1" == payment_of(await counter.applied())
    counter.paused.add("mock")
    assert "a1" == payment_of(await counter.applied(payment_id="a1"))
    order = counter.bench.store.orders["o1"]
    paid_order = replace(order, status=OrderStatus.PAID, settled_by="a1")
    counter.bench.store.orders["o1"] = paid_order
    assert Refusal.ORDER_PAID is refusal(await counter.later())


async def test_a_charge_over_another_amount_is_never_shown(counter: Counter) -> None:
    """Whoever paid it would pay a wrong amount."""
    counter.mock.report = lambda charge: GatewayReport(Outcome.PENDING, "r", 1, charge.currency)
    applying = asyncio.create_task(counter.applied())
    for n in range(3):
        await counter.until_asleep(n + 1)
        counter.bench.clock.move(1)
    assert isinstance(await applying, Unsure)


async def test_anothers_charge_is_never_shown(counter: Counter) -> None:
    """The gateway_ref belongs to another payment: a person must look."""
    await counter.bench.registered(registration("p1", "o9", ref="ref-a1"))
    assert Refusal.GATEWAY_REF_TAKEN is refusal(await counter.applied())
    assert MismatchReason.GATEWAY_REF_TAKEN is counter.bench.payment("a1").mismatched


async def test_what_is_superseded_while_it_is_created_is_closed_not_shown(
    counter: Counter,
) -> None:
    """The order lock is not trusted: the row says that another took its place."""
    counter.mock.while_created = lambda: counter.bench.change("a1", closing="superseded")
    counter.mock.will_say(GatewayReport(Outcome.CLOSED))
    assert Refusal.SUPERSEDED is refusal(await counter.applied())
    assert ["create", "close", "query"] == counter.bench.journal.of("create", "close", "query")
    assert PaymentStatus.CLOSED is counter.bench.payment("a1").status


async def test_what_is_paid_for_while_it_is_created_is_closed_not_shown(counter: Counter) -> None:
    """Another payment settled the order meanwhile."""
    store = counter.bench.store

    def pay() -> None:
        order = store.orders["o1"]
        store.orders["o1"] = replace(order, status=OrderStatus.PAID, settled_by="p0")

    counter.mock.while_created = pay
    assert Refusal.ORDER_PAID is refusal(await counter.applied())
    assert "order-paid" == counter.bench.payment("a1").closing
    assert ["close"] == counter.bench.journal.of("close")


async def test_a_charge_that_is_paid_at_once_settles(counter: Counter) -> None:
    """The create's own answer is a definite word."""
    counter.mock.report = lambda charge: paid(charge.amount)
    result = await counter.applied()
    assert isinstance(result, Shown)
    assert PaymentStatus.SUCCEEDED is result.applied.payment.status
    assert "payment.succeeded" in counter.bench.told()


async def test_a_charge_that_fails_at_once_is_told(counter: Counter) -> None:
    """A decline in the answer to create ends the payment."""
    counter.mock.report = lambda _charge: GatewayReport(
        Outcome.FAILED, "r", 100, "CNY", reason="no funds"
    )
    result = await counter.applied()
    assert isinstance(result, Denied)
    assert (Refusal.GATEWAY_REFUSED, "no funds") == (result.refusal, result.words)
    assert PaymentStatus.FAILED is counter.bench.payment("a1").status
