"""What every adapter of ports.gateway.Gateway keeps, whatever its gateway is like."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from payonce.domain.errors import GatewayRefused
from payonce.domain.report import Outcome
from payonce.ports.gateway import ChargeRef, CloseAnswer, RefundOutcome
from tests.gateways.rigs import CHARGE, NEW_CHARGE, NEW_REFUND
from tests.gateways.stage import Stage


async def test_created_charge_is_pending_and_can_be_shown(stage: Stage) -> None:
    """A new charge waits for its shopper, who gets a code and a link."""
    created = await stage.gateway.create(NEW_CHARGE)
    report = created.report
    assert (Outcome.PENDING, 1999, "CNY", 0) == (
        report.outcome,
        report.amount,
        report.currency,
        report.refunded,
    )
    assert created.qr
    assert stage.nature.has_link is bool(created.pay_url)
    assert stage.nature.has_ref_at_once is bool(report.gateway_ref)


async def test_creating_again_gives_the_same_charge(stage: Stage) -> None:
    """A repeated create, also at the same time, is one charge."""
    first, second = await asyncio.gather(
        stage.gateway.create(NEW_CHARGE), stage.gateway.create(NEW_CHARGE)
    )
    third = await stage.gateway.create(NEW_CHARGE)
    assert first == second == third
    assert 1 == stage.charges()


async def test_creating_again_with_another_amount_is_refused(stage: Stage) -> None:
    """One payment_id is one charge at one amount."""
    await stage.gateway.create(NEW_CHARGE)
    with pytest.raises(GatewayRefused):
        await stage.gateway.create(replace(NEW_CHARGE, amount=2000))
    report = await stage.gateway.query(CHARGE)
    assert 1999 == report.amount


async def test_unknown_charge_is_not_found(stage: Stage) -> None:
    """What the gateway never heard of is NOT_FOUND, which is not a definite word."""
    report = await stage.gateway.query(ChargeRef("p-none"))
    assert Outcome.NOT_FOUND is report.outcome
    assert not report.is_definite


async def test_paid_charge_succeeded_with_what_was_captured(stage: Stage) -> None:
    """A success tells amount, currency, the gateway's own id and when it was paid."""
    created = await stage.gateway.create(NEW_CHARGE)
    stage.pay("p-1")
    report = await stage.gateway.query(CHARGE)
    assert (Outcome.SUCCEEDED, 1999, "CNY") == (report.outcome, report.amount, report.currency)
    assert report.gateway_ref
    assert created.report.gateway_ref in {None, report.gateway_ref}
    assert report.paid_at is not None
    assert abs(datetime.now(UTC) - report.paid_at) < timedelta(minutes=1)


async def test_asking_twice_gives_the_same_answer(stage: Stage) -> None:
    """A query changes nothing at the gateway."""
    await stage.gateway.create(NEW_CHARGE)
    stage.pay("p-1")
    assert await stage.gateway.query(CHARGE) == await stage.gateway.query(CHARGE)


async def test_declined_charge_failed(stage: Stage) -> None:
    """A decline is a definite FAILED, unless the shopper may try again: then a close ends it."""
    await stage.gateway.create(NEW_CHARGE)
    stage.decline("p-1")
    declined = await stage.gateway.query(CHARGE)
    if stage.nature.fails_for_good:
        assert Outcome.FAILED is declined.outcome
    else:
        assert Outcome.PENDING is declined.outcome
        assert CloseAnswer.CLOSED is await stage.gateway.close(CHARGE)
        assert Outcome.CLOSED is (await stage.gateway.query(CHARGE)).outcome


async def test_closed_charge_cannot_be_paid(stage: Stage) -> None:
    """After a close the query says CLOSED, also when the shopper tries to pay afterwards."""
    await stage.gateway.create(NEW_CHARGE)
    assert CloseAnswer.CLOSED is await stage.gateway.close(CHARGE)
    stage.pay("p-1")
    assert Outcome.CLOSED is (await stage.gateway.query(CHARGE)).outcome


async def test_closing_twice_is_closed(stage: Stage) -> None:
    """A repeated close gets the same answer, or none that tells; the charge stays closed."""
    await stage.gateway.create(NEW_CHARGE)
    await stage.gateway.close(CHARGE)
    told = CloseAnswer.CLOSED if stage.nature.tells_closed_again else CloseAnswer.UNKNOWN
    assert told is await stage.gateway.close(CHARGE)
    assert Outcome.CLOSED is (await stage.gateway.query(CHARGE)).outcome


async def test_closing_a_paid_charge_says_so(stage: Stage) -> None:
    """Who paid first has paid: a close says so where the gateway tells it; the money stays."""
    await stage.gateway.create(NEW_CHARGE)
    stage.pay("p-1")
    told = CloseAnswer.ALREADY_PAID if stage.nature.tells_paid_first else CloseAnswer.UNKNOWN
    expected = told, Outcome.SUCCEEDED
    if stage.nature.needs_capture:
        # Who has only agreed has not paid: the close comes first, and no money moves.
        expected = CloseAnswer.CLOSED, Outcome.CLOSED
    closed = await stage.gateway.close(CHARGE)
    assert expected == (closed, (await stage.gateway.query(CHARGE)).outcome)


