"""A gateway that hangs, lies, talks nonsense or never stops talking: never a wrong outcome."""

import asyncio
import gzip
import json
from typing import Any

import pytest

from payonce.domain.errors import GatewayAmbiguous, GatewayRetryable
from payonce.domain.report import Outcome
from payonce.ports.gateway import CloseAnswer, Gateway, RefundOutcome
from tests.gateways.rigs import (
    CHARGE,
    NEW_CHARGE,
    NEW_REFUND,
    TIMEOUT_S,
    Request,
    Serve,
    always,
    answer,
    asking,
    charge_json,
    hostile,
    open_gateway,
    refund_json,
    silence,
)
from tests.support.dripping import drip
from tests.support.ports import free_port

SOON_S = TIMEOUT_S + 2.0
PIECE = b"x" * 16_384


async def expect_no_word(gateway: Gateway) -> None:
    """Check that no call of this gateway concludes anything, and none takes long."""
    async with asyncio.timeout(5 * SOON_S):
        report = await gateway.query(CHARGE)
        refund = await gateway.query_refund("rf-1", CHARGE)
        closed = await gateway.close(CHARGE)
        refunded = await gateway.refund(NEW_REFUND)
        with pytest.raises(GatewayAmbiguous):
            await gateway.create(NEW_CHARGE)
    assert (Outcome.UNKNOWN, RefundOutcome.UNKNOWN, CloseAnswer.UNKNOWN, RefundOutcome.UNKNOWN) == (
        report.outcome,
        refund.outcome,
        closed,
        refunded.outcome,
    )
    assert report.reason
    assert report.reason.isprintable()
    assert len(report.reason) <= 200


