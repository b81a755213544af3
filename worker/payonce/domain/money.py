"""Money: an integer of minor units with an ISO 4217 code."""

from dataclasses import dataclass
from decimal import Decimal

from payonce.domain.errors import InvalidField

MAX_AMOUNT = 2**53 - 1
"""Minor units; the largest integer that every JSON reader keeps exact (RFC 8259, section 6)."""

_EXPONENT_0 = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_EXPONENT_2 = (
    "AED AFN ALL AMD ANG AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BRL BSD BTN BWP BYN BZD "
    "CAD CDF CHF CNY COP CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
    "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD "
    "MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP "
    "PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS "
    "TMT TOP TRY TTD TWD TZS UAH USD UYU UZS VES WST XCD YER ZAR ZMW ZWG"
)
_EXPONENT_3 = "BHD IQD JOD KWD LYD OMR TND"

EXPONENTS: dict[str, int] = {
    code: exponent
    for exponent, codes in ((0, _EXPONENT_0), (2, _EXPONENT_2), (3, _EXPONENT_3))
    for code in codes.split()
}
"""Digits of the minor unit by currency (ISO 4217, list one)."""


@dataclass(frozen=True, slots=True)
class Money:
    """An amount in minor units and its currency."""

    amount: int
    currency: str

    def __str__(self) -> str:
        if self.currency not in EXPONENTS:
            return f"{self.amount} {self.currency} (minor units)"
        major = Decimal(self.amount).scaleb(-EXPONENTS[self.currency])
        return f"{major:f} {self.currency}"


def check_amount(value: object, field: str = "amount") -> int:
    """Return `value` if it is an integer of minor units from 1 on, else raise InvalidField."""
    if value is None:
        raise InvalidField(field, "is missing", "an integer of minor units >= 1")
    if type(value) is not int:
        raise InvalidField(field, f"{value!r} is not an integer", "an integer of minor units >= 1")
    if not 1 <= value <= MAX_AMOUNT:
        raise InvalidField(field, f"{value} is out of range", f"1 to {MAX_AMOUNT} minor units")
    return value


def check_currency(value: object, field: str = "currency") -> str:
    """Return `value` if it is a known ISO 4217 code, else raise InvalidField."""
    if value is None:
        raise InvalidField(field, "is missing", "an ISO 4217 code such as CNY or USD")
    if type(value) is not str or value not in EXPONENTS:
        raise InvalidField(field, f"{value!r} is unknown", "an ISO 4217 code such as CNY or USD")
    return value
