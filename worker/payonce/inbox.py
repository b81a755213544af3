"""The inbox: callbacks are kept, answered, applied at once where that works, else by the sweep."""

import asyncio
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Protocol, assert_never

import structlog

from payonce.batching import Batcher
from payonce.domain.errors import BadCallback, InvalidField, Unavailable
from payonce.looping import repeat
from payonce.ports.clock import Clock
from payonce.ports.gateway import CallbackAnswer, CheckedCallback, Gateway, Gateways
from payonce.ports.inbox import (
    Finished,
    Inbox,
    KeptCallback,
    NewCallback,
    Outcome,
    Processed,
    Waits,
)
from payonce.ports.meter import Meter

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=1)
BATCH = 100
MAX_IN_HAND = 200
"""Callbacks that one process works on at a time; the sweep takes the others."""

WITHIN_S = 10.0
"""Longest time for one try, so that it ends before the lease does."""
LEASE = timedelta(seconds=15)
ANSWER_WITHIN_S = 1.0
"""How long a gateway waits for its answer at most while its callback is being applied."""

WAITS_S = (2, 5, 15, 60, 300)
"""Waits between tries; the last one repeats."""
GIVE_UP_AFTER = timedelta(days=30)
FORGET_EVERY = timedelta(minutes=1)
FORGET_AT_ONCE = 500
_LONGEST_REASON = 300


class Handler(Protocol):
    """What applies one callback."""

    async def handle(self, kept: KeptCallback) -> Outcome:
        """Return what became of the callback. Raises Unavailable: it is to be tried again."""
        ...


