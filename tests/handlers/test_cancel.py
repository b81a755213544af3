"""`order.cancelled`: nobody shall pay the order any more."""

import pytest

from payonce.domain.decide import Verdict
from payonce.domain.errors import InvalidField, Unavailable
from payonce.domain.order import OrderStatus
from payonce.domain.refund import RefundReason
from payonce.domain.report import Outcome
from payonce.ports.bus import DONE
from tests.handlers.bench import Bench, initiated
from tests.store.making import registration, success, word


async def test_pending_payments_of_a_cancelled_order_are_closed(bench: Bench) -> None:
    """All of them, at once; those that have ended are left alone."""
    await bench.registered(*(registration(f"p{n}") for n in (1, 2, 3)))
    await bench.heard(word("p2", Outcome.FAILED))
    assert DONE == await bench.cancel.handle({"order_id": "o1"}, None)
    assert OrderStatus.CANCELLED is bench.store.orders["o1"].status
    assert [(0, "p1", "order-cancelled"), (0, "p3", "order-cancelled")] == [
        (wait, one.payment_id, one.reason) for wait, one in bench.bus.closes
    ]


async def test_a_paid_order_is_not_cancelled(bench: Bench) -> None:
    """Nothing is closed for it; that its payment won closes the others."""
    await bench.registered(registration("p1"), registration("p2"))
    await bench.heard(success("p1"))
    assert DONE == await bench.cancel.handle({"order_id": "o1"}, None)
    assert OrderStatus.PAID is bench.store.orders["o1"].status
    assert ["order-paid"] == [one.reason for _, one in bench.bus.closes]


async def test_a_cancellation_before_the_first_payment_holds(bench: Bench) -> None:
    """A payment that comes afterwards is closed at registration."""
    assert DONE == await bench.cancel.handle({"order_id": "o1"}, None)
    await bench.register.handle(initiated(), None)
    assert ["order-cancelled"] == [one.reason for _, one in bench.bus.closes]


async def test_money_for_a_cancelled_order_goes_back(bench: Bench) -> None:
    """By the rules: the refund is held for a person."""
    await bench.registered()
    await bench.cancel.handle({"order_id": "o1"}, None)
    effects = await bench.heard(success())
    assert Verdict.DUPLICATED is effects.decision.verdict
    assert [RefundReason.ORDER_CANCELLED] == [one.reason for one in bench.store.refunds]


async def test_a_close_that_could_not_be_sent_is_sent_at_the_next_try(bench: Bench) -> None:
    """The order is cancelled already then; its pending payments are found again."""
    await bench.registered()
    bench.journal.away = {"close_after"}
    with pytest.raises(Unavailable):
        await bench.cancel.handle({"order_id": "o1"}, None)
    bench.journal.away = set()
    assert DONE == await bench.cancel.handle({"order_id": "o1"}, None)
    assert ["p1"] == [one.payment_id for _, one in bench.bus.closes]


async def test_an_order_without_a_name_is_refused(bench: Bench) -> None:
    """The error that the consumer parks with names the field."""
    with pytest.raises(InvalidField, match="order_id"):
        await bench.cancel.handle({}, None)
    assert [] == bench.journal.calls
