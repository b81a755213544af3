"""A gateway is spared for long: no step is used up, no watch ends or multiplies; all go on."""

import heapq
import itertools
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from payonce.domain.messages import Mode, PollDue
from payonce.domain.payment import PaymentStatus
from payonce.domain.report import GatewayReport, Outcome
from payonce.domain.times import from_ms, to_ms
from payonce.gateways.gate import Gate
from payonce.gateways.guard import Guarded
from payonce.ports.board import GatewayState
from payonce.ports.bus import DONE
from payonce.ports.gateway import CloseAnswer
from tests.handlers.bench import Bench, close_due, due
from tests.handlers.fakes import PAID, PENDING
from tests.store.making import EXPIRES, NOW, later, registration, word

SPARED = GatewayReport(Outcome.UNKNOWN, reason="paused", retry_after_s=1.0, spared=True)
EXPIRED = due(6, expires_ms=to_ms(NOW))


@pytest.mark.parametrize("step", [0, 1, 3, 4, 9])
async def test_a_spared_poll_comes_again_with_its_step(bench: Bench, step: int) -> None:
    """After the ladder's own wait; nothing is marked, recorded or concluded."""
    await bench.registered()
    bench.gateway.will_say(SPARED)
    assert DONE == await bench.poll.handle(due(step))
    [(wait_ms, again)] = bench.bus.polls
    ladder = bench.gateway.terms.ladder
    due_ms = to_ms(NOW) + ladder.wait_ms(step)
    assert (ladder.wait_ms(step), due(step, due_ms=due_ms)) == (wait_ms, again)
    assert [] == bench.journal.of("mark_step", "record_steps", "settle")
    assert [("mock", "paused")] == bench.meter.of("poll_dropped")


async def test_a_spared_poll_may_be_due_before_its_confirm(bench: Bench) -> None:
    """It is not taken for a twin of the one that put it off, and dropped with the watch."""
    await bench.registered()
    bench.gateway.will_say(SPARED, PENDING)
    sent = bench.bus.poll_after

    async def slow_confirm(wait_ms: int, message: PollDue) -> None:
        bench.bus.poll_after = sent  # type: ignore[method-assign]
        await sent(wait_ms, message)
        assert DONE == await bench.poll.handle(message)

    bench.bus.poll_after = slow_confirm  # type: ignore[method-assign]
    await bench.poll.handle(due(2))
    assert [2, 3] == [message.step for _, message in bench.bus.polls]


async def test_a_watch_whose_time_is_over_is_not_ended_unasked(bench: Bench) -> None:
    """It comes again until it was asked; money that came meanwhile settles the order."""
    await bench.registered()
    bench.gateway.will_say(SPARED, SPARED, PAID)
    for _ in range(2):
        await bench.poll.handle(EXPIRED)
        assert PaymentStatus.PENDING is bench.payment().status
    assert [] == bench.journal.of("settle", "close")
    await bench.poll.handle(EXPIRED)
    assert PaymentStatus.SUCCEEDED is bench.payment().status


@pytest.mark.parametrize(
    ("answer", "last"), [(CloseAnswer.SPARED, PENDING), (CloseAnswer.CLOSED, SPARED)]
)
async def test_a_watch_does_not_end_half_asked(
    bench: Bench, answer: CloseAnswer, last: GatewayReport
) -> None:
    """Where close or last question were spared, the payment is not unresolved: it comes again."""
    await bench.registered()
    bench.gateway.will_say(PENDING, last)
    bench.gateway.will_close(answer)
    await bench.poll.handle(EXPIRED)
    assert [6] == [message.step for _, message in bench.bus.polls]
    assert not bench.payment().unresolved


async def test_a_word_counts_though_the_close_was_spared(bench: Bench) -> None:
    """What the gateway did say is not asked for again."""
    await bench.registered()
    bench.gateway.will_say(PENDING, PAID)
    bench.gateway.will_close(CloseAnswer.SPARED)
    await bench.poll.handle(EXPIRED)
    assert PaymentStatus.SUCCEEDED is bench.payment().status
    assert [] == bench.bus.polls


async def test_a_spared_close_is_tried_again_and_not_for_ever(bench: Bench) -> None:
    """Afterwards the sweeper takes it up, so that closes do not pile up either."""
    await bench.registered()
    bench.gateway.will_say(SPARED)
    bench.gateway.will_close(CloseAnswer.SPARED)
    for attempt in range(5):
        await bench.close.handle(close_due(attempt))
    assert 3 == len(bench.bus.closes)
    assert [] == bench.journal.of("end_closing", "settle")


async def test_a_single_look_that_was_sent_anew_is_dropped(bench: Bench) -> None:
    """It had been put off while the gateway was spared."""
    await bench.registered()
    bench.change("p1", unresolved=True, epoch=3)
    await bench.poll.handle(due(6, mode=Mode.ONCE, epoch=2))
    assert [("mock", "older-epoch")] == bench.meter.of("poll_dropped")
    await bench.poll.handle(due(6, mode=Mode.ONCE, epoch=3))
    assert 1 == len(bench.gateway.asked)


