"""Many words in any order: the same totals, and one winner an order."""

from itertools import permutations

from hypothesis import given
from hypothesis import strategies as st

from payonce.domain.decide import Facts, Verdict
from payonce.domain.effects import Effects
from payonce.domain.judge import Hearing, judge
from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import Payment, PaymentStatus
from payonce.domain.report import GatewayReport, Outcome
from tests.domain.making import EXPIRES, facts, hearing, paid, words

NAMES = ("p1", "p2", "p3")


def locked(*names: str) -> dict[str, Facts]:
    """Return pending payments of one open order."""
    return {name: facts(payment_id=name) for name in names}


class Books:
    """The rows after each batch of words, as a ledger would keep them."""

    def __init__(self, *names: str) -> None:
        self.order = Order("o1", OrderStatus.OPEN, 100, "CNY", None, 0)
        self.payments = {
            name: Payment(name, "o1", "mock", 100, "CNY", PaymentStatus.PENDING, None, EXPIRES)
            for name in names
        }
        self.written: list[Effects] = []

    def hear(self, *hearings: Hearing) -> None:
        """Judge a batch and write what it says."""
        rows = {name: Facts(self.order, one) for name, one in self.payments.items()}
        for effects in judge(hearings, rows):
            if effects is not None:
                self.order = effects.order
                self.payments[effects.payment.payment_id] = effects.payment
                self.written.append(effects)

    def winners(self) -> list[str]:
        """Return the payments that settled the order."""
        return [e.payment.payment_id for e in self.written if e.decision.verdict == "settled"]

    def refunded(self) -> dict[str, int]:
        """Return what goes back, by payment."""
        return {r.payment_id: r.amount for e in self.written for r in e.refunds}


def test_each_decision_sees_what_the_ones_before_it_changed() -> None:
    """Two payments of one order in one call: one wins."""
    first, second = judge([paid("p2"), paid("p1")], locked("p1", "p2"))
    assert first is not None
    assert second is not None
    assert (Verdict.SETTLED, Verdict.DUPLICATED) == (
        first.decision.verdict,
        second.decision.verdict,
    )
    assert "p2" == second.order.settled_by


def test_one_charge_pays_one_of_two_payments_in_one_call() -> None:
    """The second that names it is mismatched."""
    both = judge([hearing("p1"), hearing("p2")], locked("p1", "p2"))
    assert ["settled", "mismatched"] == [one.decision.verdict for one in both if one]


def test_what_is_not_registered_has_no_effect() -> None:
    """And does not disturb the others."""
    assert [None, "p1"] == [
        one and one.payment.payment_id for one in judge([paid("px"), paid("p1")], locked("p1"))
    ]


STORY = (
    paid("p1"),
    paid("p2"),
    hearing("p3", GatewayReport(Outcome.CLOSED)),
    paid("p3"),
    hearing("p1", GatewayReport(Outcome.FAILED)),
)


def test_every_order_of_the_same_words_keeps_one_payment_and_returns_the_others() -> None:
    """Callbacks, polls and closes may cross in any way: the totals are the same."""
    for order_of_words in permutations(STORY):
        books = Books(*NAMES)
        for one in order_of_words:
            books.hear(one)
        [winner] = books.winners()
        assert {name: 100 for name in NAMES if name != winner} == books.refunded()
        assert (OrderStatus.PAID, winner) == (books.order.status, books.order.settled_by)
        assert {PaymentStatus.SUCCEEDED} == {one.status for one in books.payments.values()}


@given(
    st.lists(
        st.lists(
            st.builds(hearing, st.sampled_from(NAMES), words, ended=st.booleans()), max_size=4
        ),
        max_size=12,
    )
)
def test_whatever_is_heard_an_order_has_one_winner_and_nothing_is_refunded_twice(
    batches: list[list[Hearing]],
) -> None:
    """In any batches, with any nonsense between."""
    books = Books(*NAMES)
    for batch in batches:
        books.hear(*batch)
    assert books.winners() == ([books.order.settled_by] if books.order.settled_by else [])
    refunds = [r.payment_id for e in books.written for r in e.refunds]
    assert len(refunds) == len(set(refunds))
    assert books.order.settled_by not in refunds
    taken = {n for n, one in books.payments.items() if one.status is PaymentStatus.SUCCEEDED}
    assert taken == set(refunds) | ({books.order.settled_by} - {None})
