"""The `wechatpay` adapter: what it makes of WeChat Pay's words, and of words of others."""

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from gateway_mock.shopper import Script
from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable
from payonce.domain.ids import refund_id
from payonce.domain.report import Outcome
from payonce.gateways.gate import Gate
from payonce.gateways.guard import Guarded
from payonce.ports.gateway import ChargeRef, CloseAnswer, NewRefund, RefundOutcome
from tests.gateways.rigs import (
    CHARGE,
    NEW_CHARGE,
    NEW_REFUND,
    always,
    answer,
    hostile,
)
from tests.gateways.wechatpay_rigs import KEY, NOW, Rig, open_rig, order, refund, signed_answer
from tests.handlers.fake_meter import FakeMeter
from tests.handlers.fakes import FakeClock
from tests.support.wechatpay import other_certificate, sandbox


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """The adapter before its mock."""
    async with open_rig() as opened:
        yield opened


async def paid(rig: Rig, **script: Any) -> None:
    """Create the charge p-1 and let it be paid."""
    rig.mock.scripts["p-1"] = Script(pays_after_s=0.0, **script)
    await rig.gateway.create(NEW_CHARGE)


def refunding(attempt: int, amount: int = 1999) -> NewRefund:
    """Return a refund under one of the ids that payonce gives refunds of p-1."""
    return replace(NEW_REFUND, refund_id=refund_id("p-1", attempt), amount=amount)


async def test_an_order_says_what_the_documentation_asks_for() -> None:
    """Fen, Beijing's time, our id as attach; the bytes that are signed are the bytes that go."""
    async with hostile(always(signed_answer(KEY, {"code_url": "weixin://wxpay/x"}))) as server:
        async with open_rig(server.url) as rig:
            created = await rig.gateway.create(NEW_CHARGE)
        (request,) = server.requests
    assert ("weixin://wxpay/x", None) == (created.qr, created.pay_url)
    assert "POST /v3/pay/transactions/native HTTP/1.1" == request.line
    assert {
        "appid": sandbox().appid,
        "mchid": sandbox().mchid,
        "description": "Order o-1",
        "out_trade_no": "___p-1",
        "time_expire": "2030-01-01T08:00:00+08:00",
        "attach": "p-1",
        "notify_url": "http://shop/",
        "amount": {"total": 1999, "currency": "CNY"},
    } == json.loads(request.body)
    assert request.headers["user-agent"].startswith("payonce/")
    assert sandbox().public_key.number == request.headers["wechatpay-serial"]


async def test_another_currency_is_refused_before_anything_is_asked(rig: Rig) -> None:
    """WeChat Pay's mainland API takes CNY alone."""
    with pytest.raises(GatewayRefused, match="USD; WeChat Pay takes CNY alone"):
        await rig.gateway.create(replace(NEW_CHARGE, currency="USD"))
    with pytest.raises(GatewayRefused, match="unsupported-currency"):
        await rig.gateway.refund(replace(NEW_REFUND, currency="USD"))
    assert [] == rig.meter.asked


STATES = [
    ("NOTPAY", Outcome.PENDING),
    ("USERPAYING", Outcome.PENDING),
    ("ACCEPT", Outcome.PENDING),
    ("SUCCESS", Outcome.SUCCEEDED),
    ("CLOSED", Outcome.CLOSED),
    ("REVOKED", Outcome.CLOSED),
    ("PAYERROR", Outcome.FAILED),
]


@pytest.mark.parametrize(("state", "outcome"), STATES)
async def test_every_state_has_its_outcome(state: str, outcome: Outcome) -> None:
    """By the documentation's list."""
    told = order(sandbox(), trade_state=state, trade_state_desc="so it is")
    async with (
        hostile(always(signed_answer(KEY, told))) as server,
        open_rig(server.url) as rig,
    ):
        report = await rig.gateway.query(CHARGE)
    assert outcome is report.outcome
    assert (NOW if outcome is Outcome.SUCCEEDED else None) == report.paid_at
    assert "GET /v3/pay/transactions/out-trade-no/___p-1?mchid=1900000001 HTTP/1.1" == (
        server.requests[0].line
    )


