"""A Stripe that hangs, lies or talks nonsense, and each of its errors: never a wrong outcome."""

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from structlog.testing import capture_logs

from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable, PayonceError
from payonce.domain.report import Outcome
from payonce.ports.gateway import CloseAnswer, Gateway, RefundOutcome
from tests.gateways.rigs import (
    NEW_CHARGE,
    NEW_REFUND,
    TIMEOUT_S,
    NotingMeter,
    Request,
    always,
    answer,
    asking,
    open_gateway,
    silence,
)
from tests.gateways.stripe_rigs import (
    CREDENTIALS,
    INTENT,
    KEY,
    SESSION,
    SIGNING,
    charge_object,
    error_object,
    intent_object,
    listed,
    open_session_object,
    refund_object,
    session_object,
)
from tests.gateways.test_hostile import BROKEN_HTTP, MISBEHAVIOURS, NONSENSE
from tests.support.ports import free_port

SOON_S = 6 * (TIMEOUT_S + 2.0)
REFUND = replace(NEW_REFUND, gateway_ref="pi_1")


async def expect_no_word(gateway: Gateway) -> None:
    """Check that no call concludes anything, and none takes long."""
    async with asyncio.timeout(SOON_S):
        for charge in (SESSION, INTENT):
            report = await gateway.query(charge)
            assert (Outcome.UNKNOWN, True) == (report.outcome, bool(report.reason))
            assert report.reason.isprintable()
            assert len(report.reason) <= 300
            assert CloseAnswer.UNKNOWN is await gateway.close(charge)
        assert RefundOutcome.UNKNOWN is (await gateway.query_refund("rf-1", INTENT)).outcome
        assert RefundOutcome.UNKNOWN is (await gateway.refund(REFUND)).outcome
        with pytest.raises(GatewayAmbiguous):
            await gateway.create(NEW_CHARGE)


@pytest.mark.parametrize("name", ["says nothing", "cuts the body", "sends an endless body"])
async def test_misbehaviour_is_no_word(name: str) -> None:
    """One time-out a call, and nothing is concluded."""
    async with asking(MISBEHAVIOURS[name], credentials=CREDENTIALS) as (gateway, _):
        await expect_no_word(gateway)


@pytest.mark.parametrize("name", BROKEN_HTTP)
async def test_broken_http_is_no_word(name: str) -> None:
    """Bytes that are not a proper HTTP answer conclude nothing."""
    raw = always(BROKEN_HTTP[name], close=True)
    async with asking(raw, credentials=CREDENTIALS) as (gateway, _):
        await expect_no_word(gateway)


@pytest.mark.parametrize("name", NONSENSE)
async def test_nonsense_is_no_word(name: str) -> None:
    """A 200 whose body is none of Stripe's objects."""
    async with asking(always(answer(NONSENSE[name])), credentials=CREDENTIALS) as (gateway, _):
        await expect_no_word(gateway)


WRONG_INTENTS: dict[str, dict[str, Any]] = {
    "another payment": {"metadata": {"payment_id": "p-2"}},
    "metadata of numbers": {"metadata": {"payment_id": 1}},
    "unknown status": {"status": "maybe"},
    "no status": {"status": None},
    "another object": {"object": "setup_intent"},
    "no id": {"id": None},
    "another id": {"id": "seti_1"},
    "amount as text": {"amount_received": "1999"},
    "amount as fraction": {"amount_received": 19.99},
    "amount of nothing": {"amount_received": 0},
    "negative amount": {"amount_received": -1},
    "vast amount": {"amount_received": 2**53},
    "unknown currency": {"currency": "xxx"},
    "no currency": {"currency": None},
    "currency as a novel": {"currency": "cny" * 1_000},
    "half a krona": {"currency": "isk", "amount_received": 150},
    "charge not expanded": {"latest_charge": "ch_1"},
    "no charge": {"latest_charge": None},
    "refunded below nothing": {"latest_charge": charge_object(amount_refunded=-1)},
    "refunded above the amount": {"latest_charge": charge_object(amount_refunded=2000)},
    "paid before time": {"latest_charge": charge_object(created=0)},
    "paid after time": {"latest_charge": charge_object(created=10**15)},
}


