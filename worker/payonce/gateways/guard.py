"""A gateway that is spared: paused, failing, at its rate, or at its own request."""

from collections.abc import Mapping
from datetime import datetime

from payonce.domain.errors import GatewayRetryable
from payonce.domain.report import GatewayReport, Outcome
from payonce.domain.watch import Terms
from payonce.gateways.gate import Gate, Sparing
from payonce.ports.gateway import (
    CallbackAnswer,
    CallbackWord,
    CapturingGateway,
    ChargeRef,
    CheckedCallback,
    CloseAnswer,
    CreatedCharge,
    Gateway,
    NewCapture,
    NewCharge,
    NewRefund,
    RefundOutcome,
    RefundReport,
)


class Guarded:
    """Any gateway behind its gate. What costs the gateway nothing, its callbacks, passes by."""

    def __init__(self, gateway: Gateway, gate: Gate) -> None:
        self._gateway = gateway
        self._gate = gate

    @property
    def name(self) -> str:
        """The name in the configuration."""
        return self._gateway.name

    @property
    def terms(self) -> Terms:
        """How its payments are watched."""
        return self._gateway.terms

    async def query(self, charge: ChargeRef) -> GatewayReport:
        """Ask how a charge stands; a spared one is UNKNOWN."""
        # The flag is looked at here too: in good times a poll is spared a coroutine.
        sparing = None if self._gate.free else await self._gate.enter("query")
        if sparing is not None:
            return _spared(sparing)
        report = await self._gateway.query(charge)
        if report.retry_after_s and not report.spared:
            self._gate.note_retry_after(report.retry_after_s)
        return report

    async def close(self, charge: ChargeRef) -> CloseAnswer:
        """Ask to close a charge."""
        if await self._gate.enter("close") is not None:
            return CloseAnswer.SPARED
        return await self._gateway.close(charge)

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """Create a charge; raises GatewayRetryable, which says why, where the gateway is spared."""
        sparing = await self._gate.enter("create")
        if sparing is not None:
            raise GatewayRetryable(self.name, sparing.problem, sparing.retry_after_s)
        try:
            return await self._gateway.create(charge)
        except GatewayRetryable as error:
            self._heed(error)
            raise

    async def refund(self, refund: NewRefund) -> RefundReport:
        """Refund; a spared one is UNKNOWN, and nothing was sent."""
        sparing = await self._spared_refund("refund")
        if sparing is not None:
            return sparing
        try:
            return await self._gateway.refund(refund)
        except GatewayRetryable as error:
            self._heed(error)
            raise

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """Ask how a refund stands; a spared one is UNKNOWN."""
        sparing = await self._spared_refund("query_refund")
        if sparing is not None:
            return sparing
        report = await self._gateway.query_refund(refund_id, charge)
        if report.retry_after_s:
            self._gate.note_retry_after(report.retry_after_s)
        return report

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

    async def _spared_refund(self, call: str) -> RefundReport | None:
        sparing = await self._gate.enter(call)
        if sparing is None:
            return None
        return RefundReport(
            RefundOutcome.UNKNOWN, sparing.reason, sparing.retry_after_s, spared=True
        )

    def _heed(self, error: GatewayRetryable) -> None:
        if error.retry_after_s and not error.alone:
            self._gate.note_retry_after(error.retry_after_s)


class GuardedCapturing(Guarded):
    """A capturing gateway behind its gate."""

    def __init__(self, gateway: CapturingGateway, gate: Gate) -> None:
        super().__init__(gateway, gate)
        self._capturing = gateway

    async def capture(self, capture: NewCapture) -> GatewayReport:
        """Take the money of an approved charge; a spared one is UNKNOWN, and nothing was sent."""
        sparing = await self._gate.enter("capture")
        if sparing is not None:
            return _spared(sparing)
        report = await self._capturing.capture(capture)
        if report.retry_after_s and not report.spared:
            self._gate.note_retry_after(report.retry_after_s)
        return report


def _spared(sparing: Sparing) -> GatewayReport:
    return GatewayReport(
        Outcome.UNKNOWN, reason=sparing.reason, retry_after_s=sparing.retry_after_s, spared=True
    )
