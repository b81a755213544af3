"""Amounts cross to a gateway and back without losing a unit, or not at all."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from payonce.domain.errors import InvalidField
from payonce.domain.money import EXPONENTS, MAX_AMOUNT
from payonce.gateways.money import Scale

CURRENCIES = st.sampled_from(sorted(EXPONENTS))
AMOUNTS = st.integers(min_value=1, max_value=MAX_AMOUNT)


@given(AMOUNTS, CURRENCIES)
def test_minor_units_come_back_as_they_went(amount: int, currency: str) -> None:
    """A scale without exceptions changes nothing."""
    assert amount == Scale().to_minor(amount, currency) == Scale().from_minor(amount, currency)


@given(AMOUNTS, CURRENCIES)
def test_decimals_come_back_as_they_went(amount: int, currency: str) -> None:
    """What is written as major units is read as the same minor units."""
    assert amount == Scale().from_decimal(Scale().to_decimal(amount, currency), currency)


@given(st.integers(min_value=1, max_value=MAX_AMOUNT // 100), CURRENCIES, st.integers(0, 3))
def test_any_scale_is_exact_or_refuses(amount: int, currency: str, digits: int) -> None:
    """A gateway's own digits: both ways give the same amount, or the way there is refused."""
    scale = Scale({currency: digits})
    try:
        written = scale.to_minor(amount, currency)
    except InvalidField:
        lost = EXPONENTS[currency] - digits
        too_large = amount * 10 ** max(-lost, 0) > MAX_AMOUNT
        assert too_large or amount % 10 ** max(lost, 0)
    else:
        assert amount == scale.from_minor(written, currency)
        assert amount == scale.from_decimal(scale.to_decimal(amount, currency), currency)


@pytest.mark.parametrize(
    ("amount", "currency", "text"),
    [(1999, "CNY", "19.99"), (5, "USD", "0.05"), (500, "JPY", "500"), (1234, "KWD", "1.234")],
)
def test_decimals_are_written_as_people_write_them(amount: int, currency: str, text: str) -> None:
    """As many digits as the currency has."""
    assert text == Scale().to_decimal(amount, currency)


@pytest.mark.parametrize(
    "text", ["", "1,00", "1.", ".5", "-1", "1e3", "0x1", "1.005", "NaN", "9" * 40, "1 "]
)
def test_what_is_no_exact_amount_is_refused(text: str) -> None:
    """Neither words nor fractions of a minor unit become money."""
    with pytest.raises(InvalidField) as caught:
        Scale().from_decimal(text, "USD")
    assert "amount" == caught.value.field


def test_unknown_currency_is_refused() -> None:
    """There is no guess about digits."""
    with pytest.raises(InvalidField) as caught:
        Scale().to_decimal(100, "QQQ")
    assert "currency" == caught.value.field
