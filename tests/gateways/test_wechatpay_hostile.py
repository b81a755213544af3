"""Answers of WeChat Pay that are signed well and wrong: no word, and no harm."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from gateway_mock.shopper import Script
from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable
from payonce.domain.report import Outcome
from payonce.ports.gateway import RefundOutcome
from tests.gateways.rigs import (
    CHARGE,
    NEW_CHARGE,
    NEW_REFUND,
    Serve,
    always,
    answer,
    hostile,
)
from tests.gateways.wechatpay_rigs import KEY, NOW, Rig, open_rig, order, refund, signed_answer
from tests.support.wechatpay import sandbox


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """The adapter before its mock."""
    async with open_rig() as opened:
        yield opened


WRONG_ORDERS: dict[str, dict[str, Any]] = {
    "another merchant": {"mchid": "1900000002"},
    "another number": {"out_trade_no": "___p-2"},
    "unknown state": {"trade_state": "PAID"},
    "state in small letters": {"trade_state": "success"},
    "no state": {"trade_state": None},
    "amount as text": {"amount": {"total": "1999", "currency": "CNY"}},
    "amount of nothing": {"amount": {"total": 0, "currency": "CNY"}},
    "negative amount": {"amount": {"total": -1, "currency": "CNY"}},
    "vast amount": {"amount": {"total": 10**300, "currency": "CNY"}},
    "no amount": {"amount": None},
    "empty amount": {"amount": {}},
    "currency in small letters": {"amount": {"total": 1999, "currency": "cny"}},
    "no transaction": {"transaction_id": None},
    "empty transaction": {"transaction_id": ""},
    "transaction with NUL": {"transaction_id": "42\0"},
    "long transaction": {"transaction_id": "4" * 65},
    "no time": {"success_time": None},
    "time without zone": {"success_time": "2026-01-31T08:00:00"},
    "time before time": {"success_time": "0001-01-01T00:00:00+14:00"},
    "sometime": {"success_time": "yesterday"},
}


@pytest.mark.parametrize("name", WRONG_ORDERS)
async def test_a_wrong_order_is_no_word(name: str) -> None:
    """A single field that cannot be meant makes the whole answer worth nothing, signed as it is."""
    raw = signed_answer(KEY, order(sandbox(), **WRONG_ORDERS[name]))
    async with hostile(always(raw)) as server, open_rig(server.url) as rig:
        report = await rig.gateway.query(CHARGE)
    assert (Outcome.UNKNOWN, None, None) == (report.outcome, report.amount, report.paid_at)
    assert report.reason.startswith("nonsense")


WRONG_REFUNDS: dict[str, dict[str, Any]] = {
    "another refund": {"out_refund_no": "rf-2"},
    "another order": {"out_trade_no": "___p-2"},
    "unknown state": {"status": "DONE"},
    "no state": {"status": None},
    "another amount": {"amount": {"total": 1999, "refund": 1998}},
    "more than the total": {"amount": {"total": 1998, "refund": 1999}},
    "no amount": {"amount": None},
}


@pytest.mark.parametrize("name", WRONG_REFUNDS)
async def test_a_wrong_refund_is_no_word(name: str) -> None:
    """What is not about this refund concludes nothing."""
    raw = signed_answer(KEY, refund(**WRONG_REFUNDS[name]))
    async with hostile(always(raw)) as server, open_rig(server.url) as rig:
        assert RefundOutcome.UNKNOWN is (await rig.gateway.refund(NEW_REFUND)).outcome


NONSENSE = [
    b"",
    b"[]",
    b"null",
    b"\xff",
    b"[" * 60_000,
    b'{"code_url": ""}',
    b'{"code_url": "a\\u0000"}',
]


@pytest.mark.parametrize("body", NONSENSE)
async def test_signed_nonsense_is_no_word(body: bytes) -> None:
    """A 200 whose body is not what the documentation says concludes nothing."""
    async with (
        hostile(always(signed_answer(KEY, body))) as server,
        open_rig(server.url) as rig,
    ):
        assert Outcome.UNKNOWN is (await rig.gateway.query(CHARGE)).outcome
        assert RefundOutcome.UNKNOWN is (await rig.gateway.refund(NEW_REFUND)).outcome
        with pytest.raises(GatewayAmbiguous):
            await rig.gateway.create(NEW_CHARGE)


async def test_no_secret_is_told_by_an_error() -> None:
    """Not even where a server repeats all that it was sent, or knows the APIv3 key."""
    key = sandbox().api_v3_key
    body = {"code": "PARAM_ERROR", "message": f"you sent {key}"}
    async with hostile(always(answer(body, 400))) as server, open_rig(server.url) as rig:
        with pytest.raises(GatewayRefused) as caught:
            await rig.gateway.create(NEW_CHARGE)
    assert key not in str(caught.value)
    assert "***" in str(caught.value)


async def test_times_are_told_in_any_zone() -> None:
    """WeChat Pay writes Beijing's."""
    at = NOW.astimezone(timezone(timedelta(hours=8)))
    raw = signed_answer(KEY, order(sandbox(), success_time=at.isoformat()))
    async with hostile(always(raw)) as server, open_rig(server.url) as rig:
        report = await rig.gateway.query(CHARGE)
    assert report.paid_at is not None
    assert NOW == datetime.fromtimestamp(report.paid_at.timestamp(), UTC)


async def test_faults_of_the_gateway_are_as_they_are(rig: Rig) -> None:
    """A 500 with the order there, then the same order again under the same number."""
    rig.mock.scripts["p-1"] = Script(create_faults=("500-after", "429", "nonsense-after"))
    for raised in (GatewayAmbiguous, GatewayRetryable, GatewayAmbiguous):
        with pytest.raises(raised):
            await rig.gateway.create(NEW_CHARGE)
    assert (await rig.gateway.create(NEW_CHARGE)).qr
    assert 1 == len(rig.mock.books.charges)


SILENT: list[Serve] = [
    always(b"", close=True),
    always(b"HTTP/1.1 200 OK\r\nContent-Le", close=True),
]


@pytest.mark.parametrize("serve", SILENT)
async def test_an_answer_that_breaks_off_is_none(serve: Serve) -> None:
    """As for every kind."""
    async with hostile(serve) as server, open_rig(server.url) as rig:
        assert Outcome.UNKNOWN is (await rig.gateway.query(CHARGE)).outcome
        assert RefundOutcome.UNKNOWN is (await rig.gateway.refund(NEW_REFUND)).outcome
