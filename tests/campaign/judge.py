"""The judge: the gateway's books against payonce's tables against the order service's."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Evidence:
    """What is known when all is over.

    `asked`: payments that the shop sent or was shown. `charges`: rows of the gateway's books.
    `orders`, `payments`, `refunds`: payonce's rows. `bookings`: the order service's. `told`: by
    order, the ids of its payment.succeeded as another bound queue got them; None: that queue was
    lost. `left`: what lies where nothing should, by place: outbox, parked messages.
    """

    asked: frozenset[str] = frozenset()
    charges: Sequence[Row] = ()
    orders: Sequence[Row] = ()
    payments: Sequence[Row] = ()
    refunds: Sequence[Row] = ()
    bookings: Sequence[Row] = ()
    told: Mapping[str, Sequence[str]] | None = field(default_factory=dict)
    left: Mapping[str, int] = field(default_factory=dict)


def objections(evidence: Evidence) -> list[str]:
    """Return every breach of a promise of the contract, with the promise's number."""
    return [f"promise {number}: {what}" for number, check in _CHECKS for what in check(evidence)]


def _settled_once(evidence: Evidence) -> Iterator[str]:
    winners = defaultdict(list)
    for row in evidence.payments:
        if row["status"] == "SUCCEEDED" and not row["duplicate"] and not row["mismatched"]:
            winners[row["order_id"]].append(row["payment_id"])
    for order in evidence.orders:
        expected = [order["settled_by"]] if order["status"] == "PAID" else []
        if winners[order["order_id"]] != expected:
            won = winners[order["order_id"]]
            yield f"{order['order_id']} is settled by {expected}, but its winners are {won}"


def _money_is_known(evidence: Evidence) -> Iterator[str]:
    rows = {row["payment_id"]: row for row in evidence.payments}
    for charge in evidence.charges:
        row = rows.get(charge["payment_id"])
        if charge["captured"] and (row is None or row["status"] != "SUCCEEDED"):
            known = row and row["status"]
            yield f"{charge['payment_id']} was paid at the gateway, payonce has it as {known}"
        if not charge["captured"] and row is not None and row["status"] == "SUCCEEDED":
            yield f"{charge['payment_id']} was never paid, payonce has it as SUCCEEDED"


def _kept_once(evidence: Evidence) -> Iterator[str]:
    kept: Counter[str] = Counter()
    for charge in evidence.charges:
        kept[charge["order_id"]] += charge["captured"] - charge["refunded"]
    for order in evidence.orders:
        expected = order["amount"] if order["status"] == "PAID" else 0
        if kept[order["order_id"]] != expected:
            found = kept[order["order_id"]]
            yield f"{order['order_id']}: {found} kept at the gateway, expected {expected}"


def _waits_for_nobody(evidence: Evidence) -> Iterator[str]:
    for row in evidence.payments:
        if row["mismatched"]:
            yield f"{row['payment_id']} waits for a person: mismatched, {row['mismatched']}"
    for row in evidence.refunds:
        if row["status"] != "SUCCEEDED":
            yield f"refund {row['refund_id']} of {row['payment_id']} is {row['status']}"


def _refunds_are_right(evidence: Evidence) -> Iterator[str]:
    winners = {order["settled_by"] for order in evidence.orders}
    known = Counter(row["refund_id"] for row in evidence.refunds)
    for charge in evidence.charges:
        if charge["refunded"] and charge["payment_id"] in winners:
            yield f"{charge['payment_id']} settled its order and was refunded"
        if charge["refunded"] > charge["captured"]:
            yield f"{charge['payment_id']}: {charge['refunded']} refunded of {charge['captured']}"
        ids = [one["refund_id"] for one in charge["refunds"]]
        if len(ids) > 1 or any(not known[one] for one in ids):
            yield f"{charge['payment_id']} was refunded under the ids {ids}"


def _ends_are_the_gateways(evidence: Evidence) -> Iterator[str]:
    said = {charge["payment_id"]: charge["status"] for charge in evidence.charges}
    for row in evidence.payments:
        word = said.get(row["payment_id"])
        if row["status"] == "FAILED" and word != "failed":
            yield f"{row['payment_id']} is FAILED, at the gateway {word}"
        if row["status"] == "CLOSED" and word not in {"closed", "failed", None}:
            yield f"{row['payment_id']} is CLOSED, at the gateway {word}"


def _nothing_is_lost(evidence: Evidence) -> Iterator[str]:
    known = {row["payment_id"] for row in evidence.payments}
    for payment_id in sorted(evidence.asked - known):
        yield f"{payment_id} is not known"
    for row in evidence.payments:
        if row["status"] in {"CREATED", "PENDING"}:
            yield f"{row['payment_id']} is still {row['status']}"


def _every_queue_was_told(evidence: Evidence) -> Iterator[str]:
    booked = defaultdict(list)
    for row in evidence.bookings:
        booked[row["order_id"]].append(row)
    paid = {order["order_id"]: order for order in evidence.orders if order["status"] == "PAID"}
    for order_id in sorted(booked.keys() - paid.keys()):
        yield f"{order_id} was booked and is not paid"
    for order_id, order in paid.items():
        payments = [row["payment_id"] for row in booked[order_id]]
        if payments != [order["settled_by"]]:
            yield f"{order_id} is paid by {order['settled_by']}, booked: {payments}"
        if not order["acknowledged"]:
            yield f"{order_id} is paid and not acknowledged"
        yield from _one_id(order_id, booked[order_id], evidence.told)


def _one_id(
    order_id: str, bookings: Sequence[Row], told: Mapping[str, Sequence[str]] | None
) -> Iterator[str]:
    ids = {str(row["event_id"]) for row in bookings}
    if told is not None:
        if not told.get(order_id):
            yield f"{order_id}: its payment.succeeded never reached a queue that was bound"
        ids |= set(told.get(order_id, ()))
    if len(ids) > 1:
        yield f"{order_id}: its payment.succeeded has the ids {sorted(ids)}"


def _nothing_is_left(evidence: Evidence) -> Iterator[str]:
    for place, count in evidence.left.items():
        if count:
            yield f"{count} in {place}"


def _no_watch_has_ended(evidence: Evidence) -> Iterator[str]:
    for row in evidence.payments:
        if row["unresolved"]:
            yield f"{row['payment_id']} is unresolved"


_CHECKS: Sequence[tuple[int, Callable[[Evidence], Iterator[str]]]] = (
    (1, _settled_once),
    (2, _money_is_known),
    (2, _kept_once),
    (2, _waits_for_nobody),
    (3, _refunds_are_right),
    (4, _ends_are_the_gateways),
    (5, _nothing_is_lost),
    (6, _every_queue_was_told),
    (7, _nothing_is_left),
    (9, _no_watch_has_ended),
)
"""By promise. 8: forged callbacks are part of the load. 10 is measured by the benchmarks."""
