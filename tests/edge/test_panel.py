"""What the page says of every way in which a payment can stand."""

from datetime import timedelta
from typing import Any

import pytest

from payonce.domain.refund import RefundStatus
from payonce.edge.pages.panel import REFUND_WORDS, TONES, Panel, State, panel_of, shown_of
from tests.edge.till import order, payment, refund
from tests.store.making import NOW


def panel(*others: dict[str, Any], later_s: float = 0.0, **changed: Any) -> Panel:
    """Return what is shown of payment p-1 of an open order, so much later."""
    found = order(payment(**changed), *others)
    return panel_of(found, payment(), NOW + timedelta(seconds=later_s))


@pytest.mark.parametrize(
    ("changed", "state"),
    [
        ({}, State.PAY),
        ({"qr": None}, State.PAY),
        ({"qr": None, "pay_url": None}, State.NO_CODE),
        ({"status": "CREATED"}, State.PREPARING),
        ({"unresolved": True}, State.UNKNOWN),
        ({"status": "FAILED"}, State.FAILED),
        ({"status": "CLOSED"}, State.CLOSED),
        ({"closing": "superseded"}, State.CLOSED),
        ({"status": "SUCCEEDED", "mismatched": "amount"}, State.CHECKING),
        (
            {"status": "SUCCEEDED", "mismatched": "amount", "resolved_as": "kept"},
            State.CHECKING,
        ),
        (
            {"status": "SUCCEEDED", "mismatched": "amount", "resolved_as": "refund"},
            State.CLOSED,
        ),
    ],
)
def test_an_open_orders_payment(changed: dict[str, Any], state: State) -> None:
    """Each way it can stand has words of its own."""
    assert state is panel(**changed).state


@pytest.mark.parametrize("status", ["CREATED", "PENDING", "CLOSED"])
def test_time_is_up_by_our_clock(status: str) -> None:
    """From the second of its expiry on, and not before."""
    assert State.EXPIRED is not panel(status=status, later_s=899.9).state
    assert State.EXPIRED is panel(status=status, later_s=900).state
    assert State.FAILED is panel(status="FAILED", later_s=900).state


def test_the_seconds_left_are_counted_where_one_can_pay() -> None:
    """Nowhere else is there a hurry."""
    assert 900 == panel().left_s
    assert 1 == panel(later_s=899.4).left_s
    assert panel(status="FAILED").left_s is None


def test_a_payment_that_was_replaced_names_the_one_that_counts() -> None:
    """The latest that may be paid; one that is over itself is none."""
    old: dict[str, Any] = {"closing": "superseded"}
    others = (payment("p-2"), payment("p-3"), payment("p-4", status="FAILED"))
    newest = panel(*others, **old)
    assert (State.REPLACED, "p-3") == (newest.state, newest.newest)
    assert State.CLOSED is panel(payment("p-2", status="FAILED"), **old).state
    assert State.REPLACED is panel(payment("p-2", status="CREATED"), status="CLOSED").state


def test_a_payment_that_may_be_paid_is_shown_beside_others() -> None:
    """Where the policy lets both run."""
    assert State.PAY is panel(payment("p-2")).state


def test_a_paid_order_is_paid() -> None:
    """By this payment or by another one, whatever became of it."""
    late = NOW + timedelta(hours=3)
    mine = order(payment(status="SUCCEEDED"), status="PAID", settled_by="p-1")
    assert State.PAID is panel_of(mine, payment(), late).state
    assert panel_of(mine, payment(), late).is_final
    for status in ("PENDING", "SUCCEEDED", "FAILED", "CLOSED"):
        other = order(payment(status=status), status="PAID", settled_by="p-2")
        assert State.PAID_BY_ANOTHER is panel_of(other, payment(), late).state


def test_a_cancelled_order_takes_nothing() -> None:
    """Not even where its payment could be paid."""
    found = panel_of(order(payment(), status="CANCELLED"), payment(), NOW)
    assert (State.CANCELLED, False) == (found.state, found.may_choose)


def test_money_that_goes_back_is_waited_for() -> None:
    """The page is final once that has ended, for the shopper: a person may yet send it."""
    mine = payment(status="SUCCEEDED")
    found = order(mine, status="PAID", settled_by="p-2")
    assert not panel_of(found, mine, NOW).is_final
    for status, is_final in (
        ("REQUESTED", False),
        ("SUBMITTED", False),
        ("HELD", False),
        ("SUCCEEDED", True),
        ("REJECTED", True),
    ):
        found["refunds"] = [refund(status)]
        assert is_final is panel_of(found, mine, NOW).is_final
    found["refunds"] = [refund("SUCCEEDED", payment_id="p-3")]
    assert not panel_of(found, mine, NOW).is_final


@pytest.mark.parametrize(
    ("changed", "is_final"),
    [
        ({"status": "CREATED"}, False),
        ({"status": "PENDING"}, False),
        ({"status": "PENDING", "closing": "order-paid"}, False),
        ({"status": "CLOSED"}, True),
        ({"status": "FAILED"}, True),
        ({"status": "SUCCEEDED", "mismatched": "amount"}, False),
        ({"status": "SUCCEEDED", "mismatched": "amount", "resolved_as": "kept"}, True),
    ],
)
@pytest.mark.parametrize("status", ["PAID", "CANCELLED"])
def test_a_payment_that_may_yet_bring_money_is_followed(
    changed: dict[str, Any], status: str, *, is_final: bool
) -> None:
    """The order needs nothing more; the shopper may still pay by this one, or have paid."""
    settled_by = "p-2" if status == "PAID" else None
    mine = payment(**changed)
    found = order(mine, status=status, settled_by=settled_by)
    assert is_final is panel_of(found, mine, NOW).is_final


def test_a_winner_whose_money_was_sent_back_says_so() -> None:
    """The gateway told of it."""
    paid = payment(status="SUCCEEDED", reversed_amount=1999)
    assert panel_of(order(paid, status="PAID", settled_by="p-1"), payment(), NOW).is_reversed


def test_every_state_and_refund_has_a_way_of_being_told() -> None:
    """None was forgotten."""
    assert set(State) == set(TONES)
    assert set(RefundStatus) == set(REFUND_WORDS)


@pytest.mark.parametrize(
    "changed", [{"status": "CLOSED"}, {"closing": "superseded"}, {"unresolved": True}]
)
def test_what_changes_the_page_changes_what_is_shown(changed: dict[str, Any]) -> None:
    """Else the page would not be fetched anew; so does a new version, payment or refund."""
    before = shown_of(order(payment()))
    assert '[1,[["PENDING",null,false,null]],[]]' == before
    assert before != shown_of(order(payment(**changed)))
    assert before != shown_of(order(payment(), version=2))
    assert before != shown_of(order(payment(), refunds=[refund("HELD")]))


def test_a_payment_that_its_order_does_not_list_is_shown() -> None:
    """An order of very many payments lists the newest ones, and the page of each still works."""
    found = order(payment("p-2"))
    assert State.PAY is panel_of(found, payment(), NOW).state
    older = panel_of(found, payment(status="CLOSED"), NOW)
    assert (State.REPLACED, "p-2") == (older.state, older.newest)
    assert shown_of(found) == older.shown