async def test_what_counts_is_the_order_s_total() -> None:
    """A shopper's coupons are between WeChat Pay and the shopper."""
    async with (
        hostile(always(signed_answer(KEY, order(sandbox())))) as server,
        open_rig(server.url) as rig,
    ):
        assert 1999 == (await rig.gateway.query(CHARGE)).amount


UNPROVEN: dict[str, Callable[[], bytes]] = {
    "unsigned": lambda: answer(order(sandbox())),
    "signed by a stranger": lambda: signed_answer(other_certificate(), order(sandbox())),
    "signed long ago": lambda: signed_answer(KEY, order(sandbox()), age_s=310),
    "signed in the future": lambda: signed_answer(KEY, order(sandbox()), age_s=-310),
    "a probe": lambda: signed_answer(KEY, order(sandbox())).replace(
        b"Wechatpay-Signature: ", b"Wechatpay-Signature: WECHATPAY/SIGNTEST/"
    ),
    "another body": lambda: signed_answer(KEY, order(sandbox())).replace(
        b'"total": 1999', b'"total": 1998'
    ),
    "a refusal by a stranger": lambda: signed_answer(
        other_certificate(), {"code": "ORDER_NOT_EXIST"}, status=404
    ),
}


@pytest.mark.parametrize("name", UNPROVEN)
async def test_an_answer_that_is_not_proven_concludes_nothing(name: str) -> None:
    """A query is UNKNOWN, what acts may have acted."""
    async with (
        hostile(always(UNPROVEN[name]())) as server,
        open_rig(server.url) as rig,
    ):
        report = await rig.gateway.query(CHARGE)
        made = await rig.gateway.refund(NEW_REFUND)
        found = await rig.gateway.query_refund("rf-1", CHARGE)
        closed = await rig.gateway.close(CHARGE)
        with pytest.raises(GatewayAmbiguous):
            await rig.gateway.create(NEW_CHARGE)
    assert (Outcome.UNKNOWN, RefundOutcome.UNKNOWN, RefundOutcome.UNKNOWN) == (
        report.outcome,
        made.outcome,
        found.outcome,
    )
    assert CloseAnswer.UNKNOWN is closed


async def test_an_unsigned_204_closes_nothing() -> None:
    """Nobody knows who said it."""
    raw = b"HTTP/1.1 204 No Content\r\n\r\n"
    async with hostile(always(raw)) as server, open_rig(server.url) as rig:
        assert CloseAnswer.UNKNOWN is await rig.gateway.close(CHARGE)


REFUSALS: list[tuple[int, str, type[Exception], str]] = [
    (400, "PARAM_ERROR", GatewayRefused, "PARAM_ERROR no"),
    (401, "SIGN_ERROR", GatewayRefused, "SIGN_ERROR no"),
    (403, "OUT_TRADE_NO_USED", GatewayRefused, "OUT_TRADE_NO_USED no"),
    (403, "NO_AUTH", GatewayRefused, "NO_AUTH no"),
    (400, "ORDERPAID", GatewayAmbiguous, "paid already"),
    (429, "FREQUENCY_LIMITED", GatewayRetryable, "FREQUENCY_LIMITED no"),
    (403, "FREQUENCY_LIMITED", GatewayRetryable, "FREQUENCY_LIMITED no"),
    (429, "RATELIMIT_EXCEEDED", GatewayRetryable, "RATELIMIT_EXCEEDED no"),
    (429, "", GatewayRetryable, "no"),
    (500, "SYSTEM_ERROR", GatewayAmbiguous, "http-500"),
    (502, "", GatewayAmbiguous, "http-502"),
]


