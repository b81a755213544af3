"""A refund is due: look at the gateways, send it under the rules, watch it to its end."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from payonce.domain.errors import GatewayRefused, GatewayRetryable
from payonce.domain.ladder import Ladder
from payonce.domain.messages import RefundDue, refund_due
from payonce.domain.payment import Payment
from payonce.domain.refund import LIVE, Refund, RefundStatus
from payonce.domain.refunding import (
    RefundEffects,
    conclude,
    consider,
    hold,
    note_look,
    words_of,
)
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.domain.risk import Answers, Case, Policy, Rule, Verdict
from payonce.domain.times import to_ms
from payonce.domain.watch import REFUND_SENT_WITHIN
from payonce.handlers.announce import Announcer
from payonce.ports.bus import DONE, Fate, Park, Timer
from payonce.ports.clock import Clock
from payonce.ports.gateway import ChargeRef, Gateway, Gateways, NewRefund
from payonce.ports.meter import Meter
from payonce.ports.refunds import Refunds

NOT_ASKED = GatewayReport(Outcome.UNKNOWN, reason="not-asked")

log = structlog.get_logger(__name__)


class Refunder:
    """Takes looks at refunds that are due, and what gateways say of refunds by themselves."""

    def __init__(  # noqa: PLR0913 - a refund is where gateways, rules, timer and truth meet
        self,
        refunds: Refunds,
        announcer: Announcer,
        timer: Timer,
        gateways: Gateways,
        policy: Policy,
        ladder: Ladder,
        grace: timedelta,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._refunds = refunds
        self._announcer = announcer
        self._timer = timer
        self._gateways = gateways
        self._policy = policy
        self._ladder = ladder
        self._grace = grace
        self._clock = clock
        self._meter = meter
        self._in_hand: dict[str, RefundDue] = {}
        self._meanwhile: dict[str, RefundDue] = {}

    async def handle(self, message: RefundDue) -> Fate:
        """Look at the refund, unless another look is under way here or did this one's work."""
        gateway = self._gateways.get(message.gateway)
        if gateway is None:
            return Park(f"unknown-gateway: {message.gateway}")
        refund_id = message.refund_id
        if refund_id in self._in_hand:
            # The other one is still unacknowledged and schedules the next look, or takes this one
            # too where it is no copy but a later hint: nothing is lost.
            if message != self._in_hand[refund_id]:
                self._meanwhile[refund_id] = message
            return DONE
        self._in_hand[refund_id] = message
        try:
            fate = await self._look(message, gateway)
            while refund_id in self._meanwhile:
                await self._look(self._meanwhile.pop(refund_id), gateway)
            return fate
        finally:
            del self._in_hand[refund_id]
            self._meanwhile.pop(refund_id, None)

    async def heard(self, refund_id: str, payment_id: str, report: RefundReport) -> bool:
        """Take a final word; have the gateway asked at once about anything else."""
        case = await self._refunds.find(refund_id)
        if case is None or case.refund.payment_id != payment_id:
            return False
        if report.is_final:
            await self._conclude(refund_id, report, "webhook")
        elif case.refund.status in LIVE or case.refund.may_be_known:
            await self._timer.refund_after(0, refund_due(case.refund, to_ms(self._clock.now())))
        return True

    async def _look(self, message: RefundDue, gateway: Gateway) -> Fate:
        case = await self._refunds.find(message.refund_id)
        if case is None:
            return Park(f"unknown-refund: {message.refund_id}")
        if case.refund.status not in LIVE:
            if not case.refund.may_be_known:
                return DONE
            # Asked about by a hint alone: a gateway may change its mind after a refund's end.
            report = await gateway.query_refund(message.refund_id, _charge(case.payment))
            await self._conclude(message.refund_id, report, "query")
        elif message.step == case.refund.looks:
            await self._go_on(message, case, gateway)
        return DONE

    async def _go_on(self, message: RefundDue, case: Case, gateway: Gateway) -> None:
        answers = await self._ask_around(case, gateway)
        effects = await self._change(
            message.refund_id,
            lambda locked: consider(locked, answers, self._policy, self._clock.now()),
            reported_ref=answers.duplicate.gateway_ref,
            counting=True,
        )
        match effects and effects.verdict:
            case Verdict.SEND if effects and effects.refund:
                decided_at = effects.entries[-1].at
                captured = answers.duplicate.amount or effects.refund.amount
                report = await self._send(case, effects.refund, gateway, decided_at, captured)
                await self._follow(message, report, "answer")
            case Verdict.FOUND if answers.known:
                await self._follow(message, answers.known, "query")
            case Verdict.WAIT:
                await self._again(message, _missing(answers), _spare_ms(answers))

    async def _ask_around(self, case: Case, gateway: Gateway) -> Answers:
        """Ask about the refund if it was sent before, then about the money of both payments."""
        refund, winner_id = case.refund, case.order.settled_by
        known = None
        if refund.attempts:
            known = await gateway.query_refund(refund.refund_id, _charge(case.payment))
            if known.outcome is not RefundOutcome.NOT_FOUND:
                return Answers(refund.attempts, winner_id, NOT_ASKED, NOT_ASKED, known)
        return Answers(
            attempts=refund.attempts,
            winner_id=winner_id,
            duplicate=await gateway.query(_charge(case.payment)),
            winner=await self._ask_winner(case.winner),
            known=known,
        )

    async def _ask_winner(self, winner: Payment | None) -> GatewayReport | None:
        gateway = self._gateways.get(winner.gateway) if winner else None
        if winner is None or gateway is None:
            return None
        return await gateway.query(_charge(winner))

    async def _send(
        self, case: Case, refund: Refund, gateway: Gateway, decided_at: datetime, captured: int
    ) -> RefundReport | None:
        """Return what the gateway said; None where that is dealt with already.

        Who slept since the decision does not send: another look asks first how the refund stands.
        """
        order = NewRefund(
            refund_id=refund.refund_id,
            payment_id=refund.payment_id,
            amount=refund.amount,
            currency=refund.currency,
            captured=captured,
            reason=refund.reason,
            gateway_ref=case.payment.gateway_ref,
            may_leave=lambda: self._clock.now() <= decided_at + REFUND_SENT_WITHIN,
        )
        if not order.may_leave():
            return RefundReport(RefundOutcome.UNKNOWN, "decided too long ago")
        try:
            return await gateway.refund(order)
        except GatewayRetryable as error:
            return RefundReport(RefundOutcome.UNKNOWN, error.problem, error.retry_after_s)
        except GatewayRefused as error:
            return await self._on_refused(case, refund, gateway, error)

    async def _on_refused(
        self, case: Case, refund: Refund, gateway: Gateway, error: GatewayRefused
    ) -> RefundReport | None:
        """Believe a first refusal; after a repeat the earlier sending may be the reason for it."""
        refused = RefundReport(RefundOutcome.FAILED, f"{error.code} {error.problem}".strip())
        judge: Callable[[Case], RefundEffects | None] = partial(
            conclude, report=refused, source="answer", now=self._clock.now()
        )
        if refund.attempts > 1:
            charge = _charge(case.payment)
            found = await gateway.query_refund(refund.refund_id, charge)
            if found.outcome is not RefundOutcome.NOT_FOUND:
                return found
            report = await gateway.query(charge)
            if report.outcome is Outcome.UNKNOWN:
                return RefundReport(RefundOutcome.UNKNOWN, report.reason, report.retry_after_s)
            if report.refunded:
                facts = {"refunded": report.refunded, "said": refused.reason}
                judge = partial(
                    hold, rule=Rule.ALREADY_REFUNDED, facts=facts, now=self._clock.now()
                )
        own = partial(_if_unchanged, attempts=refund.attempts, judge=judge)
        if await self._change(refund.refund_id, own) is None:
            await self._look_later(refund.refund_id)
        return None

    async def _look_later(self, refund_id: str) -> None:
        """Have a refund looked at that another worker took further: a query says how it stands."""
        case = await self._refunds.find(refund_id)
        if case is not None:
            wait_ms = self._ladder.wait_covering_ms(case.refund.looks, 0)
            due_ms = to_ms(self._clock.now()) + wait_ms
            await self._timer.refund_after(wait_ms, refund_due(case.refund, due_ms))

    async def _follow(self, message: RefundDue, report: RefundReport | None, source: str) -> None:
        """Take a final word; come back after anything else."""
        if report is None:
            return
        if report.is_final:
            await self._conclude(message.refund_id, report, source)
        else:
            await self._again(message, words_of(report), int((report.retry_after_s or 0) * 1000))

    async def _again(self, message: RefundDue, answer: str, spare_ms: int) -> None:
        """Schedule the next look, then write down that it is: so a lost one is missed in time."""
        wait_ms = self._ladder.wait_covering_ms(message.step, spare_ms)
        now, looks = self._clock.now(), message.step + 1
        following = replace(message, step=looks, due_ms=to_ms(now) + wait_ms)
        await self._timer.refund_after(wait_ms, following)
        revive_at = now + timedelta(milliseconds=wait_ms) + self._grace
        note = partial(note_look, answer=answer, looks=looks, revive_at=revive_at, now=now)
        await self._refunds.change(message.refund_id, note)

    async def _conclude(self, refund_id: str, report: RefundReport, source: str) -> None:
        await self._change(
            refund_id,
            partial(conclude, report=report, source=source, now=self._clock.now()),
        )

    async def _change(
        self,
        refund_id: str,
        judge: Callable[[Case], RefundEffects | None],
        *,
        reported_ref: str | None = None,
        counting: bool = False,
    ) -> RefundEffects | None:
        """Decide, commit, then tell; what is not told now is the relay's."""
        effects = await self._refunds.change(
            refund_id, judge, reported_ref=reported_ref, counting=counting
        )
        if effects is not None and effects.entries and effects.refund is not None:
            refund = effects.refund
            self._meter.refund_decided(refund.gateway, refund.status, refund.rule or "")
            log.info(
                effects.entries[-1].kind,
                refund_id=refund_id,
                order_id=refund.order_id,
                rule=refund.rule,
            )
            await self._announcer.announce(effects.events)
        return effects


