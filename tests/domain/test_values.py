"""Ids, money, times, ladders and watches."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payonce.domain.application import check_gateway
from payonce.domain.errors import IllegalTransition, InvalidField
from payonce.domain.ids import check_id, event_id, refund_id
from payonce.domain.ladder import UNRECORDED_STEPS, Ladder, is_recorded
from payonce.domain.money import EXPONENTS, MAX_AMOUNT, Money, check_amount, check_currency
from payonce.domain.order import OrderStatus
from payonce.domain.order import move as move_order
from payonce.domain.payment import PaymentStatus
from payonce.domain.payment import move as move_payment
from payonce.domain.refund import RefundStatus
from payonce.domain.refund import move as move_refund
from payonce.domain.times import format_time, from_ms, parse_time, to_ms
from payonce.domain.watch import (
    CLOSE_AGAIN_AFTER,
    Terms,
    last_look,
    revive_after_answer,
    revive_after_registration,
    revive_after_revival,
)
from tests.domain.making import EXPIRES, NOW, PAYMENT

LADDER = Ladder((3_000, 10_000, 30_000, 180_000))
TERMS = Terms(LADDER, timedelta(hours=2), timedelta(minutes=10), timedelta(seconds=15), True)


@pytest.mark.parametrize("text", ["a", "0", "o-1", "A.b:c_d-9", "x" * 64])
def test_an_id_is_taken(text: str) -> None:
    """Letters, digits and four signs, 64 at most."""
    assert text == check_id(text, "id")


@pytest.mark.parametrize("value", ["", "-a", "a b", "a\n", "ü", "x" * 65, 7, None, "a/b"])
def test_what_is_no_id_is_refused_by_its_field(value: object) -> None:
    """The error names the field and what is allowed."""
    with pytest.raises(InvalidField, match=r"order_id: .*allowed"):
        check_id(value, "order_id")


def test_what_is_missing_is_called_so() -> None:
    """Not by the name that a language has for nothing."""
    for check in (check_id, check_amount, check_currency):
        with pytest.raises(InvalidField, match=r"^field: is missing; allowed: "):
            check(None, "field")
    with pytest.raises(InvalidField, match=r"^gateway: is missing; allowed: bank, mock$"):
        check_gateway(None, ["mock", "bank"])


@given(st.text(), st.text())
def test_ids_that_follow_are_the_same_every_time(one: str, other: str) -> None:
    """And differ where what they follow from differs."""
    assert event_id("t", one) == event_id("t", one)
    assert (one == other) == (event_id("t", one) == event_id("t", other))
    assert (one == other) == (refund_id(one) == refund_id(other))
    assert refund_id(one) != refund_id(one, 2)
    assert check_id(refund_id(one), "refund_id")


@given(st.integers(1, MAX_AMOUNT), st.sampled_from(sorted(EXPONENTS)))
def test_money_is_written_exactly(amount: int, currency: str) -> None:
    """What people read is the integer, shifted by the currency's digits."""
    number, code = str(Money(amount, currency)).split()
    assert (Decimal(amount), currency) == (Decimal(number).scaleb(EXPONENTS[currency]), code)


@pytest.mark.parametrize("currency", ["ABC", "cny", ""])
def test_money_of_an_unknown_currency_is_written_all_the_same(currency: str) -> None:
    """A gateway may report one; where its point stands is not known."""
    assert f"1999 {currency} (minor units)" == str(Money(1999, currency))


@pytest.mark.parametrize("value", [0, -1, MAX_AMOUNT + 1, 1.0, "5", True, None])
def test_what_is_no_amount_is_refused(value: object) -> None:
    """An integer of minor units from 1 on."""
    with pytest.raises(InvalidField, match=r"^amount: "):
        check_amount(value)


@pytest.mark.parametrize("value", ["cny", "XTS", "", "RMB", None, 156])
def test_what_is_no_currency_is_refused(value: object) -> None:
    """An ISO 4217 code, in capitals."""
    with pytest.raises(InvalidField, match=r"^currency: "):
        check_currency(value)