@pytest.mark.parametrize("name", WRONG_INTENTS)
async def test_wrong_intent_is_no_word(name: str) -> None:
    """A single field that cannot be meant makes the whole answer worth nothing."""
    wrong = intent_object(**WRONG_INTENTS[name])
    for raw, charge in ((wrong, INTENT), (session_object(payment_intent=wrong), SESSION)):
        async with asking(always(answer(raw)), credentials=CREDENTIALS) as (gateway, _):
            report = await gateway.query(charge)
        assert Outcome.UNKNOWN is report.outcome
        assert report.reason.startswith("nonsense")
        assert (None, None, None) == (report.gateway_ref, report.amount, report.paid_at)


WRONG_SESSIONS: dict[str, dict[str, Any]] = {
    "another payment": {"metadata": {"payment_id": "p-2"}},
    "paid without a PaymentIntent": {"payment_intent": None},
    "paid by one that was not": {"payment_intent": intent_object(status="processing")},
    "not expanded": {"payment_intent": "pi_1"},
    "nothing to pay": {"payment_status": "no_payment_required", "payment_intent": None},
    "unknown status": {"status": "lost"},
    "no amount": {"amount_total": None},
}


@pytest.mark.parametrize("name", WRONG_SESSIONS)
async def test_wrong_session_is_no_word(name: str) -> None:
    """Where session and PaymentIntent contradict each other, neither is believed."""
    raw = answer(session_object(**WRONG_SESSIONS[name]))
    async with asking(always(raw), credentials=CREDENTIALS) as (gateway, _):
        report = await gateway.query(SESSION)
        with pytest.raises(GatewayAmbiguous):
            await gateway.create(NEW_CHARGE)
    assert Outcome.UNKNOWN is report.outcome
    assert report.reason.startswith("nonsense")


STATUSES = [
    ("requires_payment_method", Outcome.PENDING),
    ("requires_confirmation", Outcome.PENDING),
    ("requires_action", Outcome.PENDING),
    ("requires_capture", Outcome.PENDING),
    ("processing", Outcome.PENDING),
    ("succeeded", Outcome.SUCCEEDED),
    ("canceled", Outcome.CLOSED),
]


@pytest.mark.parametrize(("status", "outcome"), STATUSES)
async def test_each_status_of_an_intent_has_its_meaning(status: str, outcome: Outcome) -> None:
    """As the API reference lists them."""
    raw = answer(intent_object(status=status))
    async with asking(always(raw), credentials=CREDENTIALS) as (gateway, _):
        assert outcome is (await gateway.query(INTENT)).outcome


@pytest.mark.parametrize(
    ("status", "intent", "outcome"),
    [
        ("open", None, Outcome.PENDING),
        ("open", "requires_payment_method", Outcome.PENDING),
        ("complete", "requires_action", Outcome.PENDING),
        ("complete", "processing", Outcome.PENDING),
        ("complete", "requires_payment_method", Outcome.FAILED),
        ("complete", "canceled", Outcome.CLOSED),
        ("expired", None, Outcome.CLOSED),
        ("expired", "requires_payment_method", Outcome.CLOSED),
        ("expired", "succeeded", Outcome.SUCCEEDED),
    ],
)
async def test_each_state_of_a_session_has_its_meaning(
    status: str, intent: str | None, outcome: Outcome
) -> None:
    """Its PaymentIntent tells of the money, whatever the session says."""
    inner = None if intent is None else intent_object(status=intent)
    raw = answer(open_session_object(status=status, payment_intent=inner))
    async with asking(always(raw), credentials=CREDENTIALS) as (gateway, _):
        assert outcome is (await gateway.query(SESSION)).outcome


async def test_an_object_that_the_shop_made_itself_need_not_name_us() -> None:
    """Its id was given to us: without metadata it is ours, with another's it is not."""
    raw = answer(intent_object(metadata={}))
    async with asking(always(raw), credentials=CREDENTIALS) as (gateway, _):
        assert Outcome.SUCCEEDED is (await gateway.query(INTENT)).outcome


@pytest.mark.parametrize(
    "changed",
    [
        {"metadata": {"refund_id": "rf-2"}},
        {"metadata": None},
        {"amount": 1998},
        {"currency": "usd"},
        {"status": None},
        {"status": "done"},
        {"object": "charge"},
    ],
)
async def test_wrong_refund_is_no_word(changed: dict[str, Any]) -> None:
    """An answer that is not about this refund has not succeeded."""
    raw = answer(refund_object(**changed))
    async with asking(always(raw), credentials=CREDENTIALS) as (gateway, _):
        assert RefundOutcome.UNKNOWN is (await gateway.refund(REFUND)).outcome


