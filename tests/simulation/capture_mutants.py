"""Bugs planted in what decides on captures."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

from payonce.domain import capture
from payonce.domain.capture import Capture, CaptureCase, CaptureState, Claimed, Forbidden
from payonce.domain.report import GatewayReport, Outcome
from payonce.gateways import capturing
from payonce.gateways.capturing import Capturing
from payonce.ports.captures import Ended, JudgeCapture
from payonce.ports.gateway import ChargeRef
from tests.simulation.planting import Mutant
from tests.store.fake_captures import FakeCaptures


def _capture_for_paid_orders() -> Callable[..., str]:
    original = capture._why_not

    def why_not(case: CaptureCase, report: GatewayReport, now: Any) -> str:
        why = original(case, report, now)
        return "" if why == "order-paid" else why

    return why_not


def _overtake() -> Callable[..., Any]:
    original = capture.decide_close

    def decide_close(case: CaptureCase, now: Any) -> Any:
        return original(replace(case, own=None), now)

    return decide_close


def _forget_forbidden() -> Callable[..., Any]:
    original = FakeCaptures.decide

    async def decide(
        self: FakeCaptures, payment_id: str, reported_ref: str | None, judge: JudgeCapture
    ) -> Any:
        before = dict(self.captures)
        decided = await original(self, payment_id, reported_ref, judge)
        if isinstance(decided, Forbidden):
            self.captures = before
        return decided

    return decide


def _free_what_is_unknown() -> Callable[..., Any]:
    original = Capturing._capture

    async def capture_(
        self: Capturing, charge: ChargeRef, claimed: Claimed, claimed_at: Any
    ) -> GatewayReport:
        report = await original(self, charge, claimed, claimed_at)
        if report.outcome is Outcome.UNKNOWN:
            attempt = claimed.capture.attempt
            await self._captures.free(Ended(charge.payment_id, attempt, claimed_at, is_sent=True))
        return report

    return capture_


def _forbid_outstanding() -> Callable[..., Any]:
    original = capture._go_on

    def go_on(own: Capture, why: str, now: Any) -> Any:
        if why and now >= own.held_until:
            return Forbidden(replace(own, state=CaptureState.FORBIDDEN, why=why), is_new=True)
        return original(own, why, now)

    return go_on


CAPTURE_MUTANTS: Mapping[str, Mutant] = {
    "capture-for-paid-order": Mutant(
        "a second payment is captured though its order is paid",
        ((capture, "_why_not", _capture_for_paid_orders()),),
    ),
    "old-capture-sent": Mutant(
        "a capture is sent however long ago it was decided",
        ((capturing, "CAPTURE_SENT_WITHIN", timedelta(days=1)),),
    ),
    "close-overtakes-capture": Mutant(
        "a close forbids what is being captured",
        ((capturing, "decide_close", _overtake()),),
    ),
    "forbidden-forgotten": Mutant(
        "what is forbidden stands nowhere", ((FakeCaptures, "decide", _forget_forbidden()),)
    ),
    "free-unknown-capture": Mutant(
        "a capture whose answer was lost is taken for refused",
        ((Capturing, "_capture", _free_what_is_unknown()),),
    ),
    "forbid-outstanding": Mutant(
        "a capture that is under way is given up", ((capture, "_go_on", _forbid_outstanding()),)
    ),
}
