"""The PayPal adapter before its strict mock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import pytest

from gateway_mock.app import serving
from gateway_mock.books import Charge
from gateway_mock.paypal import PaypalMock
from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable
from payonce.domain.report import GatewayReport, Outcome
from payonce.gateways.paypal import PaypalGateway
from payonce.ports.gateway import (
    ChargeRef,
    CloseAnswer,
    CreatedCharge,
    NewCapture,
    NewRefund,
    RefundOutcome,
)
from payonce.settings.secret import Secret
from tests.gateways.rigs import NEW_CHARGE, NotingMeter, open_gateway
from tests.support.paypal import KEYS, credentials_of
from tests.support.paypal_schema import check

USD = replace(NEW_CHARGE, currency="USD")


class Clock:
    """Seconds since 1970, moved by hand."""

    def __init__(self) -> None:
        self.now_s = 1_790_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


@dataclass
class Shop:
    """The adapter, the mock and its clock."""

    gateway: PaypalGateway
    mock: PaypalMock
    clock: Clock
    meter: NotingMeter

    async def create(self, **script: Any) -> ChargeRef:
        """Create a charge whose shopper does what `script` says."""
        created = await self.gateway.create(USD)
        self.rewrite(**script)
        return ChargeRef("p-1", created.report.gateway_ref)

    async def approved(self, **script: Any) -> ChargeRef:
        """Create a charge and let its shopper agree."""
        return await self.create(pays_after_s=0.0, **script)

    def rewrite(self, **script: Any) -> None:
        """Change what the shopper does."""
        self.charge.script = replace(self.charge.script, **script)

    @property
    def charge(self) -> Charge:
        """The only charge."""
        return self.mock.books.charges["p-1"]


@asynccontextmanager
async def open_shop(**changed: Any) -> AsyncIterator[Shop]:
    """Give a shop whose calls and answers are validated."""
    clock, meter = Clock(), NotingMeter()
    mock = PaypalMock(keys=KEYS, check=check, clock=clock)
    async with serving(mock) as url:
        credentials = credentials_of(mock, url, **changed)
        async with open_gateway(url, meter, credentials=credentials, timeout_s=2.0) as gateway:
            assert isinstance(gateway, PaypalGateway)
            yield Shop(gateway, mock, clock, meter)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    """A shop; nothing that went over the wire broke the official schemas."""
    async with open_shop() as opened:
        yield opened
        assert [] == opened.mock.problems


async def test_a_charge_is_shown_by_its_approve_link(shop: Shop) -> None:
    """Code and link are the page where the shopper agrees."""
    created = await shop.gateway.create(USD)
    link = created.pay_url
    assert link == created.qr
    assert link is not None
    assert link.endswith(f"/checkoutnow?token={created.report.gateway_ref}")


async def test_an_approved_charge_is_no_success(shop: Shop) -> None:
    """It is APPROVED until it is captured, and no money has moved."""
    charge = await shop.approved()
    report = await shop.gateway.query(charge)
    expected = GatewayReport(Outcome.APPROVED, charge.gateway_ref, 1999, "USD")
    assert (expected, 0) == (report, shop.charge.captured)


async def test_a_capture_takes_the_money_once(shop: Shop) -> None:
    """Whatever the attempt, and however often; the query says the same."""
    charge = await shop.approved()
    first = await shop.gateway.capture(NewCapture(charge, 1))
    again = await shop.gateway.capture(NewCapture(charge, 1))
    assert (Outcome.SUCCEEDED, 1999, "USD", 0) == (
        first.outcome,
        first.amount,
        first.currency,
        first.refunded,
    )
    assert first == again == await shop.gateway.query(charge)
    other = await shop.gateway.capture(NewCapture(charge, 2))
    assert (Outcome.UNKNOWN, 1999) == (other.outcome, shop.charge.captured)
    assert "order_already_captured" in other.reason


@pytest.mark.parametrize("fault", ["500-after", "timeout-after", "cut-after", "500", "cut"])
async def test_a_capture_without_an_answer_is_unknown(shop: Shop, fault: str) -> None:
    """It may have taken effect or not; the same attempt again settles it."""
    charge = await shop.approved(capture_faults=(fault,))
    report = await shop.gateway.capture(NewCapture(charge, 1))
    assert (Outcome.UNKNOWN, False) == (report.outcome, report.spared)
    assert Outcome.SUCCEEDED is (await shop.gateway.capture(NewCapture(charge, 1))).outcome
    assert 1999 == shop.charge.captured


async def test_a_declined_instrument_fails_and_may_be_followed_by_another(shop: Shop) -> None:
    """The order stays open: the shopper agrees again, and the next attempt takes the money."""
    charge = await shop.approved(capture_faults=("declined",))
    declined = await shop.gateway.capture(NewCapture(charge, 1))
    assert Outcome.FAILED is declined.outcome
    assert "instrument_declined" in declined.reason
    assert Outcome.SUCCEEDED is (await shop.gateway.capture(NewCapture(charge, 2))).outcome


async def test_a_declined_capture_is_failed(shop: Shop) -> None:
    """The order is completed and nothing was paid."""
    charge = await shop.approved(captures="declined")
    captured = await shop.gateway.capture(NewCapture(charge, 1))
    assert (Outcome.FAILED, "capture-declined") == (captured.outcome, captured.reason)
    assert Outcome.FAILED is (await shop.gateway.query(charge)).outcome


async def test_a_pending_capture_is_watched(shop: Shop) -> None:
    """An eCheck takes days, and then succeeds or not."""
    charge = await shop.approved(
        captures="pending", captures_turn="completed", captures_turn_after_s=86_400.0
    )
    captured = await shop.gateway.capture(NewCapture(charge, 1))
    assert (Outcome.PENDING, "capture-pending echeck") == (captured.outcome, captured.reason)
    assert Outcome.PENDING is (await shop.gateway.query(charge)).outcome
    shop.clock.now_s += 86_400
    assert Outcome.SUCCEEDED is (await shop.gateway.query(charge)).outcome


async def test_what_nobody_approved_is_not_taken(shop: Shop) -> None:
    """It may be captured later; nothing is said of failure."""
    charge = await shop.create()
    report = await shop.gateway.capture(NewCapture(charge, 1))
    assert Outcome.APPROVED is report.outcome
    assert "order_not_approved" in report.reason


async def test_a_busy_gateway_took_nothing(shop: Shop) -> None:
    """It is asked again, when it asked to be."""
    charge = await shop.approved(capture_faults=("429",))
    report = await shop.gateway.capture(NewCapture(charge, 1))
    assert (Outcome.APPROVED, 1.0) == (report.outcome, report.retry_after_s)


async def test_what_may_not_leave_any_more_is_not_sent(shop: Shop) -> None:
    """Asked directly before the call."""
    charge = await shop.approved()
    report = await shop.gateway.capture(NewCapture(charge, 1, lambda: False))
    assert (Outcome.UNKNOWN, True) == (report.outcome, report.spared)
    assert 0 == shop.charge.captured


async def test_without_the_gateways_id_nothing_is_asked(shop: Shop) -> None:
    """But whether we are known at all, which `payonce check --online` wants to hear."""
    assert Outcome.NOT_FOUND is (await shop.gateway.query(ChargeRef("p-1"))).outcome
    report = await shop.gateway.capture(NewCapture(ChargeRef("p-1"), 1))
    assert (Outcome.UNKNOWN, True) == (report.outcome, report.spared)
    refund = NewRefund("rf-1", "p-1", 1999, "USD", 1999, "order-paid")
    with pytest.raises(GatewayRefused):
        await shop.gateway.refund(refund)
    assert [("mock", "token", "2xx")] == shop.meter.asked


async def test_it_closes_nothing_by_itself(shop: Shop) -> None:
    """There is no such call."""
    assert CloseAnswer.CANNOT_CLOSE is await shop.gateway.close(await shop.create())


async def test_an_order_that_nobody_approved_in_time_is_not_known_any_more(shop: Shop) -> None:
    """PayPal forgets it; that is no definite word."""
    charge = await shop.create()
    shop.clock.now_s += 3 * 3_600 + 1
    assert Outcome.NOT_FOUND is (await shop.gateway.query(charge)).outcome


async def test_an_approval_that_was_not_captured_in_time_is_closed(shop: Shop) -> None:
    """PayPal gives it up after three hours."""
    charge = await shop.approved()
    assert Outcome.APPROVED is (await shop.gateway.query(charge)).outcome
    shop.clock.now_s += 3 * 3_600 + 1
    report = await shop.gateway.query(charge)
    assert (Outcome.CLOSED, "voided") == (report.outcome, report.reason)


async def test_an_ambiguous_create_is_the_same_order_again(shop: Shop) -> None:
    """Within the six hours for which its key is kept."""
    shop.mock.scripts["p-1"] = replace(
        shop.mock.profile.draw_script(), create_faults=("500-after",)
    )
    with pytest.raises(GatewayAmbiguous):
        await shop.gateway.create(USD)
    created = await shop.gateway.create(USD)
    assert (1, shop.charge.gateway_ref) == (
        len(shop.mock.books.charges),
        created.report.gateway_ref,
    )


@pytest.mark.parametrize(
    ("currency", "amount", "value"),
    [
        ("USD", 1999, "19.99"),
        ("JPY", 500, "500"),
        ("HUF", 150_000, "1500"),
        ("TWD", 99_900, "999"),
    ],
)
async def test_amounts_are_written_as_paypal_writes_them(
    shop: Shop, currency: str, amount: int, value: str
) -> None:
    """HUF, TWD and JPY without decimals, and back to our minor units."""
    created = await shop.gateway.create(replace(USD, amount=amount, currency=currency))
    assert (amount, currency) == (created.report.amount, created.report.currency)
    assert amount == shop.charge.amount
    money = {"currency_code": currency, "value": value}
    assert money == shop.mock._order(shop.charge)["purchase_units"][0]["amount"]


async def test_an_amount_that_cannot_be_written_is_refused(shop: Shop) -> None:
    """No fraction of a forint is rounded."""
    with pytest.raises(GatewayRefused) as caught:
        await shop.gateway.create(replace(USD, amount=150_050, currency="HUF"))
    assert "amount" == caught.value.code
    assert [] == shop.meter.asked


async def test_one_token_serves_many_calls(shop: Shop) -> None:
    """Also when many need it at once; it is renewed before it ends."""
    charge = await shop.create()
    await asyncio.gather(*(shop.gateway.query(charge) for _ in range(5)))
    assert 1 == [call for _, call, _ in shop.meter.asked].count("token")
    tokens = shop.gateway._tokens
    assert tokens._token is not None
    tokens._now_s = lambda: tokens._token.until_s if tokens._token else 0.0
    await shop.gateway.query(charge)
    assert 2 == len(shop.mock.tokens)


async def test_a_token_that_is_not_taken_is_renewed_once(shop: Shop) -> None:
    """Many calls that were refused share the new one."""
    charge = await shop.create()
    shop.mock.tokens.clear()
    reports = await asyncio.gather(*(shop.gateway.query(charge) for _ in range(5)))
    assert {Outcome.PENDING} == {one.outcome for one in reports}
    assert 1 == len(shop.mock.tokens)


async def test_bad_credentials_are_refused_and_told_apart(shop: Shop) -> None:
    """A create is refused for good, a query is without a word, and nothing was sent."""
    secrets = (Secret("another"),)
    async with open_shop(client_secrets=secrets) as wrong:
        with pytest.raises(GatewayRefused) as caught:
            await wrong.gateway.create(USD)
        assert "token-http-401" == caught.value.code
        report = await wrong.gateway.query(ChargeRef("p-1", "5O1"))
        assert (Outcome.UNKNOWN, "http-401") == (report.outcome, report.reason)
        capture = await wrong.gateway.capture(NewCapture(ChargeRef("p-1", "5O1"), 1))
        assert (Outcome.UNKNOWN, True) == (capture.outcome, capture.spared)
    del shop  # its own secret is right


async def test_the_next_secret_is_taken_while_rotating() -> None:
    """The old one may be switched off before the new one is everywhere."""
    async with open_shop() as shop:
        right = Secret(shop.mock.account.client_secret)
        secrets = (Secret("yesterday"), right)
    async with open_shop(client_secrets=secrets) as shop:
        assert isinstance(await shop.gateway.create(USD), CreatedCharge)


async def captured(shop: Shop, **script: Any) -> ChargeRef:
    """Create, approve and capture."""
    charge = await shop.approved(**script)
    await shop.gateway.capture(NewCapture(charge, 1))
    return charge


def refund_of(charge: ChargeRef, refund_id: str = "rf-1", amount: int = 1999) -> NewRefund:
    """Return a refund of a charge."""
    ref = charge.gateway_ref
    return NewRefund(refund_id, charge.payment_id, amount, "USD", 1999, "order-paid", ref)


async def test_a_refund_is_found_by_our_id(shop: Shop) -> None:
    """Through the order; another one is not there."""
    charge = await captured(shop)
    assert RefundOutcome.SUCCEEDED is (await shop.gateway.refund(refund_of(charge))).outcome
    found = await shop.gateway.query_refund("rf-1", charge)
    missing = await shop.gateway.query_refund("rf-2", charge)
    assert (RefundOutcome.SUCCEEDED, RefundOutcome.NOT_FOUND) == (found.outcome, missing.outcome)
    report = await shop.gateway.query(charge)
    assert (Outcome.SUCCEEDED, 1999) == (report.outcome, report.refunded)


@pytest.mark.parametrize("refund_id", ["rf:1", "r" * 64, "a.b-c_d:e"])
async def test_every_id_of_a_refund_comes_back_as_it_went(shop: Shop, refund_id: str) -> None:
    """PayPal takes no colon there."""
    charge = await captured(shop)
    await shop.gateway.refund(refund_of(charge, refund_id))
    assert RefundOutcome.SUCCEEDED is (await shop.gateway.query_refund(refund_id, charge)).outcome


@pytest.mark.parametrize("fault", ["cut", "500", "timeout"])
async def test_an_ambiguous_refund_is_one_refund(shop: Shop, fault: str) -> None:
    """UNKNOWN, found by a query, and the same again under its key."""
    charge = await captured(shop, refund_faults=(fault,))
    first = await shop.gateway.refund(refund_of(charge))
    assert RefundOutcome.UNKNOWN is first.outcome
    assert RefundOutcome.SUCCEEDED is (await shop.gateway.query_refund("rf-1", charge)).outcome
    assert RefundOutcome.SUCCEEDED is (await shop.gateway.refund(refund_of(charge))).outcome
    assert (1, 1999) == (len(shop.charge.refunds), shop.charge.refunded)


async def test_a_refund_that_fails_later_is_failed(shop: Shop) -> None:
    """Pending first; the money is the shop's again."""
    charge = await captured(
        shop, refunds="pending", refunds_turn="failed", refunds_turn_after_s=60.0
    )
    assert RefundOutcome.PENDING is (await shop.gateway.refund(refund_of(charge))).outcome
    shop.clock.now_s += 60
    assert RefundOutcome.FAILED is (await shop.gateway.query_refund("rf-1", charge)).outcome
    assert 0 == (await shop.gateway.query(charge)).refunded


async def test_a_refund_that_may_not_leave_is_not_sent(shop: Shop) -> None:
    """Asked directly before the call that sends money, not before the look at the order."""
    charge = await captured(shop)
    with pytest.raises(GatewayRetryable):
        await shop.gateway.refund(replace(refund_of(charge), may_leave=lambda: False))
    assert [] == shop.charge.refunds


async def test_money_in_another_currency_is_told(shop: Shop) -> None:
    """What the shopper paid is reported as it is."""
    charge = await shop.approved(reports_currency="EUR", reports_amount=2100)
    report = await shop.gateway.query(charge)
    assert (2100, "EUR") == (report.amount, report.currency)
