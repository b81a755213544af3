"""Bugs planted on purpose: a simulator that does not find them proves nothing."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from payonce.adapters.consuming import Desk
from payonce.domain import decide, effects, judge, risk
from payonce.domain.decide import Decision, Facts, Verdict
from payonce.domain.effects import Occasion
from payonce.domain.errors import BadCallback, Unavailable
from payonce.domain.events import Event, EventType, make_event
from payonce.domain.judge import Hearing
from payonce.domain.messages import Mode, PollDue
from payonce.domain.refund import RefundReason
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport, Source
from payonce.handlers import close as close_handler
from payonce.handlers import refund as refund_handler
from payonce.handlers.announce import Announcer
from payonce.handlers.close import Close
from payonce.handlers.poll import Poll
from payonce.handlers.refund import Refunder
from payonce.handlers.refund_sweep import RefundSweep
from payonce.handlers.settle import Settler
from payonce.inbox import Reception
from payonce.ports.bus import DONE, Delivery, Fate
from payonce.ports.gateway import ChargeRef, CheckedCallback, CloseAnswer, NewRefund
from payonce.relay import Relay
from payonce.reteller import Reteller
from payonce.sweeper import Sweeper
from tests.simulation.capture_mutants import CAPTURE_MUTANTS
from tests.simulation.planting import Mutant, Patch
from tests.store.fake import FakeStore


async def _no_turn(_self: object) -> bool:
    return False


def _ack_first() -> Callable[..., Any]:
    original, running = Desk.fate_of, set()

    async def fate_of(self: Desk, delivery: Delivery, is_wanted: Callable[[], bool]) -> Fate:
        task = asyncio.get_running_loop().create_task(original(self, delivery, is_wanted))
        running.add(task)
        task.add_done_callback(lambda one: one.cancelled() or one.exception())
        return DONE

    return fate_of


async def _ack_whatever_happens(
    self: Desk, delivery: Delivery, is_wanted: Callable[[], bool]
) -> Fate:
    del is_wanted
    try:
        return await self._receiver(delivery)
    except Unavailable:
        return DONE


def _publish_first() -> Callable[..., Any]:
    original = Settler.settle

    async def settle(self: Settler, hearing: Hearing) -> Any:
        if hearing.report.outcome is Outcome.SUCCEEDED:
            await _tell_early(self, hearing)
        return await original(self, hearing)

    return settle


async def _tell_early(settler: Settler, hearing: Hearing) -> None:
    """Publish the success of any payment that its order may yet refuse."""
    rows: Any = settler._ledger
    payment = rows._target.payments.get(hearing.payment_id)
    if payment is None:
        return
    data = {"order_id": payment.order_id, "payment_id": payment.payment_id}
    now = settler._clock.now()
    event = make_event(
        EventType.PAYMENT_SUCCEEDED, payment.order_id, payment.order_id, now, data, None
    )
    await settler._announcer.announce([event])


def _delete_first() -> Callable[..., Any]:
    async def announce_one(self: Announcer, event: Event, _acknowledged: object) -> bool:
        try:
            await self._deletes.submit(event.event_id)
            return await self._publish(event)
        except Unavailable:
            return False

    return announce_one


def _without_outbox() -> Callable[..., Any]:
    original = FakeStore._apply

    def apply(self: FakeStore, written: Any) -> None:
        before = dict(self.outbox)
        original(self, written)
        self.outbox = before

    return apply


async def _check_then_write(self: FakeStore, wanted: Sequence[Any], judge_all: Any) -> list[Any]:
    """Read, decide, let others in, write: no lock is held between."""
    locked = {w.payment_id: self._facts(w) for w in wanted if w.payment_id in self.payments}
    written = [one for one in judge_all(locked) if one.decision.verdict is not Verdict.IGNORED]
    await asyncio.sleep(0.05)
    for one in written:
        self._apply(one)
    decided = {one.payment.payment_id for one in written}
    return [p for one in written if one.settled_at for p in self._close_siblings(one, decided)]


def _new_id_each_time() -> Callable[..., NewRefund]:
    sendings = iter(range(1, 1_000_000))

    def new_refund(**parts: Any) -> NewRefund:
        return NewRefund(**{**parts, "refund_id": f"{parts['refund_id']}-{next(sendings)}"})

    return new_refund


def _resend_what_is_not_known(case: Any, answers: Any, policy: Any, now: Any) -> Any:
    """Repeat a refund under its id, however long ago the gateway may have forgotten it."""
    del policy, now
    if case.refund.attempts == 0:
        return None
    known = answers.known
    if known is None or known.outcome is RefundOutcome.UNKNOWN:
        return risk.Weighing(risk.Verdict.WAIT, "not-asked")
    if known.outcome is not RefundOutcome.NOT_FOUND:
        return risk.Weighing(risk.Verdict.FOUND, known.outcome)
    return None


def _silence_is_failure() -> Callable[..., Any]:
    original = Refunder._follow

    async def follow(self: Refunder, message: Any, report: Any, source: str) -> None:
        if report is not None and report.outcome is RefundOutcome.UNKNOWN:
            report = RefundReport(RefundOutcome.FAILED, report.reason)
        await original(self, message, report, source)

    return follow


async def _trust_the_close(self: Close, message: Any) -> Fate:
    gateway = self._gateways[message.gateway]
    answer = await close_handler._close(gateway, ChargeRef(message.payment_id, message.gateway_ref))
    if answer is CloseAnswer.CLOSED:
        occasion = Occasion(self._clock.now(), Source.CLOSE)
        report = GatewayReport(Outcome.CLOSED, message.gateway_ref)
        await self._settler.settle(Hearing(message.payment_id, report, occasion))
    return DONE


def _decides(change: Callable[[Facts, GatewayReport, Decision], Decision | None]) -> Patch:
    """Return a patch of `decide` where its decisions are judged; `change` may say otherwise."""
    original = decide.decide

    def mutated(facts: Facts, report: GatewayReport, *, watch_ended: bool = False) -> Decision:
        decision = original(facts, report, watch_ended=watch_ended)
        return change(facts, report, decision) or decision

    return judge, "decide", mutated


def _drop_late(facts: Facts, report: GatewayReport, _decision: Decision) -> Decision | None:
    ended = facts.payment.status in {"FAILED", "CLOSED"}
    is_late = ended and report.outcome is Outcome.SUCCEEDED
    return Decision(Verdict.IGNORED, "too-late") if is_late else None


def _keep_twice(_facts: Facts, _report: GatewayReport, decision: Decision) -> Decision | None:
    if decision.verdict is Verdict.DUPLICATED:
        return Decision(Verdict.IGNORED, "order-paid")
    return None


def _pay_cancelled(_facts: Facts, _report: GatewayReport, decision: Decision) -> Decision | None:
    if decision.reason == RefundReason.ORDER_CANCELLED:
        return Decision(Verdict.SETTLED, "first-success")
    return None


def _fail_what_is_silent(
    _facts: Facts, _report: GatewayReport, decision: Decision
) -> Decision | None:
    if decision.verdict is Verdict.UNRESOLVED:
        return Decision(Verdict.FAILED, "no-answer")
    return None


def _fail_what_is_unknown(
    facts: Facts, report: GatewayReport, _decision: Decision
) -> Decision | None:
    pending = facts.payment.status in {"CREATED", "PENDING"} and not facts.payment.mismatched
    if report.outcome is Outcome.NOT_FOUND and pending:
        return Decision(Verdict.CLOSED, "never-created")
    return None


def _no_mismatch(_facts: Facts, _report: GatewayReport) -> None:
    return None


def _settle_not_found() -> tuple[Patch, ...]:
    original = Poll._go_on

    async def go_on(self: Poll, message: PollDue, gateway: Any, report: Any, **more: Any) -> None:
        if report.outcome is Outcome.NOT_FOUND:
            await self._settle(message, report, Source.POLL, watch_ended=True)
            return
        await original(self, message, gateway, report, **more)

    return ((Poll, "_go_on", go_on), _decides(_fail_what_is_unknown))


async def _trust_the_cache(self: Poll, message: PollDue) -> tuple[str, bool]:
    expired = self._now_ms() >= message.expires_ms
    seen = await self._cache.seen(message.payment_id, message.epoch, message.step)
    if seen.step_done or seen.succeeded:
        return "done", expired
    return "order-paid" if await self._cache.paid_by(message.order_id) else "", expired


async def _one_step_too_few(self: Poll, message: PollDue, gateway: Any, report: Any) -> None:
    """Schedule nothing after the third query: the ladder breaks off."""
    if message.step < 2:
        step = message.step + 1
        wait_ms = gateway.terms.ladder.wait_ms(step)
        following = replace(message, step=step, due_ms=self._now_ms() + wait_ms)
        await self._timer.poll_after(wait_ms, following)


async def _mark_first(
    self: Poll, message: PollDue, gateway: Any, report: Any, *, expired: bool
) -> None:
    """Remember a step as done, and the watch as alive, before the next one is scheduled."""
    if expired:
        return
    await self._cache.mark_step(message.payment_id, message.epoch, message.step)
    await self._schedule_next(message, gateway, report)


def _end_once() -> Callable[..., Any]:
    end_watch = Poll._end_watch

    async def end(self: Poll, message: PollDue, gateway: Any) -> None:
        if message.mode is Mode.WATCH:
            await end_watch(self, message, gateway)

    return end


async def _believe_everybody(
    self: Reception, gateway: Any, headers: Mapping[str, str], body: bytes, now: Any
) -> CheckedCallback:
    try:
        checked: CheckedCallback = await gateway.check_callback(headers, body, now)
    except BadCallback:
        return CheckedCallback(headers["id"], dict(headers))
    return checked


def _refund_the_winner() -> Callable[..., Any]:
    original = effects.work_out

    def work_out(facts: Facts, report: Any, decision: Decision, occasion: Any) -> Any:
        found = original(facts, report, decision, occasion)
        if decision.verdict is Verdict.SETTLED:
            refund = effects._refund(found.payment, RefundReason.ORDER_PAID)
            found = replace(found, refunds=(refund,))
        return found

    return work_out


async def _never_due(self: FakeStore, *_: Any, **__: Any) -> list[Any]:
    del self
    return []


MUTANTS: Mapping[str, Mutant] = {
    "ack-before-work": Mutant(
        "a message is acknowledged before it is worked on", ((Desk, "fate_of", _ack_first()),)
    ),
    "ack-when-away": Mutant(
        "a message is acknowledged although a server was away",
        ((Desk, "fate_of", _ack_whatever_happens),),
    ),
    "publish-before-commit": Mutant(
        "a success is told before it is committed", ((Settler, "settle", _publish_first()),)
    ),
    "delete-before-publish": Mutant(
        "an event leaves the outbox before it is told",
        ((Announcer, "_announce_one", _delete_first()),),
    ),
    "no-outbox": Mutant(
        "events are published, and stand nowhere else", ((FakeStore, "_apply", _without_outbox()),)
    ),
    "no-relay": Mutant("nobody relays what waits in the outbox", ((Relay, "run_once", _no_turn),)),
    "no-reteller": Mutant("nobody tells again", ((Reteller, "run_once", _no_turn),)),
    "no-sweeper": Mutant("nobody finds lost timers", ((Sweeper, "run_once", _no_turn),)),
    "no-refund-sweep": Mutant(
        "nobody finds lost looks at refunds", ((RefundSweep, "run_once", _no_turn),)
    ),
    "no-inbox-sweep": Mutant(
        "nobody takes up callbacks that wait", ((Reception, "run_once", _no_turn),)
    ),
    "check-outside-lock": Mutant(
        "rows are read, and written later", ((FakeStore, "settle", _check_then_write),)
    ),
    "new-refund-id": Mutant(
        "a refund is repeated under a new id",
        ((refund_handler, "NewRefund", _new_id_each_time()),),
    ),
    "repeat-forgotten-refund": Mutant(
        "a refund is repeated though its gateway may have forgotten it",
        (
            (risk, "_by_memory", _resend_what_is_not_known),
            (risk, "_by_charge", lambda *_: None),
        ),
    ),
    "silence-is-failure": Mutant(
        "a refund without an answer is called FAILED",
        ((Refunder, "_follow", _silence_is_failure()),),
    ),
    "trust-close": Mutant(
        "a close that says closed is believed", ((Close, "handle", _trust_the_close),)
    ),
    "drop-late-success": Mutant("late money is ignored", (_decides(_drop_late),)),
    "keep-twice": Mutant("a second success is ignored", (_decides(_keep_twice),)),
    "pay-cancelled": Mutant("a cancelled order is settled", (_decides(_pay_cancelled),)),
    "fail-unresolved": Mutant(
        "a watch that ends without a word is a failure", (_decides(_fail_what_is_silent),)
    ),
    "early-never-created": Mutant(
        "a charge that is not found is closed before its end", _settle_not_found()
    ),
    "no-amount-check": Mutant(
        "a success over any amount settles", ((decide, "find_mismatch", _no_mismatch),)
    ),
    "cache-ends-polls": Mutant(
        "a poll ends where another payment paid the order", ((Poll, "_stand", _trust_the_cache),)
    ),
    "ladder-breaks-off": Mutant(
        "the ladder has one rung too few", ((Poll, "_schedule_next", _one_step_too_few),)
    ),
    "watch-ends-silently": Mutant(
        "an expired watch is not ended with a close and a last query",
        ((Poll, "_go_on", _mark_first),),
    ),
    "left-open": Mutant(
        "what could not be closed when its watch ended stays open",
        ((Poll, "_end_watch", _end_once()),),
    ),
    "forged-callbacks": Mutant(
        "signatures are not checked", ((Reception, "_check", _believe_everybody),)
    ),
    "refund-winner": Mutant(
        "the payment that settled its order is refunded",
        ((judge, "work_out", _refund_the_winner()),),
    ),
    "unacknowledged-forgotten": Mutant(
        "paid orders are never due to be told again", ((FakeStore, "retell", _never_due),)
    ),
    **CAPTURE_MUTANTS,
}
