"""A refund is due: looked into, written down, sent once, watched to its end."""

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from payonce.domain.refund import RefundStatus
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.domain.risk import GatewayPolicy
from tests.handlers.refund_bench import (
    DAY_S,
    FAILED,
    LATER,
    LOST,
    PENDING,
    POLICY,
    REFUSED,
    RF,
    SUCCEEDED,
    UNHEARD,
    RefundBench,
    opened_refunds,
)
from tests.store.making import NOW


@pytest.fixture
async def bench() -> AsyncIterator[RefundBench]:
    """A duplicate whose refund is REQUESTED."""
    async with opened_refunds() as bench:
        yield bench


async def test_a_refund_is_looked_into_written_down_and_then_sent(bench: RefundBench) -> None:
    """The gateway hears of it after the commit, with amount, reason and its one id."""
    await bench.look()
    assert [
        "refunds.find",
        "query",
        "query",
        "refunds.change",
        "refund",
        "refunds.change",
        "publish",
        "delete_events",
    ] == bench.bench.journal.calls
    [move] = bench.gateway.moves
    assert (RF, "p2", 100, "order-paid", "g2") == (
        move.refund_id,
        move.payment_id,
        move.amount,
        move.reason,
        move.gateway_ref,
    )
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()
    assert ["refund.succeeded"] == bench.bench.told()
    assert ["refund.submitted", "refund.succeeded"] == bench.kinds()
    assert [("mock", "SUBMITTED", ""), ("mock", "SUCCEEDED", "")] == bench.bench.meter.of(
        "refund_decided"
    )


async def test_a_refund_is_submitted_when_the_gateway_hears_of_it(bench: RefundBench) -> None:
    """So that a crash from then on is known."""
    seen: list[RefundStatus] = []
    bench.gateway.while_refunding = lambda: seen.append(bench.refund().status)
    await bench.look()
    assert [RefundStatus.SUBMITTED] == seen


async def test_a_held_refund_is_told_and_not_sent(bench: RefundBench) -> None:
    """By the rule's name."""
    bench.policy = replace(POLICY, auto=False)
    await bench.look()
    assert (RefundStatus.HELD, "kill-switch") == bench.stands()
    [event] = bench.bench.bus.told
    assert ("refund.held", "kill-switch", RF, 100, "CNY") == (
        event.type,
        event.data["reason"],
        event.data["refund_id"],
        event.data["amount"],
        event.data["currency"],
    )
    assert [] == bench.gateway.moves
    assert [] == bench.waits()


async def test_a_winner_that_was_reversed_outside_holds(bench: RefundBench) -> None:
    """The duplicate may be all that pays the order."""
    winner = bench.gateway.charges["p1"]
    bench.gateway.charges["p1"] = replace(winner, refunded=100)
    await bench.look()
    assert (RefundStatus.HELD, "winner-reversed") == bench.stands()
    assert [] == bench.gateway.moves


async def test_one_charge_behind_two_payments_is_never_refunded(bench: RefundBench) -> None:
    """The duplicate's number turns out to be the winner's: an approval is refused."""
    bench.gateway.charges["p2"] = bench.gateway.charges["p1"]
    await bench.look()
    assert (RefundStatus.HELD, "same-charge") == bench.stands()


async def test_a_gateway_that_cannot_refund_leaves_it_to_a_person(bench: RefundBench) -> None:
    """MANUAL, told, not sent."""
    bench.policy = replace(POLICY, gateways={"mock": GatewayPolicy(can_refund=False)})
    await bench.look()
    assert (RefundStatus.MANUAL, None) == bench.stands()
    assert ["refund.manual"] == bench.bench.told()
    assert [] == bench.gateway.moves


