"""The mock of Alipay is as strict as Alipay, and signs what it says."""

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import aiohttp
import pytest
from aiohttp import web
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from gateway_mock.alipay import AlipayMock
from gateway_mock.alipay_keys import Sandbox, joined, keep_sandbox
from gateway_mock.app import serving
from gateway_mock.kinds import KINDS, Options
from gateway_mock.shopper import Profile, Script
from tests.support.alipay import sandbox, strangers
from tests.support.waiting import eventually

NOW = 1_769_846_400.0
CHINA_NOW = "2026-01-31 16:00:00"
ORDER = {
    "out_trade_no": "p_1",
    "total_amount": "19.99",
    "subject": "Order o-1",
    "body": "p_1",
    "seller_id": sandbox().seller_id,
    "time_expire": "2026-01-31 18:00:00",
}
REFUND = {"out_trade_no": "p_1", "out_request_no": "rf_1", "refund_amount": "19.99"}


class Counter:
    """Where one asks the mock; requests are signed here anew, by the rule."""

    def __init__(self, mock: AlipayMock, url: str, session: aiohttp.ClientSession) -> None:
        self.mock = mock
        self.url = url
        self.session = session
        self.now = NOW
        self.signer = mock.sandbox.app

    async def ask(self, method: str, content: Any, **changed: str) -> dict[str, Any]:
        """Return the whole answer; `changed`: parameters, empty ones are left out."""
        told = {
            "app_id": self.mock.sandbox.app_id,
            "method": f"alipay.trade.{method}",
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": "RSA2",
            "timestamp": CHINA_NOW,
            "version": "1.0",
            "biz_content": content if isinstance(content, str) else json.dumps(content),
            **changed,
        }
        told = {name: value for name, value in told.items() if value}
        raw = self.signer.sign(joined(told), padding.PKCS1v15(), hashes.SHA256())
        told.setdefault("sign", base64.b64encode(raw).decode())
        return await self.post(told)

    async def post(self, told: dict[str, str]) -> dict[str, Any]:
        """Send parameters as they are."""
        form = {name: told.pop(name) for name in ("biz_content",) if name in told}
        self.mock.clock = lambda: self.now
        async with self.session.post(f"{self.url}/gateway.do", params=told, data=form) as answer:
            assert 200 == answer.status
            self.raw = await answer.text()
            found: dict[str, Any] = json.loads(self.raw)
        return found

    async def said(self, method: str, content: Any, **changed: str) -> tuple[str, str]:
        """Return code and sub_code of a signed answer."""
        answer = await self.ask(method, content, **changed)
        sign = answer.pop("sign")
        ((name, told),) = answer.items()
        assert f"alipay_trade_{method.replace('.', '_')}_response" == name
        content = re.fullmatch(rf'\{{"{name}":(.*),"sign":"[^"]*"\}}', self.raw)
        assert content is not None
        self.mock.sandbox.alipay.public_key().verify(
            base64.b64decode(sign), content[1].encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        return told["code"], told.get("sub_code", "")


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    """A mock whose codes are scanned at once."""
    profile = Profile(scripts=((1.0, Script(scanned_after_s=0.0)),))
    mock = AlipayMock(sandbox(), lambda: profile, clock=lambda: NOW)
    async with serving(mock) as url, aiohttp.ClientSession() as session:
        yield Counter(mock, url, session)


async def unsigned(counter: Counter, **changed: str) -> str:
    """Return the sub_code of a refusal that is not signed."""
    answer = await counter.ask("query", {"out_trade_no": "p_1"}, **changed)
    assert "sign" not in answer
    ((_, told),) = answer.items()
    return str(told["sub_code"])


async def test_a_request_in_order_is_taken(counter: Counter) -> None:
    """And answered with a signature over the very bytes, slashes escaped."""
    assert ("10000", "") == await counter.said("precreate", ORDER)
    assert r"\/pay\/p_1" in counter.raw
    assert ("10000", "") == await counter.said("query", {"out_trade_no": "p_1"})
    assert '"trade_status":"WAIT_BUYER_PAY"' in counter.raw


@pytest.mark.parametrize(
    ("changed", "sub_code"),
    [
        ({"sign": "QUJD"}, "isv.invalid-signature"),
        ({"sign": "!"}, "isv.invalid-signature"),
        ({"app_id": "2021000000000009"}, "isv.invalid-app-id"),
        ({"charset": ""}, "isv.invalid-charset"),
        ({"charset": "gbk"}, "isv.invalid-charset"),
        ({"timestamp": ""}, "isv.missing-timestamp"),
        ({"version": ""}, "isv.missing-version"),
        ({"sign_type": ""}, "isv.missing-sign_type"),
        ({"nonce": "1"}, "isv.invalid-parameter"),
    ],
)
async def test_who_is_not_known_is_refused_without_a_signature(
    counter: Counter, changed: dict[str, str], sub_code: str
) -> None:
    """A wrong byte, another's key, a parameter that is missing or unknown."""
    assert sub_code == await unsigned(counter, **changed)


async def test_one_byte_more_is_refused(counter: Counter) -> None:
    """In the form as in the address; and another's key."""
    counter.signer = strangers().app
    assert "isv.invalid-signature" == await unsigned(counter)
    told = {"app_id": counter.mock.sandbox.app_id, "method": "alipay.trade.query"}
    told |= {"charset": "utf-8", "sign_type": "RSA2", "timestamp": CHINA_NOW, "version": "1.0"}
    told["biz_content"] = '{"out_trade_no":"p_1"}'
    raw = counter.mock.sandbox.app.sign(joined(told), padding.PKCS1v15(), hashes.SHA256())
    told["sign"] = base64.b64encode(raw).decode()
    assert "sign" in await counter.post(dict(told))
    told["biz_content"] += " "
    assert "sign" not in await counter.post(dict(told))


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"timestamp": "2026-01-31 08:00:00"}, ("40002", "isv.invalid-timestamp")),
        ({"timestamp": "2026-01-31T16:00:00"}, ("40002", "isv.invalid-timestamp")),
        ({"version": "2.0"}, ("40002", "isv.invalid-version")),
        ({"sign_type": "RSA"}, ("40002", "isv.invalid-sign_type")),
        ({"format": "XML"}, ("40002", "isv.invalid-format")),
        ({"notify_url": "shop"}, ("40002", "isv.invalid-parameter")),
        ({"notify_url": "http://shop/?a=1"}, ("40002", "isv.invalid-parameter")),
        ({"biz_content": "{"}, ("40002", "isv.invalid-parameter")),
        ({"biz_content": "[]"}, ("40002", "isv.invalid-parameter")),
    ],
)
async def test_common_parameters_have_their_shapes(
    counter: Counter, changed: dict[str, str], code: tuple[str, str]
) -> None:
    """A machine's own time is found out too."""
    assert code == await counter.said("precreate", ORDER, **changed)


