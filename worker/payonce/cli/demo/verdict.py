"""Did everything end as it has to? Our tables, the books and the shop's book are compared."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from payonce.cli.demo.stories import CURRENCY, Plan


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
    books: Mapping[str, Any],
    book: ShopBook,
    parked: int,
) -> list[Finding]:
    """Return everything that was compared."""
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
        _money(orders, books),
    ]  # fmt: skip


def booked_once(orders: Mapping[str, Any], booked: Sequence[str]) -> Finding:
    """Compare the paid orders with the table of an order service that was called."""
    paid = [one["order_id"] for one in orders.values() if one and one["status"] == "PAID"]
    once = [one for one in paid if booked.count(one) == 1]
    text = f"{len(once)} of {len(paid)} paid orders were told by call and booked exactly once"
    return Finding(text, len(once) == len(paid))


def _money(orders: Mapping[str, Any], books: Mapping[str, Any]) -> Finding:
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