@pytest.mark.parametrize(("status", "code", "raised", "said"), REFUSALS)
@pytest.mark.parametrize("signed", [True, False])
async def test_a_refused_create_says_whether_it_may_have_happened(
    status: int, code: str, raised: type[Exception], said: str, signed: bool
) -> None:
    """By its code; a refusal need not be signed."""
    body = {"code": code, "message": "no"}
    raw = signed_answer(KEY, body, status) if signed else answer(body, status)
    async with hostile(always(raw)) as server, open_rig(server.url) as rig:
        with pytest.raises(raised, match=said):
            await rig.gateway.create(NEW_CHARGE)


@pytest.mark.parametrize("body", [b"", b"<html>Forbidden</html>", b"[]", b'{"detail": "no"}'])
@pytest.mark.parametrize("status", [403, 404, 407])
async def test_a_refusal_without_a_code_is_anybody_s(body: bytes, status: int) -> None:
    """A proxy's page is not WeChat Pay's word."""
    async with hostile(always(answer(body, status))) as server, open_rig(server.url) as rig:
        with pytest.raises(GatewayAmbiguous, match="without a code"):
            await rig.gateway.create(NEW_CHARGE)
        assert Outcome.UNKNOWN is (await rig.gateway.query(CHARGE)).outcome
        found = await rig.gateway.query_refund("rf-1", CHARGE)
        assert RefundOutcome.UNKNOWN is found.outcome
        assert CloseAnswer.UNKNOWN is await rig.gateway.close(CHARGE)


CLOSES = [
    (204, b"", CloseAnswer.CLOSED),
    (400, b'{"code": "ORDER_CLOSED"}', CloseAnswer.CLOSED),
    (404, b'{"code": "ORDERNOTEXIST"}', CloseAnswer.NOT_FOUND),
    (400, b'{"code": "ORDERPAID"}', CloseAnswer.ALREADY_PAID),
    (202, b'{"code": "USERPAYING"}', CloseAnswer.UNKNOWN),
    (202, b'{"code": "USER_PAYING"}', CloseAnswer.UNKNOWN),
    (403, b'{"code": "TRADE_ERROR"}', CloseAnswer.UNKNOWN),
    (403, b'{"code": "RULE_LIMIT"}', CloseAnswer.UNKNOWN),
    (200, b"{}", CloseAnswer.UNKNOWN),
    (500, b'{"code": "SYSTEM_ERROR"}', CloseAnswer.UNKNOWN),
]


@pytest.mark.parametrize(("status", "body", "told"), CLOSES)
async def test_every_answer_to_a_close(status: int, body: bytes, told: CloseAnswer) -> None:
    """Anything but these is asked about."""
    async with (
        hostile(always(signed_answer(KEY, body, status))) as server,
        open_rig(server.url) as rig,
    ):
        assert told is await rig.gateway.close(CHARGE)


async def test_a_204_may_lie_and_the_query_tells(rig: Rig) -> None:
    """The shopper pays after a close that was answered well."""
    rig.mock.scripts["p-1"] = Script(closes="lies", pays_after_queries=1)
    await rig.gateway.create(NEW_CHARGE)
    assert CloseAnswer.CLOSED is await rig.gateway.close(CHARGE)
    assert Outcome.PENDING is (await rig.gateway.query(CHARGE)).outcome
    assert Outcome.SUCCEEDED is (await rig.gateway.query(CHARGE)).outcome


async def test_a_close_while_the_shopper_pays_is_no_word(rig: Rig) -> None:
    """202 USERPAYING, and the order stays open."""
    rig.mock.scripts["p-1"] = Script(closes="paying")
    await rig.gateway.create(NEW_CHARGE)
    assert CloseAnswer.UNKNOWN is await rig.gateway.close(CHARGE)
    assert Outcome.PENDING is (await rig.gateway.query(CHARGE)).outcome


