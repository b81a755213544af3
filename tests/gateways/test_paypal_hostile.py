"""The PayPal adapter before servers that are not in order."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from payonce.domain.errors import GatewayRefused, GatewayRetryable
from payonce.domain.report import GatewayReport, Outcome
from payonce.gateways.paypal import PaypalGateway
from payonce.ports.gateway import ChargeRef, NewCapture, NewRefund, RefundOutcome
from payonce.settings.kinds.paypal import PaypalCredentials
from payonce.settings.secret import Secret
from tests.gateways.rigs import NEW_CHARGE, always, answer, asking

USD = replace(NEW_CHARGE, currency="USD")


def order(**changed: Any) -> dict[str, Any]:
    """Return an order in order."""
    unit = {"amount": {"currency_code": "USD", "value": "19.99"}, "custom_id": "p-1"}
    return {
        "id": "5O1",
        "status": "CREATED",
        "intent": "CAPTURE",
        "purchase_units": [unit],
    } | changed


def completed(*captures: dict[str, Any], refunds: Any = ()) -> dict[str, Any]:
    """Return an order that is completed by captures."""
    unit = {"custom_id": "p-1", "payments": {"captures": captures, "refunds": list(refunds)}}
    return order(status="COMPLETED", purchase_units=[unit])


def capture_of(status: str, **changed: Any) -> dict[str, Any]:
    """Return a capture."""
    amount = {"currency_code": "USD", "value": "19.99"}
    return {"id": "3C1", "status": status, "amount": amount} | changed


def given_back(status: str, value: str) -> dict[str, Any]:
    """Return a refund."""
    return {"id": "1R", "status": status, "amount": {"currency_code": "USD", "value": value}}


CREDENTIALS = PaypalCredentials(
    "client",
    (Secret("a-secret-of-a-client"),),
    ("W1",),
    ("*.paypal.com",),
    (),
    timedelta(minutes=5),
)
TOKEN = answer({"access_token": "t", "token_type": "Bearer", "expires_in": 3600})


async def query_before(body: Any, status: int = 200) -> GatewayReport:
    """Ask a server that answers every question with `body`."""

    async def serve(request: Any, writer: asyncio.StreamWriter) -> None:
        writer.write(TOKEN if "oauth2" in request.line else answer(body, status))

    async with asking(serve, credentials=CREDENTIALS) as (gateway, _):
        return await gateway.query(ChargeRef("p-1", "5O1"))


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        (order(), Outcome.PENDING),
        (order(status="SAVED"), Outcome.PENDING),
        (order(status="PAYER_ACTION_REQUIRED"), Outcome.PENDING),
        (order(status="APPROVED"), Outcome.APPROVED),
        (order(status="VOIDED"), Outcome.CLOSED),
        (completed(capture_of("COMPLETED")), Outcome.SUCCEEDED),
        (completed(capture_of("PENDING")), Outcome.PENDING),
        (completed(capture_of("DECLINED")), Outcome.FAILED),
        (completed(capture_of("FAILED")), Outcome.FAILED),
        (completed(capture_of("REFUNDED")), Outcome.SUCCEEDED),
        (completed(capture_of("DECLINED"), capture_of("COMPLETED")), Outcome.SUCCEEDED),
    ],
)
async def test_every_status_means_one_thing(body: Any, outcome: Outcome) -> None:
    """Of orders, and of captures where an order is completed."""
    assert outcome is (await query_before(body)).outcome


@pytest.mark.parametrize(
    ("body", "refunded"),
    [
        (completed(capture_of("REFUNDED")), 1999),
        (completed(capture_of("PARTIALLY_REFUNDED")), 1),
        (completed(capture_of("COMPLETED"), refunds=[given_back("PENDING", "5.00")]), 500),
        (completed(capture_of("COMPLETED"), refunds=[given_back("FAILED", "5.00")]), 0),
        (
            completed(
                capture_of("PARTIALLY_REFUNDED"),
                refunds=[given_back("COMPLETED", "5.00"), given_back("CANCELLED", "1.00")],
            ),
            500,
        ),
    ],
)
async def test_what_went_back_is_told(body: Any, refunded: int) -> None:
    """By the list of refunds; where it is silent, by the capture's status."""
    assert refunded == (await query_before(body)).refunded


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b"\xff\xfe",
        {"id": "5O1"},
        order(status="MAYBE"),
        order(id="5O2"),
        order(id="5O1\n"),
        order(intent="AUTHORIZE"),
        order(purchase_units=[]),
        order(purchase_units=[{"custom_id": "p-1"}, {"custom_id": "p-1"}]),
        order(purchase_units=[{"custom_id": "p-2"}]),
        order(processing_instruction="ORDER_COMPLETE_ON_PAYMENT_APPROVAL"),
        order(status="COMPLETED"),
        completed(capture_of("COMPLETED", amount={"currency_code": "USD", "value": "1.999"})),
        completed(capture_of("COMPLETED", amount={"currency_code": "XXX", "value": "1"})),
        completed(capture_of("COMPLETED", amount={"currency_code": "USD", "value": "-1.00"})),
        completed(capture_of("COMPLETED", amount={"currency_code": "USD", "value": "0.00"})),
        completed(capture_of("COMPLETED", amount={"currency_code": "USD", "value": "9" * 30})),
        completed(capture_of("COMPLETED", amount={"currency_code": "USD", "value": 19.99})),
        completed(capture_of("MAYBE")),
    ],
)
async def test_nonsense_is_unknown(body: Any) -> None:
    """And so is what would take the money by itself: nothing is concluded from it."""
    report = await query_before(body)
    assert Outcome.UNKNOWN is report.outcome
    assert report.reason.isprintable()


