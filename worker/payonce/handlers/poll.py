"""A poll is due: ask the gateway, then settle, go on, or end the watch."""

from dataclasses import replace
from datetime import datetime

from payonce.batching import Batcher
from payonce.domain.effects import Occasion
from payonce.domain.judge import Hearing
from payonce.domain.ladder import is_recorded
from payonce.domain.messages import MAX_POLLS_CARRIED, Mode, PollDue
from payonce.domain.payment import UNFINISHED
from payonce.domain.report import GatewayReport, Outcome, Source
from payonce.domain.times import from_ms, to_ms
from payonce.domain.watch import last_look, revive_after_step
from payonce.handlers.settle import Settler
from payonce.ports.bus import DONE, Fate, Park, Timer
from payonce.ports.cache import Cache
from payonce.ports.clock import Clock
from payonce.ports.gateway import ChargeRef, CloseAnswer, Gateway, Gateways
from payonce.ports.meter import Meter
from payonce.ports.store import StepDone, Watches, WatchState


class Poll:
    """Takes a poll that is due. A pending answer costs Postgres nothing in the first waits."""

    def __init__(  # noqa: PLR0913 - the poll is where gateway, timer, cache and truth meet
        self,
        watches: Watches,
        settler: Settler,
        timer: Timer,
        cache: Cache,
        gateways: Gateways,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._watches = watches
        self._settler = settler
        self._timer = timer
        self._cache = cache
        self._gateways = gateways
        self._clock = clock
        self._meter = meter
        self._states: Batcher[str, WatchState | None] = Batcher(watches.watch_states)
        self._steps: Batcher[StepDone, bool] = Batcher(watches.record_steps)
        self._in_hand: set[tuple[str, int, int]] = set()

    async def handle(self, message: PollDue) -> Fate:
        """Ask about the payment unless this step is done already."""
        gateway = self._gateways.get(message.gateway)
        if gateway is None:
            return Park(f"unknown-gateway: {message.gateway}")
        key = _key(message)
        if key in self._in_hand:
            # Its twin is being worked on here and still unacknowledged, so nothing is lost.
            return self._drop(message, "in-hand")
        self._in_hand.add(key)
        try:
            return await self._poll(message, gateway)
        finally:
            self._in_hand.discard(key)

    async def _poll(self, message: PollDue, gateway: Gateway) -> Fate:
        self._meter.poll_started(message.gateway, (self._now_ms() - message.due_ms) / 1000)
        # Before asking: a charge unknown before its deadline may be paid when the answer arrives.
        reason, expired = await self._stand(message)
        if reason:
            return self._drop(message, reason)
        report = await gateway.query(ChargeRef(message.payment_id, message.gateway_ref))
        if report.spared:
            await self._put_off(message, gateway, report)
        elif report.is_definite or (expired and report.outcome is Outcome.NOT_FOUND):
            await self._settle(message, report, Source.POLL, watch_ended=expired)
        elif message.mode is Mode.WATCH:
            await self._go_on(message, gateway, report, expired=expired)
        elif expired and report.outcome is Outcome.PENDING:
            # It was to be closed when its watch ended, and was not: it can still be paid.
            await self._end_watch(message, gateway)
        if message.mode is Mode.ONCE and report.outcome is not Outcome.UNKNOWN:
            await self._watches.looked(message.payment_id, message.epoch, self._next_look(message))
        return DONE

    def _next_look(self, message: PollDue) -> datetime | None:
        """Return when a payment that has ended is looked at again; None: never."""
        lateness = self._gateways[message.gateway].terms.lateness
        return last_look(from_ms(message.expires_ms), lateness, self._clock.now())

    async def _stand(self, message: PollDue) -> tuple[str, bool]:
        """Return why this poll needs no answer (empty: it does), and whether the watch is over."""
        seen = await self._cache.seen(message.payment_id, message.epoch, message.step)
        if seen.succeeded and not message.epoch:
            # A revived watch is asked of Postgres: a Redis of another past must not end it.
            return "succeeded", False
        once = message.mode is Mode.ONCE
        if seen.step_done and not once:
            return "step-done", False
        expired = self._now_ms() >= message.expires_ms
        if not (once or expired or is_recorded(message.step)):
            return "", False
        # Also before a watch ends: a repeat may have given the payment other terms meanwhile.
        state = await self._states.submit(message.payment_id)
        # A clock that is fast here alone ends no watch, and closes no code that is still good.
        expired = expired and state is not None and to_ms(state.read_at) >= message.expires_ms
        if once:
            # One that was put off while its gateway was spared may have been sent anew meanwhile.
            return "older-epoch" if state and state.epoch > message.epoch else "", expired
        return _why_history(message, state), expired

    async def _go_on(
        self, message: PollDue, gateway: Gateway, report: GatewayReport, *, expired: bool
    ) -> None:
        if expired:
            await self._end_watch(message, gateway)
            return
        await self._schedule_next(message, gateway, report)
        await self._cache.mark_step(message.payment_id, message.epoch, message.step)
        if is_recorded(message.step):
            await self._steps.submit(self._step_done(message, gateway))

    async def _schedule_next(
        self, message: PollDue, gateway: Gateway, report: GatewayReport
    ) -> None:
        step = message.step + 1
        wait_ms = gateway.terms.ladder.wait_covering_ms(step, _spare_ms(report))
        now_ms = self._now_ms()
        polls = (*message.polls, (message.step, now_ms, report.outcome.value))
        following = replace(
            message, step=step, due_ms=now_ms + wait_ms, polls=polls[-MAX_POLLS_CARRIED:]
        )
        await self._timer.poll_after(wait_ms, following)

    async def _put_off(self, message: PollDue, gateway: Gateway, report: GatewayReport) -> None:
        """Come back with the same step: a gateway that is spared costs its payments no step."""
        wait_ms = gateway.terms.ladder.wait_covering_ms(message.step, _spare_ms(report))
        later = replace(message, due_ms=self._now_ms() + wait_ms)
        # It may be due here before this one has its confirm, and must not be taken for its twin.
        self._in_hand.discard(_key(message))
        await self._timer.poll_after(wait_ms, later)
        self._meter.poll_dropped(message.gateway, report.reason if report.spared else "spared")

    async def _end_watch(self, message: PollDue, gateway: Gateway) -> None:
        """Close, since no watch will see this payment paid, and ask a last time."""
        charge = ChargeRef(message.payment_id, message.gateway_ref)
        answer = await gateway.close(charge) if gateway.terms.can_close else None
        report = await gateway.query(charge)
        if report.is_definite or not (report.spared or answer is CloseAnswer.SPARED):
            await self._settle(message, report, Source.CLOSE, watch_ended=True)
        else:
            await self._put_off(message, gateway, report)

    async def _settle(
        self, message: PollDue, report: GatewayReport, source: Source, *, watch_ended: bool
    ) -> None:
        source = Source.SWEEP if message.mode is Mode.ONCE else source
        now = self._clock.now()
        polls = (*message.polls, (message.step, to_ms(now), report.outcome.value))
        occasion = Occasion(now, source, polls)
        await self._settler.settle(Hearing(message.payment_id, report, occasion, watch_ended))

    def _step_done(self, message: PollDue, gateway: Gateway) -> StepDone:
        revive_at = revive_after_step(self._clock.now(), message.step, gateway.terms)
        return StepDone(message.payment_id, message.epoch, message.step, revive_at)

    def _drop(self, message: PollDue, reason: str) -> Fate:
        self._meter.poll_dropped(message.gateway, reason)
        return DONE

    def _now_ms(self) -> int:
        return to_ms(self._clock.now())


def _key(message: PollDue) -> tuple[str, int, int]:
    return message.payment_id, message.epoch, message.step


def _spare_ms(report: GatewayReport) -> int:
    return int((report.retry_after_s or 0) * 1000)


def _why_history(message: PollDue, state: WatchState | None) -> str:
    if state is None:
        return "not-registered"
    if state.status not in UNFINISHED:
        return state.status.lower()
    if state.epoch > message.epoch:
        return "older-epoch"
    known = is_recorded(message.step) and state.epoch == message.epoch
    return "step-recorded" if known and state.step >= message.step else ""