@given(
    st.datetimes(datetime(1971, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001 - the zone is added
    st.integers(-14 * 60, 14 * 60),
)
def test_times_go_out_and_come_back(time: datetime, minutes: int) -> None:
    """To the millisecond, whatever the zone they came in."""
    aware = time.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert from_ms(to_ms(aware)) == parse_time(format_time(aware), "at")
    assert aware.astimezone(UTC) == parse_time(aware.isoformat(), "at")


@pytest.mark.parametrize("value", ["", "noon", "2026-03-01", "2026-03-01T08:00:00", 5, None, "T"])
def test_what_is_no_time_is_refused(value: object) -> None:
    """RFC 3339 with a zone."""
    with pytest.raises(InvalidField, match=r"^at: "):
        parse_time(value, "at")


@given(st.lists(st.integers(10, 86_400_000), min_size=1, max_size=8), st.integers(0, 10_000))
def test_the_last_wait_of_a_ladder_repeats(waits: list[int], step: int) -> None:
    """Steps are numbered without end."""
    ladder = Ladder(tuple(waits))
    assert waits[min(step, len(waits) - 1)] == ladder.wait_ms(step)
    assert ladder.wait_covering_ms(step, 0) == ladder.wait_ms(step)
    spared = ladder.wait_covering_ms(step, 5_000)
    assert spared in waits
    assert spared >= min(5_000, max(waits))


@pytest.mark.parametrize("waits", [(), (9,), (86_400_001,)])
def test_a_ladder_out_of_range_is_refused(waits: tuple[int, ...]) -> None:
    """Between 10 ms and 24 h."""
    with pytest.raises(InvalidField, match=r"^ladder: "):
        Ladder(waits)


def test_four_waits_are_silent() -> None:
    """The fifth poll is the first that Postgres hears of; until then a watch may be silent."""
    assert [False] * 4 + [True] == [is_recorded(step) for step in range(5)]
    assert 403_000 == LADDER.unrecorded_ms()
    assert NOW + timedelta(seconds=403 + 15) == revive_after_registration(NOW, TERMS)
    assert 5 == UNRECORDED_STEPS


def test_what_ended_badly_is_asked_twice_more() -> None:
    """After ten minutes, and when money can no longer arrive; a lost look soon again."""
    closed = replace(PAYMENT, status=PaymentStatus.CLOSED)
    assert NOW + timedelta(minutes=10) == revive_after_answer(closed, NOW)
    assert NOW + timedelta(minutes=5) == revive_after_revival(closed, NOW, TERMS)
    last = EXPIRES + TERMS.lateness
    assert last == last_look(EXPIRES, TERMS.lateness, NOW)
    assert last_look(EXPIRES, TERMS.lateness, last) is None


def test_what_is_unresolved_is_asked_hourly_for_thirty_days() -> None:
    """Never an end that nobody told."""
    waiting = replace(PAYMENT, unresolved=True)
    assert NOW + timedelta(hours=1) == revive_after_answer(waiting, NOW)
    late = EXPIRES + timedelta(days=30)
    assert revive_after_answer(waiting, late) is None


def test_a_close_that_is_owed_is_looked_after_soon() -> None:
    """Its message may be lost as well as the timer of the watch."""
    closing = replace(PAYMENT, closing="superseded", step=9)
    assert NOW + CLOSE_AGAIN_AFTER == revive_after_revival(closing, NOW, TERMS)
    quick = replace(TERMS, ladder=Ladder((1_000,)))
    assert NOW + timedelta(seconds=16) == revive_after_revival(closing, NOW, quick)


def test_steps_that_no_table_holds_are_refused() -> None:
    """For orders, payments and refunds alike."""
    with pytest.raises(IllegalTransition, match="payment may not go from SUCCEEDED to PENDING"):
        move_payment(PaymentStatus.SUCCEEDED, PaymentStatus.PENDING)
    with pytest.raises(IllegalTransition, match="order may not go from PAID to CANCELLED"):
        move_order(OrderStatus.PAID, OrderStatus.CANCELLED)
    with pytest.raises(IllegalTransition, match="refund may not go from REJECTED to REQUESTED"):
        move_refund(RefundStatus.REJECTED, RefundStatus.REQUESTED)
    assert PaymentStatus.SUCCEEDED is move_payment(PaymentStatus.CLOSED, PaymentStatus.SUCCEEDED)
