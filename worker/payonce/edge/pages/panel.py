"""What the checkout page says of a payment. Pure: the order as it is read, the time, a panel."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from payonce.domain.order import OrderStatus
from payonce.domain.payment import PaymentStatus
from payonce.domain.refund import RefundStatus
from payonce.domain.times import parse_time

View = Mapping[str, Any]


class State(StrEnum):
    """What the shopper is told; the key of its words."""

    PAY = "pay"
    PREPARING = "preparing"
    NO_CODE = "no-code"
    UNKNOWN = "unknown"
    CHECKING = "checking"
    REPLACED = "replaced"
    EXPIRED = "expired"
    CLOSED = "closed"
    FAILED = "failed"
    PAID = "paid"
    PAID_BY_ANOTHER = "paid-by-another"
    CANCELLED = "cancelled"


class Tone(StrEnum):
    """How it is said."""

    GOOD = "good"
    BAD = "bad"
    WAIT = "wait"


TONES = {
    State.PAY: Tone.WAIT,
    State.PREPARING: Tone.WAIT,
    State.NO_CODE: Tone.WAIT,
    State.UNKNOWN: Tone.WAIT,
    State.CHECKING: Tone.WAIT,
    State.REPLACED: Tone.WAIT,
    State.EXPIRED: Tone.BAD,
    State.CLOSED: Tone.BAD,
    State.FAILED: Tone.BAD,
    State.PAID: Tone.GOOD,
    State.PAID_BY_ANOTHER: Tone.GOOD,
    State.CANCELLED: Tone.BAD,
}
CHOOSING = frozenset(
    {
        State.PAY,
        State.PREPARING,
        State.NO_CODE,
        State.UNKNOWN,
        State.EXPIRED,
        State.CLOSED,
        State.FAILED,
    }
)
"""Where the shopper may choose how to pay."""

ENDED = frozenset({State.PAID, State.PAID_BY_ANOTHER, State.CANCELLED})

REFUND_WORDS = {
    RefundStatus.REQUESTED: "under-way",
    RefundStatus.SUBMITTED: "under-way",
    RefundStatus.SUCCEEDED: "done",
    RefundStatus.HELD: "person",
    RefundStatus.MANUAL: "person",
    RefundStatus.FAILED: "person",
    RefundStatus.REJECTED: "rejected",
}
REFUND_ENDS = frozenset({"done", "rejected"})
_LOST = frozenset({PaymentStatus.FAILED, PaymentStatus.CLOSED})
_UNFINISHED = frozenset({PaymentStatus.CREATED, PaymentStatus.PENDING})


@dataclass(frozen=True, slots=True)
class Refunding:
    """What becomes of money that goes back; `words` is the end of a key."""

    words: str
    amount: int
    currency: str


@dataclass(frozen=True, slots=True)
class Panel:
    """What the page shows of one payment of an order.

    `left_s`: seconds until it expires, where that counts. `newest`: the payment that took its
    place. `shown`: tells two states of an order apart, in the page's script too.
    """

    state: State
    payment: View
    order: View
    left_s: int | None
    newest: str | None
    refunds: Sequence[Refunding]
    is_reversed: bool
    shown: str

    @property
    def amount(self) -> int:
        """The order's price in minor units."""
        found: int = self.order["amount"] or self.payment["amount"]
        return found

    @property
    def currency(self) -> str:
        """The currency of the order's price."""
        found: str = self.order["currency"] or self.payment["currency"]
        return found

    @property
    def tone(self) -> Tone:
        """How it is said."""
        return TONES[self.state]

    @property
    def may_choose(self) -> bool:
        """Whether the shopper may choose how to pay."""
        return self.state in CHOOSING

    @property
    def is_final(self) -> bool:
        """Whether nothing more is expected to happen."""
        if self.state not in ENDED or any(one.words not in REFUND_ENDS for one in self.refunds):
            return False
        return self.state is State.PAID or _is_through(self.order, self.payment)


def panel_of(order: View, payment: View, now: datetime) -> Panel:
    """Return what is shown of a payment of `order`, which is as GET /v1/orders/{id} answers.

    `payment` as it stood before counts where the order has too many to list this one.
    """
    listed = [one for one in order["payments"] if one["payment_id"] == payment["payment_id"]]
    payment = listed[0] if listed else payment
    expires_at = parse_time(payment["expires_at"], "expires_at")
    newest = _newest(order, payment)
    state = _state(order, payment, newest, is_over=now >= expires_at)
    left_s = max(0, round((expires_at - now).total_seconds()))
    return Panel(
        state=state,
        payment=payment,
        order=order,
        left_s=left_s if state in {State.PAY, State.PREPARING} else None,
        newest=newest if state is State.REPLACED else None,
        refunds=[_refunding(one) for one in order["refunds"]],
        is_reversed=state is State.PAID and bool(payment["reversed_amount"]),
        shown=shown_of(order),
    )


def shown_of(order: View) -> str:
    """Return what changes whenever the page would; checkout.js writes the same of an order."""
    payments = [
        [one["status"], one["closing"], one["unresolved"], one["mismatched"]]
        for one in order["payments"]
    ]
    refunds = [one["status"] for one in order["refunds"]]
    return json.dumps([order["version"], payments, refunds], separators=(",", ":"))


def _is_through(order: View, payment: View) -> bool:
    """Say of a payment that did not settle its order whether no more money comes or goes back."""
    if payment["status"] in _LOST and not payment["mismatched"]:
        return True
    went_back = any(one["payment_id"] == payment["payment_id"] for one in order["refunds"])
    return went_back or payment["resolved_as"] is not None


def _state(order: View, payment: View, newest: str | None, *, is_over: bool) -> State:
    if order["status"] == OrderStatus.PAID:
        is_winner = order["settled_by"] == payment["payment_id"]
        return State.PAID if is_winner else State.PAID_BY_ANOTHER
    if order["status"] == OrderStatus.CANCELLED:
        return State.CANCELLED
    if payment["mismatched"] and payment["resolved_as"] in {None, "kept"}:
        return State.CHECKING
    if newest is not None:
        return State.REPLACED
    if payment["unresolved"]:
        return State.UNKNOWN
    return _own_state(payment, is_over=is_over)


def _own_state(payment: View, *, is_over: bool) -> State:
    """Return the state of a payment whose order is open and knows no better one."""
    if payment["status"] == PaymentStatus.FAILED:
        return State.FAILED
    if payment["status"] == PaymentStatus.SUCCEEDED:
        # A person has sent its money back: it could not settle the order.
        return State.CLOSED
    if is_over:
        return State.EXPIRED
    if payment["status"] == PaymentStatus.CLOSED or payment["closing"]:
        return State.CLOSED
    if payment["status"] == PaymentStatus.CREATED:
        return State.PREPARING
    return State.PAY if payment.get("qr") or payment.get("pay_url") else State.NO_CODE


def _newest(order: View, payment: View) -> str | None:
    """Return the payment that may be paid in place of one that is over; None: there is none."""
    if payment["status"] in _UNFINISHED and not payment["closing"]:
        return None
    live = [
        one["payment_id"]
        for one in order["payments"]
        if one["status"] in _UNFINISHED
        and not (one["closing"] or one["mismatched"] or one["unresolved"])
        and one["payment_id"] != payment["payment_id"]
    ]
    return live[-1] if live else None


def _refunding(refund: View) -> Refunding:
    words = REFUND_WORDS[RefundStatus(refund["status"])]
    return Refunding(words, refund["amount"], refund["currency"])
