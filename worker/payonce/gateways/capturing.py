"""A gateway whose money we take: a payment is captured while its order wants it, and never else."""

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import assert_never

import structlog

from payonce.domain.capture import (
    CAPTURE_SENT_WITHIN,
    CaptureDecision,
    Claimed,
    Forbidden,
    Undecided,
    decide_capture,
    decide_close,
)
from payonce.domain.errors import GatewayRetryable, Unavailable
from payonce.domain.report import GatewayReport, Outcome
from payonce.domain.watch import Terms
from payonce.ports.captures import Captures, Ended
from payonce.ports.clock import Clock
from payonce.ports.gateway import (
    CallbackAnswer,
    CallbackWord,
    CapturingGateway,
    ChargeRef,
    CheckedCallback,
    CloseAnswer,
    CreatedCharge,
    NewCapture,
    NewCharge,
    NewRefund,
    RefundOutcome,
    RefundReport,
)

REMEMBERED = 10_000
"""So many payments that this process forbade are remembered here; Postgres remembers all."""

NOT_CAPTURED = "not-captured"

log = structlog.get_logger(__name__)


class Capturing:
    """A capturing gateway as handlers know gateways: a query that finds an approval captures it.

    A payment whose capture is forbidden is CLOSED, whatever its gateway says of the approval: only
    we could take the money. A pending answer asks Postgres nothing.
    """

    def __init__(self, gateway: CapturingGateway, captures: Captures, clock: Clock) -> None:
        self._gateway = gateway
        self._captures = captures
        self._clock = clock
        self._forbidden: OrderedDict[str, None] = OrderedDict()

    @property
    def name(self) -> str:
        """The name in the configuration."""
        return self._gateway.name

    @property
    def terms(self) -> Terms:
        """How its payments are watched."""
        return self._gateway.terms

    async def query(self, charge: ChargeRef) -> GatewayReport:
        """Ask how a charge stands; capture what is approved, where it may be."""
        try:
            charge = await self._named(charge)
            report = await self._gateway.query(charge)
            if report.outcome is Outcome.APPROVED:
                return await self._on_approved(charge, report)
        except Unavailable as error:
            return GatewayReport(Outcome.UNKNOWN, reason=f"{error.server}-unavailable")
        if report.outcome in _UNPAID and charge.payment_id in self._forbidden:
            return _closed(report)
        return report

    async def close(self, charge: ChargeRef) -> CloseAnswer:
        """Forbid the capture; the gateway is not asked, since it has no part in it."""
        try:
            decided = await self._captures.decide(
                charge.payment_id, None, partial(decide_close, now=self._clock.now())
            )
        except Unavailable:
            return CloseAnswer.UNKNOWN
        match decided:
            case None:
                return CloseAnswer.NOT_FOUND
            case Forbidden():
                self._remember(charge.payment_id)
                return CloseAnswer.CLOSED
            case Claimed() | Undecided():
                return CloseAnswer.UNKNOWN
            case _:
                assert_never(decided)

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """Create a charge."""
        return await self._gateway.create(charge)

    async def refund(self, refund: NewRefund) -> RefundReport:
        """Refund."""
        try:
            charge = await self._named(ChargeRef(refund.payment_id, refund.gateway_ref))
        except Unavailable as error:
            raise GatewayRetryable(self.name, str(error)) from None
        return await self._gateway.refund(replace(refund, gateway_ref=charge.gateway_ref))

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """Ask how a refund stands."""
        try:
            charge = await self._named(charge)
        except Unavailable as error:
            return RefundReport(RefundOutcome.UNKNOWN, str(error))
        return await self._gateway.query_refund(refund_id, charge)

    @property
    def callback_answer(self) -> CallbackAnswer:
        """What a callback is answered that was taken."""
        return self._gateway.callback_answer

    async def check_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> CheckedCallback:
        """Return the callback's id if it is the gateway's own."""
        return await self._gateway.check_callback(headers, body, now)

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackWord:
        """Return what a checked callback says."""
        return self._gateway.read_callback(headers, body)

    async def _named(self, charge: ChargeRef) -> ChargeRef:
        """Return the charge with the gateway's id, which may have been stored after its message."""
        if charge.gateway_ref is not None:
            return charge
        return replace(charge, gateway_ref=await self._captures.ref_of(charge.payment_id))

    async def _on_approved(self, charge: ChargeRef, report: GatewayReport) -> GatewayReport:
        now = self._clock.now()
        judge = partial(decide_capture, report=report, now=now)
        decided: CaptureDecision | None = await self._captures.decide(
            charge.payment_id, report.gateway_ref, judge
        )
        match decided:
            case None:
                return _unsure(report, "not-registered")
            case Undecided():
                return _unsure(report, decided.reason)
            case Forbidden():
                self._remember(charge.payment_id)
                return _closed(report)
            case Claimed():
                return await self._capture(charge, decided, now)
            case _:
                assert_never(decided)

    async def _capture(
        self, charge: ChargeRef, claimed: Claimed, claimed_at: datetime
    ) -> GatewayReport:
        """Take the money; a capture whose outcome is not known is asked about."""
        attempt = claimed.capture.attempt
        latest = claimed_at + CAPTURE_SENT_WITHIN
        capture = NewCapture(
            charge,
            attempt,
            lambda: self._clock.now() <= latest,
            is_repeat=not claimed.is_first,
        )
        report = await self._gateway.capture(capture)
        log.info(
            "payment.capture_answered",
            payment_id=charge.payment_id,
            attempt=attempt,
            answer=report.outcome.value,
            reason=report.reason,
        )
        if report.outcome in _NOT_TAKEN:
            await self._captures.free(Ended(charge.payment_id, attempt, claimed_at, is_sent=True))
        elif report.spared and claimed.is_first:
            await self._captures.free(Ended(charge.payment_id, attempt, claimed_at, is_sent=False))
        elif report.outcome is Outcome.UNKNOWN:
            await self._captures.let_go(charge.payment_id, attempt, self._clock.now())
            return report if report.spared else await self._ask_again(charge, report)
        return _as_pending(report) if report.outcome is Outcome.APPROVED else report

    async def _ask_again(self, charge: ChargeRef, unsure: GatewayReport) -> GatewayReport:
        report = await self._gateway.query(charge)
        return unsure if report.outcome is Outcome.APPROVED else report

    def _remember(self, payment_id: str) -> None:
        self._forbidden[payment_id] = None
        self._forbidden.move_to_end(payment_id)
        if len(self._forbidden) > REMEMBERED:
            self._forbidden.popitem(last=False)


_NOT_TAKEN = frozenset({Outcome.FAILED, Outcome.APPROVED})
_UNPAID = frozenset({Outcome.PENDING, Outcome.APPROVED, Outcome.NOT_FOUND})


def _closed(report: GatewayReport) -> GatewayReport:
    return GatewayReport(Outcome.CLOSED, report.gateway_ref, reason=NOT_CAPTURED)


def _as_pending(report: GatewayReport) -> GatewayReport:
    return replace(report, outcome=Outcome.PENDING)


def _unsure(report: GatewayReport, reason: str) -> GatewayReport:
    return GatewayReport(Outcome.UNKNOWN, report.gateway_ref, reason=reason)
