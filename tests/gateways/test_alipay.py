"""Alipay's nature: no trade before the scan, closed or refunded, refunds under one number."""

import asyncio
import os
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable
from payonce.domain.ids import refund_id
from payonce.domain.report import Outcome, RefundOutcome
from payonce.ports.gateway import ChargeRef, CloseAnswer, NewRefund
from tests.gateways.alipay_rigs import (
    CHARGE_SOON,
    NOW,
    TRADE,
    Desk,
    facing,
    fault,
    open_desk,
    saying,
)
from tests.gateways.rigs import CHARGE
from tests.support.alipay import strangers

REFUND = NewRefund(refund_id("p-1"), "p-1", 1999, "CNY", 1999, "order-paid")


async def scanned(desk: Desk, **script: Any) -> None:
    """Create a charge whose code is scanned at once."""
    await desk.gateway.create(CHARGE_SOON)
    desk.script(scanned_after_s=0.0, **script)


async def paid(desk: Desk, **script: Any) -> None:
    """Create a charge that is paid at once."""
    await desk.gateway.create(CHARGE_SOON)
    desk.script(**script)
    desk.pay()


async def test_before_the_scan_nothing_is_known() -> None:
    """There is no trade: not found is no word, and a close closes nothing."""
    async with open_desk() as desk:
        created = await desk.gateway.create(CHARGE_SOON)
        assert (created.qr or "").endswith("/pay/p-1")
        assert Outcome.NOT_FOUND is (await desk.gateway.query(CHARGE)).outcome
        assert CloseAnswer.NOT_FOUND is await desk.gateway.close(CHARGE)
        desk.pay()
        report = await desk.gateway.query(CHARGE)
    assert (Outcome.SUCCEEDED, 1999, NOW) == (report.outcome, report.amount, report.paid_at)


async def test_after_the_scan_the_trade_waits_and_can_be_closed() -> None:
    """And has an id of Alipay's."""
    async with open_desk() as desk:
        await scanned(desk)
        report = await desk.gateway.query(CHARGE)
        assert (Outcome.PENDING, 28) == (report.outcome, len(report.gateway_ref or ""))
        assert CloseAnswer.CLOSED is await desk.gateway.close(CHARGE)
        assert Outcome.CLOSED is (await desk.gateway.query(CHARGE)).outcome


async def test_no_code_is_paid_after_the_payment_s_end() -> None:
    """The trade is made with time_expire, in China's time."""
    async with open_desk() as desk:
        await desk.gateway.create(CHARGE_SOON)
        desk.now[0] += timedelta(hours=2).total_seconds()
        desk.pay()
        assert Outcome.NOT_FOUND is (await desk.gateway.query(CHARGE)).outcome
        desk.script(scanned_after_s=0.0)
        assert Outcome.CLOSED is (await desk.gateway.query(CHARGE)).outcome


async def test_an_end_that_is_too_far_is_what_alipay_takes() -> None:
    """15 days; what ends in less than a minute is refused there."""
    async with open_desk() as desk:
        far = replace(CHARGE_SOON, expires_at=NOW + timedelta(days=40))
        await desk.gateway.create(far)
        expires_at = desk.mock.books.charges["p-1"].expires_at
        assert (NOW + timedelta(days=15)).timestamp() == expires_at
        soon = replace(CHARGE_SOON, payment_id="p-2", expires_at=NOW + timedelta(seconds=50))
        with pytest.raises(GatewayRefused, match="time_expire"):
            await desk.gateway.create(soon)


async def test_the_machine_s_zone_does_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Requests carry China's time wherever the worker runs."""
    monkeypatch.setitem(os.environ, "TZ", "America/New_York")
    time.tzset()
    try:
        async with open_desk() as desk:
            await paid(desk)
            assert NOW == (await desk.gateway.query(CHARGE)).paid_at
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize("tells_paid_at", [True, False])
async def test_closed_and_sent_back_are_told_apart(tells_paid_at: bool) -> None:
    """Both are TRADE_CLOSED: by the time of payment, and by asking for our own refund."""
    async with open_desk() as desk:
        await paid(desk, tells_paid_at=tells_paid_at)
        assert RefundOutcome.SUCCEEDED is (await desk.gateway.refund(REFUND)).outcome
        report = await desk.gateway.query(CHARGE)
    assert (Outcome.SUCCEEDED, 1999) == (report.outcome, report.refunded)


async def test_what_others_sent_back_in_full_was_paid() -> None:
    """Under a number that is none of ours: the time of payment tells."""
    async with open_desk() as desk:
        await paid(desk)
        desk.mock.books.refund("outside", "p-1", 1999, "outside", desk.mock.clock())
        report = await desk.gateway.query(CHARGE)
    assert (Outcome.SUCCEEDED, 1999, NOW) == (report.outcome, report.refunded, report.paid_at)