async def test_a_refund_in_part_is_told_in_part(rig: Rig) -> None:
    """The order says that something went back; our refunds say how much."""
    await paid(rig)
    await rig.gateway.refund(refunding(1, 500))
    report = await rig.gateway.query(CHARGE)
    assert (Outcome.SUCCEEDED, 1999, 500) == (report.outcome, report.amount, report.refunded)


@pytest.mark.parametrize(
    ("become", "outcome", "refunded"),
    [
        ("pending", RefundOutcome.PENDING, 500),
        ("succeeded", RefundOutcome.SUCCEEDED, 500),
        ("abnormal", RefundOutcome.FAILED, 500),
    ],
)
async def test_every_state_of_a_refund(
    rig: Rig, become: str, outcome: RefundOutcome, refunded: int
) -> None:
    """What did not arrive has left the shop all the same."""
    await paid(rig, refunds=become)
    made = await rig.gateway.refund(refunding(1, 500))
    found = await rig.gateway.query_refund(refund_id("p-1"), CHARGE)
    assert (outcome, outcome) == (made.outcome, found.outcome)
    assert refunded == (await rig.gateway.query(CHARGE)).refunded


async def test_an_abnormal_refund_says_what_to_do(rig: Rig) -> None:
    """A person has to pay it back on the merchant platform."""
    await paid(rig, refunds="abnormal")
    assert "merchant platform" in (await rig.gateway.refund(refunding(1))).reason


async def test_a_second_refund_after_a_closed_one_is_counted_alone(rig: Rig) -> None:
    """What was closed sent nothing back."""
    await paid(rig, refunds="failed")
    assert RefundOutcome.FAILED is (await rig.gateway.refund(refunding(1, 700))).outcome
    rig.mock.books.charges["p-1"].script = Script(pays_after_s=0.0)
    rig.mock._refunded_at.clear()
    await rig.gateway.refund(refunding(2, 500))
    assert 500 == (await rig.gateway.query(CHARGE)).refunded


async def test_a_refund_that_never_was_hides_none_behind_it(rig: Rig) -> None:
    """WeChat Pay knows nothing of one that it refused, or that a person rejected."""
    await paid(rig, refunds="failed")
    await rig.gateway.refund(refunding(2, 500))
    assert 0 == (await rig.gateway.query(CHARGE)).refunded
    rig.mock.books.charges["p-1"].script = Script(pays_after_s=0.0, refunds="abnormal")
    rig.mock._refunded_at.clear()
    await rig.gateway.refund(refunding(4, 500))
    report = await rig.gateway.query(CHARGE)
    assert (500, "") == (report.refunded, report.reason)


async def test_a_refund_by_somebody_else_may_be_all(rig: Rig) -> None:
    """Nobody tells how much: the whole amount counts as gone, and the reason says so."""
    await paid(rig)
    rig.mock.books.refund("by-hand", "p-1", 1, "outside", rig.mock.clock())
    report = await rig.gateway.query(CHARGE)
    assert (1999, "refunded elsewhere, or in part") == (report.refunded, report.reason)


async def test_without_a_word_of_its_refunds_an_order_is_unknown() -> None:
    """Better none than a wrong one."""
    answers = iter([signed_answer(KEY, order(sandbox(), trade_state="REFUND")), answer(b"", 500)])

    async def serve(_request: Any, writer: Any) -> None:
        writer.write(next(answers))

    async with hostile(serve) as server, open_rig(server.url) as rig:
        assert Outcome.UNKNOWN is (await rig.gateway.query(CHARGE)).outcome


async def test_refunds_of_an_order_lie_a_minute_apart(rig: Rig) -> None:
    """A second one sooner is put off for a minute; the first one again is the first one."""
    await paid(rig)
    await rig.gateway.refund(refunding(1, 500))
    with pytest.raises(GatewayRetryable) as caught:
        await rig.gateway.refund(refunding(2, 500))
    assert 60.0 == caught.value.retry_after_s
    again = await rig.gateway.refund(refunding(1, 500))
    assert (RefundOutcome.SUCCEEDED, 500) == (again.outcome, rig.mock.books.charges["p-1"].refunded)


