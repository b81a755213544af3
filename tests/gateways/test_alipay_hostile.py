"""An Alipay that hangs, lies or talks nonsense, and each of its codes: never a wrong outcome."""

import asyncio
import json
from typing import Any

import pytest

from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable
from payonce.domain.report import Outcome, RefundOutcome
from payonce.ports.gateway import ChargeRef, CloseAnswer, Gateway, NewRefund
from tests.gateways.alipay_rigs import (
    CHARGE_SOON,
    CREATED,
    FOUND_REFUND,
    IN_ORDER,
    REFUNDED,
    TRADE,
    facing,
    fault,
    method_of,
    saying,
    signed,
)
from tests.gateways.rigs import TIMEOUT_S, Request, always, answer
from tests.gateways.test_hostile import BROKEN_HTTP, MISBEHAVIOURS, NONSENSE
from tests.support.alipay import strangers

CHARGE = ChargeRef("p_1")
NEW = CHARGE_SOON.__class__(
    "p_1", "o-1", 1999, "CNY", CHARGE_SOON.expires_at, "http://shop/", "http://shop/"
)
REFUND = NewRefund("rf_1", "p_1", 1999, "CNY", 1999, "order-paid")


async def expect_no_word(gateway: Gateway) -> None:
    """Check that no call concludes anything, and none takes long."""
    async with asyncio.timeout(6 * (TIMEOUT_S + 2.0)):
        report = await gateway.query(CHARGE)
        refund = await gateway.query_refund("rf_1", CHARGE)
        closed = await gateway.close(CHARGE)
        refunded = await gateway.refund(REFUND)
        with pytest.raises(GatewayAmbiguous):
            await gateway.create(NEW)
    assert (Outcome.UNKNOWN, RefundOutcome.UNKNOWN, CloseAnswer.UNKNOWN, RefundOutcome.UNKNOWN) == (
        report.outcome,
        refund.outcome,
        closed,
        refunded.outcome,
    )
    for reason in (report.reason, refund.reason, refunded.reason):
        assert reason
        assert reason.isprintable()
        assert len(reason) <= 200


@pytest.mark.parametrize("name", MISBEHAVIOURS)
async def test_misbehaviour_is_no_word(name: str) -> None:
    """A server that hangs, breaks off or never ends."""
    async with facing(MISBEHAVIOURS[name]) as (gateway, _):
        await expect_no_word(gateway)


@pytest.mark.parametrize("name", BROKEN_HTTP)
async def test_broken_http_is_no_word(name: str) -> None:
    """Bytes that are not a proper HTTP answer."""
    async with facing(always(BROKEN_HTTP[name], close=True)) as (gateway, _):
        await expect_no_word(gateway)


@pytest.mark.parametrize("name", NONSENSE)
async def test_nonsense_is_no_word(name: str) -> None:
    """A 200 that is no answer of Alipay's."""
    async with facing(always(answer(NONSENSE[name]))) as (gateway, _):
        await expect_no_word(gateway)


@pytest.mark.parametrize("name", NONSENSE)
async def test_signed_nonsense_is_no_word(name: str) -> None:
    """What stands in a signed answer is read with the same care."""

    async def serve(request: Request, writer: Any) -> None:
        writer.write(answer(signed(method_of(request), NONSENSE[name])))

    async with facing(serve) as (gateway, _):
        await expect_no_word(gateway)


@pytest.mark.parametrize("status", [201, 204, 301, 400, 401, 403, 404, 408, 500, 502, 503])
async def test_another_status_is_no_word(status: int) -> None:
    """Alipay answers 200 whatever it says: another one is that of something in between."""

    async def serve(request: Request, writer: Any) -> None:
        method = method_of(request)
        writer.write(answer(signed(method, json.dumps(dict(IN_ORDER[method])).encode()), status))

    async with facing(serve) as (gateway, _):
        await expect_no_word(gateway)


@pytest.mark.parametrize("how", ["unsigned", "stranger", "other name", "other bytes"])
@pytest.mark.parametrize("told", ["in order", "ACQ.TRADE_NOT_EXIST", "isv.invalid-signature"])
async def test_what_alipay_did_not_sign_is_no_word(how: str, told: str) -> None:
    """Neither a success nor a refusal."""

    async def serve(request: Request, writer: Any) -> None:
        method = method_of(request)
        said = IN_ORDER[method] if told == "in order" else fault(told)
        content = json.dumps(dict(said)).encode()
        name = f"{method.replace('.', '_')}_response"
        bodies = {
            "unsigned": f'{{"{name}":'.encode() + content + b"}",
            "stranger": signed(method, content, strangers()),
            "other name": signed(method, content, name="alipay_trade_pay_response"),
            "other bytes": signed(method, content).replace(b'": "', b'":"', 1),
        }
        writer.write(answer(bodies[how]))

    async with facing(serve) as (gateway, _):
        await expect_no_word(gateway)


