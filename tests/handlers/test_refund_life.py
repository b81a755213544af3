"""The life of a refund among twins, crashes, callbacks, people and lost messages."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from payonce.domain.errors import Conflict, Unavailable
from payonce.domain.messages import RefundDue
from payonce.domain.refund import RefundStatus
from payonce.domain.refunding import RefundEffects
from payonce.domain.report import RefundOutcome, RefundReport
from payonce.ports.bus import DONE, Park
from tests.handlers.refund_bench import (
    DAY_S,
    FAILED,
    LOST,
    PENDING,
    POLICY,
    RF,
    SUCCEEDED,
    UNHEARD,
    RefundBench,
    opened_refunds,
)
from tests.store.making import NOW, later


@pytest.fixture
async def bench() -> AsyncIterator[RefundBench]:
    """A duplicate whose refund is REQUESTED."""
    async with opened_refunds() as bench:
        yield bench


async def test_a_look_that_was_done_is_dropped(bench: RefundBench) -> None:
    """A lost acknowledgement forks no watch."""
    bench.gateway.becomes = PENDING
    message = bench.due()
    await bench.refunder.handle(message)
    await bench.refunder.handle(message)
    assert [5_000] == bench.waits()


async def test_a_twin_in_hand_is_dropped(bench: RefundBench) -> None:
    """The other one is still unacknowledged."""
    refunder = bench.refunder
    fates = await asyncio.gather(*(refunder.handle(bench.due()) for _ in range(5)))
    assert [DONE] * 5 == fates
    assert ["refunds.find", "refund"] == bench.bench.journal.of("refunds.find", "refund")


async def test_many_processes_send_one_refund_once(bench: RefundBench) -> None:
    """Whoever comes second finds it sent."""
    await asyncio.gather(*(bench.refunder.handle(bench.due()) for _ in range(20)))
    assert 1 == len(bench.gateway.moves)
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()


async def test_a_worker_that_dies_after_the_commit_asks_before_it_repeats(
    bench: RefundBench,
) -> None:
    """Its message comes back; the gateway may have heard or not."""
    bench.gateway.answers.append(Unavailable("test", "killed"))
    message = bench.due()
    with pytest.raises(Unavailable):
        await bench.refunder.handle(message)
    assert (RefundStatus.SUBMITTED, None) == bench.stands()
    await bench.refunder.handle(message)
    assert ["refund", "query_refund", "refund"] == bench.bench.journal.of("refund", "query_refund")
    assert 1 == len(bench.gateway.moves)


async def test_a_worker_that_slept_since_the_commit_sends_nothing(bench: RefundBench) -> None:
    """Meanwhile another one was refused, and a person paid by bank: money would leave twice."""
    change = bench.refunds.change

    async def sleepy_change(*arguments: Any, **named: Any) -> RefundEffects | None:
        effects = await change(*arguments, **named)
        if named.get("counting"):
            bench.bench.clock.move(11)
            bench.change(attempts=2, status=RefundStatus.FAILED, resolved_by="ann")
        return effects

    bench.refunds.change = sleepy_change  # type: ignore[method-assign]
    await bench.look()
    assert ([], []) == (bench.gateway.moves, bench.bench.journal.of("refund"))
    assert [5_000] == bench.waits()


async def test_a_sleeper_asks_before_it_sends(bench: RefundBench) -> None:
    """Nobody else came by: the next look finds nothing, and sends."""
    change = bench.refunds.change
    naps = [11, 0, 10]

    async def sleepy_change(*arguments: Any, **named: Any) -> RefundEffects | None:
        effects = await change(*arguments, **named)
        bench.bench.clock.move(naps.pop(0) if naps else 0)
        return effects

    bench.refunds.change = sleepy_change  # type: ignore[method-assign]
    await bench.look()
    await bench.refunder.handle(bench.bench.bus.refunds[-1][1])
    assert ["query_refund", "refund"] == bench.bench.journal.of("refund", "query_refund")
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()


@pytest.mark.parametrize("call", ["refunds.find", "refunds.change"])
async def test_an_absent_database_sends_nothing(bench: RefundBench, call: str) -> None:
    """What cannot be written down does not leave."""
    bench.bench.journal.away = {call}
    with pytest.raises(Unavailable):
        await bench.look()
    assert [] == bench.gateway.moves


async def test_an_unsure_commit_sends_nothing(bench: RefundBench) -> None:
    """The message comes back and finds what was written."""
    bench.bench.journal.unsure = {"refunds.change"}
    message = bench.due()
    with pytest.raises(Unavailable):
        await bench.refunder.handle(message)
    assert [] == bench.gateway.moves
    bench.bench.journal.unsure = set()
    await bench.refunder.handle(message)
    assert 1 == len(bench.gateway.moves)


async def test_unknown_gateways_and_refunds_are_parked(bench: RefundBench) -> None:
    """Whole, with the reason."""
    gateway = RefundDue(RF, "p2", "o1", "elsewhere", 0)
    refund = RefundDue("rf-none", "p2", "o1", "mock", 0)
    assert [Park("unknown-gateway: elsewhere"), Park("unknown-refund: rf-none")] == [
        await bench.refunder.handle(gateway),
        await bench.refunder.handle(refund),
    ]


async def test_a_callback_with_the_last_word_is_taken(bench: RefundBench) -> None:
    """Also one that turns a success into a failure."""
    bench.gateway.becomes = PENDING
    await bench.look()
    assert await bench.refunder.heard(RF, "p2", SUCCEEDED)
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()
    assert await bench.refunder.heard(RF, "p2", FAILED)
    assert (RefundStatus.FAILED, None) == bench.stands()
    assert ["refund.succeeded", "refund.failed"] == bench.bench.told()


async def test_a_hint_has_the_gateway_asked_at_once(bench: RefundBench) -> None:
    """Also of a refund that succeeded: it may have been turned."""
    bench.gateway.becomes = PENDING
    await bench.look()
    hint = RefundReport(RefundOutcome.UNKNOWN)
    assert await bench.refunder.heard(RF, "p2", hint)
    bench.gateway.status[RF] = SUCCEEDED
    await bench.refunder.handle(bench.bench.bus.refunds[-1][1])
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()
    bench.gateway.status[RF] = FAILED
    assert await bench.refunder.heard(RF, "p2", hint)
    await bench.refunder.handle(bench.bench.bus.refunds[-1][1])
    assert (RefundStatus.FAILED, None) == bench.stands()


@pytest.mark.parametrize(
    ("changes", "listed"),
    [
        ({"status": RefundStatus.FAILED, "resolved_by": "ann"}, True),
        ({"status": RefundStatus.REJECTED, "rejected_by": "ann"}, True),
        ({"status": RefundStatus.HELD, "rule": "key-forgotten"}, False),
        ({"status": RefundStatus.MANUAL}, False),
    ],
)
async def test_a_success_after_the_end_is_asked_about_and_never_swallowed(
    bench: RefundBench, changes: dict[str, Any], listed: bool
) -> None:
    """It is taken where the table allows that; else noted once, and listed for a person."""
    bench.change(attempts=1, **changes)
    bench.gateway.status[RF] = SUCCEEDED
    for _ in range(2):
        assert await bench.refunder.heard(RF, "p2", RefundReport(RefundOutcome.UNKNOWN))
        await bench.refunder.handle(bench.bench.bus.refunds[-1][1])
    after, kind = (
        (changes["status"], "refund.contradicted")
        if listed
        else (RefundStatus.SUCCEEDED, "refund.succeeded")
    )
    assert (after, [kind]) == (bench.refund().status, bench.kinds())
    assert listed is (bench.refund().contradicted_at is not None)


async def test_a_contradiction_is_ended_by_a_person(bench: RefundBench) -> None:
    """The refund stays what it is, and the same word does not list it again."""
    bench.change(attempts=1, status=RefundStatus.FAILED, resolved_by="ann")
    await bench.refunder.heard(RF, "p2", SUCCEEDED)
    with pytest.raises(Conflict, match="went back already"):
        await bench.desk.resolve(RF, "refund", "bob", "-")
    await bench.desk.resolve(RF, "kept", "bob", "the bank transfer was called back")
    await bench.refunder.heard(RF, "p2", SUCCEEDED)
    refund = bench.refund()
    assert (RefundStatus.FAILED, None, "bob") == (
        refund.status,
        refund.contradicted_at,
        refund.resolved_by,
    )
    assert ["refund.contradicted", "refund.resolved"] == bench.kinds()
    assert [] == bench.bench.told()


async def test_a_hint_while_a_look_ends_the_refund_is_not_lost(bench: RefundBench) -> None:
    """That look was answered before the gateway changed its mind."""
    refunder, change = bench.refunder, bench.refunds.change

    async def change_and_hear(*arguments: Any, **named: Any) -> RefundEffects | None:
        effects = await change(*arguments, **named)
        if bench.refund().status is RefundStatus.FAILED and bench.gateway.status[RF] == FAILED:
            bench.gateway.status[RF] = SUCCEEDED
            bench.bench.clock.move(1)
            await refunder.handle(bench.due())
        return effects

    bench.refunds.change = change_and_hear  # type: ignore[method-assign]
    bench.gateway.becomes = FAILED
    await refunder.handle(bench.due())
    assert ["refund.submitted", "refund.failed", "refund.contradicted"] == bench.kinds()


async def test_a_hint_about_a_refund_that_never_left_asks_nobody(bench: RefundBench) -> None:
    """Its gateway cannot know of it."""
    bench.change(status=RefundStatus.HELD, rule="kill-switch")
    assert await bench.refunder.heard(RF, "p2", RefundReport(RefundOutcome.UNKNOWN))
    await bench.look()
    assert ([], []) == (bench.waits(), bench.bench.journal.of("query_refund"))


@pytest.mark.parametrize(("refund", "payment"), [("rf-none", "p2"), (RF, "p1")])
async def test_a_foreign_refund_is_not_ours(bench: RefundBench, refund: str, payment: str) -> None:
    """Made by hand at the gateway, or told of another payment."""
    assert not await bench.refunder.heard(refund, payment, SUCCEEDED)
    assert (RefundStatus.REQUESTED, None) == bench.stands()


async def test_a_word_about_a_held_refund_is_believed(bench: RefundBench) -> None:
    """It was sent, its key forgotten, and now the gateway remembers."""
    bench.gateway.answers.append(LOST)
    await bench.look()
    bench.gateway.forget()
    bench.bench.clock.move(DAY_S)
    await bench.look()
    assert await bench.refunder.heard(RF, "p2", SUCCEEDED)
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()


async def test_an_approved_refund_that_the_gateway_knows_is_not_sent_again(
    bench: RefundBench,
) -> None:
    """It is found, and watched on."""
    bench.gateway.becomes = PENDING
    bench.gateway.answers.append(LOST)
    await bench.look()
    known = dict(bench.gateway.status)
    bench.gateway.forget()
    bench.bench.clock.move(DAY_S)
    await bench.look()
    await bench.desk.approve(RF, "ann")
    bench.gateway.status = known
    await bench.look()
    assert (RefundStatus.SUBMITTED, None) == bench.stands()
    assert "refund.found" in bench.kinds()
    assert 1 == len(bench.gateway.moves)


async def test_an_approved_refund_is_sent_at_once(bench: RefundBench) -> None:
    """The rest of the rules are asked again, and the approval told in the timeline."""
    bench.policy = replace(POLICY, hold_above={"CNY": 99})
    await bench.look()
    assert (RefundStatus.HELD, "over-limit") == bench.stands()
    await bench.desk.approve(RF, "ann")
    [(wait_ms, message)] = bench.bench.bus.refunds
    assert 0 == wait_ms
    await bench.refunder.handle(message)
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()
    assert ["refund.held", "refund.approved", "refund.submitted", "refund.succeeded"] == (
        bench.kinds()
    )


async def test_a_refund_held_twice_is_told_twice(bench: RefundBench) -> None:
    """Under two ids, so that no consumer drops the second."""
    bench.policy = replace(POLICY, hold_above={})
    await bench.look()
    await bench.desk.approve(RF, "ann")
    winner = bench.gateway.charges["p1"]
    bench.gateway.charges["p1"] = replace(winner, refunded=100)
    await bench.look()
    told = bench.bench.bus.told
    assert ["currency-not-listed", "winner-reversed"] == [one.data["reason"] for one in told]
    assert 2 == len({one.event_id for one in told})


async def test_an_approval_while_the_broker_is_away_is_not_lost(bench: RefundBench) -> None:
    """The sweep takes it up."""
    bench.policy = replace(POLICY, auto=False)
    await bench.look()
    bench.bench.journal.away = {"refund_after", "publish"}
    await bench.desk.approve(RF, "ann")
    bench.bench.journal.away = set()
    await bench.sweep.run_once()
    await bench.refunder.handle(bench.bench.bus.refunds[-1][1])
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()


async def test_the_sweep_takes_up_what_shows_no_life(bench: RefundBench) -> None:
    """A minute after it was settled, then after its wait and the grace."""
    bench.gateway.becomes = PENDING
    bench.bench.clock.move(59)
    await bench.sweep.run_once()
    assert [] == bench.waits()
    bench.bench.clock.move(1)
    await bench.sweep.run_once()
    assert [0] == bench.waits()
    await bench.refunder.handle(bench.bench.bus.refunds[-1][1])
    bench.bench.clock.move(19)
    await bench.sweep.run_once()
    assert [0, 5_000] == bench.waits()
    bench.bench.clock.move(1)
    await bench.sweep.run_once()
    assert [0, 5_000, 0] == bench.waits()


async def test_what_the_broker_did_not_take_is_swept_again(bench: RefundBench) -> None:
    """A minute later."""
    bench.bench.clock.move(60)
    bench.bench.journal.away = {"refund_after"}
    with pytest.raises(Unavailable):
        await bench.sweep.run_once()
    bench.bench.journal.away = set()
    bench.bench.clock.move(60)
    await bench.sweep.run_once()
    assert [0] == bench.waits()


async def test_a_kill_switch_stops_a_repeat_too(bench: RefundBench) -> None:
    """What the gateway never heard of is held, not sent."""
    bench.gateway.answers.append(UNHEARD)
    await bench.look()
    bench.policy = replace(POLICY, auto=False)
    await bench.look()
    assert (RefundStatus.HELD, "kill-switch") == bench.stands()
    assert [] == bench.gateway.moves


async def test_a_switch_thrown_after_an_approval_holds_again(bench: RefundBench) -> None:
    """Who approved did not know of it."""
    bench.policy = replace(POLICY, hold_above={})
    await bench.look()
    await bench.desk.approve(RF, "ann")
    bench.policy = replace(POLICY, auto=False)
    await bench.look()
    assert (RefundStatus.HELD, "kill-switch") == bench.stands()


async def test_caps_are_counted_over_an_hour(bench: RefundBench) -> None:
    """What left earlier does not count."""
    bench.policy = replace(POLICY, max_per_hour=1)
    other = replace(bench.refund(), refund_id="rf-other", payment_id="p9", order_id="o9")
    sent = replace(other, status=RefundStatus.SUCCEEDED, submitted_at=NOW - timedelta(minutes=59))
    bench.bench.store.refunds.append(sent)
    await bench.look()
    assert (RefundStatus.HELD, "max-per-hour") == bench.stands()
    await bench.desk.approve(RF, "ann")
    bench.bench.clock.move(60)
    await bench.look()
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()
    assert later(60) == bench.refund().submitted_at
