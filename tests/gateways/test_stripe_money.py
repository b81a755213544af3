"""Boleto at Stripe, and amounts as Stripe writes them."""

from dataclasses import replace

import pytest

from gateway_mock.shopper import Script
from gateway_mock.stripe_objects import intent_json
from payonce.domain.errors import GatewayRefused
from payonce.domain.report import Outcome
from payonce.ports.gateway import ChargeRef, CloseAnswer, RefundOutcome
from tests.gateways.rigs import NEW_CHARGE, NEW_REFUND
from tests.gateways.stripe_rigs import AS_INTENT, BRL_CHARGE, BY_BOLETO, Desk, created, open_desk


async def test_a_voucher_is_pending_and_cannot_be_taken_back() -> None:
    """Neither its session nor its PaymentIntent can be closed: both payments run."""
    async with open_desk(**BY_BOLETO) as desk:
        charge = await created(desk, currency="BRL")
        desk.script(voucher_after_s=0.0)
        assert Outcome.PENDING is (await desk.gateway.query(charge)).outcome
        assert CloseAnswer.CANNOT_CLOSE is await desk.gateway.close(charge)
        assert Outcome.PENDING is (await desk.gateway.query(charge)).outcome


async def test_a_voucher_that_ran_out_has_failed() -> None:
    """Its page takes no second attempt."""
    async with open_desk(**BY_BOLETO) as desk:
        charge = await created(desk, currency="BRL")
        desk.script(voucher_after_s=0.0, declines_after_s=1.0)
        desk.now[0] += 2.0
        report = await desk.gateway.query(charge)
    assert (Outcome.FAILED, "payment_method_provider_decline") == (report.outcome, report.reason)


async def test_a_boleto_payment_cannot_be_refunded() -> None:
    """Stripe's no; the settings make such refunds MANUAL before it comes to that."""
    async with open_desk(**BY_BOLETO) as desk:
        charge = await created(desk, currency="BRL")
        desk.pay()
        assert Outcome.SUCCEEDED is (await desk.gateway.query(charge)).outcome
        with pytest.raises(GatewayRefused, match="does not support refunds"):
            await desk.gateway.refund(
                replace(NEW_REFUND, currency="BRL", gateway_ref=charge.gateway_ref)
            )


async def test_boleto_takes_reais_alone() -> None:
    """Stripe would leave the method out in silence; nothing is asked."""
    async with open_desk(**BY_BOLETO) as desk:
        with pytest.raises(GatewayRefused, match="cannot be paid by boleto"):
            await desk.gateway.create(NEW_CHARGE)
        assert [] == desk.meter.asked
        await desk.gateway.create(BRL_CHARGE)


async def test_a_voucher_of_a_payment_intent_has_a_link_and_can_be_cancelled() -> None:
    """Where the shop confirmed it before we created, its page is shown."""
    async with open_desk(**BY_BOLETO, **AS_INTENT) as desk:
        desk.mock.scripts["p-1"] = Script(voucher_after_s=0.0)
        answer = await desk.gateway.create(BRL_CHARGE)
        charge = ChargeRef("p-1", answer.report.gateway_ref)
        assert (answer.pay_url or "").endswith("/pay/p-1/voucher")
        assert CloseAnswer.CLOSED is await desk.gateway.close(charge)


# Amounts


@pytest.mark.parametrize(
    ("amount", "currency", "written"),
    [
        (500, "JPY", "500"),
        (5, "ISK", "500"),
        (7, "UGX", "700"),
        (1999, "HUF", "1999"),
        (1999, "TWD", "1999"),
        (1200, "MGA", "12"),
        (5120, "KWD", "5120"),
    ],
)
async def test_amounts_are_written_as_stripe_takes_them(
    amount: int, currency: str, written: str
) -> None:
    """And read back in our minor units."""
    async with open_desk(**AS_INTENT) as desk:
        charge = await created(desk, amount=amount, currency=currency)
        assert int(written) == desk_amount(desk)
        desk.pay()
        report = await desk.gateway.query(charge)
        refund = replace(
            NEW_REFUND, amount=amount, currency=currency, gateway_ref=charge.gateway_ref
        )
        assert RefundOutcome.SUCCEEDED is (await desk.gateway.refund(refund)).outcome
    assert (amount, currency) == (report.amount, report.currency)


def desk_amount(desk: Desk) -> int:
    """Return the amount that the mock answers with, in Stripe's minor units."""
    (paper,) = {id(one): one for one in desk.mock.papers.values()}.values()
    return int(intent_json(paper, desk.now[0], expanded=False)["amount"])


@pytest.mark.parametrize(("amount", "currency"), [(5124, "KWD"), (1250, "MGA"), (1, "BHD")])
async def test_amounts_that_stripe_cannot_write_are_refused(amount: int, currency: str) -> None:
    """Nothing is rounded, and nothing is asked."""
    async with open_desk() as desk:
        with pytest.raises(GatewayRefused) as caught:
            await created(desk, amount=amount, currency=currency)
        assert [] == desk.meter.asked
    assert "amount" == caught.value.code
