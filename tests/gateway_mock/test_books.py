"""The mock's books: what an honest gateway says, and what its sums mean."""

import re
from typing import Any

import pytest

from gateway_mock.books import Books
from gateway_mock.shopper import Script

NOW = 1_000.0
PAYS, DECLINES = Script(pays_after_s=0), Script(declines_after_s=0)


def opened(books: Books, payment_id: str, **changed: Any) -> None:
    """Open a charge with everything ordinary but what is given."""
    charge: dict[str, Any] = {
        "order_id": "o-1",
        "amount": 700,
        "currency": "CNY",
        "now": NOW,
        "script": PAYS,
    }
    books.open(payment_id=payment_id, **(charge | changed))


@pytest.mark.parametrize(
    ("script", "answer"), [(Script(), "closed"), (PAYS, "succeeded"), (DECLINES, "failed")]
)
def test_a_close_tells_what_came_first(script: Script, answer: str) -> None:
    """Closed, unless it was paid or had failed; asked again, the same."""
    books = Books()
    opened(books, "p-1", script=script)

    assert [answer] * 2 == [books.close("p-1", NOW + 1) for _ in range(2)]
    assert answer == books.find("p-1", NOW + 2).status(NOW + 2)


def test_refs_are_of_one_charge_for_ever() -> None:
    """No two charges have the same, also of books that were begun anew."""
    books = [Books(), Books()]
    for one in books:
        opened(one, "p-1")
        opened(one, "p-2")
    refs = [charge.gateway_ref for one in books for charge in one.charges.values()]

    assert len(refs) == len(set(refs))
    assert all(re.fullmatch(r"ch_[0-9a-f]{8}_[12]", ref) for ref in refs)


def test_one_currency_adds_up_as_ever() -> None:
    """The sums of all and of each order are those of their one currency."""
    books = Books()
    opened(books, "p-1")
    opened(books, "p-2", order_id="o-2", amount=50)
    books.refund("rf-1", "p-1", 200, "order-paid", NOW + 1)
    sums = {"charges": 2, "succeeded": 2, "captured": 750, "refunded": 200, "kept": 550}
    first = {"charges": 1, "succeeded": 1, "captured": 700, "refunded": 200, "kept": 500}

    balance = books.balance(NOW + 1)
    orders = balance.pop("orders")
    assert sums | {"currencies": {"CNY": sums}} == balance
    assert first | {"currencies": {"CNY": first}} == orders["o-1"]


def test_currencies_are_told_apart() -> None:
    """In all, and within an order that was paid in two of them."""
    books = Books()
    opened(books, "p-1")
    opened(books, "p-2", amount=99, currency="USD")
    opened(books, "p-3", order_id="o-2", amount=1, currency="USD")

    balance = books.balance(NOW + 1)
    assert {"CNY": 700, "USD": 100} == kept(balance)
    assert {"CNY": 700, "USD": 99} == kept(balance["orders"]["o-1"])
    assert {"USD": 1} == kept(balance["orders"]["o-2"])


def kept(totals: dict[str, Any]) -> dict[str, int]:
    """Return what was kept, by currency."""
    return {code: one["kept"] for code, one in totals["currencies"].items()}
