"""Amounts as gateways write them: our minor units to theirs and back, exactly or not at all."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal

from payonce.domain.errors import InvalidField
from payonce.domain.money import EXPONENTS, MAX_AMOUNT

_NUMBER = re.compile(r"\d{1,17}(\.\d{1,6})?")


@dataclass(frozen=True, slots=True)
class Scale:
    """How one gateway writes amounts: digits of minor units where they are not those of ISO."""

    digits: Mapping[str, int] = field(default_factory=dict)

    def to_minor(self, amount: int, currency: str) -> int:
        """Return our minor units as the gateway's. Raises InvalidField where it cannot be exact."""
        shift = self._digits_of(currency) - EXPONENTS[currency]
        return _whole(Decimal(amount).scaleb(shift), amount, currency)

    def from_minor(self, amount: int, currency: str) -> int:
        """Return the gateway's minor units as ours. Raises InvalidField like `to_minor`."""
        shift = EXPONENTS.get(currency, 0) - self._digits_of(currency)
        return _whole(Decimal(amount).scaleb(shift), amount, currency)

    def to_decimal(self, amount: int, currency: str) -> str:
        """Return our minor units as a decimal of major units, such as 19.99."""
        digits = self._digits_of(currency)
        minor = self.to_minor(amount, currency)
        return f"{Decimal(minor).scaleb(-digits):.{digits}f}"

    def from_decimal(self, text: str, currency: str) -> int:
        """Return a decimal of major units in our minor units. Raises InvalidField."""
        if _NUMBER.fullmatch(text) is None:
            raise InvalidField("amount", f"{text[:40]!r} is no amount", "a decimal such as 19.99")
        self._digits_of(currency)
        return _whole(Decimal(text).scaleb(EXPONENTS[currency]), text, currency)

    def _digits_of(self, currency: str) -> int:
        if currency not in EXPONENTS:
            raise InvalidField("currency", f"{currency[:10]!r} is unknown", "an ISO 4217 code")
        return self.digits.get(currency, EXPONENTS[currency])


def _whole(value: Decimal, given: object, currency: str) -> int:
    if value != value.to_integral_value() or not 0 <= value <= MAX_AMOUNT:
        problem = f"{given} {currency} cannot be written exactly"
        raise InvalidField("amount", problem, "an amount that both sides can write")
    return int(value)