async def test_the_sweeper_leaves_a_spared_gateway_alone(bench: Bench) -> None:
    """Its payments stay overdue and are taken up when it is asked again."""
    await bench.registered(registration(revive_at=NOW))
    bench.spared = {"mock"}
    assert not await bench.sweeper.run_once()
    assert (0, NOW, []) == (bench.payment().epoch, bench.store.revive_at["p1"], bench.bus.polls)
    bench.spared = set()
    await bench.sweeper.run_once()
    assert 1 == len(bench.bus.polls)


class Life:
    """A worker whose due polls are handled and whose sweeper runs, minute by minute."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.gate = Gate("mock", 0.0, bench.meter, bench.clock)
        bench.gateways["mock"] = Guarded(bench.gateway, self.gate)
        self.waiting: list[tuple[datetime, int, PollDue]] = []
        self.most = 0
        self._numbers = itertools.count()
        self._taken = 0

    def treat(self, state: GatewayState) -> None:
        """Pause or resume the gateway."""
        self.gate.learn(state, 1)
        self.bench.spared = {"mock"} if self.gate.is_closed_to_all() else set()

    async def live(self, minutes: float, *, sweeps_while_spared: bool = False) -> None:
        """Let so much time pass; `most` is the most messages that one payment ever had waiting."""
        end = self.bench.clock.now() + timedelta(minutes=minutes)
        sweep_at = self.bench.clock.now()
        while self.bench.clock.now() < end:
            self._collect()
            next_at = min([end, sweep_at, *(at for at, *_ in self.waiting[:1])])
            self.bench.clock.move(max((next_at - self.bench.clock.now()).total_seconds(), 0.001))
            if self.bench.clock.now() >= sweep_at:
                sweep_at += timedelta(minutes=1)
                await self._sweep(sweeps_while_spared=sweeps_while_spared)
            while self.waiting and self.waiting[0][0] <= self.bench.clock.now():
                await self.bench.poll.handle(heapq.heappop(self.waiting)[2])
                self._collect()

    async def _sweep(self, *, sweeps_while_spared: bool) -> None:
        spared = self.bench.spared
        if sweeps_while_spared:
            self.bench.spared = set()
        await self.bench.sweeper.run_once()
        self.bench.spared = spared

    def _collect(self) -> None:
        for _, message in self.bench.bus.polls[self._taken :]:
            entry = (from_ms(message.due_ms), next(self._numbers), message)
            heapq.heappush(self.waiting, entry)
        self._taken = len(self.bench.bus.polls)
        counts = Counter(message.payment_id for *_, message in self.waiting)
        self.most = max([self.most, *counts.values()])


PAUSED = GatewayState("mock", NOW, "ann", "a day of works")


async def populate(bench: Bench) -> dict[str, PollDue]:
    """Register payments at every stage of life; return the polls of those that are watched."""
    far = NOW + timedelta(days=3)
    names = ["young", "tail", "expiring", "unresolved", "closed"]
    expiry = dict.fromkeys(names, far) | {"expiring": EXPIRES}
    await bench.registered(
        *(registration(n, f"o-{n}", revive_at=later(240), expires_at=expiry[n]) for n in names)
    )
    await bench.heard(word("unresolved", Outcome.PENDING, ended=True))
    await bench.heard(word("closed", Outcome.CLOSED))
    bench.change("tail", step=7)
    steps = {"young": 1, "tail": 8, "expiring": 2}
    return {
        name: replace(
            due(step), payment_id=name, order_id=f"o-{name}", expires_ms=to_ms(expiry[name])
        )
        for name, step in steps.items()
    }


@pytest.mark.parametrize("sweeps", [False, True])
async def test_a_day_of_pause_multiplies_nothing_and_ends_nothing(
    bench: Bench, *, sweeps: bool
) -> None:
    """Even where sweepers revive all the same, as they do in half-open, or at a rate."""
    life = Life(bench)
    for message in (await populate(bench)).values():
        await bench.bus.poll_after(3_000 if message.step == 0 else 180_000, message)
    asked_before = len(bench.gateway.asked)
    life.treat(PAUSED)
    await life.live(24 * 60, sweeps_while_spared=sweeps)
    assert asked_before == len(bench.gateway.asked)
    assert life.most <= 3
    assert ["unresolved"] == [p.payment_id for p in bench.store.payments.values() if p.unresolved]

    life.treat(GatewayState("mock"))
    await life.live(20)
    asked = Counter(one.payment_id for one in bench.gateway.asked[asked_before:])
    assert {"young", "tail", "expiring", "unresolved", "closed"} == set(asked)
    assert {"expiring", "unresolved"} == {
        p.payment_id for p in bench.store.payments.values() if p.unresolved
    }
    counts = Counter(message.payment_id for *_, message in life.waiting)
    assert {"young": 1, "tail": 1} == counts
    assert max(asked.values()) <= 14
