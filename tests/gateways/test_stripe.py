"""The Stripe adapter before its strict mock: keys, closes, refunds, disputes, vouchers."""

import asyncio
from dataclasses import replace

import pytest

from gateway_mock.shopper import Script
from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable
from payonce.domain.report import Outcome
from payonce.ports.gateway import ChargeRef, CloseAnswer, RefundOutcome
from tests.gateways.rigs import NEW_CHARGE, NEW_REFUND
from tests.gateways.stripe_rigs import AS_INTENT, created, open_desk

DAY_S = 86_400.0


async def test_a_session_is_shown_by_its_page() -> None:
    """The QR code opens the page of Stripe's that the link leads to."""
    async with open_desk() as desk:
        answer = await desk.gateway.create(NEW_CHARGE)
    ref = answer.report.gateway_ref or ""
    assert ref.startswith("cs_test_")
    assert answer.qr == answer.pay_url
    assert (answer.pay_url or "").endswith("/pay/p-1")


async def test_a_payment_intent_is_shown_by_the_shop() -> None:
    """It has no page of its own until its shopper has something to do elsewhere."""
    async with open_desk(**AS_INTENT) as desk:
        answer = await desk.gateway.create(NEW_CHARGE)
    assert (None, None) == (answer.qr, answer.pay_url)
    assert (answer.report.gateway_ref or "").startswith("pi_")


@pytest.mark.parametrize("mode", ["checkout", "payment_intent"])
async def test_a_payment_goes_its_way_in_both_modes(mode: str) -> None:
    """Pending, paid, refunded."""
    async with open_desk(mode=mode) as desk:
        charge = await created(desk)
        assert Outcome.PENDING is (await desk.gateway.query(charge)).outcome
        desk.pay()
        report = await desk.gateway.query(charge)
        assert (Outcome.SUCCEEDED, 1999, 0, charge.gateway_ref) == (
            report.outcome,
            report.amount,
            report.refunded,
            report.gateway_ref,
        )
        refund = replace(NEW_REFUND, gateway_ref=charge.gateway_ref)
        assert RefundOutcome.SUCCEEDED is (await desk.gateway.refund(refund)).outcome
        assert 1999 == (await desk.gateway.query(charge)).refunded
        found = await desk.gateway.query_refund("rf-1", charge)
        assert RefundOutcome.SUCCEEDED is found.outcome


@pytest.mark.parametrize("mode", ["checkout", "payment_intent"])
async def test_a_payment_that_was_quicker_than_its_close_has_paid(mode: str) -> None:
    """The race of a close: Stripe refuses, and shows what became of it."""
    async with open_desk(mode=mode) as desk:
        charge = await created(desk)
        desk.script(pays_on_close=True)
        assert CloseAnswer.ALREADY_PAID is await desk.gateway.close(charge)
        assert Outcome.SUCCEEDED is (await desk.gateway.query(charge)).outcome


@pytest.mark.parametrize("mode", ["checkout", "payment_intent"])
async def test_a_declined_card_may_be_tried_again_until_it_is_closed(mode: str) -> None:
    """A failed attempt is told as the reason of a pending payment, never as its end."""
    async with open_desk(mode=mode) as desk:
        charge = await created(desk)
        desk.script(declines_after_s=0.0)
        report = await desk.gateway.query(charge)
        assert (Outcome.PENDING, "insufficient_funds") == (report.outcome, report.reason)
        assert CloseAnswer.CLOSED is await desk.gateway.close(charge)
        assert Outcome.CLOSED is (await desk.gateway.query(charge)).outcome


@pytest.mark.parametrize("mode", ["checkout", "payment_intent"])
async def test_a_payment_without_a_ref_is_searched_for(mode: str) -> None:
    """Where the answer to its create was lost, our id in the metadata leads to it."""
    lost = ChargeRef("p-1")
    async with open_desk(mode=mode) as desk:
        await created(desk)
        desk.pay()
        report = await desk.gateway.query(lost)
        refunded = await desk.gateway.refund(NEW_REFUND)
        found = await desk.gateway.query_refund("rf-1", lost)
        closed = await desk.gateway.close(lost)
    assert (Outcome.SUCCEEDED, 1999) == (report.outcome, report.amount)
    assert (report.gateway_ref or "").startswith("pi_")
    assert RefundOutcome.SUCCEEDED is refunded.outcome is found.outcome
    assert CloseAnswer.ALREADY_PAID is closed


