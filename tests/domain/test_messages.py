"""Messages from outside, read and refused."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payonce.domain.errors import InvalidField
from payonce.domain.messages import (
    PaymentInitiated,
    parse_acknowledged,
    parse_cancelled,
    parse_initiated,
)
from payonce.domain.times import format_time
from tests.domain.making import NOW

WATCH_FOR = {"mock": timedelta(hours=2), "slow": timedelta(days=3)}
GOOD = {
    "payment_id": "p1",
    "order_id": "o1",
    "gateway": "mock",
    "amount": 100,
    "currency": "CNY",
}


def parsed(**changes: object) -> PaymentInitiated:
    """Read a good message with some fields changed."""
    return parse_initiated({**GOOD, **changes}, NOW, WATCH_FOR)


def test_times_that_are_left_out_follow_from_the_receipt() -> None:
    """And from the gateway's watch."""
    message = parsed()
    assert (NOW, NOW + timedelta(hours=2), False) == (
        message.initiated_at,
        message.expires_at,
        message.expires_given,
    )
    assert NOW + timedelta(days=3) == parsed(gateway="slow").expires_at


def test_an_initiation_in_the_future_counts_from_the_receipt() -> None:
    """A sender's clock may be ahead."""
    ahead = format_time(NOW + timedelta(minutes=5))
    assert NOW == parsed(initiated_at=ahead).initiated_at
    before = NOW - timedelta(minutes=5)
    assert before == parsed(initiated_at=format_time(before)).initiated_at


def test_a_deadline_that_is_given_holds() -> None:
    """Also one that has passed: the watch then ends with its first poll."""
    past = NOW - timedelta(days=1)
    message = parsed(expires_at=format_time(past))
    assert (past, True) == (message.expires_at, message.expires_given)


BAD: list[tuple[str, object]] = [
    ("payment_id", ""),
    ("payment_id", None),
    ("order_id", "a b"),
    ("gateway", "nowhere"),
    ("gateway", None),
    ("amount", 0),
    ("amount", 1.5),
    ("amount", True),
    ("currency", "yuan"),
    ("gateway_ref", ""),
    ("gateway_ref", "x" * 256),
    ("gateway_ref", "a\x00b"),
    ("initiated_at", "now"),
    ("expires_at", "2026-03-01"),
    ("expires_at", "2099-01-01T00:00:00Z"),
]


@pytest.mark.parametrize(("field", "value"), BAD)
def test_a_bad_field_is_named(field: str, value: object) -> None:
    """With what is wrong and what is allowed."""
    with pytest.raises(InvalidField) as caught:
        parsed(**{field: value})
    assert field == caught.value.field
    assert caught.value.allowed


def test_an_unknown_gateway_is_told_the_known_ones() -> None:
    """So that the sender can mend it."""
    with pytest.raises(InvalidField, match="allowed: mock, slow"):
        parsed(gateway="nowhere")


def refused_field(parse: Callable[[dict[str, Any]], object], data: dict[str, Any]) -> str | None:
    """Return the field that is refused; None: the message is read."""
    try:
        parse(data)
    except InvalidField as error:
        return error.field
    return None


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*GOOD, "gateway_ref", "initiated_at"]), anything))
def test_nonsense_is_refused_and_never_breaks(data: dict[str, Any]) -> None:
    """Any JSON ends as a message or as InvalidField."""
    refused = refused_field(lambda one: parse_initiated(one, NOW, WATCH_FOR), {**GOOD, **data})
    assert refused in {None, *GOOD, "gateway_ref", "initiated_at"}


@given(anything, anything)
def test_the_shops_words_are_read_or_refused(order_id: object, payment_id: object) -> None:
    """The same of acknowledgements and cancellations."""
    data = {"order_id": order_id, "payment_id": payment_id}
    assert refused_field(parse_acknowledged, data) in {None, *data}
    assert refused_field(parse_cancelled, data) in {None, "order_id"}
