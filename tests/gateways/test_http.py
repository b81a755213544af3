"""What each HTTP status means, what is sent, how much at once, and what stays secret."""

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
from structlog.testing import capture_logs

from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable, PayonceError
from payonce.domain.report import Outcome
from payonce.gateways.client import LONGEST_RETRY_AFTER_S, open_session
from payonce.gateways.registry import build_gateways
from payonce.ports.gateway import CloseAnswer, Gateway, RefundOutcome
from payonce.settings.kinds.http import HttpCredentials
from payonce.settings.secret import Secret
from tests.gateways.rigs import (
    CHARGE,
    NEW_CHARGE,
    NEW_REFUND,
    OLD_SECRET,
    SECRET,
    NotingMeter,
    Request,
    always,
    answer,
    asking,
    charge_json,
    refund_json,
    settings_for,
)
from tests.support.waiting import eventually


async def fate_of_create(gateway: Gateway) -> type[PayonceError]:
    """Return the kind of error that a create ends in."""
    with pytest.raises((GatewayAmbiguous, GatewayRefused, GatewayRetryable)) as caught:
        await gateway.create(NEW_CHARGE)
    return caught.type


async def fate_of_refund(gateway: Gateway) -> object:
    """Return the kind of error that a refund ends in, or its outcome."""
    try:
        return (await gateway.refund(NEW_REFUND)).outcome
    except PayonceError as error:
        return type(error)


@pytest.mark.parametrize("status", [201, 202, 206, 301, 400, 401, 403, 408, 418, 429, 500])
async def test_query_trusts_200_alone(status: int) -> None:
    """A good charge under any other status is no word, with the status as the reason."""
    async with asking(always(answer(charge_json(), status), close=True)) as (gateway, _):
        report = await gateway.query(CHARGE)
        refund = await gateway.query_refund("rf-1", CHARGE)
    assert (Outcome.UNKNOWN, f"http-{status}") == (report.outcome, report.reason)
    assert RefundOutcome.UNKNOWN is refund.outcome


@pytest.mark.parametrize("status", [202, 204, 301, 302, 307, 308, 408, 500, 502, 503, 504])
async def test_acting_call_without_a_clear_answer_is_open(status: int) -> None:
    """Where it may have happened, a create is ambiguous and a refund UNKNOWN."""
    raw = answer(charge_json() | refund_json(), status)
    async with asking(always(raw, close=True)) as (gateway, _):
        assert GatewayAmbiguous is await fate_of_create(gateway)
        assert RefundOutcome.UNKNOWN is await fate_of_refund(gateway)
        assert CloseAnswer.UNKNOWN is await gateway.close(CHARGE)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 410, 422])
async def test_refused_call_tells_why(status: int) -> None:
    """A 4xx is the gateway's no, with its code and its first words."""
    async with asking(always(answer(b'{"detail":\n "no\x1b"}', status))) as (gateway, _):
        with pytest.raises(GatewayRefused) as caught:
            await gateway.create(NEW_CHARGE)
        assert GatewayRefused is await fate_of_refund(gateway)
    assert ("mock", f"http-{status}") == (caught.value.gateway, caught.value.code)
    assert '{"detail":\ufffd "no\ufffd"}' == caught.value.problem


@pytest.mark.parametrize("status", [429, 503])
async def test_gateway_that_asks_to_be_spared_did_not_act(status: int) -> None:
    """429, and 503 with Retry-After: a call that acts may be repeated, after that time."""
    raw = answer(b"{}", status, {"Retry-After": "7"})
    async with asking(always(raw)) as (gateway, _):
        report = await gateway.query(CHARGE)
        refund = await gateway.query_refund("rf-1", CHARGE)
        with pytest.raises(GatewayRetryable) as caught:
            await gateway.create(NEW_CHARGE)
        assert GatewayRetryable is await fate_of_refund(gateway)
    assert (Outcome.UNKNOWN, 7.0) == (report.outcome, report.retry_after_s)
    assert (RefundOutcome.UNKNOWN, 7.0) == (refund.outcome, refund.retry_after_s)
    assert 7.0 == caught.value.retry_after_s


async def test_too_many_requests_without_a_time_did_not_act_either() -> None:
    """A 429 alone says that the call was not taken."""
    async with asking(always(answer(b"{}", 429))) as (gateway, _):
        with pytest.raises(GatewayRetryable) as caught:
            await gateway.create(NEW_CHARGE)
    assert caught.value.retry_after_s is None