async def _cut_head(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Le")
    writer.close()


async def _cut_body(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(answer(charge_json())[:-5])
    writer.close()


async def _drip(_request: Request, writer: asyncio.StreamWriter) -> None:
    """Send a good answer, a byte at a time, so that each byte comes before a read times out."""
    await drip(writer, answer(charge_json()), TIMEOUT_S / 10)


async def _endless_chunks(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(f"{len(PIECE):x}\r\n".encode() + PIECE + b"\r\n")
        await writer.drain()


async def _endless_body(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n")
    while True:
        writer.write(PIECE)
        await writer.drain()


async def _endless_headers(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"X-More: and more\r\n" * 100)
        await writer.drain()


async def _endless_patience(_request: Request, writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"HTTP/1.1 100 Continue\r\n\r\n" * 10)
        await writer.drain()


async def _endless_trailers(_request: Request, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n")
    while True:
        writer.write(b"X-More: and more\r\n" * 100)
        await writer.drain()


MISBEHAVIOURS: dict[str, Serve] = {
    "says nothing": silence,
    "cuts the head": _cut_head,
    "cuts the body": _cut_body,
    "drips": _drip,
    "sends endless chunks": _endless_chunks,
    "sends an endless body": _endless_body,
    "sends endless headers": _endless_headers,
    "sends endless 100s": _endless_patience,
    "sends endless trailers": _endless_trailers,
}


@pytest.mark.parametrize("name", MISBEHAVIOURS)
async def test_misbehaviour_is_no_word(name: str) -> None:
    """A server that hangs, breaks off or never ends costs one time-out and concludes nothing."""
    async with asking(MISBEHAVIOURS[name]) as (gateway, _):
        await expect_no_word(gateway)


BROKEN_HTTP = {
    "not HTTP": b"SSH-2.0-OpenSSH_9.0\r\n",
    "zeros": b"\0\0\0\0\r\n\r\n",
    "empty": b"",
    "negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n{}",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{} ",
    "vast length": b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n{}",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked"
    b"\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
    "bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n",
    "long header": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 100_000 + b"\r\n\r\n",
    "switched protocols": b"HTTP/1.1 101 Switching\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n",
    "status 0": answer(charge_json(), 0),
    "status 999": answer(charge_json(), 999),
}


@pytest.mark.parametrize("name", BROKEN_HTTP)
async def test_broken_http_is_no_word(name: str) -> None:
    """Bytes that are not a proper HTTP answer conclude nothing."""
    async with asking(always(BROKEN_HTTP[name], close=True)) as (gateway, _):
        await expect_no_word(gateway)


NONSENSE = {
    "empty": b"",
    "text": b"Payment succeeded!",
    "HTML": b"<html><body>succeeded</body></html>",
    "cut JSON": json.dumps(charge_json() | refund_json()).encode()[:-1],
    "two values": b'{"status": "succeeded"} {}',
    "a list": b"[]",
    "null": b"null",
    "a number": b"1",
    "an object": b"{}",
    "not UTF-8": b'{"payment_id": "p-1\xff", "status": "succeeded"}',
    "UTF-16": json.dumps(charge_json()).encode("utf-16"),
    "half a surrogate": b'{"payment_id": "p-1", "status": "succeeded", "reason": "\\ud800"}',
    "nested": b"[" * 60_000,
    "nested in a field": b'{"more": ' + b"[" * 60_000,
    "gzip bomb": gzip.compress(b"0" * 10_000_000),
    "a long number": b'{"amount": ' + b"9" * 60_000 + b"}",
    "control characters": b'{"status": "\x1b[2J"}',
}


@pytest.mark.parametrize("name", NONSENSE)
async def test_nonsense_is_no_word(name: str) -> None:
    """A 200 whose body is not what the protocol says concludes nothing."""
    async with asking(always(answer(NONSENSE[name]))) as (gateway, _):
        await expect_no_word(gateway)


async def test_compressed_answer_is_not_opened() -> None:
    """We ask for no compression, so a bomb is read as the few bytes that it is."""
    bomb = answer(gzip.compress(b"0" * 50_000_000), headers={"Content-Encoding": "gzip"})
    async with asking(always(bomb)) as (gateway, server):
        await expect_no_word(gateway)
    assert all("accept-encoding" not in one.headers for one in server.requests)


async def test_announced_size_is_not_believed() -> None:
    """An answer that announces gigabytes is left before they come."""
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9999999999\r\n\r\n"
    async with asking(always(head + PIECE * 5)) as (gateway, server):
        report = await gateway.query(CHARGE)
        await asyncio.wait_for(server.hung_up.wait(), SOON_S)
    assert "answered more than 65536 bytes" == report.reason


WRONG_CHARGES: dict[str, dict[str, Any]] = {
    "another payment": {"payment_id": "p-2"},
    "no payment": {"payment_id": None},
    "payment as number": {"payment_id": 1},
    "unknown status": {"status": "maybe"},
    "status in capitals": {"status": "SUCCEEDED"},
    "status of another kind": {"status": True},
    "no status": {"status": None},
    "amount as text": {"amount": "1999"},
    "amount as fraction": {"amount": 19.99},
    "amount as whole fraction": {"amount": 1999.0},
    "amount as boolean": {"amount": True},
    "no amount": {"amount": None},
    "negative amount": {"amount": -1999},
    "amount of nothing": {"amount": 0},
    "amount beyond JSON's integers": {"amount": 2**53},
    "vast amount": {"amount": 10**300},
    "currency as number": {"currency": 156},
    "currency with NUL": {"currency": "CN\0"},
    "currency as a novel": {"currency": "CNY" * 10_000},
    "no currency": {"currency": ""},
    "currency in small letters": {"currency": "cny"},
    "currency in other letters": {"currency": "\uff23\uff2e\uff39"},
    "currency with a digit": {"currency": "CN1"},
    "currency with a line break": {"currency": "CNY\n"},
    "ref with NUL": {"gateway_ref": "ch\0"},
    "ref with a line break": {"gateway_ref": "ch\n1"},
    "ref with an escape": {"gateway_ref": "\x1b[2J"},
    "ref that turns around": {"gateway_ref": "ch\u202e1"},
    "empty ref": {"gateway_ref": ""},
    "long ref": {"gateway_ref": "r" * 256},
    "ref as number": {"gateway_ref": 1},
    "refunded below nothing": {"refunded": -1},
    "refunded above the amount": {"refunded": 2000},
    "refunded as text": {"refunded": "0"},
    "paid without zone": {"paid_at": "2026-01-31T08:00:00"},
    "paid before time": {"paid_at": "0001-01-01T00:00:00+14:00"},
    "paid after time": {"paid_at": "9999-12-31T23:59:59-12:00"},
    "paid in seconds": {"paid_at": 1_700_000_000},
    "paid sometime": {"paid_at": "yesterday"},
    "reason as a list": {"reason": []},
}


@pytest.mark.parametrize("name", WRONG_CHARGES)
async def test_wrong_charge_is_no_word(name: str) -> None:
    """A single field that cannot be meant makes the whole answer worth nothing."""
    raw = answer(charge_json(**WRONG_CHARGES[name]))
    async with asking(always(raw)) as (gateway, _):
        report = await gateway.query(CHARGE)
        with pytest.raises(GatewayAmbiguous):
            await gateway.create(NEW_CHARGE)
    assert Outcome.UNKNOWN is report.outcome
    assert report.reason.startswith("nonsense")
    assert (None, None, None) == (report.gateway_ref, report.amount, report.paid_at)


WRONG_REFUNDS: dict[str, dict[str, Any]] = {
    "another refund": {"refund_id": "rf-2"},
    "another payment": {"payment_id": "p-2"},
    "unknown status": {"status": "done"},
    "amount as text": {"amount": "1999"},
    "no amount": {"amount": None},
}


@pytest.mark.parametrize("name", WRONG_REFUNDS)
async def test_wrong_refund_is_no_word(name: str) -> None:
    """A refund's answer that is not about this refund concludes nothing."""
    raw = answer(refund_json(**WRONG_REFUNDS[name]))
    async with asking(always(raw)) as (gateway, _):
        made = await gateway.refund(NEW_REFUND)
        found = await gateway.query_refund("rf-1", CHARGE)
    assert (RefundOutcome.UNKNOWN, RefundOutcome.UNKNOWN) == (made.outcome, found.outcome)


@pytest.mark.parametrize("amount", [1998, 2000, 0, -1999, 10**30])
async def test_refund_of_another_amount_is_no_word(amount: int) -> None:
    """A refund answered with another amount than asked for has not succeeded."""
    async with asking(always(answer(refund_json(amount=amount)))) as (gateway, _):
        assert RefundOutcome.UNKNOWN is (await gateway.refund(NEW_REFUND)).outcome


@pytest.mark.parametrize(
    "links", [{"qr": "a\0b"}, {"pay_url": "http://x/\n"}, {"qr": "x" * 5_000}, {"pay_url": 1}]
)
async def test_link_that_cannot_be_shown_is_no_charge(links: dict[str, Any]) -> None:
    """What the shopper would be shown is one printable line, or the create's outcome is open."""
    raw = answer(charge_json(status="pending", **links), 201)
    async with asking(always(raw)) as (gateway, _):
        with pytest.raises(GatewayAmbiguous):
            await gateway.create(NEW_CHARGE)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b'{"status": "closed"}', 409),
        (b'{"status": "succeeded"}', 200),
        (b'{"status": "pending"}', 200),
        (b'{"status": "closed"}', 201),
        (b"closed", 200),
    ],
)
async def test_close_that_contradicts_itself_is_no_word(body: bytes, status: int) -> None:
    """A close's status and body must say the same."""
    async with asking(always(answer(body, status))) as (gateway, _):
        assert CloseAnswer.UNKNOWN is await gateway.close(CHARGE)


async def test_refused_connection_is_no_word() -> None:
    """Nobody listens: a query is UNKNOWN, and a call that acts certainly did not happen."""
    async with open_gateway(f"http://127.0.0.1:{free_port()}") as gateway:
        report = await gateway.query(CHARGE)
        closed = await gateway.close(CHARGE)
        found = await gateway.query_refund("rf-1", CHARGE)
        with pytest.raises(GatewayRetryable):
            await gateway.create(NEW_CHARGE)
        with pytest.raises(GatewayRetryable):
            await gateway.refund(NEW_REFUND)
    assert (Outcome.UNKNOWN, CloseAnswer.UNKNOWN, RefundOutcome.UNKNOWN) == (
        report.outcome,
        closed,
        found.outcome,
    )
    assert report.reason.startswith("cannot connect")


async def test_unresolvable_name_is_no_word() -> None:
    """A host that does not exist is like one where nobody listens."""
    async with open_gateway("http://gateway.invalid", timeout_s=5.0) as gateway:
        assert Outcome.UNKNOWN is (await gateway.query(CHARGE)).outcome


async def test_https_on_a_plain_port_is_no_word() -> None:
    """A failed handshake is a connection that never was."""
    async with (
        hostile(always(answer())) as server,
        open_gateway(server.url.replace("http:", "https:")) as gateway,
    ):
        assert Outcome.UNKNOWN is (await gateway.query(CHARGE)).outcome


async def test_gateway_that_came_to_its_senses_is_believed() -> None:
    """After a hang the next query gets a fresh connection and its answer counts."""
    turns = iter([silence, _cut_body, always(answer(charge_json()))])

    async def serve(request: Request, writer: asyncio.StreamWriter) -> None:
        await next(turns)(request, writer)

    async with asking(serve) as (gateway, server):
        outcomes = [(await gateway.query(CHARGE)).outcome for _ in range(3)]
    assert [Outcome.UNKNOWN, Outcome.UNKNOWN, Outcome.SUCCEEDED] == outcomes
    assert 3 == len(server.connections)
