"""The PayPal adapter before servers that are not in order."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable
from payonce.domain.report import GatewayReport, Outcome
from payonce.gateways.paypal import PaypalGateway
from payonce.ports.gateway import ChargeRef, NewCapture, NewRefund, RefundOutcome
from payonce.settings.kinds.paypal import PaypalCredentials
from payonce.settings.secret import Secret
from tests.gateways.rigs import NEW_CHARGE, Serve, always, answer, asking, open_gateway

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
        completed(capture_of("COMPLETED", amount={"currency_code": "QQQ", "value": "1"})),
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


def serving(**bodies: Any) -> Serve:
    """Return a `serve` that answers by method: `get`, `post`; a token to whoever asks for one."""

    async def serve(request: Any, writer: asyncio.StreamWriter) -> None:
        method = request.line.split(" ")[0].lower()
        writer.write(TOKEN if "oauth2" in request.line else bodies[method])

    return serve


REFUND = NewRefund("rf-1", "p-1", 1999, "USD", 1999, "order-paid", "5O1")


def refund_json(**changed: Any) -> dict[str, Any]:
    """Return the answer to a refund in order."""
    return {**given_back("COMPLETED", "19.99"), "custom_id": "rf-1,-p-1"} | changed


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        order(purchase_units=[{"custom_id": "p-2"}]),
        order(status="COMPLETED"),
        order(links=[]),
        order(links=[{"rel": "payer-action", "href": "javascript:alert(1)"}]),
        order(links=[{"rel": "payer-action", "href": "https://x/" + "x" * 3_000}]),
    ],
)
async def test_a_create_without_a_usable_answer_is_ambiguous(body: Any) -> None:
    """Nobody is shown anything; the same is created again under its key."""
    served = serving(post=answer(body, 201))
    async with asking(served, credentials=CREDENTIALS) as (gateway, _):
        with pytest.raises(GatewayAmbiguous):
            await gateway.create(USD)


@pytest.mark.parametrize(
    "body",
    [b"[", refund_json(custom_id="rf-2,-p-1"), refund_json(custom_id=None), given_back("X", "1")],
)
async def test_a_refund_without_a_usable_answer_is_unknown(body: Any) -> None:
    """It may have been made."""
    served = serving(get=answer(completed(capture_of("COMPLETED"))), post=answer(body, 201))
    async with asking(served, credentials=CREDENTIALS) as (gateway, _):
        assert RefundOutcome.UNKNOWN is (await gateway.refund(REFUND)).outcome


@pytest.mark.parametrize(("value", "outcome"), [("19.99", "succeeded"), ("1.00", "unknown")])
async def test_a_refund_of_another_amount_is_nonsense(value: str, outcome: str) -> None:
    """And one that cannot be read is, too."""
    amount = {"currency_code": "USD", "value": value}
    served = serving(
        get=answer(completed(capture_of("COMPLETED"))),
        post=answer(refund_json(amount=amount), 201),
    )
    async with asking(served, credentials=CREDENTIALS) as (gateway, _):
        assert RefundOutcome(outcome) is (await gateway.refund(REFUND)).outcome


@pytest.mark.parametrize("body", [answer({}, 500), answer(order(id="5O2")), answer(b"?")])
async def test_a_refund_whose_order_cannot_be_looked_at_is_not_sent(body: bytes) -> None:
    """It is tried again later."""
    async with asking(serving(get=body), credentials=CREDENTIALS) as (gateway, server):
        with pytest.raises(GatewayRetryable):
            await gateway.refund(REFUND)
        assert (
            RefundOutcome.UNKNOWN
            is (await gateway.query_refund("rf-1", ChargeRef("p-1", "5O1"))).outcome
        )
    assert not [one for one in server.requests if "/refund" in one.line]


async def test_a_query_is_put_off_where_all_places_are_long_taken(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever waits keeps others from theirs."""
    async with asking(serving(), credentials=CREDENTIALS) as (gateway, server):
        assert isinstance(gateway, PaypalGateway)
        monkeypatch.setattr(gateway._caller, "long_full", lambda: True)
        report = await gateway.query(ChargeRef("p-1", "5O1"))
    assert ("busy", True, []) == (report.reason, report.spared, server.requests)


async def test_a_gateway_that_is_away_is_no_word() -> None:
    """The token does not come, so that nothing else is sent."""
    async with asking(serving(), credentials=CREDENTIALS) as (gateway, server):
        url = server.url
    async with open_gateway(url, credentials=CREDENTIALS) as gateway:
        report = await gateway.query(ChargeRef("p-1", "5O1"))
        assert Outcome.UNKNOWN is report.outcome
        assert "cannot connect" in report.reason
        with pytest.raises(GatewayRetryable):
            await gateway.create(USD)
        found = await gateway.query_refund("rf-1", ChargeRef("p-1", "5O1"))
        assert RefundOutcome.UNKNOWN is found.outcome
