"""The sweeper: takes up what shows no life, in batches, and loses nothing of what it took up."""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest

from payonce.domain.errors import Unavailable
from payonce.domain.messages import Mode
from payonce.domain.payment import PaymentStatus
from payonce.domain.report import GatewayReport, Outcome
from payonce.domain.times import to_ms
from payonce.sweeper import BATCH
from tests.handlers.bench import EVERY_S, Bench, due, opened_bench
from tests.handlers.fakes import NOT_FOUND, PAID, PENDING, UNKNOWN
from tests.store.making import EXPIRES, NOW, later, registration, word
from tests.support.waiting import eventually

LAST_LOOK = EXPIRES + timedelta(minutes=10)
"""When the money of a payment that was closed can arrive no more, by the gateway's lateness."""


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """One worker on fakes."""
    async with opened_bench() as bench:
        yield bench


def move_to(bench: Bench, time: datetime) -> None:
    """Let time pass until `time`."""
    bench.clock.move((time - bench.clock.now()).total_seconds())


async def test_a_living_watch_is_left_alone(bench: Bench) -> None:
    """Until its time to be looked after has passed."""
    await bench.registered(registration(revive_at=later(463)))
    bench.clock.move(462)
    assert not await bench.sweeper.run_once()
    assert ([], 0) == (bench.bus.polls, bench.payment().epoch)


async def test_a_lost_watch_goes_on_in_its_recorded_tail_under_a_new_epoch(bench: Bench) -> None:
    """At once, and the store hears of every step from now on."""
    await bench.registered(registration(revive_at=later(463)))
    bench.clock.move(463)
    assert not await bench.sweeper.run_once()
    [(wait_ms, message)] = bench.bus.polls
    assert (0, "p1", 1, 4, Mode.WATCH, to_ms(later(463))) == (
        wait_ms,
        message.payment_id,
        message.epoch,
        message.step,
        message.mode,
        message.due_ms,
    )
    assert (1, later(463 + 10 + 60)) == (bench.payment().epoch, bench.store.revive_at["p1"])
    assert [("mock",)] == bench.meter.of("payment_revived")


async def test_a_recorded_watch_goes_on_after_its_last_step(bench: Bench) -> None:
    """A step that was recorded would be dropped as history."""
    await bench.registered(registration(revive_at=NOW))
    bench.change("p1", step=9, epoch=2)
    await bench.sweeper.run_once()
    [(_, message)] = bench.bus.polls
    assert (3, 10) == (message.epoch, message.step)


async def test_a_revived_watch_lives(bench: Bench) -> None:
    """Its poll is asked, recorded and followed by the next."""
    await bench.registered(registration(revive_at=NOW))
    await bench.sweeper.run_once()
    await bench.poll.handle(bench.bus.polls[0][1])
    wait_ms, following = bench.bus.polls[1]
    assert (180_000, 5, 1) == (wait_ms, following.step, following.epoch)
    assert (4, later(240)) == (bench.payment().step, bench.store.revive_at["p1"])


async def test_a_revival_ends_the_chain_that_it_took_for_dead(bench: Bench) -> None:
    """Two watches do not live side by side."""
    await bench.registered(registration(revive_at=NOW))
    await bench.sweeper.run_once()
    await bench.poll.handle(due(4))
    assert ([("mock", "older-epoch")], 1) == (
        bench.meter.of("poll_dropped"),
        len(bench.bus.polls),
    )


async def test_an_unresolved_payment_is_asked_once_an_hour(bench: Bench) -> None:
    """For thirty days after its expiry."""
    await bench.registered()
    await bench.heard(word("p1", Outcome.PENDING, ended=True))
    for hour in (1, 2):
        move_to(bench, later(hour * 3_600))
        await bench.sweeper.run_once()
        assert Mode.ONCE is bench.bus.polls[-1][1].mode
        assert later((hour + 1) * 3_600) == bench.store.revive_at["p1"]
    move_to(bench, EXPIRES + timedelta(days=30))
    await bench.sweeper.run_once()
    assert (3, None) == (len(bench.bus.polls), bench.store.revive_at["p1"])


@pytest.mark.parametrize("outcome", [Outcome.FAILED, Outcome.CLOSED])
async def test_an_ended_payment_is_asked_after_ten_minutes_and_at_the_end(
    bench: Bench, outcome: Outcome
) -> None:
    """Twice, for late money whose callback was lost; then never again."""
    await bench.registered()
    await bench.heard(word("p1", outcome))
    bench.gateway.will_say(GatewayReport(outcome))
    looks: list[int] = []
    for time in (later(599), later(600), LAST_LOOK - timedelta(seconds=1), LAST_LOOK):
        move_to(bench, time)
        await bench.sweeper.run_once()
        for _, message in bench.bus.polls[sum(looks[-1:]) :]:
            await bench.poll.handle(message)
        looks.append(len(bench.bus.polls))
    assert ([0, 1, 1, 2], None) == (looks, bench.store.revive_at["p1"])
    assert {Mode.ONCE} == {message.mode for _, message in bench.bus.polls}