@pytest.mark.parametrize(
    ("code", "sub_code"),
    [
        ("40004", "ACQ.SYSTEM_ERROR"),
        ("40004", "AQC.SYSTEM_ERROR"),
        ("20000", "aop.ACQ.SYSTEM_ERROR"),
        ("20000", "isp.unknow-error"),
        ("20001", "aop.invalid-auth-token"),
        ("10003", ""),
        ("99999", "ACQ.NEW"),
    ],
)
async def test_a_code_that_leaves_it_open_is_no_word(code: str, sub_code: str) -> None:
    """Signed, and yet Alipay itself does not know."""
    told = fault(sub_code, code)
    everything = dict.fromkeys(("precreate", "query", "close", "refund", "refund_query"), told)
    async with facing(saying(**everything)) as (gateway, _):
        await expect_no_word(gateway)


@pytest.mark.parametrize(
    ("code", "sub_code", "raised"),
    [
        ("40004", "ACQ.INVALID_PARAMETER", GatewayRefused),
        ("40004", "ACQ.CONTEXT_INCONSISTENT", GatewayRefused),
        ("40004", "ACQ.TRADE_HAS_SUCCESS", GatewayAmbiguous),
        ("40004", "ACQ.TRADE_HAS_CLOSE", GatewayAmbiguous),
        ("40001", "isv.missing-method", GatewayRefused),
        ("40002", "isv.invalid-timestamp", GatewayRefused),
        ("40006", "isv.insufficient-isv-permissions", GatewayRefused),
        ("40005", "isv.call-limited", GatewayRetryable),
    ],
)
async def test_a_signed_code_means_what_it_says(
    code: str, sub_code: str, raised: type[Exception]
) -> None:
    """Also for a refund, of which a refusal is believed once none of its number succeeded."""
    told, nothing = fault(sub_code, code), {"code": "10000", "msg": "Success"}
    async with facing(saying(precreate=told, refund=told, refund_query=nothing)) as (gateway, _):
        with pytest.raises(raised, match=sub_code):
            await gateway.create(NEW)
        if raised is GatewayRefused:
            with pytest.raises(GatewayRefused, match=sub_code):
                await gateway.refund(REFUND)


@pytest.mark.parametrize("sub_code", ["ACQ.TRADE_HAS_CLOSE", "ACQ.TRADE_HAS_SUCCESS"])
async def test_a_trade_that_has_ended_refuses_a_refund(sub_code: str) -> None:
    """Of a create the same words leave open which trade there is; here they are a plain no."""
    told, nothing = fault(sub_code), {"code": "10000", "msg": "Success"}
    async with facing(saying(refund=told, refund_query=nothing)) as (gateway, _):
        with pytest.raises(GatewayRefused, match=sub_code):
            await gateway.refund(REFUND)


async def test_a_refusal_to_refund_is_open_while_nobody_says_that_there_is_none() -> None:
    """The look at what was refused got no answer."""
    told = fault("ACQ.TRADE_STATUS_ERROR")
    unsure = fault("ACQ.SYSTEM_ERROR")
    async with facing(saying(refund=told, refund_query=unsure)) as (gateway, _):
        assert RefundOutcome.UNKNOWN is (await gateway.refund(REFUND)).outcome


@pytest.mark.parametrize(
    "sub_code",
    ["ACQ.TRADE_STATUS_ERROR", "ACQ.REASON_TRADE_STATUS_INVALID", "ACQ.REASON_ILLEGAL_STATUS"],
)
async def test_a_close_too_late_leaves_it_to_the_query(sub_code: str) -> None:
    """It was paid, or is closed already."""
    async with facing(saying(close=fault(sub_code))) as (gateway, _):
        assert CloseAnswer.UNKNOWN is await gateway.close(CHARGE)


async def test_an_answer_in_order_is_heard() -> None:
    """The measure of what follows: each field of these, spoilt, is no word."""
    async with facing(saying()) as (gateway, _):
        report = await gateway.query(CHARGE)
        assert (Outcome.SUCCEEDED, 1999, "CNY", TRADE["trade_no"]) == (
            report.outcome,
            report.amount,
            report.currency,
            report.gateway_ref,
        )
        assert CREATED["qr_code"] == (await gateway.create(NEW)).qr
        assert RefundOutcome.SUCCEEDED is (await gateway.refund(REFUND)).outcome
        found = await gateway.query_refund("rf_1", CHARGE)
        assert RefundOutcome.SUCCEEDED is found.outcome


