"""What a decision writes: rows, events, refunds, timeline."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from payonce.domain.decide import Facts, Verdict, decide
from payonce.domain.effects import SUCCESSES, Effects, work_out
from payonce.domain.events import EventType
from payonce.domain.ids import event_id, refund_id
from payonce.domain.money import Money
from payonce.domain.order import OrderStatus
from payonce.domain.payment import UNFINISHED, PaymentStatus
from payonce.domain.refund import RefundStatus
from payonce.domain.report import GatewayReport, Outcome
from tests.domain.making import NOW, OCCASION, ORDER, PAID, facts, statuses, words

PAID_ORDER = replace(ORDER, status=OrderStatus.PAID, settled_by="p9", version=3)


def effects_of(given_facts: Facts, report: GatewayReport, *, ended: bool = False) -> Effects:
    """Decide and work out."""
    decision = decide(given_facts, report, watch_ended=ended)
    return work_out(given_facts, report, decision, OCCASION)


def test_a_settlement_is_told_once_under_the_id_of_its_order() -> None:
    """Whoever repeats it writes the same event."""
    effects = effects_of(facts(closing="superseded"), PAID)
    [event] = effects.events
    assert event_id("payment.succeeded", "o1") == event.event_id
    assert ("p1", 1, NOW) == (effects.order.settled_by, effects.order.version, effects.settled_at)
    assert (PaymentStatus.SUCCEEDED, "ref-1", None) == (
        effects.payment.status,
        effects.payment.gateway_ref,
        effects.payment.closing,
    )
    assert {"amount": 100, "currency": "CNY", "order_version": 1, "source": "poll"}.items() <= (
        event.data.items()
    )
    assert () == effects.refunds


def test_a_duplicate_goes_back_under_one_id_for_ever() -> None:
    """The refund is asked for in the same transaction; risk control comes before it is sent."""
    effects = effects_of(facts(PAID_ORDER), PAID)
    [refund] = effects.refunds
    assert (refund_id("p1"), RefundStatus.REQUESTED, 100, "order-paid", None) == (
        refund.refund_id,
        refund.status,
        refund.amount,
        refund.reason,
        refund.rule,
    )
    [event] = effects.events
    assert (EventType.PAYMENT_DUPLICATED, "p9", 4) == (
        event.type,
        event.data["settled_by"],
        event.data["order_version"],
    )


def test_what_was_taken_is_kept_where_it_does_not_fit() -> None:
    """It can only be given back as it was taken."""
    effects = effects_of(facts(), replace(PAID, amount=7, currency="USD"))
    assert Money(7, "USD") == effects.captured
    assert (PaymentStatus.PENDING, None) == (effects.payment.status, effects.payment.gateway_ref)


def test_a_reversal_is_told_and_takes_nothing_back() -> None:
    """The order stays paid; a person is told the amount."""
    order = replace(ORDER, status=OrderStatus.PAID, settled_by="p1", version=1)
    effects = effects_of(facts(order, status=PaymentStatus.SUCCEEDED), replace(PAID, refunded=40))
    [event] = effects.events
    assert (EventType.PAYMENT_REVERSED, 40, 2) == (
        event.type,
        event.data["amount"],
        event.data["order_version"],
    )
    assert (OrderStatus.PAID, "p1", 40) == (
        effects.order.status,
        effects.order.settled_by,
        effects.payment.reversed_amount,
    )
    assert (None, None, ()) == (effects.paid_at, effects.settled_at, effects.refunds)


def test_a_close_is_owed_until_the_payment_has_ended() -> None:
    """A word without an end leaves it as it was."""
    closing = facts(closing="order-paid")
    assert "order-paid" == effects_of(closing, GatewayReport(Outcome.PENDING)).payment.closing
    assert effects_of(closing, GatewayReport(Outcome.CLOSED)).payment.closing is None


@given(statuses, st.sampled_from([ORDER, PAID_ORDER]), words, st.booleans())
def test_rows_and_events_tell_the_same(
    status: PaymentStatus, order: object, report: GatewayReport, ended: bool
) -> None:
    """Versions count the events, ignored words write none, money is refunded to its duplicate."""
    before = facts(order if order is PAID_ORDER else ORDER, status=status)
    effects = effects_of(before, report, ended=ended)
    ignored = effects.decision.verdict is Verdict.IGNORED
    assert ignored == (effects.events == ())
    assert before.order.version + len(effects.events) == effects.order.version
    assert (effects.decision.verdict is Verdict.DUPLICATED) == bool(effects.refunds)
    assert (effects.decision.verdict in SUCCESSES) == (effects.paid_at is not None)
    assert effects.payment.closing is None or effects.payment.status in UNFINISHED
    assert 1 == len(effects.entries)
