"""A poll that is due: what is asked, in which order things are written, how a watch goes on."""

import asyncio
from dataclasses import replace

import pytest

from payonce.domain.errors import Unavailable
from payonce.domain.messages import MAX_POLLS_CARRIED, PollDue
from payonce.domain.payment import PaymentStatus
from payonce.domain.report import GatewayReport
from payonce.domain.times import to_ms
from payonce.ports.bus import DONE, Park
from payonce.ports.cache import Seen
from tests.handlers.bench import Bench, due, next_poll
from tests.handlers.fakes import NOT_FOUND, PAID, PENDING, UNKNOWN
from tests.store.making import NOW, later
from tests.support.waiting import eventually


async def test_a_pending_payment_is_scheduled_before_its_step_is_marked(bench: Bench) -> None:
    """The order of work of the first waits, in which the store hears nothing."""
    await bench.registered()
    assert DONE == await bench.poll.handle(due())
    assert ["seen", "query", "poll_after", "mark_step"] == bench.journal.calls
    wait_ms, message = next_poll(bench)
    assert (10_000, 1, to_ms(NOW) + 10_000) == (wait_ms, message.step, message.due_ms)
    assert ((0, to_ms(NOW), "pending"),) == message.polls
    assert Seen(step_done=True) == await bench.cache.seen("p1", 0, 0)


async def test_the_fifth_poll_is_recorded_after_it_was_scheduled_and_marked(
    bench: Bench,
) -> None:
    """From the fifth on the store knows that the chain lives, and until when."""
    await bench.registered()
    await bench.poll.handle(due(4))
    expected = ["seen", "watch_states", "query", "poll_after", "mark_step", "record_steps"]
    assert expected == bench.journal.calls
    assert (4, later(180 + 60)) == (bench.payment().step, bench.store.revive_at["p1"])


async def test_the_first_four_pending_polls_cost_the_store_nothing(bench: Bench) -> None:
    """A whole chain, from message to message: the fifth poll is the first that the store hears."""
    await bench.registered()
    message = due()
    for _ in range(4):
        await bench.poll.handle(message)
        wait_ms, message = bench.bus.polls[-1]
        bench.clock.move(wait_ms / 1000)
    store_calls = {"watch_states", "record_steps", "settle", "register"}
    assert [] == bench.journal.of(*store_calls)
    assert [(10_000, 1), (30_000, 2), (180_000, 3), (180_000, 4)] == [
        (wait, one.step) for wait, one in bench.bus.polls
    ]
    await bench.poll.handle(message)
    assert ["watch_states", "record_steps"] == bench.journal.of(*store_calls)


@pytest.mark.parametrize(
    ("step", "wait_ms"), [(0, 10_000), (1, 30_000), (2, 180_000), (3, 180_000), (40, 180_000)]
)
async def test_the_last_wait_of_the_ladder_repeats(bench: Bench, step: int, wait_ms: int) -> None:
    """Steps are numbered without end."""
    await bench.registered()
    await bench.poll.handle(due(step))
    assert (wait_ms, step + 1) == (next_poll(bench)[0], next_poll(bench)[1].step)


@pytest.mark.parametrize(
    ("retry_after_s", "wait_ms"),
    [(0.5, 10_000), (10, 10_000), (10.1, 30_000), (60, 180_000), (3_600, 180_000)],
)
async def test_a_gateway_that_asks_to_be_spared_is_spared(
    bench: Bench, retry_after_s: float, wait_ms: int
) -> None:
    """The shortest declared wait that is long enough, else the longest there is."""
    await bench.registered()
    bench.gateway.will_say(replace(UNKNOWN, retry_after_s=retry_after_s))
    await bench.poll.handle(due())
    assert wait_ms == next_poll(bench)[0]