@pytest.mark.parametrize(
    ("value", "least_s", "most_s"),
    [
        ("0", 0, 0),
        (" 12 ", 12, 12),
        ("86400", LONGEST_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S),
        ("9" * 5_000, LONGEST_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0, 0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_RETRY_AFTER_S, LONGEST_RETRY_AFTER_S),
    ],
)
async def test_retry_after_is_told_in_seconds(value: str, least_s: float, most_s: float) -> None:
    """Seconds and HTTP dates are understood, and an hour is the most."""
    spared_s = await _spared_s(value)
    assert least_s <= spared_s <= most_s


async def test_near_date_in_retry_after_is_told_in_seconds() -> None:
    """A date is counted from now."""
    soon = datetime.now(UTC) + timedelta(seconds=100)
    assert 30 <= await _spared_s(format_datetime(soon, usegmt=True)) <= 101


async def _spared_s(retry_after: str) -> float:
    async with asking(always(answer(b"{}", 503, {"Retry-After": retry_after}))) as (gateway, _):
        spared_s = (await gateway.query(CHARGE)).retry_after_s
    assert spared_s is not None
    return spared_s


@pytest.mark.parametrize(
    "value", ["", "soon", "-5", "1.5", "1e9", "\u00b2", "nan", "inf", "12 monkeys", "Mon, 99 Foo"]
)
async def test_nonsense_in_retry_after_is_ignored(value: str) -> None:
    """A Retry-After that nobody understands is as if it were not there."""
    raw = answer(b"{}", 503, {"Retry-After": value})
    async with asking(always(raw)) as (gateway, _):
        report = await gateway.query(CHARGE)
        assert GatewayAmbiguous is await fate_of_create(gateway)
    assert (Outcome.UNKNOWN, None) == (report.outcome, report.retry_after_s)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirect_is_not_followed(status: int) -> None:
    """No redirect gets our bearer to follow it."""
    raw = answer(b"", status, {"Location": "/elsewhere"})
    async with asking(always(raw)) as (gateway, server):
        report = await gateway.query(CHARGE)
        await fate_of_create(gateway)
    assert f"http-{status}" == report.reason
    assert ["GET /charges/p-1 HTTP/1.1", "POST /charges HTTP/1.1"] == [
        one.line for one in server.requests
    ]


@pytest.mark.parametrize("kind", ["text/html", "application/json; charset=utf-16", "\xff;;=", ""])
async def test_content_type_is_not_asked_for(kind: str) -> None:
    """The protocol is JSON whatever the header says; the body alone is judged."""
    raw = answer(charge_json(), headers={"Content-Type": kind})
    async with asking(always(raw)) as (gateway, _):
        assert Outcome.SUCCEEDED is (await gateway.query(CHARGE)).outcome


async def test_unknown_fields_are_left_alone() -> None:
    """A gateway may add fields."""
    raw = answer(charge_json(more={"deep": [1]}, qr=None))
    async with asking(always(raw)) as (gateway, _):
        assert Outcome.SUCCEEDED is (await gateway.query(CHARGE)).outcome


async def test_answer_in_chunks_is_read_whole() -> None:
    """A body without a length counts as well, up to 64 KiB."""
    body = json.dumps(charge_json(reason="x" * 1_000)).encode()
    pieces = [body[n : n + 100] for n in range(0, len(body), 100)]
    chunks = b"".join(f"{len(one):x}\r\n".encode() + one + b"\r\n" for one in pieces)
    head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    async with asking(always(head + chunks + b"0\r\n\r\n")) as (gateway, _):
        report = await gateway.query(CHARGE)
    assert (Outcome.SUCCEEDED, "x" * 200) == (report.outcome, report.reason)


