"""payonce show."""

import argparse
import sys
from collections.abc import Iterator, Mapping
from operator import itemgetter
from typing import Any

from payonce.cli.printing import money_of, print_json, print_table, shown
from payonce.cli.reading import open_stories
from payonce.domain.ids import check_id
from payonce.domain.times import format_time, from_ms

View = Mapping[str, Any]

_PAYMENT_COLUMNS = ("payment_id", "gateway", "money", "status", "flags", "expires_at")
_REFUND_COLUMNS = ("refund_id", "payment_id", "money", "status", "rule")


async def execute(arguments: argparse.Namespace) -> int:
    """Tell the story of an order, named by its own id or by one of its payments."""
    wanted = check_id(arguments.id, "ORDER|PAYMENT")
    async with open_stories() as reader:
        order = await reader.order(wanted)
        if order is None and (payment := await reader.payment(wanted)) is not None:
            order = await reader.order(payment["order_id"])
    if order is None:
        print(f"payonce: no order or payment {wanted} is known", file=sys.stderr)
        return 1
    if arguments.json:
        print_json([order])
    else:
        _print_story(order)
    return 0


def _print_story(order: View) -> None:
    acknowledged = ", acknowledged" if order["acknowledged"] else ", not acknowledged"
    settled = f", settled by {order['settled_by']}{acknowledged}" if order["settled_by"] else ""
    print(f"order {order['order_id']}: {order['status']} {money_of(order)}{settled}\n")
    payments = [{**one, "money": money_of(one), "flags": _flags(one)} for one in order["payments"]]
    print_table(payments, _PAYMENT_COLUMNS, "no payments")
    if order["refunds"]:
        print()
        refunds = [{**one, "money": money_of(one)} for one in order["refunds"]]
        print_table(refunds, _REFUND_COLUMNS, "no refunds")
    print()
    _print_timeline(order["timeline"])


def _print_timeline(timeline: list[View]) -> None:
    lines = sorted((line for entry in timeline for line in _lines(entry)), key=itemgetter(0))
    kinds = max((len(kind) for _, kind, _, _ in lines), default=0)
    ids = max((len(who) for _, _, who, _ in lines), default=0)
    for at, kind, who, facts in lines:
        print(f"{at}  {kind:<{kinds}}  {who:<{ids}}  {facts}".rstrip())


def _lines(entry: View) -> Iterator[tuple[str, str, str, str]]:
    """Yield (time, kind, payment, facts) of the polls that led to an entry, and of the entry."""
    detail, who = entry["detail"], entry["payment_id"] or ""
    for step, at_ms, outcome in detail.get("polls", []):
        yield format_time(from_ms(at_ms)), f"poll {step}", who, shown(outcome)
    yield entry["at"], entry["kind"], who, "  ".join(_facts(detail))


def _facts(detail: View) -> Iterator[str]:
    """Yield what a line of the timeline tells, money first, as people read it."""
    if detail.get("currency") is not None:
        yield money_of(detail)
    for name, value in detail.items():
        if name in {"amount", "currency", "polls"} or value in (None, []):
            continue
        text = ",".join(map(str, value)) if isinstance(value, list) else value
        if name == "limit" and detail.get("currency") is not None:
            text = money_of({**detail, "amount": value})
        yield shown(f"{name}={text}")


def _flags(payment: View) -> str:
    names = [name for name in ("duplicate", "unresolved") if payment[name]]
    if payment["mismatched"]:
        names.append(f"mismatched: {payment['mismatched']}")
    return ", ".join(names) or "-"
