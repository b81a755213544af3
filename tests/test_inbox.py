"""The reception: kept before it is answered, applied once, and again where that failed."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from payonce import inbox
from payonce.domain.errors import BadCallback, Unavailable
from payonce.inbox import BATCH, FORGET_AT_ONCE, GIVE_UP_AFTER, LEASE
from payonce.ports.inbox import KeptCallback, Outcome
from tests.handlers.bench import Bench, opened_bench
from tests.handlers.fakes import PAID
from tests.handlers.reception import HINT, KEEP_FOR, PAID_WORD, Door
from tests.store.making import NOW, registration
from tests.support.waiting import eventually

TAKEN = b"taken"


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """One worker on fakes."""
    async with opened_bench() as bench:
        yield bench


@pytest.fixture
def door(bench: Bench) -> Door:
    """A reception on fakes."""
    return Door(bench)


async def test_a_callback_is_kept_applied_and_answered_as_its_gateway_expects(
    bench: Bench, door: Door
) -> None:
    """In this order."""
    await bench.registered()
    answer = await door.knock()
    assert answer is not None
    assert TAKEN == answer.body
    assert ["keep", "settle", "finish"] == bench.journal.of("keep", "settle", "finish")
    assert (["accepted"], ["settled"], NOW) == (
        door.outcomes(),
        door.results(),
        door.row().processed_at,
    )


async def test_an_unknown_gateway_is_told_apart(bench: Bench, door: Door) -> None:
    """Nothing is kept, and no series is made of what strangers write in a URL."""
    assert None is await door.knock(gateway="nowhere")
    assert ({}, []) == (door.inbox.rows, bench.meter.counted)


async def test_a_forged_callback_changes_nothing(bench: Bench, door: Door) -> None:
    """It is counted by its reason."""
    await bench.registered()
    with pytest.raises(BadCallback):
        await door.reception.receive("mock", {"id": "e1", "forged": "yes"}, b"{}")
    assert ({}, ["bad-signature"], []) == (door.inbox.rows, door.outcomes(), bench.journal.calls)


async def test_fifty_at_the_same_time_are_applied_once(bench: Bench, door: Door) -> None:
    """And all are answered alike."""
    await bench.registered()
    answers = await asyncio.gather(*(door.knock() for _ in range(50)))
    assert {TAKEN} == {one.body for one in answers if one}
    assert (["settled"], 1) == (door.results(), len(bench.journal.of("settle")))
    assert (1, 49) == (door.outcomes().count("accepted"), door.outcomes().count("repeated"))


async def test_a_repeat_with_another_body_changes_nothing(bench: Bench, door: Door) -> None:
    """The first counts."""
    await bench.registered()
    await door.knock(PAID_WORD)
    await door.knock(HINT)
    assert (["accepted", "repeated"], ["settled"]) == (door.outcomes(), door.results())


async def test_signed_nonsense_is_kept_with_its_problem_and_taken(bench: Bench, door: Door) -> None:
    """Coming again would not make it better."""
    answer = await door.knock(None)
    assert answer is not None
    assert (["nonsense"], []) == (door.outcomes(), door.results())
    assert "was not planned" in (door.row().problem or "")
    assert NOW == door.row().processed_at
    await door.sweep(10**6)
    assert [] == bench.journal.of("finish")


async def test_what_cannot_be_kept_is_not_answered(bench: Bench, door: Door) -> None:
    """The gateway comes again."""
    await bench.registered()
    bench.journal.away = {"keep"}
    with pytest.raises(Unavailable):
        await door.knock()
    bench.journal.away = set()
    await door.knock()
    assert ["settled"] == door.results()


@pytest.mark.parametrize("call", ["settle", "find_payment"])
async def test_what_fails_after_it_was_kept_is_applied_by_the_sweep(
    bench: Bench, door: Door, call: str
) -> None:
    """Though the gateway was told that its callback was taken."""
    await bench.registered()
    bench.journal.away = {call}
    assert await door.knock()
    bench.journal.away = set()
    await door.sweep(1.9)
    assert ["waits"] == door.results()
    await door.sweep(0.1)
    assert (["waits", "settled"], ["payment.succeeded"]) == (door.results(), bench.told())


async def test_death_between_keeping_and_applying_loses_nothing(bench: Bench, door: Door) -> None:
    """The gateway's repeat is no duplicate: the lease ends, and the callback is applied."""
    await bench.registered()
    bench.journal.away = {"finish", "put_off"}
    bench.journal.away.add("settle")
    await door.knock()
    bench.journal.away = set()
    survivor = Door(bench)
    survivor.inbox = door.inbox
    survivor.reception = inbox.Reception(
        door.inbox, door.handler, bench.gateways, bench.clock, bench.meter
    )
    await survivor.knock()
    assert ["accepted", "repeated"] == door.outcomes()
    assert None is door.row().processed_at
    await survivor.sweep(LEASE.total_seconds())
    assert "settled" == door.results()[-1]
    assert ["payment.succeeded"] == bench.told()


async def test_applying_twice_changes_nothing_more(bench: Bench, door: Door) -> None:
    """A crash between the settlement and its note."""
    await bench.registered()
    bench.journal.away = {"finish"}
    await door.knock()
    bench.journal.away = set()
    bench.cache._versions.clear()
    await door.sweep(LEASE.total_seconds())
    assert (["settled", "ignored"], ["payment.succeeded"]) == (door.results(), bench.told())
    assert door.row().processed_at


