"""Orders, payments and words of gateways, made up by Hypothesis or by hand."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import strategies as st

from payonce.domain.decide import Facts
from payonce.domain.effects import Occasion
from payonce.domain.judge import Hearing
from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import Payment, PaymentStatus
from payonce.domain.report import GatewayReport, Outcome, Source

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
EXPIRES = NOW + timedelta(hours=2)
ORDER = Order("o1", OrderStatus.OPEN, 100, "CNY", None, 0)
PAYMENT = Payment("p1", "o1", "mock", 100, "CNY", PaymentStatus.PENDING, None, EXPIRES)
PAID = GatewayReport(Outcome.SUCCEEDED, "ref-1", 100, "CNY", paid_at=NOW)
OCCASION = Occasion(NOW, Source.POLL)


def facts(order: Order = ORDER, ref_owner: str | None = None, **payment: Any) -> Facts:
    """Return the facts of one payment with everything ordinary but what is given."""
    return Facts(order, replace(PAYMENT, **payment), ref_owner)


def hearing(payment_id: str, report: GatewayReport = PAID, *, ended: bool = False) -> Hearing:
    """Return a word about one payment."""
    return Hearing(payment_id, report, OCCASION, watch_ended=ended)


def paid(payment_id: str, **changes: Any) -> Hearing:
    """Return the word that a payment was paid, by a charge of its own."""
    return hearing(payment_id, replace(PAID, gateway_ref=f"ref-{payment_id}", **changes))


statuses = st.sampled_from(PaymentStatus)
words = st.builds(
    GatewayReport,
    st.sampled_from(Outcome),
    gateway_ref=st.none() | st.sampled_from(["ref-1", "ref-2"]),
    amount=st.none() | st.sampled_from([100, 101]),
    currency=st.none() | st.sampled_from(["CNY", "USD"]),
    refunded=st.sampled_from([0, 0, 0, 40, 100]),
)