async def test_what_is_sent_is_what_the_protocol_says() -> None:
    """Bearer, paths and bodies of every call."""
    async with asking(always(answer(charge_json() | refund_json(), 201))) as (gateway, server):
        await gateway.create(NEW_CHARGE)
        await gateway.query(CHARGE)
        await gateway.close(CHARGE)
        await gateway.refund(NEW_REFUND)
        await gateway.query_refund("rf-1", CHARGE)
    assert [
        "POST /charges",
        "GET /charges/p-1",
        "POST /charges/p-1/close",
        "POST /refunds",
        "GET /refunds/rf-1",
    ] == [one.line.removesuffix(" HTTP/1.1") for one in server.requests]
    assert {f"Bearer {SECRET}"} == {one.headers["authorization"] for one in server.requests}
    assert {
        "payment_id": "p-1",
        "order_id": "o-1",
        "amount": 1999,
        "currency": "CNY",
        "expires_at": "2030-01-01T00:00:00.000Z",
        "notify_url": "http://shop/",
    } == json.loads(server.requests[0].body)
    assert {
        "refund_id": "rf-1",
        "payment_id": "p-1",
        "amount": 1999,
        "reason": "order-paid",
    } == json.loads(server.requests[3].body)


async def test_no_cookie_is_kept() -> None:
    """A gateway's cookies are not sent back, so calls do not hang together."""
    raw = answer(charge_json(), headers={"Set-Cookie": "session=1; Path=/"})
    async with asking(always(raw)) as (gateway, server):
        await gateway.query(CHARGE)
        await gateway.query(CHARGE)
    assert all("cookie" not in one.headers for one in server.requests)


async def test_first_secret_of_a_rotation_is_sent() -> None:
    """While rotating, calls carry the new secret; the old one is for webhooks alone."""
    both = HttpCredentials((Secret(SECRET), Secret(OLD_SECRET)))
    async with asking(always(answer(charge_json())), credentials=both) as (gateway, server):
        await gateway.query(CHARGE)
    assert f"Bearer {SECRET}" == server.requests[0].headers["authorization"]


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET, "whsec_YS9iL2MvZC9lL2YvZy9oL2k/"])
@pytest.mark.parametrize("escaped", [False, True])
async def test_echoed_secret_goes_no_further(secret: str, escaped: bool) -> None:
    """A gateway that repeats our bearer in its answers does not get it into errors or reports."""
    shown = secret.replace("/", "\\/") if escaped else secret
    body = f'{{"status": "Bearer {shown}", "reason": "{shown}"}}'.encode()
    secrets = (Secret(SECRET), Secret(OLD_SECRET), Secret(secret))
    turns = iter([200, 401, 500])

    async def serve(_request: Request, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body, next(turns)))

    with capture_logs() as logs:
        async with asking(serve, credentials=HttpCredentials(secrets)) as (gateway, _):
            report = await gateway.query(CHARGE)
            with pytest.raises(GatewayRefused) as refused:
                await gateway.create(NEW_CHARGE)
            with pytest.raises(GatewayAmbiguous) as ambiguous:
                await gateway.create(NEW_CHARGE)
    told = f"{report} {refused.value!r} {refused.value} {ambiguous.value} {logs} {gateway!r}"
    assert secret not in told.replace("\\", "")
    assert "***" in refused.value.problem


async def test_secret_is_in_no_error_of_the_wire() -> None:
    """Errors of the connection do not quote the request."""
    async with asking(always(b"nonsense\r\n\r\n", close=True)) as (gateway, _):
        report = await gateway.query(CHARGE)
        with pytest.raises(GatewayAmbiguous) as caught:
            await gateway.create(NEW_CHARGE)
    assert SECRET not in f"{report} {caught.value!r} {caught.getrepr(style='long')}"