async def test_a_callback_for_nobody_is_tried_ever_more_slowly_then_given_up(
    bench: Bench, door: Door
) -> None:
    """Within seconds first; after thirty days it waits for a person, or for its payment."""
    await door.knock()
    waits = []
    for _ in range(6):
        revive_at = door.row().revive_at
        assert revive_at is not None
        waits.append((revive_at - bench.clock.now()).total_seconds())
        await door.sweep(waits[-1])
    assert [2, 5, 15, 60, 300, 300] == waits
    await door.sweep(GIVE_UP_AFTER.total_seconds())
    row = door.row()
    assert (None, None, "not-registered") == (row.processed_at, row.revive_at, row.problem)
    await bench.registered()
    bench.gateway.will_say(PAID)
    await door.reception.take_up("p1")
    await door.reception.drain()
    assert "settled" == door.results()[-1]


async def test_one_that_breaks_us_holds_up_no_other(bench: Bench, door: Door) -> None:
    """It waits with its reason, like one that cannot be applied yet."""

    async def break_down(kept: KeptCallback) -> Outcome:
        if kept.event_id == "e1":
            raise ValueError("a bug\x00")
        return await type(door.handler).handle(door.handler, kept)

    await bench.registered()
    door.handler.handle = break_down  # type: ignore[method-assign]
    await door.knock()
    await door.knock(event_id="e2")
    assert ["waits", "settled"] == door.results()
    assert "ValueError: a bug\ufffd" == door.row().problem


async def test_a_gateway_waits_a_second_at_most(
    bench: Bench, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its callback is applied all the same, and finished before the process ends."""
    monkeypatch.setattr(inbox, "ANSWER_WITHIN_S", 0.01)
    await bench.registered()
    bench.gateway.gate.clear()
    bench.gateway.will_say(PAID)
    assert await door.knock(HINT)
    assert [] == door.results()
    draining = asyncio.create_task(door.reception.drain())
    bench.gateway.gate.set()
    await draining
    assert ["settled"] == door.results()


async def test_one_that_takes_too_long_ends_before_its_lease(
    bench: Bench, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody works on a callback that another has taken up meanwhile."""
    assert LEASE > timedelta(seconds=inbox.WITHIN_S)
    monkeypatch.setattr(inbox, "WITHIN_S", 0.01)
    await bench.registered()
    bench.gateway.gate.clear()
    await door.knock(HINT)
    assert (["waits"], "took longer than 0.01 s") == (door.results(), door.row().problem)


async def test_what_is_too_much_at_a_time_is_left_to_the_sweep(
    bench: Bench, door: Door, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is kept and answered; its lease ends."""
    monkeypatch.setattr(inbox, "MAX_IN_HAND", 1)
    monkeypatch.setattr(inbox, "ANSWER_WITHIN_S", 0.01)
    await bench.registered()
    bench.gateway.gate.clear()
    await door.knock(HINT, "e1")
    assert await door.knock(PAID_WORD, "e2")
    assert [] == bench.journal.of("settle")
    assert not await door.reception.run_once()
    bench.gateway.gate.set()
    await eventually(lambda: door.row().processed_at)
    await door.sweep(LEASE.total_seconds())
    assert ["watched", "settled"] == door.results()


async def test_who_drains_keeps_for_others(bench: Bench, door: Door) -> None:
    """A callback that comes now is due now, for another process."""
    await bench.registered()
    await door.reception.drain()
    assert await door.knock()
    await door.reception.take_up("p1")
    assert not await door.reception.run_once()
    assert ([], NOW) == (door.results(), door.row().revive_at)


async def test_taking_up_fails_quietly(bench: Bench, door: Door) -> None:
    """A registration is not held up by it; the sweep is there."""
    await door.knock()
    await bench.registered()
    bench.journal.away = {"claim_of"}
    await door.reception.take_up("p1")
    bench.journal.away = set()
    await door.sweep(2)
    assert ["waits", "settled"] == door.results()


async def test_a_full_batch_is_followed_by_another(bench: Bench, door: Door) -> None:
    """At once, until there is nothing left."""
    for n in range(BATCH + 1):
        await door.knock(event_id=f"e{n}")
    await bench.registered()
    assert await door.sweep(2)
    assert not await door.sweep(0)
    assert BATCH + 1 == sum(result != "waits" for result in door.results())


async def test_what_was_processed_is_forgotten_after_thirty_days(bench: Bench, door: Door) -> None:
    """What waits for a person is not, unless nobody comes for as long again."""
    await bench.registered()
    for n in range(FORGET_AT_ONCE + 1):
        await door.knock(event_id=f"e{n}")
    await door.knock(HINT.__class__("p9", HINT.report), "e-unknown")
    bench.clock.move(KEEP_FOR.total_seconds())
    assert not await door.retention.run_once()
    bench.clock.move(1)
    assert await door.retention.run_once()
    assert not await door.retention.run_once()
    assert ["e-unknown"] == [row.kept.event_id for row in door.inbox.rows.values()]
    await door.sweep(GIVE_UP_AFTER.total_seconds())
    bench.clock.move(KEEP_FOR.total_seconds() - GIVE_UP_AFTER.total_seconds())
    await door.retention.run_once()
    assert {} == door.inbox.rows


async def test_the_sweep_lives_through_an_outage(bench: Bench, door: Door) -> None:
    """Turn after turn."""
    await door.knock()
    await bench.registered(registration())
    bench.journal.away = {"claim"}
    running = asyncio.create_task(door.reception.run())
    await eventually(lambda: bench.clock.slept_s)
    bench.journal.away = set()
    bench.clock.move(2)
    await eventually(lambda: door.row().processed_at)
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])


def test_reasons_are_lines() -> None:
    """Whatever an error says, a database takes it and a terminal shows it."""
    assert "a\ufffdb" == inbox._line("a\nb")
    assert 300 == len(inbox._line("x" * 1_000))