@pytest.mark.parametrize(
    ("status", "outcome"),
    [
        ("pending", RefundOutcome.PENDING),
        ("requires_action", RefundOutcome.PENDING),
        ("succeeded", RefundOutcome.SUCCEEDED),
        ("failed", RefundOutcome.FAILED),
        ("canceled", RefundOutcome.FAILED),
    ],
)
async def test_each_status_of_a_refund_has_its_meaning(status: str, outcome: RefundOutcome) -> None:
    """As the API reference lists them; of several under one id the one that went furthest."""
    failed = refund_object(id="re_0", status="failed")
    raw = answer(listed(failed, refund_object(status=status)))
    async with asking(always(raw), credentials=CREDENTIALS) as (gateway, _):
        assert outcome is (await gateway.query_refund("rf-1", INTENT)).outcome


async def test_a_dispute_that_cannot_be_read_is_no_word() -> None:
    """The charge says that there is one: how much is gone must be known."""
    paid = answer(intent_object(latest_charge=charge_object(disputed=True)))
    for second in (answer(listed()), answer(b"{}"), answer(b"", 500), answer(b"{}", 429)):
        turns = iter([paid, second])

        async def serve(
            _request: Request, writer: asyncio.StreamWriter, turns: Iterator[bytes] = turns
        ) -> None:
            writer.write(next(turns))

        async with asking(serve, credentials=CREDENTIALS) as (gateway, _):
            assert Outcome.UNKNOWN is (await gateway.query(INTENT)).outcome


# Errors


async def fate_of_create(gateway: Gateway) -> type[PayonceError]:
    """Return the kind of error that a create ends in."""
    with pytest.raises((GatewayAmbiguous, GatewayRefused, GatewayRetryable)) as caught:
        await gateway.create(NEW_CHARGE)
    return type(caught.value)


async def fate_of_refund(gateway: Gateway) -> object:
    """Return the kind of error that a refund ends in, or its outcome."""
    try:
        return (await gateway.refund(REFUND)).outcome
    except (GatewayRefused, GatewayRetryable) as error:
        return type(error)


UNKNOWN = RefundOutcome.UNKNOWN
ERRORS = [
    (400, "parameter_invalid", "invalid_request_error", GatewayRefused, GatewayRefused),
    (400, "rate_limit", "invalid_request_error", GatewayRetryable, GatewayRetryable),
    (400, "", "idempotency_error", GatewayRefused, UNKNOWN),
    (401, "", "invalid_request_error", GatewayRefused, GatewayRefused),
    (402, "card_declined", "card_error", GatewayRefused, GatewayRefused),
    (403, "", "invalid_request_error", GatewayRefused, GatewayRefused),
    (404, "resource_missing", "invalid_request_error", GatewayRefused, GatewayRefused),
    (408, "", "api_error", GatewayAmbiguous, UNKNOWN),
    (409, "idempotency_key_in_use", "idempotency_error", GatewayRetryable, UNKNOWN),
    (409, "", "invalid_request_error", GatewayRetryable, GatewayRetryable),
    (429, "lock_timeout", "invalid_request_error", GatewayRetryable, GatewayRetryable),
    (500, "", "api_error", GatewayAmbiguous, UNKNOWN),
    (502, "", "api_error", GatewayAmbiguous, UNKNOWN),
    (302, "", "api_error", GatewayAmbiguous, UNKNOWN),
]


@pytest.mark.parametrize(("status", "code", "kind", "create", "refund"), ERRORS)
async def test_each_error_has_its_meaning(
    status: int, code: str, kind: str, create: type[PayonceError], refund: object
) -> None:
    """Refused, to be repeated, or open; a query concludes nothing from any of them."""
    raw = answer(error_object(code, kind), status)
    async with asking(always(raw), credentials=CREDENTIALS) as (gateway, _):
        assert create is await fate_of_create(gateway)
        assert refund is await fate_of_refund(gateway)
        for charge in (SESSION, INTENT, replace(SESSION, gateway_ref=None)):
            assert Outcome.UNKNOWN is (await gateway.query(charge)).outcome
            assert UNKNOWN is (await gateway.query_refund("rf-1", charge)).outcome


@pytest.mark.parametrize("status", [429, 503])
async def test_a_busy_stripe_is_told_when_it_wants_to_be_asked(status: int) -> None:
    """It did not act, and counts as no failure."""
    meter = NotingMeter()
    raw = answer(error_object("rate_limit"), status, {"Retry-After": "7"})
    async with asking(always(raw), meter=meter, credentials=CREDENTIALS) as (gateway, _):
        report = await gateway.query(INTENT)
        with pytest.raises(GatewayRetryable) as caught:
            await gateway.create(NEW_CHARGE)
        found = await gateway.query_refund("rf-1", INTENT)
    assert (7.0, 7.0, 7.0) == (
        report.retry_after_s,
        caught.value.retry_after_s,
        found.retry_after_s,
    )
    assert {"busy"} == {outcome for _, _, outcome in meter.asked}