@pytest.mark.parametrize("report", [PENDING, UNKNOWN, NOT_FOUND])
async def test_no_definite_word_goes_on(bench: Bench, report: GatewayReport) -> None:
    """An error, a time-out, a 404 before the end: ask again, conclude nothing."""
    await bench.registered()
    bench.gateway.will_say(report)
    assert DONE == await bench.poll.handle(due())
    assert report.outcome.value == next_poll(bench)[1].polls[0][2]
    assert PaymentStatus.PENDING is bench.payment().status


async def test_a_definite_word_settles_and_ends_the_watch(bench: Bench) -> None:
    """The answers that led there reach the timeline."""
    await bench.registered()
    bench.gateway.will_say(PAID)
    assert DONE == await bench.poll.handle(due(1, polls=((0, 1, "pending"),)))
    assert (PaymentStatus.SUCCEEDED, []) == (bench.payment().status, bench.bus.polls)
    [entry] = bench.store.entries
    expected = [(0, 1, "pending"), (1, to_ms(NOW), "succeeded")]
    assert expected == [tuple(poll) for poll in entry.detail["polls"]]
    assert "poll" == entry.detail["source"]


async def test_an_absent_store_loses_no_success(bench: Bench) -> None:
    """The poll is tried again, and settles then."""
    await bench.registered()
    bench.gateway.will_say(PAID)
    bench.journal.away = {"settle"}
    with pytest.raises(Unavailable):
        await bench.poll.handle(due())
    bench.journal.away = set()
    assert DONE == await bench.poll.handle(due())
    assert PaymentStatus.SUCCEEDED is bench.payment().status


async def test_a_poll_that_cannot_be_scheduled_marks_nothing(bench: Bench) -> None:
    """The step is not done before the next one is confirmed; the message stays in hand."""
    await bench.registered()
    bench.journal.away = {"poll_after"}
    with pytest.raises(Unavailable):
        await bench.poll.handle(due(4))
    assert [] == bench.journal.of("mark_step", "record_steps")
    assert (Seen(), 0) == (await bench.cache.seen("p1", 0, 4), bench.payment().step)
    bench.journal.away = set()
    await bench.poll.handle(due(4))
    assert 5 == next_poll(bench)[1].step


async def test_a_step_that_could_not_be_recorded_is_not_polled_twice(bench: Bench) -> None:
    """Its successor is under way: the retry ends at the remembered step."""
    await bench.registered()
    bench.journal.away = {"record_steps"}
    with pytest.raises(Unavailable):
        await bench.poll.handle(due(4))
    bench.journal.away = set()
    assert DONE == await bench.poll.handle(due(4))
    assert [("mock", "step-done")] == bench.meter.of("poll_dropped")
    assert 5 == next_poll(bench)[1].step


async def test_an_own_success_in_the_cache_ends_the_watch_unasked(bench: Bench) -> None:
    """Neither gateway nor store is used."""
    await bench.registered()
    await bench.cache.remember_succeeded("p1", "o1", 1, "p1")
    bench.journal.calls.clear()
    assert DONE == await bench.poll.handle(due(7))
    assert ["seen"] == bench.journal.calls
    assert [("mock", "succeeded")] == bench.meter.of("poll_dropped")


async def test_a_success_of_a_sibling_does_not_end_a_watch(bench: Bench) -> None:
    """The money of a second payment would be swallowed."""
    await bench.registered()
    await bench.cache.remember_succeeded("p0", "o1", 1, "p0")
    await bench.poll.handle(due())
    assert 1 == len(bench.gateway.asked)


async def test_a_step_that_was_done_is_dropped(bench: Bench) -> None:
    """A redelivery of a poll that has its successor asks nobody and forks nothing."""
    await bench.registered()
    await bench.poll.handle(due())
    assert DONE == await bench.poll.handle(due())
    assert 1 == len(bench.gateway.asked)
    assert 1 == next_poll(bench)[1].step
    assert [("mock", "step-done")] == bench.meter.of("poll_dropped")


