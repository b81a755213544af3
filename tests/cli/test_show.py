"""How `payonce show` says things."""

from payonce.cli.show import _facts


def test_a_limit_stands_in_the_form_of_its_currency() -> None:
    """As the amount before it does; one without a currency is what it is."""
    detail = {"rule": "over-limit", "limit": 100_000, "amount": 150_000, "currency": "CNY"}
    assert ["1500.00 CNY", "rule=over-limit", "limit=1000.00 CNY"] == list(_facts(detail))
    assert ["limit=100000"] == list(_facts({"limit": 100_000}))