async def test_closing_what_is_unknown_is_not_found(stage: Stage) -> None:
    """A close of a charge that never was is NOT_FOUND."""
    assert CloseAnswer.NOT_FOUND is await stage.gateway.close(ChargeRef("p-none"))


async def test_gateway_that_cannot_close_says_so(stage: Stage) -> None:
    """CANNOT_CLOSE leaves the charge as it was; some kinds always close."""
    await stage.gateway.create(NEW_CHARGE)
    stage.forbid_closing()
    said = CloseAnswer.CANNOT_CLOSE, Outcome.PENDING
    expected = said if stage.nature.can_forbid_closing else (CloseAnswer.CLOSED, Outcome.CLOSED)
    closed = await stage.gateway.close(CHARGE)
    assert expected == (closed, (await stage.gateway.query(CHARGE)).outcome)


async def test_refund_sends_the_money_back_once(stage: Stage) -> None:
    """A refund repeated under its id, also at the same time, sends money back once."""
    await stage.gateway.create(NEW_CHARGE)
    stage.pay("p-1")
    answers = await asyncio.gather(*(stage.gateway.refund(NEW_REFUND) for _ in range(3)))
    assert {RefundOutcome.SUCCEEDED} == {one.outcome for one in answers}
    assert 1999 == stage.refunded("p-1")
    assert 1999 == (await stage.gateway.query(CHARGE)).refunded


@pytest.mark.parametrize("outcome", ["pending", "succeeded", "failed"])
async def test_refund_is_told_as_it_stands(stage: Stage, outcome: str) -> None:
    """The answer to a refund and to a query of it are the gateway's word, where it has any.

    Where it tells of successes alone, what failed was refused, and nothing is known afterwards.
    """
    await stage.gateway.create(NEW_CHARGE)
    stage.pay("p-1")
    stage.let_refunds("p-1", outcome)
    told = stage.nature.tells_refunds or outcome == "succeeded"
    if outcome == "failed" and not told:
        with pytest.raises(GatewayRefused):
            await stage.gateway.refund(NEW_REFUND)
    else:
        answered = await stage.gateway.refund(NEW_REFUND)
        assert RefundOutcome(outcome) is answered.outcome
    queried = await stage.gateway.query_refund("rf-1", CHARGE)
    assert (RefundOutcome(outcome) if told else RefundOutcome.NOT_FOUND) is queried.outcome


async def test_unknown_refund_is_not_found(stage: Stage) -> None:
    """A refund that was never asked for is NOT_FOUND."""
    assert RefundOutcome.NOT_FOUND is (await stage.gateway.query_refund("rf-0", CHARGE)).outcome


async def test_refund_above_what_was_captured_is_refused(stage: Stage) -> None:
    """The gateway's own limit holds too: over the captured rest, and on the unpaid."""
    await stage.gateway.create(NEW_CHARGE)
    with pytest.raises(GatewayRefused):
        await stage.gateway.refund(NEW_REFUND)
    stage.pay("p-1")
    stage.refund_outside("p-1", 1)
    with pytest.raises(GatewayRefused):
        await stage.gateway.refund(NEW_REFUND)
    assert 1 == stage.refunded("p-1")


async def test_money_sent_back_past_us_is_seen(stage: Stage) -> None:
    """A refund made outside shows in the next query; as all, where nobody tells how much.

    Where nobody tells of a part, all of it shows once it is all.
    """
    await stage.gateway.create(NEW_CHARGE)
    stage.pay("p-1")
    amount = 500 if stage.nature.sees_parts else 1999
    stage.refund_outside("p-1", amount)
    report = await stage.gateway.query(CHARGE)
    refunded = amount if stage.nature.tells_parts else 1999
    assert (Outcome.SUCCEEDED, refunded) == (report.outcome, report.refunded)


@pytest.mark.parametrize("payment_id", ["a.b", "A:1", "0_-.", "x" * 64])
async def test_every_id_of_the_contract_finds_its_charge(stage: Stage, payment_id: str) -> None:
    """Ids with dots, colons and dashes, up to 64 characters, come back as they went."""
    await stage.gateway.create(replace(NEW_CHARGE, payment_id=payment_id))
    assert Outcome.PENDING is (await stage.gateway.query(ChargeRef(payment_id))).outcome


async def test_every_call_is_measured(stage: Stage) -> None:
    """Each call is counted with its name and the class of its answer, nothing else."""
    await stage.gateway.create(NEW_CHARGE)
    await stage.gateway.query(CHARGE)
    await stage.gateway.query(ChargeRef("p-none"))
    await stage.gateway.close(CHARGE)
    await stage.gateway.query_refund("rf-0", CHARGE)
    calls = stage.nature.calls or (
        ("create", "2xx"),
        ("query", "2xx"),
        ("query", stage.nature.finds_nothing),
        ("close", "2xx"),
        ("query_refund", stage.nature.finds_nothing),
    )
    assert [("mock", *one) for one in calls] == stage.meter.asked


async def test_name_and_terms_are_the_configuration_s(stage: Stage) -> None:
    """The adapter tells its configured name and how its payments are watched."""
    assert ("mock", True) == (stage.gateway.name, stage.gateway.terms.can_close)
