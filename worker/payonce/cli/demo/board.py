"""What the demo shows: each payment climbing the ladder."""

import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

from payonce.cli.demo.stories import Plan

RUNGS = ("3s", "10s", "30s", "3m")
_DIM, _GREEN, _CYAN, _YELLOW, _RED, _OFF = (
    "\x1b[2m",
    "\x1b[32m",
    "\x1b[36m",
    "\x1b[33m",
    "\x1b[31m",
    "\x1b[0m",
)
_COLOURS = {
    "booked": _GREEN,
    "paid": _CYAN,
    "double": _YELLOW,
    "manual": _YELLOW,
    "held": _YELLOW,
    "returned": _GREEN,
    "failed": _RED,
    "closed": _RED,
    "odd": _YELLOW,
}
_LEGEND = (
    "3s 10s 30s: the wait it is in · paid: settled and told · booked: acknowledged by the order",
    "service · double: paid twice · returned: its money went back · held: waits for a person ·",
    "odd: another amount than asked, a person's · failed: declined · closed: never to be paid",
)
_MANUAL = "manual: the gateway cannot send it back, a person does"
_CLEAR = "\x1b[H\x1b[2J"
PLAIN_EVERY_S = 5.0


class Board:
    """A live table on a terminal, a line now and then elsewhere.

    `ladders`: by gateway, where each payment is shown with its gateway's name; none: all are alike.
    """

    def __init__(self, *, plain: bool, ladders: Mapping[str, Sequence[str]] | None = None) -> None:
        self._ladders = ladders or {}
        self._plain = plain or not sys.stdout.isatty() or os.environ.get("TERM") == "dumb"
        self._started = time.monotonic()
        self._said_at = -PLAIN_EVERY_S
        self._notes: list[str] = []

    def show(
        self, plans: Sequence[Plan], orders: Mapping[str, Any], queries: Mapping[str, int]
    ) -> None:
        """Show where every payment stands."""
        elapsed_s = time.monotonic() - self._started
        if self._plain:
            self._say(plans, orders, elapsed_s)
            return
        waits = "" if self._ladders else f"waits: {' · '.join(RUNGS)}"
        lines = [f"{_CLEAR}payonce demo   {elapsed_s:4.0f} s   {waits}", ""]
        names = dict.fromkeys(plan.story.name for plan in plans)
        width = max(len(name) for name in names) + 2
        for name in names:
            mine = [plan for plan in plans if plan.story.name == name]
            cells = "  ".join(self._order_cell(plan, orders, queries) for plan in mine)
            lines.append(f"{name:<{width}}{cells}")
        told = (*_LEGEND, _MANUAL) if self._ladders else _LEGEND
        legend = [f"{_DIM}{line}{_OFF}" for line in told]
        print("\n".join([*lines, "", *legend, "", *self._notes]), flush=True)

    def note(self, text: str) -> None:
        """Tell something that happened, with its time; it stays below the table."""
        self._notes.append(f"{time.monotonic() - self._started:4.0f} s  {text}")
        if self._plain:
            print(self._notes[-1], flush=True)

    def _say(self, plans: Sequence[Plan], orders: Mapping[str, Any], elapsed_s: float) -> None:
        if elapsed_s - self._said_at < PLAIN_EVERY_S:
            return
        self._said_at = elapsed_s
        views = [orders.get(plan.order_id) for plan in plans]
        known = [one for one in views if one is not None]
        paid = sum(one["status"] == "PAID" for one in known)
        booked = sum(one["acknowledged"] for one in known)
        print(
            f"{elapsed_s:4.0f} s  orders {len(known)}/{len(plans)}  paid {paid}  booked {booked}",
            flush=True,
        )

    def _order_cell(self, plan: Plan, orders: Mapping[str, Any], queries: Mapping[str, int]) -> str:
        order = orders.get(plan.order_id)
        payments = {one["payment_id"]: one for one in order["payments"]} if order else {}
        cells = []
        for payment_id in plan.payment_ids:
            payment = payments.get(payment_id)
            gateway = str(payment["gateway"]) if payment else ""
            rungs = self._ladders.get(gateway, RUNGS)
            word = _word(order, payment, rungs, queries.get(payment_id, 0))
            name = f"{gateway} " if self._ladders and gateway else ""
            cells.append(f"{name}{_COLOURS.get(word, _DIM)}{word}{_OFF}")
        return ("   " if self._ladders else "+").join(cells)


def _word(
    order: Mapping[str, Any] | None,
    payment: Mapping[str, Any] | None,
    rungs: Sequence[str],
    asked: int,
) -> str:
    if order is None or payment is None:
        return "·"
    if payment["mismatched"] or payment["unresolved"]:
        return "odd"
    if payment["duplicate"]:
        return _refund_word(order, payment)
    if payment["status"] == "SUCCEEDED":
        return "booked" if order["acknowledged"] else "paid"
    if payment["status"] in {"FAILED", "CLOSED"}:
        return str(payment["status"]).lower()
    return rungs[min(asked, len(rungs) - 1)]


def _refund_word(order: Mapping[str, Any], payment: Mapping[str, Any]) -> str:
    words = {"HELD": "held", "SUCCEEDED": "returned", "MANUAL": "manual"}
    mine = [one for one in order["refunds"] if one["payment_id"] == payment["payment_id"]]
    return words.get(mine[-1]["status"], "double") if mine else "double"