@pytest.mark.parametrize(
    "changed",
    [
        {"out_trade_no": "p-1"},
        {"out_trade_no": "x" * 65},
        {"out_trade_no": None},
        {"total_amount": "19.9"},
        {"total_amount": "0.00"},
        {"total_amount": 19.99},
        {"total_amount": "019.99"},
        {"subject": "a/b"},
        {"subject": ""},
        {"body": "x" * 129},
        {"seller_id": "2088000000000009"},
        {"seller_id": "me"},
        {"time_expire": "2026-01-31 16:00:59"},
        {"time_expire": "2026-02-15 16:00:01"},
        {"time_expire": "soon"},
        {"currency": "CNY"},
    ],
    ids=str,
)
async def test_orders_have_their_shapes(counter: Counter, changed: dict[str, Any]) -> None:
    """What is not so is refused, signed."""
    refused = "40004", "ACQ.INVALID_PARAMETER"
    assert refused == await counter.said("precreate", {**ORDER, **changed})


async def test_a_number_is_one_trade(counter: Counter) -> None:
    """At one amount; what has ended is not created again."""
    await counter.said("precreate", ORDER)
    other = {**ORDER, "total_amount": "20.00"}
    assert ("40004", "ACQ.CONTEXT_INCONSISTENT") == await counter.said("precreate", other)
    assert ("10000", "") == await counter.said("close", {"out_trade_no": "p_1"})
    assert ("40004", "ACQ.TRADE_HAS_CLOSE") == await counter.said("precreate", ORDER)


async def test_there_is_no_trade_before_the_scan(counter: Counter) -> None:
    """For any call; who pays has scanned."""
    counter.mock.scripts["p_1"] = Script(scanned_after_s=10.0, pays_after_s=20.0)
    await counter.said("precreate", ORDER)
    missing, named = ("40004", "ACQ.TRADE_NOT_EXIST"), {"out_trade_no": "p_1"}
    for method, content in (("query", named), ("close", named), ("refund", REFUND)):
        assert missing == await counter.said(method, content)
    counter.now += 10
    await counter.said("query", named)
    assert "WAIT_BUYER_PAY" in counter.raw
    counter.now += 10
    await counter.said("query", named)
    assert '"send_pay_date":"2026-01-31 16:00:20"' in counter.raw


