"""Our ids as Alipay's numbers, and back."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payonce.domain.errors import InvalidField
from payonce.domain.ids import refund_id
from payonce.gateways.alipay_numbers import id_of, number_of, refund_of

IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", fullmatch=True)
_NUMBER = re.compile(r"[A-Za-z0-9_]{1,64}")


@given(IDS)
def test_every_id_has_a_number_and_comes_back(our_id: str) -> None:
    """With the trade's body where it is a hash."""
    number = number_of(our_id)
    assert _NUMBER.fullmatch(number)
    assert our_id == id_of(number, our_id)


@given(IDS, IDS)
def test_no_two_ids_share_a_number(one: str, other: str) -> None:
    """One trade is one payment."""
    assert (one == other) is (number_of(one) == number_of(other))


@pytest.mark.parametrize(
    ("our_id", "number"),
    [
        ("p_0123456789abcdef0123456789abcdef", "p_0123456789abcdef0123456789abcdef"),
        ("20260131_1", "20260131_1"),
        ("p-1", "_p_m1"),
        ("a_b.c:d", "_a__b_dc_cd"),
        ("x" * 64, "x" * 64),
    ],
)
def test_numbers_stay_what_they_are(our_id: str, number: str) -> None:
    """They are in Alipay's books: another way of writing them would lose payments."""
    assert number == number_of(our_id)
    assert our_id == id_of(number)


def test_what_is_too_long_is_a_hash() -> None:
    """Which the trade's body leads back from, and no other."""
    our_id = "a." * 32
    number = number_of(our_id)
    assert (54, "__") == (len(number), number[:2])
    for body in (None, "", "a", "a-" * 32, "!"):
        with pytest.raises(InvalidField):
            id_of(number, body)


@given(st.text(max_size=80))
def test_no_number_of_a_stranger_s_is_taken_for_ours(number: str) -> None:
    """It raises InvalidField and nothing else, or it is the number of what it comes to."""
    try:
        our_id = id_of(number, "p-1")
    except InvalidField:
        return
    assert number == number_of(our_id)


def test_refunds_have_numbers_too() -> None:
    """Those of others are called as Alipay calls them."""
    ours = refund_id("p-1")
    assert ours == refund_of(number_of(ours))
    assert "退款-1" == refund_of("退款-1")