@pytest.mark.parametrize("silent", ["p1", "p2"])
async def test_a_silent_gateway_is_asked_again_on_the_ladder(
    bench: RefundBench, silent: str
) -> None:
    """Nothing is sent on a guess; the last wait repeats."""
    told = bench.gateway.charges[silent]
    bench.gateway.charges[silent] = GatewayReport(Outcome.UNKNOWN, reason="timed out")
    for _ in range(3):
        await bench.look()
    assert (RefundStatus.REQUESTED, None) == bench.stands()
    assert [5_000, 30_000, 30_000] == bench.waits()
    assert ["refund.answered"] == bench.kinds()
    bench.gateway.charges[silent] = told
    await bench.look()
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()


async def test_a_spared_gateway_is_spared_as_long_as_it_asks(bench: RefundBench) -> None:
    """A paused gateway was not asked at all; that is no answer."""
    bench.gateway.charges["p2"] = GatewayReport(
        Outcome.UNKNOWN, reason="paused", retry_after_s=20, spared=True
    )
    await bench.look()
    assert [30_000] == bench.waits()
    assert "payment: spared" == bench.refund().last_answer


async def test_an_answer_that_was_cut_off_is_asked_for(bench: RefundBench) -> None:
    """The money moved once; nothing is sent again."""
    bench.gateway.answers.append(LOST)
    await bench.look()
    assert (RefundStatus.SUBMITTED, None) == bench.stands()
    await bench.look()
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()
    assert (1, 1) == (len(bench.gateway.moves), len(bench.bench.journal.of("refund")))


async def test_what_the_gateway_never_heard_is_repeated_under_the_same_id(
    bench: RefundBench,
) -> None:
    """After it said that it knows nothing."""
    bench.gateway.answers.append(UNHEARD)
    await bench.look()
    await bench.look()
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()
    assert ([RF], 2) == ([one.refund_id for one in bench.gateway.moves], bench.refund().attempts)
    assert NOW == bench.refund().submitted_at


async def test_while_the_gateway_does_not_say_nothing_is_repeated(bench: RefundBench) -> None:
    """An unknown answer about a refund is none."""
    bench.gateway.answers.append(UNHEARD)
    await bench.look()
    bench.gateway.query_answers.extend([LOST, RefundReport(RefundOutcome.UNKNOWN, spared=True)])
    await bench.look()
    await bench.look()
    assert 1 == len(bench.bench.journal.of("refund"))
    await bench.look()
    assert 2 == len(bench.bench.journal.of("refund"))


async def test_a_forgotten_key_holds(bench: RefundBench) -> None:
    """After the window nobody knows whether the same id would send the money again."""
    bench.gateway.answers.append(LOST)
    await bench.look()
    bench.gateway.forget()
    bench.bench.clock.move(DAY_S)
    await bench.look()
    assert (RefundStatus.HELD, "key-forgotten") == bench.stands()
    assert 1 == len(bench.gateway.moves)


async def test_an_approved_forgotten_key_is_good_for_one_sending(bench: RefundBench) -> None:
    """And only where the charge does not show that the money went back."""
    bench.gateway.answers.append(UNHEARD)
    await bench.look()
    bench.bench.clock.move(DAY_S)
    await bench.look()
    await bench.desk.approve(RF, "ann")
    bench.gateway.answers.append(UNHEARD)
    await bench.look()
    assert (RefundStatus.SUBMITTED, None) == bench.stands()
    await bench.look()
    assert (RefundStatus.HELD, "key-forgotten") == bench.stands()
    await bench.desk.approve(RF, "ann")
    await bench.look()
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()
    assert 1 == len(bench.gateway.moves)


async def test_money_that_went_back_under_a_forgotten_key_is_not_sent_again(
    bench: RefundBench,
) -> None:
    """Not even where people insist."""
    bench.gateway.answers.append(LOST)
    await bench.look()
    bench.gateway.forget()
    bench.bench.clock.move(DAY_S)
    held = []
    for _ in range(3):
        await bench.look()
        held.append(bench.stands()[1])
        if held[-1] != "above-captured":
            await bench.desk.approve(RF, "ann")
    assert ["key-forgotten", "already-refunded", "above-captured"] == held
    assert 1 == len(bench.gateway.moves)