@pytest.mark.parametrize("code", ["RESOURCE_NOT_EXISTS", "FREQUENCY_LIMITED"])
async def test_a_refund_that_comes_later_holds_up_nobody_else(code: str) -> None:
    """Its minute is its own; only a Retry-After is about the gateway."""
    told = {"code": code, "message": "not now"}
    async with (
        hostile(always(signed_answer(KEY, told, 403))) as server,
        open_rig(server.url) as rig,
    ):
        gate = Gate("mock", 0, FakeMeter(), FakeClock())
        with pytest.raises(GatewayRetryable) as caught:
            await Guarded(rig.gateway, gate).refund(NEW_REFUND)
    assert 60.0 == caught.value.retry_after_s
    assert await gate.enter("create") is None


async def test_an_order_that_refunds_do_not_find_is_asked_for_again() -> None:
    """WeChat Pay was seen to answer so, and to take the same refund later."""
    raw = signed_answer(KEY, {"code": "RESOURCE_NOT_EXISTS", "message": "not there"}, 404)
    async with hostile(always(raw)) as server, open_rig(server.url) as rig:
        with pytest.raises(GatewayRetryable, match="RESOURCE_NOT_EXISTS not there"):
            await rig.gateway.refund(NEW_REFUND)


async def test_a_balance_that_does_not_suffice_is_a_refusal(rig: Rig) -> None:
    """With WeChat Pay's words, for the person who reads them."""
    await paid(rig, refund_faults=("refused",))
    with pytest.raises(GatewayRefused, match="NOT_ENOUGH"):
        await rig.gateway.refund(NEW_REFUND)


async def test_a_refund_tells_what_was_captured() -> None:
    """Both amounts, and a reason of 80 bytes at most."""
    body = refund(amount={"total": 2500, "refund": 1999})
    async with hostile(always(signed_answer(KEY, body))) as server, open_rig(server.url) as rig:
        asked = replace(NEW_REFUND, captured=2500, reason="退" * 40)
        assert RefundOutcome.SUCCEEDED is (await rig.gateway.refund(asked)).outcome
    sent = json.loads(server.requests[0].body)
    assert {"refund": 1999, "total": 2500, "currency": "CNY"} == sent["amount"]
    assert 78 == len(sent["reason"].encode())


async def test_a_decision_that_aged_does_not_leave(rig: Rig) -> None:
    """It is asked directly before the call."""
    await paid(rig)
    with pytest.raises(GatewayRetryable):
        await rig.gateway.refund(replace(NEW_REFUND, may_leave=lambda: False))
    assert 0 == rig.mock.books.charges["p-1"].refunded


async def test_long_ids_find_their_orders_and_refunds(rig: Rig) -> None:
    """Under a hash, both ways."""
    id_ = "x" * 64
    rig.mock.scripts[id_] = Script(pays_after_s=0.0)
    await rig.gateway.create(replace(NEW_CHARGE, payment_id=id_))
    made = await rig.gateway.refund(replace(NEW_REFUND, payment_id=id_, refund_id="a.b:" + id_[4:]))
    assert RefundOutcome.SUCCEEDED is made.outcome
    found = await rig.gateway.query_refund("a.b:" + id_[4:], ChargeRef(id_))
    assert RefundOutcome.SUCCEEDED is found.outcome


async def test_through_a_proxy_s_path_the_gateway_s_own_is_signed(rig: Rig) -> None:
    """A proxy that takes WeChat Pay's place below a path of its own leaves the signature whole."""
    async with (
        hostile(always(signed_answer(KEY, order(sandbox())))) as server,
        open_rig(f"{server.url}/wechat") as proxied,
    ):
        await proxied.gateway.query(CHARGE)
    assert "/wechat/v3/pay/transactions/" in server.requests[0].line
    assert 'mchid="1900000001"' in server.requests[0].headers["authorization"]
