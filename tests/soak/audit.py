"""After the last minute: do payonce's tables, the gateway's books and the order service agree?"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import asyncpg

from tests.soak.stage import Stage

Row = Mapping[str, Any] | asyncpg.Record


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was compared."""

    text: str
    ok: bool


UNFINISHED = """
SELECT
    (SELECT count(*) FROM payments WHERE status IN ('CREATED', 'PENDING'))
    + (SELECT count(*) FROM orders WHERE status = 'PAID' AND acknowledged_at IS NULL)
    + (SELECT count(*) FROM refunds WHERE status IN ('REQUESTED', 'SUBMITTED'))
    + (SELECT count(*) FROM webhook_inbox WHERE processed_at IS NULL)
    + (SELECT count(*) FROM outbox) AS unfinished
"""


async def unfinished(stage: Stage) -> int:
    """Return how much still waits for an outcome, a booking or to be told."""
    return int((await stage.rows(UNFINISHED))[0][0])


async def audit(stage: Stage, asked: int) -> list[Finding]:
    """Compare everything with everything; `asked`: orders that the shop was answered for."""
    payments = await stage.rows("SELECT * FROM payments")
    orders = await stage.rows("SELECT * FROM orders")
    refunds = await stage.rows("SELECT * FROM refunds")
    books = await stage.control("GET", "/books")
    booked = await stage.handles.orders.booked()
    parked = await stage.parked()
    return [
        Finding(f"{len(orders)} of {asked} orders are known", len(orders) == asked),
        _same_outcomes(payments, books["charges"]),
        _one_winner(orders, payments),
        _told_once(orders, booked),
        _same_money(payments, refunds, books["balance"]),
        _sent_back(payments, refunds, books["charges"]),
        Finding(f"{len(parked)} messages were put aside{_some(parked)}", not parked),
        _nothing_waits(payments, orders, refunds),
    ]


def _same_outcomes(payments: Sequence[Row], charges: Sequence[Row]) -> Finding:
    """Compare each payment with its charge; one that never reached the gateway is closed."""
    words = {one["payment_id"]: _outcome(one) for one in charges}
    odd = [
        f"{one['payment_id']} {one['status']}"
        for one in payments
        if one["status"] != words.pop(one["payment_id"], "CLOSED")
    ]
    text = (
        f"{len(payments) - len(odd)} of {len(payments)} payments stand as the gateway's books say"
    )
    return Finding(f"{text}, {len(words)} charges are unknown{_some(odd)}", not odd and not words)


def _outcome(charge: Row) -> str:
    if charge["captured"]:
        return "SUCCEEDED"
    return "FAILED" if charge["status"] == "failed" else "CLOSED"


def _one_winner(orders: Sequence[Row], payments: Sequence[Row]) -> Finding:
    winners = Counter(
        one["order_id"] for one in payments if one["status"] == "SUCCEEDED" and not one["duplicate"]
    )
    paid = {one["order_id"] for one in orders if one["status"] == "PAID"}
    odd = [name for name in paid | winners.keys() if winners[name] != 1 or name not in paid]
    return Finding(f"{len(paid)} paid orders, each by exactly one payment{_some(odd)}", not odd)


def _told_once(orders: Sequence[Row], booked: Iterable[str]) -> Finding:
    counts = Counter(booked)
    paid = {one["order_id"] for one in orders if one["acknowledged_at"] is not None}
    odd = [name for name in paid | counts.keys() if counts[name] != 1 or name not in paid]
    return Finding(f"{len(counts)} orders booked, each once, all acknowledged{_some(odd)}", not odd)


def _same_money(payments: Sequence[Row], refunds: Sequence[Row], balance: Row) -> Finding:
    known = sum(one["amount"] for one in payments if one["status"] == "SUCCEEDED")
    kept = sum(one["amount"] for one in payments if _is_winner(one))
    back = sum(one["amount"] for one in refunds if one["status"] == "SUCCEEDED")
    captured, refunded = balance["captured"], balance["refunded"]
    is_same = captured == known == kept + back and refunded == back
    return Finding(f"captured {captured} = kept {kept} + sent back {refunded}", is_same)


def _sent_back(payments: Sequence[Row], refunds: Sequence[Row], charges: Sequence[Row]) -> Finding:
    """Compare duplicates with refunds, and both with the gateway's books."""
    duplicates = {one["payment_id"] for one in payments if one["duplicate"]}
    back = {one["payment_id"] for one in refunds if one["status"] == "SUCCEEDED"}
    whole = {one["payment_id"] for one in charges if one["refunded"]}
    sent = Counter(one["payment_id"] for one in charges for _ in one["refunds"])
    odd = sorted((duplicates ^ back) | (duplicates ^ whole) | {k for k, n in sent.items() if n > 1})
    return Finding(f"{len(duplicates)} second payments, each sent back once{_some(odd)}", not odd)


def _nothing_waits(
    payments: Sequence[Row], orders: Sequence[Row], refunds: Sequence[Row]
) -> Finding:
    waiting = [one["payment_id"] for one in payments if one["unresolved"] or one["mismatched"]]
    waiting += [one["order_id"] for one in orders if one["retell_at"] is not None]
    waiting += [one["refund_id"] for one in refunds if one["status"] != "SUCCEEDED"]
    return Finding(f"{len(waiting)} entries wait for a person{_some(waiting)}", not waiting)


def _is_winner(payment: Row) -> bool:
    return payment["status"] == "SUCCEEDED" and not payment["duplicate"]


def _some(odd: Sequence[str]) -> str:
    return f": {', '.join(odd[:5])}" if odd else ""