@pytest.mark.parametrize("answered", [False, True])
async def test_a_look_that_was_lost_or_not_answered_is_taken_again(
    bench: Bench, answered: bool
) -> None:
    """After five minutes: nobody else would ask about a payment that has ended."""
    await bench.registered()
    await bench.heard(word("p1", Outcome.CLOSED))
    move_to(bench, LAST_LOOK)
    await bench.sweeper.run_once()
    if answered:
        bench.gateway.will_say(UNKNOWN)
        await bench.poll.handle(bench.bus.polls[0][1])
    assert LAST_LOOK + timedelta(minutes=5) == bench.store.revive_at["p1"]
    bench.clock.move(300)
    await bench.sweeper.run_once()
    bench.gateway.will_say(PAID)
    await bench.poll.handle(bench.bus.polls[1][1])
    assert PaymentStatus.SUCCEEDED is bench.payment().status
    assert bench.store.revive_at["p1"] is None


async def test_late_money_is_found(bench: Bench) -> None:
    """The look of the sweeper settles an order whose payment was closed."""
    await bench.registered()
    await bench.heard(word("p1", Outcome.CLOSED))
    bench.clock.move(600)
    await bench.sweeper.run_once()
    bench.gateway.will_say(PAID)
    await bench.poll.handle(bench.bus.polls[0][1])
    assert ["payment.closed", "payment.succeeded"] == bench.told()


@pytest.mark.parametrize("report", [PENDING, NOT_FOUND])
async def test_a_look_without_a_word_is_the_last_until_the_next(
    bench: Bench, report: GatewayReport
) -> None:
    """It starts no watch."""
    await bench.registered()
    await bench.heard(word("p1", Outcome.CLOSED))
    bench.clock.move(600)
    await bench.sweeper.run_once()
    bench.gateway.will_say(report)
    await bench.poll.handle(bench.bus.polls[0][1])
    assert 1 == len(bench.bus.polls)


async def test_a_full_batch_is_followed_by_another(bench: Bench) -> None:
    """At once, until there is nothing left."""
    names = [f"p{n}" for n in range(BATCH + 1)]
    await bench.registered(*(registration(one, f"o-{one}", revive_at=NOW) for one in names))
    assert await bench.sweeper.run_once()
    assert BATCH == len(bench.bus.polls)
    assert not await bench.sweeper.run_once()
    assert set(names) == {message.payment_id for _, message in bench.bus.polls}


async def test_a_look_that_could_not_be_sent_is_sent_at_the_next_turn(bench: Bench) -> None:
    """Before anything else is revived."""
    await bench.registered()
    await bench.heard(word("p1", Outcome.CLOSED))
    move_to(bench, LAST_LOOK)
    bench.journal.away = {"poll_after"}
    for _ in range(2):
        with pytest.raises(Unavailable):
            await bench.sweeper.run_once()
    assert LAST_LOOK + timedelta(minutes=5) == bench.store.revive_at["p1"]
    bench.journal.away = set()
    assert not await bench.sweeper.run_once()
    assert ["p1"] == [message.payment_id for _, message in bench.bus.polls]
    assert [("mock",)] == bench.meter.of("payment_revived")
    assert not await bench.sweeper.run_once()
    assert 1 == len(bench.bus.polls)


async def test_nothing_more_is_taken_up_before_everything_is_sent(bench: Bench) -> None:
    """What waits in memory is bounded by one batch."""
    await bench.registered(registration("p1", revive_at=NOW))
    bench.journal.away = {"poll_after"}
    for _ in range(3):
        with pytest.raises(Unavailable):
            await bench.sweeper.run_once()
    assert ["revive"] == bench.journal.of("revive")


async def test_a_payment_of_an_unknown_gateway_is_left_to_who_knows_it(bench: Bench) -> None:
    """Another process may have a newer configuration; the others' payments are taken up."""
    await bench.registered(
        registration("p1", "o1", gateway="elsewhere", revive_at=NOW),
        registration("p2", "o2", revive_at=NOW),
    )
    assert not await bench.sweeper.run_once()
    assert ["p2"] == [message.payment_id for _, message in bench.bus.polls]
    assert (0, NOW) == (bench.payment("p1").epoch, bench.store.revive_at["p1"])


async def test_the_sweeper_lives_through_an_outage(bench: Bench) -> None:
    """Turn after turn, at its interval, shortened a little."""
    await bench.registered(registration(revive_at=NOW))
    bench.journal.away = {"revive"}
    running = asyncio.create_task(bench.sweeper.run())
    await eventually(lambda: bench.clock.slept_s)
    bench.journal.away = set()
    assert 0.9 * EVERY_S <= bench.clock.slept_s[0] <= EVERY_S
    bench.clock.move(EVERY_S)
    await eventually(lambda: bench.bus.polls)
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])


async def test_a_close_that_is_owed_is_asked_for_again(bench: Bench) -> None:
    """Together with the poll, until the payment has ended."""
    await bench.registered(registration(revive_at=later(100)))
    bench.change("p1", closing="superseded")
    bench.clock.move(100)
    assert not await bench.sweeper.run_once()
    [(wait_ms, message)] = bench.bus.closes
    assert (0, "p1", "superseded", 0) == (
        wait_ms,
        message.payment_id,
        message.reason,
        message.attempt,
    )
    assert later(100 + 60) == bench.store.revive_at["p1"]
