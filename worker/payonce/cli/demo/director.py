"""One run of the demo: opens the shop, lets time pass, compares what came of it."""

import asyncio
import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from payonce.cli.demo.board import Board
from payonce.cli.demo.stories import GATEWAY, Attempt, Plan, Shop
from payonce.cli.demo.towns import Town
from payonce.cli.demo.verdict import (
    Finding,
    ShopBook,
    booked_once,
    ending,
    findings,
    is_over,
    same_money,
)
from payonce.domain.times import format_time

LONGEST_S = 90.0
CRASH_AFTER_S = 18.0
OPERATOR = "an-operator"
_LOOK_EVERY_S = 0.5

Orders = dict[str, Mapping[str, Any] | None]


class Director:
    """One run of the demo."""

    def __init__(self, town: Town, shop: Shop, book: ShopBook, board: Board) -> None:
        self._town = town
        self._shop = shop
        self._book = book
        self._board = board
        self._orders: Orders = {}
        self._approved: set[str] = set()

    async def play(self, stop: asyncio.Event) -> bool:
        """Open the shop, watch until every story is over, and compare."""
        async with asyncio.TaskGroup() as group:
            opening = [group.create_task(self._open(plan)) for plan in self._shop.plans]
            crash = group.create_task(self._crash_later())
            await self._watch(stop)
            for task in (*opening, crash):
                task.cancel()
        return not stop.is_set() and await self._compare()

    async def _open(self, plan: Plan) -> None:
        """Start an order's payments, each in its time, as a shop does."""
        for n, attempt in enumerate(plan.story.attempts):
            await asyncio.sleep(attempt.starts_after_s)
            if not (plan.story.by_api and await self._apply(plan, attempt, n)):
                await self._start(plan, attempt, plan.payment_ids[n])
        if plan.story.cancelled_after_s is not None:
            await asyncio.sleep(plan.story.cancelled_after_s)
            await self._town.send("order.cancelled", {"order_id": plan.order_id})

    async def _apply(self, plan: Plan, attempt: Attempt, n: int) -> bool:
        """Apply for a payment so often at once; False where there is no edge to apply to."""
        body = {
            "order_id": plan.order_id,
            "gateway": attempt.gateway,
            "amount": plan.amount,
            "currency": plan.story.currency,
        }
        await self._town.mocks[attempt.gateway].plan({plan.order_id: attempt.script})
        clicks = (self._town.apply(body) for _ in range(attempt.copies))
        answers = [one for one in await asyncio.gather(*clicks) if one is not None]
        ids = sorted({one["payment_id"] for one in answers if one})
        plan.payment_ids[n : n + bool(answers)] = ids
        return bool(answers)

    async def _start(self, plan: Plan, attempt: Attempt, payment_id: str) -> None:
        """Start a payment elsewhere: first its charge, then the message."""
        expires_at = format_time(datetime.now(UTC) + timedelta(seconds=attempt.expires_in_s))
        payment = {
            "payment_id": payment_id,
            "order_id": plan.order_id,
            "amount": plan.amount,
            "currency": plan.story.currency,
            "expires_at": expires_at,
        }
        if attempt.script is not None:
            charge = {**payment, "script": attempt.script}
            if attempt.called_back:
                charge["notify_url"] = self._town.notify_url(attempt.gateway)
            await self._town.mocks[attempt.gateway].open_charges([charge])
        for _ in range(attempt.copies):
            await self._town.send("payment.initiated", {**payment, "gateway": attempt.gateway})

    async def _crash_later(self) -> None:
        await asyncio.sleep(CRASH_AFTER_S)
        done = await self._town.crash_worker()
        if done:
            self._board.note(done)

    async def _watch(self, stop: asyncio.Event) -> None:
        until = time.monotonic() + LONGEST_S
        while not stop.is_set() and time.monotonic() < until:
            for plan in self._shop.plans:
                if not is_over(plan, self._orders.get(plan.order_id)):
                    self._orders[plan.order_id] = await self._town.order(plan.order_id)
            await self._decide()
            self._board.show(self._shop.plans, self._orders, await self._queries())
            if all(self._is_over(plan) for plan in self._shop.plans):
                return
            await asyncio.sleep(_LOOK_EVERY_S)

    def _is_over(self, plan: Plan) -> bool:
        """Say whether an order stands where it ends, and the demo shop has heard of it too."""
        order = self._orders[plan.order_id]
        is_paid = order is not None and order["status"] == "PAID"
        return is_over(plan, order) and (not is_paid or plan.order_id in self._book.events)

    async def _decide(self) -> None:
        """Look at refunds that wait for a person, as an operator does, and approve them."""
        views = [one for one in self._orders.values() if one]
        held = {
            refund["refund_id"]: refund
            for one in views
            for refund in one["refunds"]
            if refund["status"] == "HELD"
        }
        for refund_id, refund in held.items():
            if refund_id not in self._approved:
                self._approved.add(refund_id)
                self._board.note(
                    f"{refund['amount']} {refund['currency']} of {refund['order_id']} are held by "
                    f"the rule {refund['rule']}; {OPERATOR} approves"
                )
                await self._town.approve(refund_id, OPERATOR)

    async def _queries(self) -> Mapping[str, int]:
        books = [await mock.books() for mock in set(self._town.mocks.values())]
        return {row["payment_id"]: row["queries"] for one in books for row in one["charges"]}

    async def _compare(self) -> bool:
        plans = self._shop.plans
        orders = {plan.order_id: await self._town.order(plan.order_id) for plan in plans}
        parked = await self._town.parked(self._shop.run_id)
        found = findings(plans, orders, self._book, parked)
        booked = await self._town.booked()
        if booked is not None:
            found.append(booked_once(orders, booked))
        found += await self._compare_gateways(orders)
        print(
            "\nwhat came of it, from payonce's tables, the order service's and the gateway's books:"
        )
        for one in found:
            print(f"  {'ok   ' if one.ok else 'WRONG'}  {one.text}")
        for plan in plans:
            if not is_over(plan, orders[plan.order_id]):
                print(f"  {plan.story.name}: {plan.order_id} is {ending(orders[plan.order_id])}")
        return all(one.ok for one in found)

    async def _compare_gateways(self, orders: Mapping[str, Any]) -> list[Finding]:
        """Compare our tables with what the gateways know."""
        books = await self._town.mocks[GATEWAY].books()
        return [same_money(orders, books), await self._on_time()]

    async def _on_time(self) -> Finding:
        """Compare the first two polls of undisturbed payments with their ladder."""
        late_ms = []
        for plan in self._shop.plans:
            if plan.story.name == "pays after 8 s":
                seen = await self._town.mocks[GATEWAY].queries(plan.payment_ids[0])
                due = (3_000, 13_000)
                late_ms += [
                    at - seen["created_ms"] - wait
                    for at, wait in zip(seen["queries_ms"], due, strict=False)
                ]
        worst = max(late_ms, default=-1)
        return Finding(f"polls came at 3 s and 13 s, at most {worst} ms late", 0 <= worst < 1_500)