@pytest.mark.parametrize(
    "spoilt",
    [
        {"out_trade_no": "p_2"},
        {"out_trade_no": None},
        {"trade_no": "\x1b[2J"},
        {"trade_no": ""},
        {"trade_status": "TRADE_MAYBE"},
        {"trade_status": "trade_success"},
        {"total_amount": "0.00"},
        {"total_amount": "19.999"},
        {"total_amount": "-19.99"},
        {"total_amount": "1E+999999999"},
        {"total_amount": "NaN"},
        {"total_amount": "lots"},
        {"total_amount": None},
        {"send_pay_date": "yesterday"},
        {"trans_currency": "yuan"},
        {"trans_currency": "ZZZ"},
    ],
    ids=str,
)
async def test_a_spoilt_trade_is_no_word(spoilt: dict[str, Any]) -> None:
    """Though Alipay signed it."""
    async with facing(saying(query={**TRADE, **spoilt})) as (gateway, _):
        report = await gateway.query(CHARGE)
    assert (Outcome.UNKNOWN, True) == (report.outcome, report.reason.isprintable())


async def test_another_currency_is_told_as_it_is() -> None:
    """So that the success is mismatched, and not taken for yuan."""
    async with facing(saying(query={**TRADE, "trans_currency": "JPY", "total_amount": "1999"})) as (
        gateway,
        _,
    ):
        report = await gateway.query(CHARGE)
    assert (Outcome.SUCCEEDED, 1999, "JPY") == (report.outcome, report.amount, report.currency)


@pytest.mark.parametrize("total", ["19.99", 19.99, "19.990"])
async def test_an_amount_is_exact_however_it_is_written(total: object) -> None:
    """Alipay's pages show text, newer ones numbers."""
    async with facing(saying(query={**TRADE, "total_amount": total})) as (gateway, _):
        assert 1999 == (await gateway.query(CHARGE)).amount


@pytest.mark.parametrize(
    "spoilt",
    [{"out_trade_no": "p_2"}, {"qr_code": ""}, {"qr_code": "a\nb"}, {"qr_code": "x" * 5_000}],
    ids=lambda one: str(one)[:30],
)
async def test_a_spoilt_create_is_open(spoilt: dict[str, Any]) -> None:
    """What cannot be shown was perhaps created."""
    async with facing(saying(precreate={**CREATED, **spoilt})) as (gateway, _):
        with pytest.raises(GatewayAmbiguous):
            await gateway.create(NEW)


@pytest.mark.parametrize(
    "spoilt",
    [
        {"out_trade_no": "p_2"},
        {"fund_change": "MAYBE"},
        {"fund_change": None},
        {"refund_fee": "5.00"},
        {"refund_fee": "lots"},
    ],
    ids=str,
)
async def test_a_spoilt_refund_is_unknown(spoilt: dict[str, Any]) -> None:
    """It may have happened."""
    async with facing(saying(refund={**REFUNDED, **spoilt})) as (gateway, _):
        assert RefundOutcome.UNKNOWN is (await gateway.refund(REFUND)).outcome


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        ({"out_trade_no": "p_2"}, RefundOutcome.UNKNOWN),
        ({"out_request_no": "rf_2"}, RefundOutcome.UNKNOWN),
        ({"refund_status": "REFUND_PROCESSING"}, RefundOutcome.UNKNOWN),
        ({"refund_status": "REFUND_FAIL"}, RefundOutcome.UNKNOWN),
        ({"refund_status": 1}, RefundOutcome.UNKNOWN),
        ({"refund_status": ""}, RefundOutcome.NOT_FOUND),
        ({"refund_status": None}, RefundOutcome.NOT_FOUND),
    ],
    ids=str,
)
async def test_a_refund_is_never_invented(changed: dict[str, Any], outcome: RefundOutcome) -> None:
    """Nothing but REFUND_SUCCESS of this very number is a success; nothing is a failure."""
    async with facing(saying(refund_query={**FOUND_REFUND, **changed})) as (gateway, _):
        assert outcome is (await gateway.query_refund("rf_1", CHARGE)).outcome


async def test_another_trade_s_close_closes_nothing() -> None:
    """Its number is not ours."""
    closed = {"code": "10000", "msg": "Success", "out_trade_no": "p_2"}
    async with facing(saying(close=closed)) as (gateway, _):
        assert CloseAnswer.UNKNOWN is await gateway.close(CHARGE)
