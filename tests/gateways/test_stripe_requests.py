"""What is asked of Stripe is what its reference says, by the bytes."""

from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qsl

import pytest

from payonce.domain.errors import GatewayAmbiguous
from payonce.gateways.stripe_shapes import API_VERSION
from tests.gateways.rigs import (
    NEW_CHARGE,
    NEW_REFUND,
    Request,
    always,
    answer,
    asking,
    open_gateway,
)
from tests.gateways.stripe_rigs import (
    BOLETO,
    BRL_CHARGE,
    CREDENTIALS,
    INTENT,
    INTENTS,
    KEY,
    intent_object,
    open_session_object,
)

REFUND = replace(NEW_REFUND, gateway_ref="pi_1")


async def sent(what: Any, **changed: Any) -> tuple[Request, dict[str, str]]:
    """Return the first request of a call, and its form."""
    raw = always(answer(open_session_object()))
    async with asking(raw, **{"credentials": CREDENTIALS, **changed}) as (gateway, server):
        with suppress(GatewayAmbiguous):
            await what(gateway)
    request = server.requests[0]
    return request, dict(parse_qsl(request.body.decode(), strict_parsing=bool(request.body)))


async def test_a_session_is_asked_for_as_the_reference_says() -> None:
    """Amount, currency, methods, our ids twice, and nothing that changes with the time."""
    request, form = await sent(lambda gateway: gateway.create(NEW_CHARGE))
    assert "POST /v1/checkout/sessions HTTP/1.1" == request.line
    assert {
        "mode": "payment",
        "client_reference_id": "p-1",
        "line_items[0][quantity]": "1",
        "line_items[0][price_data][currency]": "cny",
        "line_items[0][price_data][unit_amount]": "1999",
        "line_items[0][price_data][product_data][name]": "Order o-1",
        "allowed_payment_method_types[0]": "card",
        "adaptive_pricing[enabled]": "false",
        "success_url": NEW_CHARGE.return_url,
        "cancel_url": NEW_CHARGE.return_url,
        "metadata[payment_id]": "p-1",
        "metadata[order_id]": "o-1",
        "payment_intent_data[metadata][payment_id]": "p-1",
        "payment_intent_data[metadata][order_id]": "o-1",
        "payment_intent_data[description]": "Order o-1",
        "expand[0]": "payment_intent.latest_charge",
    } == form
    headers = request.headers
    assert (f"Bearer {KEY}", API_VERSION, "payonce-charge-p-1") == (
        headers["authorization"],
        headers["stripe-version"],
        headers["idempotency-key"],
    )
    assert "x-stripe-client-telemetry" not in headers
    assert "telemetry" not in headers["x-stripe-client-user-agent"]


async def test_the_version_is_ours_whatever_the_sdk_would_ask_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """So that a newer SDK brings no other objects."""
    monkeypatch.setattr("payonce.gateways.stripe_line.API_VERSION", "2020-01-01.earlier")
    request, _ = await sent(lambda gateway: gateway.query(INTENT))
    assert "2020-01-01.earlier" == request.headers["stripe-version"]


async def test_a_payment_intent_is_asked_for_as_the_reference_says() -> None:
    """With a voucher's days where it is paid by one."""
    credentials = replace(INTENTS, payment_methods=("boleto",), expires_after_days=7)
    request, form = await sent(lambda gateway: gateway.create(BRL_CHARGE), credentials=credentials)
    assert "POST /v1/payment_intents HTTP/1.1" == request.line
    assert {
        "amount": "1999",
        "currency": "brl",
        "allowed_payment_method_types[0]": "boleto",
        "description": "Order o-1",
        "metadata[payment_id]": "p-1",
        "metadata[order_id]": "o-1",
        "payment_method_options[boleto][expires_after_days]": "7",
        "expand[0]": "latest_charge",
    } == form


async def test_a_session_for_a_voucher_says_how_long_it_is_good() -> None:
    """Three days, unless the configuration says otherwise."""
    _, form = await sent(lambda gateway: gateway.create(BRL_CHARGE), credentials=BOLETO)
    assert "3" == form["payment_method_options[boleto][expires_after_days]"]


async def test_a_refund_is_asked_for_as_the_reference_says() -> None:
    """By its PaymentIntent, with our ids, under its own key."""
    request, form = await sent(lambda gateway: gateway.refund(REFUND))
    assert "POST /v1/refunds HTTP/1.1" == request.line
    assert "payonce-refund-rf-1" == request.headers["idempotency-key"]
    assert {
        "payment_intent": "pi_1",
        "amount": "1999",
        "metadata[refund_id]": "rf-1",
        "metadata[payment_id]": "p-1",
        "metadata[reason]": "order-paid",
    } == form


async def test_calls_go_below_the_configured_url() -> None:
    """A path in it is kept."""
    async with (
        asking(always(answer(intent_object())), credentials=CREDENTIALS) as (_, server),
        open_gateway(server.url + "/pay", credentials=CREDENTIALS) as gateway,
    ):
        await gateway.query(INTENT)
    assert server.requests[0].line.startswith("GET /pay/v1/payment_intents/pi_1?expand[0]=")
