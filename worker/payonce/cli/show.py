"""payonce show."""

import argparse
import os
from collections.abc import Mapping
from typing import Any

from payonce.bootstrap import open_reader
from payonce.cli.printing import print_json, print_table
from payonce.domain.ids import check_id
from payonce.domain.money import Money
from payonce.settings import load_settings

View = Mapping[str, Any]

_PAYMENT_COLUMNS = ("payment_id", "gateway", "money", "status", "flags", "expires_at")
_REFUND_COLUMNS = ("refund_id", "payment_id", "money", "status", "rule")


async def execute(arguments: argparse.Namespace) -> int:
    """Tell the story of an order, named by its own id or by one of its payments."""
    wanted = check_id(arguments.id, "id")
    async with open_reader(load_settings(os.environ)) as reader:
        order = await reader.order(wanted)
        if order is None and (payment := await reader.payment(wanted)) is not None:
            order = await reader.order(payment["order_id"])
    if order is None:
        print(f"no order or payment {wanted} is known")
        return 1
    if arguments.json:
        print_json([order])
    else:
        _print_story(order)
    return 0


def _print_story(order: View) -> None:
    acknowledged = ", acknowledged" if order["acknowledged"] else ""
    settled = f", settled by {order['settled_by']}" if order["settled_by"] else ""
    print(f"order {order['order_id']}: {order['status']} {_money(order)}{settled}{acknowledged}\n")
    payments = [{**one, "money": _money(one), "flags": _flags(one)} for one in order["payments"]]
    print_table(payments, _PAYMENT_COLUMNS, "no payments")
    if order["refunds"]:
        print()
        refunds = [{**one, "money": _money(one)} for one in order["refunds"]]
        print_table(refunds, _REFUND_COLUMNS, "no refunds")
    print()
    for line in order["timeline"]:
        _print_entry(line)


def _print_entry(entry: View) -> None:
    detail = dict(entry["detail"])
    polls = detail.pop("polls", [])
    facts = "  ".join(f"{name}={value}" for name, value in detail.items() if value is not None)
    print(f"{entry['at']}  {entry['kind']:<20} {entry['payment_id'] or '':<20} {facts}".rstrip())
    if polls:
        steps = ", ".join(f"{step}: {outcome}" for step, _, outcome in polls)
        print(f"{'':<26}polls {steps}")


def _money(row: View) -> str:
    return "-" if row["amount"] is None else str(Money(row["amount"], row["currency"]))


def _flags(payment: View) -> str:
    names = [name for name in ("duplicate", "unresolved") if payment[name]]
    if payment["mismatched"]:
        names.append(f"mismatched: {payment['mismatched']}")
    return ", ".join(names) or "-"
