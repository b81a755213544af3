"""Amounts as people of a language write them."""

from decimal import Decimal

from payonce.domain.money import EXPONENTS

_EVERYWHERE = {
    "AUD": "A$",
    "BRL": "R$",
    "CAD": "CA$",
    "EUR": "€",
    "GBP": "£",
    "HKD": "HK$",
    "ILS": "₪",
    "INR": "₹",
    "KRW": "₩",
    "MXN": "MX$",
    "NZD": "NZ$",
    "PHP": "₱",
    "TWD": "NT$",
    "VND": "₫",
}
SYMBOLS = {
    "en": _EVERYWHERE | {"CNY": "CN¥", "JPY": "¥", "USD": "$"},
    "zh": _EVERYWHERE | {"CNY": "¥", "JPY": "JP¥", "USD": "US$"},
}
"""By language: the sign alone means the money that the language's readers think of first."""

SPACE = "\N{NO-BREAK SPACE}"


def format_amount(amount: int, currency: str, language: str) -> str:
    """Return minor units as an amount with sign, grouping and the currency's own decimals.

    A currency without a sign, or that payonce does not know, is named by its code.
    """
    exponent = EXPONENTS.get(currency)
    if exponent is None:
        return f"{amount:,}{SPACE}{currency}"
    number = f"{Decimal(amount).scaleb(-exponent):,.{exponent}f}"
    sign = SYMBOLS[language].get(currency)
    return f"{sign}{number}" if sign else f"{currency}{SPACE}{number}"