async def test_who_opens_the_wallet_has_scanned(counter: Counter) -> None:
    """The code leads there."""
    counter.mock.scripts["p_1"] = Script()
    answer = await counter.ask("precreate", ORDER)
    named = {"out_trade_no": "p_1"}
    assert ("40004", "ACQ.TRADE_NOT_EXIST") == await counter.said("query", named)
    async with counter.session.get(answer["alipay_trade_precreate_response"]["qr_code"]) as page:
        assert 200 == page.status
    assert ("10000", "") == await counter.said("query", named)


async def test_refunds_keep_number_and_amount(counter: Counter) -> None:
    """A repeat moves nothing; all of it closes the trade; more than is left is refused."""
    counter.mock.scripts["p_1"] = Script(pays_after_s=0.0)
    await counter.said("precreate", ORDER)
    part = {**REFUND, "refund_amount": "5.00"}
    assert ("10000", "") == await counter.said("refund", part)
    assert '"fund_change":"Y","refund_fee":"5.00"' in counter.raw
    assert ("10000", "") == await counter.said("refund", part)
    assert '"fund_change":"N","refund_fee":"5.00"' in counter.raw
    assert ("40004", "ACQ.DISCORDANT_REPEAT_REQUEST") == await counter.said("refund", REFUND)
    more = {**REFUND, "out_request_no": "rf_2"}
    assert ("40004", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL") == await counter.said("refund", more)
    rest = {**more, "refund_amount": "14.99"}
    assert ("10000", "") == await counter.said("refund", rest)
    await counter.said("query", {"out_trade_no": "p_1"})
    assert "TRADE_CLOSED" in counter.raw
    asked = {"out_trade_no": "p_1", "out_request_no": "rf_3"}
    assert ("10000", "") == await counter.said("fastpay.refund.query", asked)
    assert "refund_status" not in counter.raw


async def test_an_unknown_method_is_refused(counter: Counter) -> None:
    """trade.cancel too, which nobody should call who does not mean to send money back."""
    answer = await counter.ask("cancel", {"out_trade_no": "p_1"})
    assert "isv.invalid-method" == answer["error_response"]["sub_code"]


async def test_a_callback_is_repeated_until_it_is_answered_success(counter: Counter) -> None:
    """The same one, signed over the decoded values; a 200 alone does not do."""
    taken: list[bytes] = []

    async def take(request: web.Request) -> web.Response:
        taken.append(await request.read())
        return web.Response(text="SUCCESS" if len(taken) == 1 else "success")

    app = web.Application()
    app.add_routes([web.post("/hook", take)])
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        place = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
        counter.mock.scripts["p_1"] = Script(pays_after_s=0.0)
        await counter.said("precreate", ORDER, notify_url=place)
        await eventually(lambda: counter.mock.callbacks.sent == 1)
    finally:
        await runner.cleanup()
    assert [taken[0]] * 2 == taken
    form = dict(parse_qsl(taken[0].decode()))
    sign = base64.b64decode(form.pop("sign"))
    public = counter.mock.sandbox.alipay.public_key()
    public.verify(sign, joined(form, "sign_type"), padding.PKCS1v15(), hashes.SHA256())
    assert ("TRADE_SUCCESS", "19.99", "p_1") == (
        form["trade_status"],
        form["total_amount"],
        form["out_trade_no"],
    )


async def test_keys_are_kept_in_a_folder(tmp_path: Path) -> None:
    """Those that the worker needs lie there; the next start has the same."""
    made = keep_sandbox(tmp_path / "keys")
    again = KINDS["alipay"](Options("", tmp_path / "keys", Profile))
    assert isinstance(again, AlipayMock)
    assert (made.app_pem, made.alipay_pem) == (again.sandbox.app_pem, again.sandbox.alipay_pem)
    kept = (tmp_path / "keys/alipay_public_key.pem").read_text(encoding="utf-8")
    assert made.alipay_pem == kept
    assert isinstance(await asyncio.to_thread(keep_sandbox, tmp_path / "keys"), Sandbox)


async def test_alipay_s_key_turns(counter: Counter) -> None:
    """The control API tells the new one; what is signed from then on is by it."""
    before = counter.mock.sandbox.alipay_pem
    async with counter.session.post(f"{counter.url}/control/keys/rotate") as answer:
        told = (await answer.json())["public_key"]
    assert before != told
    assert told == counter.mock.sandbox.alipay_pem
    assert ("10000", "") == await counter.said("precreate", ORDER)


async def test_a_reset_forgets_trades(counter: Counter) -> None:
    """The keys stay."""
    await counter.said("precreate", ORDER)
    await counter.mock.reset()
    missing = "40004", "ACQ.TRADE_NOT_EXIST"
    assert missing == await counter.said("query", {"out_trade_no": "p_1"})