async def test_the_index_of_a_search_may_lag() -> None:
    """Nothing found is not a definite word."""
    async with open_desk(**AS_INTENT) as desk:
        desk.mock.scripts["p-1"] = Script(missing_until_s=60.0)
        await created(desk)
        early = await desk.gateway.query(ChargeRef("p-1"))
        desk.now[0] += 60.0
        late = await desk.gateway.query(ChargeRef("p-1"))
    assert (Outcome.NOT_FOUND, Outcome.PENDING) == (early.outcome, late.outcome)
    assert not early.is_definite


async def test_of_several_found_the_one_with_the_money_counts() -> None:
    """A create repeated after a day made a second one; the first was paid, the other one closed."""
    async with open_desk(**AS_INTENT) as desk:
        first = await created(desk)
        desk.now[0] += DAY_S
        second = await created(desk)
        assert CloseAnswer.CLOSED is await desk.gateway.close(second)
        pending = await desk.gateway.query(ChargeRef("p-1"))
        desk.pay()
        paid = await desk.gateway.query(ChargeRef("p-1"))
    assert (Outcome.PENDING, first.gateway_ref) == (pending.outcome, pending.gateway_ref)
    assert (Outcome.SUCCEEDED, first.gateway_ref) == (paid.outcome, paid.gateway_ref)


async def test_a_refund_whose_payment_is_not_found_yet_is_not_refused() -> None:
    """A first refusal would be believed; this one is asked for again."""
    async with open_desk(**AS_INTENT) as desk:
        desk.mock.scripts["p-1"] = Script(missing_until_s=60.0, pays_after_s=0.0)
        await created(desk)
        with pytest.raises(GatewayRetryable):
            await desk.gateway.refund(NEW_REFUND)
        desk.now[0] += 60.0
        assert RefundOutcome.SUCCEEDED is (await desk.gateway.refund(NEW_REFUND)).outcome


async def test_a_session_that_nobody_paid_is_not_refunded() -> None:
    """That is a definite no, without a call that could refund."""
    async with open_desk() as desk:
        charge = await created(desk)
        with pytest.raises(GatewayRefused, match="not-paid"):
            await desk.gateway.refund(replace(NEW_REFUND, gateway_ref=charge.gateway_ref))
        assert 0 == desk.mock.books.charges["p-1"].refund_calls


async def test_an_object_of_another_account_is_no_word() -> None:
    """Stripe forgets nothing: what it does not find under its own id was never this account's."""
    async with open_desk() as desk:
        for ref in ("cs_test_other", "pi_other"):
            charge = ChargeRef("p-1", ref)
            report = await desk.gateway.query(charge)
            assert (Outcome.UNKNOWN, True) == (report.outcome, "another account" in report.reason)
            found = await desk.gateway.query_refund("rf-1", charge)
            assert RefundOutcome.UNKNOWN is found.outcome
            assert CloseAnswer.NOT_FOUND is await desk.gateway.close(charge)


@pytest.mark.parametrize("ref", ["ch_1", "", "https://x/../", "pi_1/../../x", "cs_", "pi_\u00e9"])
async def test_what_is_no_id_of_stripe_is_not_asked_about(ref: str) -> None:
    """Whatever a message called the gateway's id."""
    charge = ChargeRef("p-1", ref)
    async with open_desk() as desk:
        assert Outcome.UNKNOWN is (await desk.gateway.query(charge)).outcome
        assert CloseAnswer.UNKNOWN is await desk.gateway.close(charge)
        found = await desk.gateway.query_refund("rf-1", charge)
        with pytest.raises(GatewayRetryable):
            await desk.gateway.refund(replace(NEW_REFUND, gateway_ref=ref))
    assert (RefundOutcome.UNKNOWN, []) == (found.outcome, desk.meter.asked)


