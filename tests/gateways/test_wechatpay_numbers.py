"""Our ids as WeChat Pay's numbers: allowed there, told apart, and found again."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payonce.domain.errors import InvalidField
from payonce.domain.ids import payment_id, refund_id
from payonce.gateways.wechatpay_numbers import (
    payment_of,
    refund_number,
    refund_of,
    trade_number,
)

IDS: Any = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", fullmatch=True)
SHORT_IDS: Any = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,31}", fullmatch=True)
OWN_IDS: Any = st.from_regex(r"p_[0-9a-f]{32}", fullmatch=True)
ANY_IDS = IDS | SHORT_IDS | OWN_IDS


@given(id_=ANY_IDS)
def test_every_id_becomes_a_number_that_is_allowed(id_: str) -> None:
    """Of the characters and the length that WeChat Pay takes."""
    assert re.fullmatch(r"[0-9A-Za-z_\-|*]{6,32}", trade_number(id_))
    assert re.fullmatch(r"[0-9A-Za-z_\-|*@]{1,64}", refund_number(id_))


@given(id_=ANY_IDS)
def test_every_number_leads_back_to_its_id(id_: str) -> None:
    """With the attach that was sent along."""
    assert id_ == payment_of(trade_number(id_), id_)
    assert id_ == refund_of(refund_number(id_))


@given(id_=SHORT_IDS | OWN_IDS, attach=st.none() | st.text(max_size=10))
def test_what_fits_leads_back_by_itself(id_: str, attach: str | None) -> None:
    """Whatever the attach says: a shop that creates charges by itself has its own."""
    assert id_ == payment_of(trade_number(id_), attach)


@given(one=ANY_IDS, other=ANY_IDS)
def test_two_ids_have_two_numbers(one: str, other: str) -> None:
    """No two payments share an order."""
    assert (one == other) == (trade_number(one) == trade_number(other))


@given(id_=st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_-]{5,31}", fullmatch=True))
def test_what_is_a_number_already_stays_as_it_is(id_: str) -> None:
    """Also 32 hex digits, which some shops call their orders by."""
    assert id_ == trade_number(id_)


@given(number=st.text(max_size=40), attach=st.none() | ANY_IDS)
def test_any_other_number_is_refused_or_one_s_own(number: str, attach: str | None) -> None:
    """A stranger's number never leads to a payment whose number is another."""
    try:
        found = trade_number(payment_of(number, attach))
    except InvalidField as error:
        found = error.field
    assert found in {number, "out_trade_no"}


def test_payonce_s_own_ids_look_so() -> None:
    """As docs/gateways.md shows them."""
    assert "_aerukz4jvpg66ajdivtytk6n54" == trade_number("p_0123456789abcdef0123456789abcdef")
    assert "___p-1" == trade_number("p-1")
    assert "a*b|c-1" == trade_number("a.b:c-1")
    assert 27 == len(trade_number(payment_id("o-1")))
    assert refund_id("p-1") == refund_number(refund_id("p-1"))


@pytest.mark.parametrize("attach", [None, "", "another", "x" * 65, "a b"])
def test_a_hash_without_its_id_is_refused(attach: str | None) -> None:
    """The way back is the attach alone, and it has to fit."""
    with pytest.raises(InvalidField):
        payment_of(trade_number("x" * 64), attach)
