"""A worker's way to a gateway: ports.gateway.Gateway on its books, with every kind of trouble."""

import asyncio
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from payonce.domain.errors import (
    BadCallback,
    GatewayAmbiguous,
    GatewayRefused,
    GatewayRetryable,
    InvalidField,
)
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.domain.times import format_time, parse_time
from payonce.domain.watch import Terms
from payonce.ports.gateway import (
    CallbackAnswer,
    CallbackWord,
    ChargeRef,
    ChargeWord,
    CheckedCallback,
    CloseAnswer,
    CreatedCharge,
    NewCharge,
    NewRefund,
    RefundWord,
)
from tests.simulation.books import STALE_S, Books, Charge
from tests.simulation.links import Link
from tests.simulation.world import CAN_CLOSE, CAPTURES, TERMS

FRESH = timedelta(minutes=5)
GOOD = "by-the-gateway"
LOST = GatewayReport(Outcome.UNKNOWN, reason="timed out")
LOST_REFUND = RefundReport(RefundOutcome.UNKNOWN, "timed out")


class SimGateway:
    """One gateway as one worker sees it. `_needs_link`: its answer brings the shopper there."""

    _needs_link = False

    def __init__(self, books: Books, link: Link) -> None:
        self._books = books
        self._link = link

    @property
    def name(self) -> str:
        """The name in the configuration."""
        return self._books.name

    @property
    def terms(self) -> Terms:
        """How its payments are watched."""
        return replace(TERMS, can_close=self.name in CAN_CLOSE, captures=self.name in CAPTURES)

    @property
    def callback_answer(self) -> CallbackAnswer:
        """What a callback is answered that was taken."""
        return CallbackAnswer(200, b"", "text/plain")

    async def query(self, charge: ChargeRef) -> GatewayReport:
        """Ask how a charge stands."""
        trouble = await self._trouble("query", charge.payment_id)
        if trouble is not None:
            return LOST if trouble != "busy" else busy(Outcome.UNKNOWN)
        stale = self._link.world.chance.strikes("gateway.stale")
        report = self._books.report(charge.payment_id, ago_s=STALE_S if stale else 0.0)
        await self._link.pass_time()
        return report

    async def close(self, charge: ChargeRef) -> CloseAnswer:
        """Ask to close a charge."""
        trouble = await self._trouble("close", charge.payment_id)
        if trouble in {"before", "busy"}:
            return CloseAnswer.UNKNOWN
        said = self._books.close(charge.payment_id)
        await self._link.pass_time()
        if trouble == "after":
            return CloseAnswer.UNKNOWN
        answers = {"closed": CloseAnswer.CLOSED, "paid": CloseAnswer.ALREADY_PAID}
        return answers.get(said, CloseAnswer.NOT_FOUND)

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """Create a charge."""
        trouble = await self._trouble("create", charge.payment_id)
        if trouble == "busy":
            raise GatewayRetryable(self.name, "http-429", 1.0)
        if trouble == "before":
            raise GatewayAmbiguous(self.name, "timed out")
        lasts_s = (charge.expires_at - self._link.world.clock.now()).total_seconds()
        created = self._books.create(
            charge.payment_id, charge.order_id, charge.amount, charge.currency, lasts_s
        )
        if not self._needs_link:
            self._go_shopping(created)
        await self._link.pass_time()
        if trouble == "after":
            raise GatewayAmbiguous(self.name, "timed out")
        self._go_shopping(created)
        return CreatedCharge(self._books.report(charge.payment_id), f"qr-{created.ref}", None)

    async def refund(self, refund: NewRefund) -> RefundReport:
        """Refund, once for an id."""
        trouble = await self._trouble("refund", refund.payment_id)
        if not refund.may_leave():
            raise GatewayRetryable(self.name, "decided too long ago")
        if trouble == "busy":
            raise GatewayRetryable(self.name, "http-429", 1.0)
        if trouble == "before":
            return LOST_REFUND
        sent = self._books.send_back(refund.payment_id, refund.refund_id, refund.amount)
        if sent is None:
            raise GatewayRefused(self.name, "http-422", "above what was captured")
        self._link.world.on_refund(self._books, refund.payment_id, sent)
        await self._link.pass_time()
        if trouble == "after":
            return LOST_REFUND
        return RefundReport(sent.outcome)

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """Ask how a refund stands."""
        if await self._trouble("query_refund", charge.payment_id) is not None:
            return LOST_REFUND
        known = self._books.charges.get(charge.payment_id)
        sent = known.sent.get(refund_id) if known else None
        found = RefundOutcome.NOT_FOUND if sent is None or sent.forgotten else sent.outcome
        await self._link.pass_time()
        return RefundReport(found)

    async def check_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> CheckedCallback:
        """Refuse what is not signed by the gateway, or not of now."""
        del body  # a signature of the simulation is a word
        if headers.get("signature") != GOOD:
            raise BadCallback("bad-signature", "is not signed by the gateway")
        if abs(parse_time(headers["sent"], "sent") - now) > FRESH:
            raise BadCallback("stale", "is too old, or of the future")
        return CheckedCallback(headers["id"], dict(headers))

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackWord:
        """Return what a callback says."""
        del headers  # the body says it all
        told = json.loads(body)
        if told["kind"] == "refund":
            outcome = RefundOutcome(told["outcome"])
            return RefundWord(
                told["payment_id"], told["refund_id"], RefundReport(outcome), authoritative=True
            )
        if told["kind"] != "charge":
            raise InvalidField("kind", "is unknown", "charge or refund")
        report = GatewayReport(
            Outcome(told["outcome"]), told["ref"], told["amount"], told["currency"]
        )
        return ChargeWord(told["payment_id"], report, authoritative=told["outcome"] == "succeeded")

    def _go_shopping(self, charge: Charge) -> None:
        """Let the shopper go on, once."""
        if charge.payment_id not in self._books.shopping:
            self._books.shopping.add(charge.payment_id)
            self._link.world.on_created(self._books, charge)

    async def _trouble(self, call: str, payment_id: str) -> str | None:
        """Return what befalls a call: "before" or "after" it took effect, "busy", or None."""
        chance = self._link.world.chance
        self._link.note(f"asked {self.name} to {call} {payment_id}")
        if chance.strikes("worker.sleeps"):
            self._link.sleep(chance.row("sleep").uniform(20, 900))
        await self._link.pass_time()
        if chance.strikes("gateway.slow"):
            await asyncio.sleep(chance.row("slowness").uniform(0.5, 4.5))
            await self._link.pass_time()
        kinds: tuple[str, ...] = ("before", "after", "busy")
        return next((one for one in kinds if chance.strikes(f"gateway.{one}")), None)


def busy(outcome: Outcome) -> GatewayReport:
    """Return what a gateway says that has no time."""
    return GatewayReport(outcome, reason="http-429", retry_after_s=2.0)


def letter(now: datetime, event_id: str, told: Mapping[str, Any]) -> tuple[dict[str, str], bytes]:
    """Return headers and body of a callback, signed."""
    headers = {"signature": GOOD, "sent": format_time(now), "id": event_id}
    return headers, json.dumps(told, sort_keys=True).encode()