async def test_a_session_of_another_payment_is_no_word() -> None:
    """The metadata names whose it is."""
    async with open_desk() as desk:
        charge = await created(desk)
        desk.pay()
        report = await desk.gateway.query(replace(charge, payment_id="p-2"))
        with pytest.raises(GatewayRetryable):
            await desk.gateway.refund(
                replace(NEW_REFUND, payment_id="p-2", gateway_ref=charge.gateway_ref)
            )
    assert (Outcome.UNKNOWN, "nonsense: payment_id is another's") == (report.outcome, report.reason)


# Idempotency keys


async def test_a_create_that_ended_in_500_is_answered_so_for_a_day() -> None:
    """Stripe replays it; a day later the key is new, and so is the session."""
    async with open_desk() as desk:
        desk.mock.scripts["p-1"] = Script(create_faults=("500-after",))
        for _ in range(2):
            with pytest.raises(GatewayAmbiguous):
                await desk.gateway.create(NEW_CHARGE)
        assert 1 == len(desk.mock.books.charges)
        desk.now[0] += DAY_S
        assert (await desk.gateway.create(NEW_CHARGE)).report.outcome is Outcome.PENDING
        assert 2 == len(desk.mock.books.charges)


async def test_a_create_whose_answer_got_lost_is_repeated_under_its_key() -> None:
    """The second try gets the first one's session."""
    async with open_desk() as desk:
        desk.mock.scripts["p-1"] = Script(create_faults=("429", "500", "ok"))
        with pytest.raises(GatewayRetryable):
            await desk.gateway.create(NEW_CHARGE)
        with pytest.raises(GatewayAmbiguous):
            await desk.gateway.create(NEW_CHARGE)
        first = await desk.gateway.create(NEW_CHARGE)
        assert first == await desk.gateway.create(NEW_CHARGE)
        assert 1 == len(desk.mock.books.charges)


async def test_two_creates_at_once_are_told_to_come_again() -> None:
    """409: the key is in use; nothing happened a second time."""
    async with open_desk() as desk:
        desk.mock.scripts["p-1"] = Script(create_latency_ms=200.0)
        answers = await asyncio.gather(
            *(desk.gateway.create(NEW_CHARGE) for _ in range(2)), return_exceptions=True
        )
        kinds = sorted(type(one).__name__ for one in answers)
        assert ["CreatedCharge", "GatewayRetryable"] == kinds
        assert 1 == len(desk.mock.books.charges)


async def test_a_key_takes_one_amount_alone() -> None:
    """Another one under the same id is refused, and nothing is created."""
    async with open_desk() as desk:
        await created(desk)
        with pytest.raises(GatewayRefused, match="idempotency_error"):
            await desk.gateway.create(replace(NEW_CHARGE, amount=2000))
        assert 1 == len(desk.mock.books.charges)


async def test_a_refund_under_a_used_key_is_looked_for_first() -> None:
    """Something went out under its id that was not this: no answer is taken for one."""
    async with open_desk() as desk:
        charge = await created(desk)
        desk.pay()
        refund = replace(NEW_REFUND, gateway_ref=charge.gateway_ref)
        await desk.gateway.refund(replace(refund, amount=1000))
        again = await desk.gateway.refund(refund)
    assert (RefundOutcome.UNKNOWN, "idempotency_error") == (again.outcome, again.reason)


@pytest.mark.parametrize("fault", ["500", "cut"])
async def test_a_refund_of_unknown_outcome_is_found_by_its_id(fault: str) -> None:
    """It was made, and its metadata says so; repeated, a 500 is replayed and nothing is doubled."""
    async with open_desk() as desk:
        charge = await created(desk)
        desk.pay()
        desk.script(refund_faults=(fault,))
        refund = replace(NEW_REFUND, gateway_ref=charge.gateway_ref)
        assert RefundOutcome.UNKNOWN is (await desk.gateway.refund(refund)).outcome
        found = await desk.gateway.query_refund("rf-1", charge)
        assert RefundOutcome.SUCCEEDED is found.outcome
        await desk.gateway.refund(refund)
        assert 1999 == desk.mock.books.charges["p-1"].refunded