async def test_no_more_in_flight_than_configured() -> None:
    """Ten queries at once over three places use three connections, one after another."""
    release = asyncio.Event()

    async def serve(_request: Request, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(answer(charge_json()))

    async with asking(serve, max_in_flight=3, timeout_s=10.0) as (gateway, server):
        queries = [asyncio.create_task(gateway.query(CHARGE)) for _ in range(10)]
        await eventually(lambda: len(server.requests) == 3)
        release.set()
        reports = await asyncio.gather(*queries)
    assert [Outcome.SUCCEEDED] * 10 == [one.outcome for one in reports]
    assert 3 == len(server.connections)


async def test_a_hang_gives_its_place_back() -> None:
    """With one place only, a query behind one that times out is still answered."""
    turns: Iterator[bool] = iter([True, False])

    async def serve(_request: Request, writer: asyncio.StreamWriter) -> None:
        if next(turns):
            await asyncio.Event().wait()
        writer.write(answer(charge_json()))

    async with asking(serve, max_in_flight=1) as (gateway, _):
        reports = await asyncio.gather(*(gateway.query(CHARGE) for _ in range(2)))
    assert [Outcome.UNKNOWN, Outcome.SUCCEEDED] == [one.outcome for one in reports]


async def test_cancelled_query_gives_its_place_back() -> None:
    """A query that is cancelled, as when the daemon stops, leaves nothing behind."""
    hanging = asyncio.Event()

    async def serve(_request: Request, writer: asyncio.StreamWriter) -> None:
        if not hanging.is_set():
            hanging.set()
            await asyncio.Event().wait()
        writer.write(answer(charge_json()))

    async with asking(serve, max_in_flight=1, timeout_s=10.0) as (gateway, _):
        cancelled = asyncio.create_task(gateway.query(CHARGE))
        await hanging.wait()
        cancelled.cancel()
        report = await gateway.query(CHARGE)
        with pytest.raises(asyncio.CancelledError):
            await cancelled
    assert Outcome.SUCCEEDED is report.outcome


async def test_connections_are_kept() -> None:
    """Calls one after another share a connection."""
    async with asking(always(answer(charge_json()))) as (gateway, server):
        for _ in range(5):
            await gateway.query(CHARGE)
    assert (5, 1) == (len(server.requests), len(server.connections))


async def test_kept_connection_that_the_server_closed_is_replaced() -> None:
    """A query on a connection that dies at once is asked again on a new one."""
    calls: list[str] = []

    async def serve(_request: Request, writer: asyncio.StreamWriter) -> None:
        calls.append("call")
        if len(calls) == 2:
            writer.close()
            return
        writer.write(answer(charge_json()))

    async with asking(serve) as (gateway, server):
        outcomes = [(await gateway.query(CHARGE)).outcome for _ in range(2)]
    assert [Outcome.SUCCEEDED] * 2 == outcomes
    assert (3, 2) == (len(calls), len(server.connections))


async def test_create_on_a_dead_kept_connection_is_not_repeated_by_itself() -> None:
    """Whether a call that acts arrived is for the caller to find out."""
    calls: list[str] = []

    async def serve(request: Request, writer: asyncio.StreamWriter) -> None:
        calls.append(request.line)
        if request.line.startswith("POST"):
            writer.close()
            return
        writer.write(answer(charge_json()))

    async with asking(serve) as (gateway, _):
        await gateway.query(CHARGE)
        assert GatewayAmbiguous is await fate_of_create(gateway)
    assert ["GET /charges/p-1 HTTP/1.1", "POST /charges HTTP/1.1"] == calls


async def test_closed_client_is_no_word() -> None:
    """A query that comes after the client was closed is UNKNOWN like any other failure."""
    settings = settings_for("http://127.0.0.1:1")
    async with open_session() as session:
        gateway = build_gateways({"mock": settings}, session, NotingMeter())["mock"]
    assert Outcome.UNKNOWN is (await gateway.query(CHARGE)).outcome
    assert GatewayRetryable is await fate_of_create(gateway)


@pytest.mark.parametrize("base_path", ["", "/pay", "/pay/v1"])
async def test_base_url_may_have_a_path(base_path: str) -> None:
    """Calls go below the configured URL."""
    async with asking(always(answer(charge_json()))) as (_, server), open_session() as session:
        settings = settings_for(server.url + base_path)
        gateway = build_gateways({"mock": settings}, session, NotingMeter())["mock"]
        await gateway.query(CHARGE)
    assert f"GET {base_path}/charges/p-1 HTTP/1.1" == server.requests[0].line


async def test_failures_are_measured_in_bounded_words() -> None:
    """Whatever a gateway does, the label is a class of status or no-answer."""
    statuses: Iterator[Any] = iter([200, 299, 302, 418, 503, 999])
    meter = NotingMeter()

    async def serve(_request: Request, writer: asyncio.StreamWriter) -> None:
        status = next(statuses, None)
        if status is None:
            writer.close()
            return
        writer.write(answer(b"", status))

    async with asking(serve, meter=meter) as (gateway, _):
        for _ in range(7):
            await gateway.query(CHARGE)
    assert ["2xx", "2xx", "3xx", "4xx", "5xx", "9xx", "no-answer"] == [
        outcome for _, _, outcome in meter.asked
    ]