async def test_the_marks_of_an_old_epoch_do_not_stop_a_new_one(bench: Bench) -> None:
    """A revived watch asks at a step that the dead one had done."""
    await bench.registered()
    await bench.poll.handle(due())
    await bench.poll.handle(due(epoch=1))
    assert 2 == len(bench.gateway.asked)


async def test_a_twin_in_hand_is_dropped_while_the_first_goes_on(bench: Bench) -> None:
    """Two copies at the same moment make one query and one successor."""
    await bench.registered()
    bench.gateway.gate.clear()
    first = asyncio.create_task(bench.poll.handle(due()))
    await eventually(lambda: bench.gateway.asked)
    assert DONE == await bench.poll.handle(due())
    assert [("mock", "in-hand")] == bench.meter.of("poll_dropped")
    bench.gateway.gate.set()
    assert DONE == await first
    assert 1 == len(bench.gateway.asked)
    assert 1 == next_poll(bench)[1].step


async def test_what_failed_in_hand_is_in_hand_no_more(bench: Bench) -> None:
    """Another step, or the same one after an outage, is not taken for a twin."""
    await bench.registered()
    bench.journal.away = {"poll_after"}
    with pytest.raises(Unavailable):
        await bench.poll.handle(due())
    bench.journal.away = set()
    await bench.poll.handle(due())
    assert [] == bench.meter.of("poll_dropped")
    assert 1 == next_poll(bench)[1].step


@pytest.mark.parametrize(
    ("changes", "message", "reason"),
    [
        ({"epoch": 1}, due(4), "older-epoch"),
        ({"step": 5}, due(5), "step-recorded"),
        ({"step": 9}, due(5), "step-recorded"),
        ({"status": PaymentStatus.SUCCEEDED}, due(4), "succeeded"),
        ({"status": PaymentStatus.FAILED}, due(4), "failed"),
        ({"status": PaymentStatus.CLOSED}, due(4), "closed"),
        ({}, due(4, payment_id="p9"), "not-registered"),
    ],
)
async def test_the_store_ends_forks_in_the_repeating_tail(
    bench: Bench, changes: dict[str, object], message: PollDue, reason: str
) -> None:
    """With an empty cache as well: history is not asked about again."""
    await bench.registered()
    bench.change("p1", **changes)
    assert DONE == await bench.poll.handle(message)
    assert ["seen", "watch_states"] == bench.journal.calls
    assert [("mock", reason)] == bench.meter.of("poll_dropped")


@pytest.mark.parametrize(("recorded", "message"), [(4, due(5)), (9, due(5, epoch=1)), (0, due(7))])
async def test_a_step_that_is_news_is_asked(bench: Bench, recorded: int, message: PollDue) -> None:
    """Later than the recorded one, or of a newer epoch than the store has seen yet."""
    await bench.registered()
    bench.change("p1", step=recorded)
    await bench.poll.handle(message)
    assert 1 == len(bench.gateway.asked)


async def test_a_poll_carries_the_latest_answers_only(bench: Bench) -> None:
    """Twelve of them: a message does not grow with its watch."""
    await bench.registered()
    polls = tuple((step, step, "pending") for step in range(30, 42))
    await bench.poll.handle(due(42, polls=polls))
    carried = next_poll(bench)[1].polls
    assert (MAX_POLLS_CARRIED, 31, 42) == (len(carried), carried[0][0], carried[-1][0])


async def test_an_unknown_gateway_is_parked(bench: Bench) -> None:
    """A person gets the gateway back, or replays the poll elsewhere."""
    assert Park("unknown-gateway: gone") == await bench.poll.handle(due(gateway="gone"))


async def test_the_gateway_is_asked_by_both_ids(bench: Bench) -> None:
    """Ours, and its own where it was named; how late the poll came is measured."""
    await bench.registered()
    bench.clock.move(2)
    await bench.poll.handle(due(gateway_ref="ref-1"))
    [charge] = bench.gateway.asked
    assert ("p1", "ref-1") == (charge.payment_id, charge.gateway_ref)
    assert [("mock", 2.0)] == bench.meter.of("poll_started")
