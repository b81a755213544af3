"""A judge that finds nothing proves nothing: each promise is broken once in a doctored book."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.campaign.judge import Evidence, objections

Books = dict[str, Any]
Doctor = Callable[[Books], object]


def charge(payment_id: str, order_id: str, **changed: Any) -> dict[str, Any]:
    """Return a row of the gateway's books, paid unless told otherwise."""
    row = {
        "payment_id": payment_id,
        "order_id": order_id,
        "status": "succeeded",
        "captured": 1000,
        "refunded": 0,
        "refunds": [],
    }
    return row | changed


def payment(payment_id: str, order_id: str, **changed: Any) -> dict[str, Any]:
    """Return payonce's row of a payment."""
    row = {
        "payment_id": payment_id,
        "order_id": order_id,
        "status": "SUCCEEDED",
        "duplicate": False,
        "mismatched": None,
        "unresolved": False,
    }
    return row | changed


def order(order_id: str, settled_by: str | None) -> dict[str, Any]:
    """Return payonce's row of an order."""
    return {
        "order_id": order_id,
        "status": "PAID" if settled_by else "OPEN",
        "amount": 1000,
        "settled_by": settled_by,
        "acknowledged": settled_by is not None,
    }


def true_books() -> Books:
    """Return books that balance: a paid order, one that was paid twice, one that was not paid."""
    back = {"refund_id": "rf-1", "payment_id": "p-3", "amount": 1000, "status": "succeeded"}
    return {
        "asked": {"p-1", "p-2", "p-3", "p-4"},
        "charges": [
            charge("p-1", "o-1"),
            charge("p-2", "o-2"),
            charge("p-3", "o-2", refunded=1000, refunds=[back]),
            charge("p-4", "o-3", status="closed", captured=0),
        ],
        "payments": [
            payment("p-1", "o-1"),
            payment("p-2", "o-2"),
            payment("p-3", "o-2", duplicate=True),
            payment("p-4", "o-3", status="CLOSED"),
        ],
        "orders": [order("o-1", "p-1"), order("o-2", "p-2"), order("o-3", None)],
        "refunds": [{"refund_id": "rf-1", "payment_id": "p-3", "status": "SUCCEEDED"}],
        "bookings": [
            {"order_id": "o-1", "payment_id": "p-1", "event_id": "e-1"},
            {"order_id": "o-2", "payment_id": "p-2", "event_id": "e-2"},
        ],
        "told": {"o-1": ["e-1"], "o-2": ["e-2", "e-2"]},
        "left": {"payonce.parked": 0, "the outbox": 0},
    }


def judged(books: Books) -> list[str]:
    """Return what the judge says of books."""
    return objections(Evidence(**{**books, "asked": frozenset(books["asked"])}))


def two_winners(books: Books) -> None:
    """Let a second success settle its order too."""
    books["payments"][2]["duplicate"] = False


def no_winner(books: Books) -> None:
    """Let an order be paid by a payment that is a duplicate."""
    books["payments"][0]["duplicate"] = True


def unknown_money(books: Books) -> None:
    """Let money come in for what payonce has closed."""
    books["charges"][3] |= {"status": "succeeded", "captured": 1000}


def invented_money(books: Books) -> None:
    """Let payonce believe in money that never came."""
    books["charges"][0] |= {"status": "pending", "captured": 0}


def kept_twice(books: Books) -> None:
    """Let the duplicate's money stay, and payonce think that it went back."""
    books["charges"][2] |= {"refunded": 0, "refunds": []}


def never_sent_back(books: Books) -> None:
    """Let a refund wait for ever."""
    books["refunds"][0]["status"] = "SUBMITTED"


def waits_for_a_person(books: Books) -> None:
    """Let a payment be mismatched."""
    books["payments"][3]["mismatched"] = "amount"


def winner_refunded(books: Books) -> None:
    """Send the winner's money back."""
    refund = {"refund_id": "rf-1", "payment_id": "p-2", "amount": 1000, "status": "succeeded"}
    books["charges"][1] |= {"refunded": 1000, "refunds": [refund]}


def refunded_too_much(books: Books) -> None:
    """Send back more than came."""
    books["charges"][2]["refunded"] = 2000


def refunded_under_two_ids(books: Books) -> None:
    """Send money back under an id that payonce does not know."""
    other = {"refund_id": "rf-2", "payment_id": "p-3", "amount": 1, "status": "succeeded"}
    books["charges"][2]["refunds"].append(other)


def invented_failure(books: Books) -> None:
    """Let payonce say FAILED where the gateway did not."""
    books["payments"][3]["status"] = "FAILED"


def invented_end(books: Books) -> None:
    """Let payonce say CLOSED while the shopper can still pay."""
    books["charges"][3]["status"] = "pending"


def forgotten(books: Books) -> None:
    """Let a payment vanish that the shop was sure of."""
    books["asked"].add("p-5")


def stuck(books: Books) -> None:
    """Let a payment never come to its end."""
    books["payments"][3]["status"] = "PENDING"


def not_booked(books: Books) -> None:
    """Let the order service not know of a paid order."""
    del books["bookings"][0]


def booked_twice(books: Books) -> None:
    """Let the order service book an order twice, under two ids."""
    books["bookings"].append({"order_id": "o-1", "payment_id": "p-1", "event_id": "e-9"})


def booked_unpaid(books: Books) -> None:
    """Let the order service book what nobody paid."""
    books["bookings"].append({"order_id": "o-3", "payment_id": "p-4", "event_id": "e-3"})


def not_acknowledged(books: Books) -> None:
    """Let payonce not know that an order was booked."""
    books["orders"][0]["acknowledged"] = False


def not_told(books: Books) -> None:
    """Let an event miss a queue that was bound."""
    del books["told"]["o-1"]


def told_under_two_ids(books: Books) -> None:
    """Tell of one order under two ids."""
    books["told"]["o-1"].append("e-9")


def parked(books: Books) -> None:
    """Let a message be put aside."""
    books["left"]["payonce.parked"] = 1


def unresolved(books: Books) -> None:
    """Let a watch end without an answer."""
    books["payments"][3]["unresolved"] = True


def test_true_books_are_not_objected_to() -> None:
    """Where everything is as it must be, the judge says nothing."""
    assert judged(true_books()) == []


def test_lost_queue_is_no_objection() -> None:
    """What came into a queue that was lost is not asked for."""
    assert judged({**true_books(), "told": None}) == []


@pytest.mark.parametrize(
    ("promise", "doctor"),
    [
        (1, two_winners),
        (1, no_winner),
        (2, unknown_money),
        (2, invented_money),
        (2, kept_twice),
        (2, never_sent_back),
        (2, waits_for_a_person),
        (3, winner_refunded),
        (3, refunded_too_much),
        (3, refunded_under_two_ids),
        (4, invented_failure),
        (4, invented_end),
        (5, forgotten),
        (5, stuck),
        (6, not_booked),
        (6, booked_twice),
        (6, booked_unpaid),
        (6, not_acknowledged),
        (6, not_told),
        (6, told_under_two_ids),
        (7, parked),
        (9, unresolved),
    ],
    ids=lambda one: one.__name__ if callable(one) else str(one),
)
def test_doctored_book_is_objected_to(promise: int, doctor: Doctor) -> None:
    """Each lie in the books breaks its promise, by number."""
    books = deepcopy(true_books())

    doctor(books)

    assert f"promise {promise}" in {one.partition(":")[0] for one in judged(books)}
