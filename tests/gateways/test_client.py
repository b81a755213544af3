"""The reader of Retry-After takes whatever a header can hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payonce.gateways.client import LONGEST_RETRY_AFTER_S, _retry_after_s

dates = st.from_regex(
    r"[A-Za-z]{0,4},? ?-?\d{0,5}[ -]?[A-Za-z]{0,4}[ -]?-?\d{0,20} ?\d{0,3}:?\d{0,20}:?\d{0,3}"
    r" ?([+-]\d{0,12}|GMT|[A-Z]{1,3})?",
    fullmatch=True,
)


@given(st.text() | dates | st.integers().map(str))
def test_any_header_is_a_bounded_wait_or_none(value: str) -> None:
    """No text raises, and none asks for more than an hour or less than nothing."""
    wait_s = _retry_after_s(value)
    assert wait_s is None or 0 <= wait_s <= LONGEST_RETRY_AFTER_S


@pytest.mark.parametrize("value", ["Sun, 06 Nov 2094 08:49:37 GMT", "Sun, 06 Nov 2094 08:49:37"])
def test_date_without_zone_is_gmt(value: str) -> None:
    """A date in the far future is the longest wait, with or without its zone."""
    assert LONGEST_RETRY_AFTER_S == _retry_after_s(value)