async def test_a_pending_refund_is_watched_to_its_end(bench: RefundBench) -> None:
    """On the ladder, however long it takes."""
    bench.gateway.becomes = PENDING
    for _ in range(4):
        await bench.look()
    assert [5_000, 30_000, 30_000, 30_000] == bench.waits()
    assert (RefundStatus.SUBMITTED, "pending") == (
        bench.refund().status,
        bench.refund().last_answer,
    )
    bench.gateway.status[RF] = FAILED
    await bench.look()
    assert (RefundStatus.FAILED, None) == bench.stands()
    [event] = bench.bench.bus.told
    assert ("refund.failed", "account closed") == (event.type, event.data["reason"])


async def test_a_first_refusal_is_a_failure_in_the_gateway_s_words(bench: RefundBench) -> None:
    """A person may ask again."""
    bench.gateway.answers.append(REFUSED)
    await bench.look()
    assert (RefundStatus.FAILED, None) == bench.stands()
    assert "failed: http-422 no such card" == bench.refund().last_answer


@pytest.mark.parametrize("status", [RefundStatus.SUBMITTED, RefundStatus.SUCCEEDED])
async def test_a_refusal_after_another_s_sending_concludes_nothing(
    bench: RefundBench, status: RefundStatus
) -> None:
    """Who slept over it knows neither that it was sent again nor that it arrived: a query does."""
    bench.gateway.answers.append(REFUSED)
    bench.gateway.status[RF] = SUCCEEDED
    bench.gateway.while_refunding = lambda: bench.change(attempts=2, status=status)
    await bench.look()
    assert ((status, None), [5_000]) == (bench.stands(), bench.waits())
    await bench.refunder.handle(bench.bench.bus.refunds[-1][1])
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()


async def test_a_refused_repeat_is_asked_about_first(bench: RefundBench) -> None:
    """The first sending may be why it was refused."""
    bench.gateway.answers.extend([LOST, REFUSED])
    bench.gateway.query_answers.append(RefundReport(RefundOutcome.NOT_FOUND))
    await bench.look()
    await bench.look()
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()
    assert 2 == len(bench.bench.journal.of("refund"))


async def test_a_refused_repeat_of_what_went_back_already_holds(bench: RefundBench) -> None:
    """The gateway does not know the refund, but the charge shows it: no failure is invented."""
    bench.gateway.answers.extend([LOST, REFUSED])
    not_found = RefundReport(RefundOutcome.NOT_FOUND)
    bench.gateway.query_answers.extend([not_found, not_found])
    await bench.look()
    await bench.look()
    assert (RefundStatus.HELD, "already-refunded") == bench.stands()


async def test_a_refused_repeat_that_never_took_effect_has_failed(bench: RefundBench) -> None:
    """The gateway knows of no refund, and the charge is whole."""
    bench.gateway.answers.extend([UNHEARD, REFUSED])
    await bench.look()
    await bench.look()
    assert (RefundStatus.FAILED, None) == bench.stands()


async def test_a_refused_repeat_stays_open_while_the_charge_is_unknown(bench: RefundBench) -> None:
    """It is asked about again."""
    bench.gateway.answers.extend([UNHEARD, REFUSED])
    await bench.look()

    def fall_silent() -> None:
        bench.gateway.charges["p2"] = GatewayReport(Outcome.UNKNOWN, reason="timed out")

    bench.gateway.while_refunding = fall_silent
    await bench.look()
    assert (RefundStatus.SUBMITTED, None) == bench.stands()


async def test_a_gateway_that_asks_to_come_back_is_obeyed(bench: RefundBench) -> None:
    """At the shortest wait that is long enough."""
    bench.gateway.answers.append(LATER)
    await bench.look()
    assert ((RefundStatus.SUBMITTED, None), [30_000]) == (bench.stands(), bench.waits())
    await bench.look()
    assert (RefundStatus.SUCCEEDED, None) == bench.stands()