async def test_the_refund_may_be_a_later_one() -> None:
    """The first was refused, and Alipay keeps no trace of it."""
    async with open_desk() as desk:
        await paid(desk, tells_paid_at=False)
        await desk.gateway.refund(replace(REFUND, refund_id=refund_id("p-1", 2)))
        assert 1999 == (await desk.gateway.query(CHARGE)).refunded


async def test_closed_stays_open_while_its_refunds_cannot_be_asked_about() -> None:
    """No answer to one of two questions is no word."""
    closed = {**TRADE, "trade_status": "TRADE_CLOSED", "send_pay_date": None}
    unsure = fault("ACQ.SYSTEM_ERROR")
    async with facing(saying(query=closed, refund_query=unsure)) as (gateway, _):
        report = await gateway.query(ChargeRef("p_1"))
    assert (Outcome.UNKNOWN, "its refunds could not be asked about") == (
        report.outcome,
        report.reason,
    )


async def test_a_finished_trade_is_paid_and_not_refunded() -> None:
    """TRADE_FINISHED."""
    async with open_desk() as desk:
        await paid(desk, finishes_after_s=0.0)
        report = await desk.gateway.query(CHARGE)
        assert (Outcome.SUCCEEDED, 0) == (report.outcome, report.refunded)
        with pytest.raises(GatewayRefused, match=r"ACQ\.TRADE_HAS_FINISHED"):
            await desk.gateway.refund(REFUND)


async def test_who_pays_while_we_close_has_paid() -> None:
    """The close leaves it open, the query tells."""
    async with open_desk() as desk:
        await scanned(desk, pays_on_close=True)
        assert CloseAnswer.UNKNOWN is await desk.gateway.close(CHARGE)
        assert Outcome.SUCCEEDED is (await desk.gateway.query(CHARGE)).outcome


async def test_a_close_that_lies_is_found_out() -> None:
    """A success answer proves nothing; a paid trade is never cancelled."""
    async with open_desk() as desk:
        await scanned(desk, closes="lies")
        assert CloseAnswer.CLOSED is await desk.gateway.close(CHARGE)
        assert Outcome.PENDING is (await desk.gateway.query(CHARGE)).outcome


@pytest.mark.parametrize(
    ("fault", "raised"),
    [
        ("refused", GatewayRefused),
        ("500", GatewayAmbiguous),
        ("500-after", GatewayAmbiguous),
        ("nonsense", GatewayAmbiguous),
        ("timeout-after", GatewayAmbiguous),
        ("429", GatewayRetryable),
    ],
)
async def test_a_create_that_fails(fault: str, raised: type[Exception]) -> None:
    """ACQ.SYSTEM_ERROR leaves it open; the repeat is the same trade."""
    async with open_desk() as desk:
        desk.mock.scripts["p-1"] = replace(desk.mock.profile.draw_script(), create_faults=(fault,))
        with pytest.raises(raised):
            await desk.gateway.create(CHARGE_SOON)
        assert (await desk.gateway.create(CHARGE_SOON)).qr
        assert 1 == len(desk.mock.books.charges)


async def test_creating_again_what_has_ended_leaves_it_open() -> None:
    """A query tells whether it was paid or closed."""
    async with open_desk() as desk:
        await paid(desk)
        with pytest.raises(GatewayAmbiguous, match=r"ACQ\.TRADE_HAS_SUCCESS"):
            await desk.gateway.create(CHARGE_SOON)


async def test_another_currency_is_refused_before_anybody_is_asked() -> None:
    """CNY alone, to pay and to send back."""
    async with open_desk() as desk:
        with pytest.raises(GatewayRefused, match="USD; Alipay takes CNY alone"):
            await desk.gateway.create(replace(CHARGE_SOON, currency="USD"))
        with pytest.raises(GatewayRefused, match="unsupported-currency"):
            await desk.gateway.refund(replace(REFUND, currency="USD"))
        assert [] == desk.meter.asked


@pytest.mark.parametrize("amount", [1, 10, 100, 1999, 100_000_000])
async def test_amounts_go_there_and_back(amount: int) -> None:
    """In yuan with two decimals."""
    async with open_desk() as desk:
        await desk.gateway.create(replace(CHARGE_SOON, amount=amount))
        desk.pay()
        report = await desk.gateway.query(CHARGE)
    assert (amount, "CNY") == (report.amount, report.currency)