async def test_a_refusal_tells_why() -> None:
    """By Stripe's code and first words."""
    raw = answer(error_object("amount_too_small", decline_code=None), 400)
    async with asking(always(raw), credentials=CREDENTIALS) as (gateway, _):
        with pytest.raises(GatewayRefused) as caught:
            await gateway.create(NEW_CHARGE)
    assert ("http-400", "amount_too_small: No.") == (caught.value.code, caught.value.problem)


async def test_a_refused_question_tells_why_too() -> None:
    """So that a wrong key is seen for what it is."""
    raw = answer(error_object(message="Invalid API Key provided"), 401)
    async with asking(always(raw), credentials=CREDENTIALS) as (gateway, _):
        report = await gateway.query(replace(SESSION, gateway_ref=None))
    reason = "http-401 invalid_request_error: Invalid API Key provided"
    assert (Outcome.UNKNOWN, reason) == (report.outcome, report.reason)


async def test_nothing_secret_is_told() -> None:
    """Neither our keys nor a client secret, in errors, reports or logs, whatever is echoed."""
    told_back = error_object(message=f"Key {KEY} and {SIGNING}", code=KEY)
    secret = session_object(client_secret="cs_secret_1", payment_intent=None)
    turns = iter([answer(told_back, 401), answer(told_back, 400), answer(secret)])

    async def serve(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(next(turns))

    with capture_logs() as logs:
        async with asking(serve, credentials=CREDENTIALS) as (gateway, _):
            with pytest.raises(GatewayRefused) as first:
                await gateway.create(NEW_CHARGE)
            with pytest.raises(GatewayRefused) as second:
                await gateway.refund(REFUND)
            report = await gateway.query(SESSION)
            told = f"{first.value!r} {second.value!r} {report} {logs} {gateway!r} {CREDENTIALS!r}"
    assert [] == [one for one in (KEY, SIGNING, "cs_secret_1") if one in told]
    assert "***" in first.value.problem


async def test_refused_connection_is_no_word() -> None:
    """Nobody listens: what acts certainly did not happen."""
    url = f"http://127.0.0.1:{free_port()}"
    async with open_gateway(url, credentials=CREDENTIALS) as gateway:
        assert Outcome.UNKNOWN is (await gateway.query(INTENT)).outcome
        assert CloseAnswer.UNKNOWN is await gateway.close(SESSION)
        assert GatewayRetryable is await fate_of_create(gateway)
        assert GatewayRetryable is await fate_of_refund(gateway)


async def test_a_timeout_after_sending_is_open() -> None:
    """It may have happened."""
    async with asking(silence, credentials=CREDENTIALS) as (gateway, _):
        assert GatewayAmbiguous is await fate_of_create(gateway)
        assert UNKNOWN is await fate_of_refund(gateway)


@pytest.mark.parametrize(
    "links", [{"url": "a\0b"}, {"url": "x" * 5_000}, {"url": 1}, {"url": "http://x/\n"}]
)
async def test_link_that_cannot_be_shown_is_no_charge(links: dict[str, Any]) -> None:
    """What the shopper would be shown is one printable line, or the outcome is open."""
    raw = answer(open_session_object(**links))
    async with asking(always(raw), credentials=CREDENTIALS) as (gateway, _):
        with pytest.raises(GatewayAmbiguous):
            await gateway.create(NEW_CHARGE)


async def test_a_link_too_long_for_a_code_is_a_link_alone() -> None:
    """Stripe's links are long, and a QR code takes 2,953 bytes."""
    link = "https://checkout.example/" + "x" * 3_000
    raw = answer(open_session_object(url=link))
    async with asking(always(raw), credentials=CREDENTIALS) as (gateway, _):
        created = await gateway.create(NEW_CHARGE)
    assert (None, link) == (created.qr, created.pay_url)


# What is sent


async def test_an_answer_over_many_fields_is_read() -> None:
    """What is not known is left alone."""
    raw = answer(json.dumps(intent_object(more={"deep": [1]}, amount_details={})).encode())
    async with asking(always(raw), credentials=CREDENTIALS) as (gateway, _):
        assert Outcome.SUCCEEDED is (await gateway.query(INTENT)).outcome
