"""Short ways to say what a test needs of a refund and its rows."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from payonce.domain.ids import refund_id
from payonce.domain.money import Money
from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import Payment, PaymentStatus
from payonce.domain.people import PaymentCase
from payonce.domain.refund import Refund, RefundReason, RefundStatus
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.domain.risk import Answers, Case, GatewayPolicy, Policy
from tests.store.making import EXPIRES, NOW

WINDOW = timedelta(hours=24)
POLICY = Policy(
    auto=True,
    hold_above={"CNY": 1_000},
    two_people_above={"CNY": 5_000},
    max_per_order=3,
    max_per_hour=10,
    gateways={"mock": GatewayPolicy(key_window=WINDOW)},
)
REFUND = Refund(
    refund_id=refund_id("p2"),
    payment_id="p2",
    order_id="o1",
    gateway="mock",
    amount=100,
    currency="CNY",
    status=RefundStatus.REQUESTED,
    reason=RefundReason.ORDER_PAID,
    rule=None,
)
PAID = GatewayReport(Outcome.SUCCEEDED, "g2", 100, "CNY")
WINNER_PAID = GatewayReport(Outcome.SUCCEEDED, "g1", 100, "CNY")
SILENT = GatewayReport(Outcome.UNKNOWN, reason="timed out")
NOT_KNOWN = RefundReport(RefundOutcome.NOT_FOUND)


def payment(payment_id: str = "p2", **changes: Any) -> Payment:
    """Return a paid payment of o1 with everything ordinary but what is given."""
    made = Payment(
        payment_id, "o1", "mock", 100, "CNY", PaymentStatus.SUCCEEDED, f"g{payment_id[1:]}", EXPIRES
    )
    return replace(made, duplicate=payment_id != "p1", **changes)


def case(*, winner: Payment | None = None, **changes: Any) -> Case:
    """Return the refund of the duplicate p2 of o1, which p1 settled; `changes` are the refund's."""
    order = Order("o1", OrderStatus.PAID, 100, "CNY", "p1", 5)
    refund = replace(REFUND, **changes)
    return Case(refund, payment(), order, winner or payment("p1"), Money(100, "CNY"))


def held(rule: str = "over-limit", **changes: Any) -> Case:
    """Return the same refund, HELD."""
    return case(status=RefundStatus.HELD, rule=rule, **changes)


def answers(**changes: Any) -> Answers:
    """Return answers of gateways where all is in order but what is given."""
    return replace(Answers(0, "p1", PAID, WINNER_PAID), **changes)


def sent(**changes: Any) -> Case:
    """Return the same refund, SUBMITTED an hour ago for the first time."""
    ordinary: dict[str, Any] = {"attempts": 1, "submitted_at": NOW - timedelta(hours=1)}
    return case(status=RefundStatus.SUBMITTED, **{**ordinary, **changes})


def payment_case(**changes: Any) -> PaymentCase:
    """Return the duplicate p2 as a person asks about it."""
    return replace(PaymentCase(payment(), case().order, Money(100, "CNY")), **changes)