@pytest.mark.parametrize("fault", ["cut", "500", "timeout"])
async def test_a_refund_whose_answer_is_lost_is_found_and_made_once(fault: str) -> None:
    """Asked about first, and repeated under its number: no money moves twice."""
    async with open_desk() as desk:
        await paid(desk, refund_faults=(fault,))
        assert RefundOutcome.UNKNOWN is (await desk.gateway.refund(REFUND)).outcome
        found = await desk.gateway.query_refund(REFUND.refund_id, CHARGE)
        again = await desk.gateway.refund(REFUND)
        assert {RefundOutcome.SUCCEEDED} == {found.outcome, again.outcome}
        assert 1999 == desk.mock.books.charges["p-1"].refunded


async def test_a_refund_under_way_is_pending_and_asked_for_again() -> None:
    """fund_change is N: no money has moved; nothing is invented meanwhile."""
    async with open_desk() as desk:
        await paid(desk, refunds="pending", refunds_turn="succeeded", refunds_turn_after_s=60.0)
        assert RefundOutcome.PENDING is (await desk.gateway.refund(REFUND)).outcome
        queried = await desk.gateway.query_refund(REFUND.refund_id, CHARGE)
        assert RefundOutcome.NOT_FOUND is queried.outcome
        assert RefundOutcome.PENDING is (await desk.gateway.refund(REFUND)).outcome
        desk.now[0] += 61
        assert RefundOutcome.SUCCEEDED is (await desk.gateway.refund(REFUND)).outcome
        assert 1 == len(desk.mock.books.refunds)


async def test_a_refused_repeat_of_what_succeeded_is_a_success() -> None:
    """A refusal alone does not say that the first call did nothing."""
    async with open_desk() as desk:
        await paid(desk, refund_faults=("cut", "refused"))
        await desk.gateway.refund(REFUND)
        assert RefundOutcome.SUCCEEDED is (await desk.gateway.refund(REFUND)).outcome


@pytest.mark.parametrize(
    ("fault", "raised"),
    [("refused", GatewayRefused), ("429", GatewayRetryable), ("503", GatewayRetryable)],
)
async def test_a_refund_that_is_not_made(fault: str, raised: type[Exception]) -> None:
    """And may be made under the same number later."""
    async with open_desk() as desk:
        await paid(desk, refund_faults=(fault,))
        with pytest.raises(raised):
            await desk.gateway.refund(REFUND)
        assert RefundOutcome.SUCCEEDED is (await desk.gateway.refund(REFUND)).outcome


async def test_a_refund_of_another_amount_under_its_number_is_refused() -> None:
    """Where the first succeeded, that is what is told."""
    async with open_desk() as desk:
        await paid(desk)
        await desk.gateway.refund(replace(REFUND, amount=500))
        told = await desk.gateway.refund(REFUND)
        assert (RefundOutcome.SUCCEEDED, 500) == (
            told.outcome,
            desk.mock.books.charges["p-1"].refunded,
        )


async def test_a_decision_that_aged_does_not_leave() -> None:
    """`may_leave` is asked right before the call."""
    async with open_desk() as desk:
        await paid(desk)
        with pytest.raises(GatewayRetryable, match="decided too long ago"):
            await desk.gateway.refund(replace(REFUND, may_leave=lambda: False))


async def test_keys_change_over_one_after_the_other() -> None:
    """While Alipay changes, both of its keys are believed; a key that was taken out is not."""
    async with open_desk() as desk:
        old = desk.mock.sandbox.alipay.public_key()
        desk.mock.sandbox.rotate()
        new = desk.mock.sandbox.alipay.public_key()
        await asyncio.gather(*(_expect(keys, desk) for keys in ((old, new), (new,))))
        assert Outcome.UNKNOWN is (await desk.gateway.query(CHARGE)).outcome


async def _expect(keys: tuple[object, ...], desk: Desk) -> None:
    """Check that a gateway with these keys hears what the mock says."""
    async with open_desk(public_keys=keys) as other:
        other.mock.sandbox = desk.mock.sandbox
        assert Outcome.NOT_FOUND is (await other.gateway.query(CHARGE)).outcome


async def test_an_app_whose_key_alipay_does_not_know_gets_no_word() -> None:
    """The refusal is not signed, so that it concludes nothing."""
    async with open_desk(private_key=strangers().app) as desk:
        report = await desk.gateway.query(ChargeRef("payonce-check"))
        assert Outcome.UNKNOWN is report.outcome
        assert report.reason.startswith("is not signed: ")
        assert "isv.invalid-signature" in report.reason
        assert CloseAnswer.UNKNOWN is await desk.gateway.close(CHARGE)
        assert RefundOutcome.UNKNOWN is (await desk.gateway.refund(REFUND)).outcome
        with pytest.raises(GatewayAmbiguous, match="is not signed"):
            await desk.gateway.create(CHARGE_SOON)
