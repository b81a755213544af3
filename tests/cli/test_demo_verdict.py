"""What the demo of all kinds concludes from the gateways' books: it must see what is wrong."""

from typing import Any

import pytest

from payonce.cli.demo.kinds import STORIES_OF_KINDS
from payonce.cli.demo.stories import Plan
from payonce.cli.demo.verdict import kept_once, sent_back, told_rightly


def order_of(**changed: Any) -> dict[str, Any]:
    """Return an order that was paid twice, whose second payment went back."""
    order = {
        "order_id": "o-1",
        "status": "PAID",
        "amount": 1_999,
        "settled_by": "p-1",
        "refunds": [{"refund_id": "rf-2", "payment_id": "p-2", "status": "SUCCEEDED"}],
        "timeline": [{"kind": "payment.settled", "detail": {"source": "webhook"}}],
    }
    return order | changed


def books_of(*rows: tuple[str, int, int], order_id: str = "o-1") -> dict[str, Any]:
    """Return the books of a gateway with charges of (payment_id, captured, refunded)."""
    names = ("payment_id", "captured", "refunded")
    more = {"order_id": order_id, "currency": "BRL"}
    return {"charges": [dict(zip(names, row, strict=True)) | more for row in rows]}


RIGHT = {"wechat": books_of(("p-1", 1_999, 0)), "alipay": books_of(("p-2", 1_999, 1_999))}
MANUAL = order_of(refunds=[{"refund_id": "rf-2", "payment_id": "p-2", "status": "MANUAL"}])


def test_what_is_right_is_said_so() -> None:
    """One is kept, the other went back; at which gateways makes no difference."""
    orders = {"o-1": order_of(), "o-2": None}
    kept, back = kept_once(orders, RIGHT), sent_back(orders, RIGHT)
    assert kept.ok
    assert back.ok
    assert "by the books of 2 gateways 1 of 1 paid orders were kept exactly once" in kept.text
    assert "other successes: 1 = 1 sent back whole + 0 for a person" == back.text


@pytest.mark.parametrize(
    "books",
    [
        {"wechat": books_of(("p-1", 1_999, 0)), "alipay": books_of(("p-2", 1_999, 0))},
        {"wechat": books_of(("p-1", 1_999, 0)), "alipay": books_of(("p-2", 1_999, 1))},
        {"wechat": books_of(("p-1", 1_999, 1_999)), "alipay": books_of(("p-2", 1_999, 1_999))},
        {"wechat": books_of(("p-1", 1_999, 1_999)), "alipay": books_of(("p-2", 1_999, 0))},
        {"wechat": books_of(("p-1", 1_998, 0)), "alipay": books_of(("p-2", 1_999, 1_999))},
        RIGHT | {"boleto": books_of(("p-3", 5, 0), order_id="o-3")},
    ],
    ids=["twice", "in part", "not at all", "the wrong one", "too little", "of a stranger"],
)
def test_what_is_kept_wrongly_is_seen(books: dict[str, Any]) -> None:
    """By the gateways' books, whatever our tables say."""
    assert not kept_once({"o-1": order_of()}, books).ok


def test_what_waits_for_a_person_is_named() -> None:
    """It is neither kept nor gone."""
    books = RIGHT | {"alipay": books_of(("p-2", 1_999, 0))}
    assert kept_once({"o-1": MANUAL}, books).ok
    back = sent_back({"o-1": MANUAL}, books)
    assert back.ok
    assert back.text.endswith("+ 1 for a person; 1999 BRL of o-1 MANUAL: refund rf-2")


@pytest.mark.parametrize(
    ("order", "refunded"),
    [(order_of(refunds=[]), 0), (order_of(refunds=[]), 1_999), (order_of(), 1_998)],
    ids=["silently kept", "sent back by nobody", "sent back in part"],
)
def test_a_success_that_is_nowhere_is_seen(order: dict[str, Any], refunded: int) -> None:
    """Each other success went back whole, by a refund of ours, or waits."""
    books = RIGHT | {"alipay": books_of(("p-2", 1_999, refunded))}
    assert not sent_back({"o-1": order}, books).ok


def test_a_run_without_any_other_success_has_shown_nothing() -> None:
    """It was to be shown."""
    assert not sent_back({"o-1": order_of()}, {"wechat": books_of(("p-1", 1_999, 0))}).ok


def test_how_it_was_found_out_is_compared() -> None:
    """A poll in a callback's place means that callbacks of that kind do not work."""
    story = STORIES_OF_KINDS[0]
    assert "webhook" == story.source
    plans = [Plan(story, "o-1", 1_999, ["p-1"])]
    assert told_rightly(plans, {"o-1": order_of()}).ok
    polled = [{"kind": "payment.settled", "detail": {"source": "poll"}}]
    assert not told_rightly(plans, {"o-1": order_of(timeline=polled)}).ok
    assert not told_rightly(plans, {"o-1": None}).ok