@pytest.mark.parametrize(("status", "reason"), [(500, "http-500"), (302, "http-302")])
async def test_errors_are_unknown(status: int, reason: str) -> None:
    """Only a 404 says that there is no such order."""
    report = await query_before({}, status)
    assert (Outcome.UNKNOWN, reason) == (report.outcome, report.reason)


async def test_an_error_tells_its_issues_and_nothing_else() -> None:
    """PayPal repeats what was sent to it; none of that reaches a report."""

    async def serve(request: Any, writer: asyncio.StreamWriter) -> None:
        secret = request.headers.get("authorization", "")
        details = [{"issue": "PAYEE_BLOCKED", "value": secret}, {"issue": f"x {secret}"}]
        body = {"name": "UNPROCESSABLE_ENTITY", "message": secret, "details": details}
        writer.write(TOKEN if "oauth2" in request.line else answer(body, 422))

    async with asking(serve, credentials=CREDENTIALS) as (gateway, _):
        with pytest.raises(GatewayRefused) as caught:
            await gateway.create(USD)
    assert "PAYEE_BLOCKED UNPROCESSABLE_ENTITY" == caught.value.problem


@pytest.mark.parametrize(
    "token",
    [
        answer(b"{"),
        answer({"access_token": "a b", "expires_in": 1}),
        answer({"access_token": "", "expires_in": 1}),
        answer({}, 500),
        answer({}, 401),
    ],
)
async def test_without_a_token_nothing_is_sent(token: bytes) -> None:
    """Neither a query nor a capture; the create may be made again."""
    async with asking(always(token), credentials=CREDENTIALS) as (gateway, server):
        assert isinstance(gateway, PaypalGateway)
        charge = ChargeRef("p-1", "5O1")
        assert Outcome.UNKNOWN is (await gateway.query(charge)).outcome
        assert (await gateway.capture(NewCapture(charge, 1))).spared
        with pytest.raises((GatewayRetryable, GatewayRefused)):
            await gateway.create(USD)
        assert {"POST /v1/oauth2/token HTTP/1.1"} == {one.line for one in server.requests}


async def test_a_refund_that_is_under_way_is_no_refusal() -> None:
    """The same call is being worked on: asked again, not taken for a no."""

    async def serve(request: Any, writer: asyncio.StreamWriter) -> None:
        if request.line.startswith("GET"):
            writer.write(answer(completed(capture_of("COMPLETED"))))
        else:
            writer.write(TOKEN if "oauth2" in request.line else answer({}, 409))

    refund = NewRefund("rf-1", "p-1", 1999, "USD", 1999, "order-paid", "5O1")
    async with asking(serve, credentials=CREDENTIALS) as (gateway, _):
        report = await gateway.refund(refund)
    assert (RefundOutcome.UNKNOWN, "http-409") == (report.outcome, report.reason)
