"""Did everything end as it has to? Our tables, the books and the shop's book are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from payonce.cli.demo.stories import CURRENCY, Plan

WAITING = frozenset({"HELD", "MANUAL"})
"""A refund that a person has to look at; `payonce refunds list` names it."""


@dataclass
class ShopBook:
    """What the order service booked: events by order, and how often each came."""

    events: dict[str, set[str]] = field(default_factory=dict)
    deliveries: int = 0
    failures: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was compared."""

    text: str
    ok: bool


def ending(order: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return how an order stands: its status, its payments', sorted, and its refunds'."""
    if order is None:
        return ("unknown",)
    payments = sorted(_payment_ending(one) for one in order["payments"])
    refunds = sorted(f"refund {one['status']}" for one in order["refunds"])
    return (order["status"], *payments, *refunds)


def is_over(plan: Plan, order: Mapping[str, Any] | None) -> bool:
    """Say whether an order stands where its story ends."""
    if order is None or ending(order) != plan.story.ends:
        return False
    return bool(order["acknowledged"]) or order["status"] != "PAID"


def findings(
    plans: Sequence[Plan],
    orders: Mapping[str, Any],
    book: ShopBook,
    parked: int,
) -> list[Finding]:
    """Return what every demo compares."""
    ended = [plan for plan in plans if ending(orders.get(plan.order_id)) == plan.story.ends]
    paid = [one for one in orders.values() if one and one["status"] == "PAID"]
    once = [one for one in paid if _winners(one) == 1]
    told = [one for one in paid if len(book.events.get(one["order_id"], ())) == 1]
    acknowledged = [one for one in paid if one["acknowledged"]]
    strangers = set(book.events) - {one["order_id"] for one in paid}
    return [
        Finding(f"{len(ended)} of {len(plans)} orders ended as their story says",
                len(ended) == len(plans)),
        Finding(f"{len(once)} of {len(paid)} paid orders were settled by exactly one payment",
                len(once) == len(paid)),
        Finding(f"{len(told)} of {len(paid)} paid orders were told under exactly one event id",
                len(told) == len(paid)),
        Finding(f"{len(acknowledged)} of {len(paid)} paid orders were acknowledged",
                len(acknowledged) == len(paid)),
        Finding(f"{len(strangers)} unpaid orders were told as paid", not strangers),
        Finding(f"{parked} messages were parked", parked == 0),
    ]  # fmt: skip


def booked_once(orders: Mapping[str, Any], booked: Sequence[str]) -> Finding:
    """Compare the paid orders with the table of an order service that was called."""
    paid = [one for one in orders.values() if one and one["status"] == "PAID"]
    once = [one for one in paid if booked.count(one["order_id"]) == 1]
    # Who acknowledged the event first is not called any more.
    fine = [
        one
        for one in paid
        if one in once or (one["acknowledged"] and not booked.count(one["order_id"]))
    ]
    text = f"{len(once)} of {len(paid)} paid orders were told by call and booked exactly once"
    return Finding(text, len(fine) == len(paid) and (bool(once) or not paid))


def same_money(orders: Mapping[str, Any], books: Mapping[str, Any]) -> Finding:
    """Compare the gateway's money with what we say is kept, sent back, or a person's to decide."""
    kept = back = odd = 0
    for order in orders.values():
        for payment in order["payments"] if order else ():
            if payment["mismatched"]:
                odd += payment["amount"]
            elif payment["status"] == "SUCCEEDED" and not payment["duplicate"]:
                kept += payment["amount"]
        for refund in order["refunds"] if order else ():
            back += refund["amount"] if refund["status"] == "SUCCEEDED" else 0
    captured, refunded = books["balance"]["captured"], books["balance"]["refunded"]
    text = (
        f"captured {captured} = kept {kept} + refunded {refunded} + mismatched {odd}, "
        f"in minor units of {CURRENCY}"
    )
    return Finding(text, captured == kept + refunded + odd and refunded == back)


def _winners(order: Mapping[str, Any]) -> int:
    return sum(
        one["status"] == "SUCCEEDED" and not one["duplicate"] and not one["mismatched"]
        for one in order["payments"]
    )


def _payment_ending(payment: Mapping[str, Any]) -> str:
    flags = [name for name in ("duplicate", "unresolved", "mismatched") if payment[name]]
    return " ".join([payment["status"], *flags])


def told_rightly(plans: Sequence[Plan], orders: Mapping[str, Any]) -> Finding:
    """Compare how payments were found out with what their stories say."""
    told = [plan for plan in plans if plan.story.source is not None]
    right = [plan for plan in told if _sources(orders[plan.order_id]) == [plan.story.source]]
    text = f"{len(right)} of {len(told)} payments were found out as told: callback, poll, close"
    return Finding(text, len(right) == len(told))


def kept_once(orders: Mapping[str, Any], books: Mapping[str, Any]) -> Finding:
    """Compare the paid orders with what is left of their money at all gateways together."""
    waiting = {one["payment_id"] for one in _waiting(orders)}
    kept: dict[str, list[tuple[str, int]]] = {}
    for row in _captured(books):
        left = row["captured"] - row["refunded"]
        if left and row["payment_id"] not in waiting:
            kept.setdefault(row["order_id"], []).append((row["payment_id"], left))
    paid = {one["order_id"]: one for one in orders.values() if one and one["status"] == "PAID"}
    once = [
        order_id
        for order_id, one in paid.items()
        if kept.get(order_id) == [(one["settled_by"], one["amount"])]
    ]
    others = set(kept) - set(paid)
    text = (
        f"by the books of {len(books)} gateways {len(once)} of {len(paid)} paid orders were kept "
        f"exactly once, and {len(others)} others"
    )
    return Finding(text, len(once) == len(paid) and not others)


def sent_back(orders: Mapping[str, Any], books: Mapping[str, Any]) -> Finding:
    """Compare the other successes with the refunds: each went back whole, or waits by name."""
    winners = {one["settled_by"] for one in orders.values() if one}
    others = [row for row in _captured(books) if row["payment_id"] not in winners]
    refunds = {
        refund["payment_id"]: refund
        for order in orders.values()
        for refund in (order["refunds"] if order else ())
    }
    back = [
        row
        for row in others
        if row["refunded"] == row["captured"]
        and refunds.get(row["payment_id"], {}).get("status") == "SUCCEEDED"
    ]
    waiting = [row for row in others if refunds.get(row["payment_id"], {}).get("status") in WAITING]
    named = "".join(
        f"; {row['captured']} {row['currency']} of {row['order_id']} {one['status']}: "
        f"refund {one['refund_id']}"
        for row in waiting
        for one in [refunds[row["payment_id"]]]
    )
    text = (
        f"other successes: {len(others)} = {len(back)} sent back whole + {len(waiting)} for a "
        f"person{named}"
    )
    return Finding(text, len(back) + len(waiting) == len(others) and bool(others))


def _captured(books: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [row for one in books.values() for row in one["charges"] if row["captured"]]


def _waiting(orders: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [
        refund
        for order in orders.values()
        for refund in (order["refunds"] if order else ())
        if refund["status"] in WAITING
    ]


def _sources(order: Mapping[str, Any] | None) -> list[str]:
    """Return how it was found out that an order is paid."""
    lines = order["timeline"] if order else ()
    return [one["detail"]["source"] for one in lines if one["kind"] == "payment.settled"]