class Reception:
    """Takes callbacks in, and has each applied once."""

    def __init__(
        self, inbox: Inbox, handler: Handler, gateways: Gateways, clock: Clock, meter: Meter
    ) -> None:
        self._inbox = inbox
        self._handler = handler
        self._gateways = gateways
        self._clock = clock
        self._meter = meter
        self._keeps: Batcher[NewCallback, int | None] = Batcher(inbox.keep)
        self._finishes: Batcher[Finished, None] = Batcher(inbox.finish)
        self._in_hand: set[asyncio.Task[None]] = set()
        self._draining = False

    async def receive(
        self, name: str, headers: Mapping[str, str], body: bytes
    ) -> CallbackAnswer | None:
        """Keep a callback and return what its gateway expects; None: there is no such gateway.

        It is being applied then, or already was. Raises BadCallback, and nothing has changed;
        Unavailable, and the gateway shall come again.
        """
        gateway = self._gateways.get(name)
        if gateway is None:
            return None
        received_at = self._clock.now()
        checked = await self._check(gateway, headers, body, received_at)
        new = self._new(gateway, checked, body, received_at)
        inbox_id = await self._keeps.submit(new)
        if inbox_id is None:
            self._meter.callback_received(name, "repeated")
        elif new.problem is not None:
            self._meter.callback_received(name, "nonsense")
            log.warning("callback.not_understood", gateway=name, problem=new.problem)
        else:
            self._meter.callback_received(name, "accepted")
            await self._apply_soon(_kept(inbox_id, new))
        return gateway.callback_answer

    async def take_up(self, payment_id: str) -> None:
        """Apply what came before the payment was registered; what fails is left to the sweep."""
        if self._draining:
            return
        now = self._clock.now()
        try:
            waiting = await self._inbox.claim_of(payment_id, now, now + LEASE)
        except Unavailable as error:
            log.warning("callback.postponed", payment_id=payment_id, reason=str(error))
            return
        for kept in waiting:
            self._start(kept)

    async def run(self) -> None:
        """Sweep for ever."""
        await repeat("inbox", self.run_once, EVERY, self._clock)

    async def run_once(self) -> bool:
        """Apply one batch of what is due; True where it was full."""
        room = min(BATCH, MAX_IN_HAND - len(self._in_hand))
        if self._draining or room <= 0:
            return False
        now = self._clock.now()
        due = await self._inbox.claim(now, now + LEASE, room)
        tasks = [task for kept in due if (task := self._start(kept))]
        if tasks:
            await asyncio.wait(tasks)
        return len(due) == BATCH

    async def drain(self) -> None:
        """Finish what is in hand; what comes from now on is kept for others."""
        self._draining = True
        if self._in_hand:
            await asyncio.wait(self._in_hand)

    async def _check(
        self, gateway: Gateway, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> CheckedCallback:
        try:
            return await gateway.check_callback(headers, body, now)
        except BadCallback as error:
            self._meter.callback_received(gateway.name, error.code)
            log.warning("callback.refused", gateway=gateway.name, reason=str(error))
            raise

    def _new(
        self, gateway: Gateway, checked: CheckedCallback, body: bytes, now: datetime
    ) -> NewCallback:
        payment_id, problem = None, None
        try:
            payment_id = gateway.read_callback(checked.headers, body).payment_id
        except InvalidField as error:
            problem = _line(str(error))
        revive_at = now if self._draining else now + LEASE
        return NewCallback(
            gateway.name,
            checked.event_id,
            now,
            checked.headers,
            body,
            payment_id,
            problem,
            revive_at,
        )

    async def _apply_soon(self, kept: KeptCallback) -> None:
        """Return when the callback was applied, or after a second."""
        task = self._start(kept)
        if task is not None:
            await asyncio.wait({task}, timeout=ANSWER_WITHIN_S)

    def _start(self, kept: KeptCallback) -> "asyncio.Task[None] | None":
        """Begin to apply a callback; None where too much is in hand: its lease will end."""
        if self._draining or len(self._in_hand) >= MAX_IN_HAND:
            return None
        task = asyncio.create_task(self._try(kept), name=f"callback {kept.inbox_id}")
        self._in_hand.add(task)
        task.add_done_callback(self._in_hand.discard)
        return task

    async def _try(self, kept: KeptCallback) -> None:
        outcome = await _bounded(self._handler.handle(kept))
        try:
            await self._write(kept, outcome)
        except Unavailable as error:
            # Its lease ends, and it is applied again, which changes nothing.
            log.warning("callback.postponed", inbox_id=kept.inbox_id, reason=str(error))
        except Exception:
            log.exception("callback.failed", inbox_id=kept.inbox_id)

    async def _write(self, kept: KeptCallback, outcome: Outcome) -> None:
        match outcome:
            case Processed():
                self._meter.callback_processed(kept.gateway, outcome.result)
                done = replace(outcome, problem=outcome.problem and _line(outcome.problem))
                await self._finishes.submit(Finished(kept.inbox_id, self._clock.now(), done))
            case Waits():
                self._meter.callback_processed(kept.gateway, "waits")
                await self._put_off(kept, outcome)
            case _:
                assert_never(outcome)

    async def _put_off(self, kept: KeptCallback, waits: Waits) -> None:
        now = self._clock.now()
        wait_s = max(WAITS_S[min(kept.attempts, len(WAITS_S) - 1)], waits.at_least_s)
        until: datetime | None = now + timedelta(seconds=wait_s)
        if now - kept.received_at >= GIVE_UP_AFTER:
            until = None
            log.warning("callback.given_up", inbox_id=kept.inbox_id, reason=waits.reason)
        await self._inbox.put_off(kept.inbox_id, _line(waits.reason), until)


class Retention:
    """Deletes callbacks that were processed long ago, or that no person cared for as long."""

    def __init__(self, inbox: Inbox, keep_for: timedelta, clock: Clock) -> None:
        self._inbox = inbox
        self._keep_for = keep_for
        self._clock = clock

    async def run(self) -> None:
        """Delete for ever."""
        await repeat("inbox-retention", self.run_once, FORGET_EVERY, self._clock)

    async def run_once(self) -> bool:
        """Delete one batch; True where it was full."""
        before = self._clock.now() - self._keep_for
        gone = await self._inbox.forget(before, before - GIVE_UP_AFTER, FORGET_AT_ONCE)
        if gone:
            log.info("callbacks.forgotten", callbacks=gone)
        return gone >= FORGET_AT_ONCE


async def _bounded(work: Coroutine[Any, Any, Outcome]) -> Outcome:
    """Return what became of a callback; whatever goes wrong, it waits and holds up no other."""
    try:
        async with asyncio.timeout(WITHIN_S):
            return await work
    except Unavailable as error:
        return Waits(str(error))
    except TimeoutError:
        return Waits(f"took longer than {WITHIN_S:g} s")
    except Exception as error:
        log.exception("callback.failed")
        return Waits(f"{type(error).__name__}: {error}")


def _line(text: str) -> str:
    """Return one printable line that any database takes."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text[:_LONGEST_REASON])


def _kept(inbox_id: int, new: NewCallback) -> KeptCallback:
    return KeptCallback(
        inbox_id, new.gateway, new.event_id, new.received_at, new.headers, new.body, 0
    )