async def test_a_refund_can_fail_later() -> None:
    """Its success is the word so far; the query tells of the turn, and the money is back."""
    async with open_desk() as desk:
        charge = await created(desk)
        desk.pay()
        refund = replace(NEW_REFUND, gateway_ref=charge.gateway_ref)
        await desk.gateway.refund(refund)
        desk.mock.books.refunds["rf-1"].status = "failed"
        found = await desk.gateway.query_refund("rf-1", charge)
        report = await desk.gateway.query(charge)
    assert (RefundOutcome.FAILED, "lost_or_stolen_card") == (found.outcome, found.reason)
    assert 0 == report.refunded


async def test_a_refund_among_many_is_found() -> None:
    """Page by page; more than can be looked through is no answer."""
    async with open_desk() as desk:
        charge = await created(desk, amount=1999)
        desk.pay()
        await desk.gateway.refund(replace(NEW_REFUND, amount=1, gateway_ref=charge.gateway_ref))
        books = desk.mock.books
        for number in range(120):
            books.refund(f"outside-{number}", "p-1", 1, "", desk.now[0])
        found = await desk.gateway.query_refund("rf-1", charge)
        for number in range(120, 240):
            books.refund(f"outside-{number}", "p-1", 1, "", desk.now[0])
        lost = await desk.gateway.query_refund("rf-1", charge)
    assert RefundOutcome.SUCCEEDED is found.outcome
    assert (RefundOutcome.UNKNOWN, "more refunds than can be looked through") == (
        lost.outcome,
        lost.reason,
    )


async def test_a_refund_that_may_not_leave_any_more_does_not() -> None:
    """It is asked after all that had to be looked up, directly before the call."""
    asked: list[int] = []

    def may_leave() -> bool:
        asked.append(1)
        return False

    async with open_desk() as desk:
        charge = await created(desk)
        desk.pay()
        order = replace(NEW_REFUND, gateway_ref=charge.gateway_ref, may_leave=may_leave)
        with pytest.raises(GatewayRetryable, match="decided too long ago"):
            await desk.gateway.refund(order)
        assert ([1], 0) == (asked, desk.mock.books.charges["p-1"].refunded)


# Disputes


@pytest.mark.parametrize(
    ("status", "gone"),
    [
        ("needs_response", 1999),
        ("under_review", 1999),
        ("lost", 1999),
        ("won", 0),
        ("prevented", 0),
        ("warning_needs_response", 0),
        ("something_new", 1999),
    ],
)
async def test_disputed_money_is_gone_until_it_is_won(status: str, gone: int) -> None:
    """Stripe takes it at once: such an order is not surely paid."""
    async with open_desk() as desk:
        charge = await created(desk)
        desk.pay()
        desk.mock.dispute("p-1", status)
        report = await desk.gateway.query(charge)
    assert (Outcome.SUCCEEDED, 1999, gone) == (report.outcome, report.amount, report.refunded)


async def test_a_dispute_in_another_currency_took_all_of_it() -> None:
    """Its amount is the bank's: 6.50 dollars are no 650 fen."""
    async with open_desk() as desk:
        charge = await created(desk)
        desk.pay()
        desk.mock.dispute("p-1", "won")
        desk.mock.dispute("p-1", amount=650, currency="usd")
        report = await desk.gateway.query(charge)
    assert (1999, 1999) == (report.amount, report.refunded)


async def test_a_disputed_charge_is_not_refunded() -> None:
    """Stripe refuses, and says why."""
    async with open_desk() as desk:
        charge = await created(desk)
        desk.pay()
        desk.mock.dispute("p-1")
        with pytest.raises(GatewayRefused, match="charge_disputed"):
            await desk.gateway.refund(replace(NEW_REFUND, gateway_ref=charge.gateway_ref))


# Boleto