def _if_unchanged(
    case: Case, attempts: int, judge: Callable[[Case], RefundEffects | None]
) -> RefundEffects | None:
    """Judge an answer to one sending only while no other worker sent or ended the refund."""
    refund = case.refund
    if refund.status is not RefundStatus.SUBMITTED or refund.attempts != attempts:
        return None
    return judge(case)


def _charge(payment: Payment) -> ChargeRef:
    return ChargeRef(payment.payment_id, payment.gateway_ref)


def _missing(answers: Answers) -> str:
    """Return which answer was missing, and why, as a row keeps it."""
    known = answers.known
    if known is not None and known.outcome is RefundOutcome.UNKNOWN:
        return f"refund: {words_of(known)}"
    for name, report in (("payment", answers.duplicate), ("winner", answers.winner)):
        if report is not None and report.outcome is Outcome.UNKNOWN:
            said = "spared" if report.spared else f"unknown: {report.reason}"
            return f"{name}: {said}"
    return "settled-meanwhile"


def _spare_ms(answers: Answers) -> int:
    """Return how long the gateways ask to be spared."""
    reports = (answers.duplicate, answers.winner, answers.known)
    waits_s = [one.retry_after_s or 0 for one in reports if one is not None]
    return int(max(waits_s, default=0) * 1000)
