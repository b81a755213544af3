"""WeChat Pay's mock is strict: who asks it wrongly is answered as WeChat Pay would."""

import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

from gateway_mock.app import serving
from gateway_mock.shopper import Script
from gateway_mock.wechatpay import WechatPayMock
from tests.support.wechatpay import sandbox

NATIVE, REFUNDS = "/v3/pay/transactions/native", "/v3/refund/domestic/refunds"
ORDERS = "/v3/pay/transactions/out-trade-no"
ORDER: dict[str, Any] = {
    "appid": sandbox().appid,
    "mchid": sandbox().mchid,
    "description": "Order o-1",
    "out_trade_no": "number-1",
    "time_expire": "2030-01-01T08:00:00+08:00",
    "attach": "p-1",
    "notify_url": "http://shop/hook",
    "amount": {"total": 1999, "currency": "CNY"},
}
REFUND: dict[str, Any] = {
    "out_trade_no": "number-1",
    "out_refund_no": "rf-1",
    "reason": "order-paid",
    "amount": {"refund": 500, "total": 1999, "currency": "CNY"},
}


@dataclass
class Merchant:
    """Signs by the documentation alone, and can be made to sign wrongly."""

    mock: WechatPayMock
    url: str
    session: aiohttp.ClientSession
    age_s: int = 0

    def signed(self, method: str, path: str, body: bytes, nonce: str = "N0NCE") -> dict[str, str]:
        """Return the headers of a request."""
        made, timestamp = self.mock.sandbox, int(time.time()) - self.age_s
        message = f"{method}\n{path}\n{timestamp}\n{nonce}\n".encode() + body + b"\n"
        raw = made.merchant.sign(message, padding.PKCS1v15(), hashes.SHA256())
        parts = {
            "mchid": made.mchid,
            "nonce_str": nonce,
            "signature": base64.b64encode(raw).decode(),
            "timestamp": str(timestamp),
            "serial_no": made.serial,
        }
        listed = ",".join(f'{name}="{one}"' for name, one in parts.items())
        return {
            "Authorization": f"WECHATPAY2-SHA256-RSA2048 {listed}",
            "Accept": "application/json",
            "Content-Type": "application/json",
            "User-Agent": "tests/1",
        }

    async def ask(
        self, method: str, path: str, body: Any = None, **changed: str
    ) -> tuple[int, str, Any]:
        """Return status, code and body of an answer, which must be well signed."""
        content = b"" if body is None else json.dumps(body).encode()
        headers = {**self.signed(method, path, content), **changed}
        status, code, told, signed = await self.send(method, path, content, headers)
        assert signed is (code != "SIGN_ERROR")
        return status, code, told

    async def send(
        self, method: str, path: str, content: bytes, headers: dict[str, str]
    ) -> tuple[int, str, Any, bool]:
        """Send anything; the last one says whether the answer is signed, and well."""
        call = self.session.request(method, self.url + path, data=content, headers=headers)
        async with call as answer:
            raw = await answer.read()
            told = json.loads(raw) if raw else None
            code = str(told.get("code", "")) if isinstance(told, dict) else ""
            return answer.status, code, told, self._is_signed(answer.headers, raw)

    def _is_signed(self, headers: Any, body: bytes) -> bool:
        if "Wechatpay-Signature" not in headers:
            return False
        (key,) = [
            one
            for one in (*self.mock.sandbox.certificates, self.mock.sandbox.public_key)
            if one.number == headers["Wechatpay-Serial"]
        ]
        timestamp, nonce = headers["Wechatpay-Timestamp"], headers["Wechatpay-Nonce"]
        message = f"{timestamp}\n{nonce}\n".encode() + body + b"\n"
        signature = base64.b64decode(headers["Wechatpay-Signature"])
        key.private.public_key().verify(signature, message, padding.PKCS1v15(), hashes.SHA256())
        return True


@pytest.fixture
async def merchant() -> AsyncIterator[Merchant]:
    """A merchant before a mock that is served."""
    mock = WechatPayMock(sandbox())
    async with serving(mock) as url, aiohttp.ClientSession() as session:
        yield Merchant(mock, url, session)


async def paid(merchant: Merchant, **script: Any) -> None:
    """Create an order that is paid at once."""
    merchant.mock.scripts["p-1"] = Script(pays_after_s=0.0, **script)
    assert 200 == (await merchant.ask("POST", NATIVE, ORDER))[0]


async def test_what_is_signed_well_is_taken(merchant: Merchant) -> None:
    """An order, and the same one again."""
    status, _, first = await merchant.ask("POST", NATIVE, ORDER)
    _, _, again = await merchant.ask("POST", NATIVE, ORDER)
    assert (200, first) == (status, again)
    assert f"{merchant.url}/pay/p-1" == first["code_url"]


async def test_a_signature_holds_for_its_own_request_alone(merchant: Merchant) -> None:
    """Another byte, path, query, method, nonce or time, and it is refused as WeChat Pay does."""
    content = json.dumps(ORDER).encode()
    good = merchant.signed("POST", NATIVE, content)
    query = f"{ORDERS}/number-1?mchid={merchant.mock.sandbox.mchid}"
    wrong: list[tuple[str, str, bytes, dict[str, str]]] = [
        ("POST", NATIVE, content + b" ", good),
        ("POST", NATIVE, content.replace(b"1999", b"1998"), good),
        ("POST", f"{NATIVE}?a=1", content, good),
        ("POST", NATIVE, content, merchant.signed("GET", NATIVE, content)),
        ("GET", query, b"", merchant.signed("GET", f"{ORDERS}/number-1", b"")),
        ("POST", NATIVE, content, good | {"Authorization": ""}),
        ("POST", NATIVE, content, good | {"Authorization": "Bearer x"}),
    ]
    for old, new in (
        ("N0NCE", "N1NCE"),
        (merchant.mock.sandbox.serial, "AB12CD34"),
        (merchant.mock.sandbox.mchid, "1900000002"),
        ("nonce_str=", "nonce="),
        ("RSA2048", "RSA4096"),
    ):
        changed = good["Authorization"].replace(old, new)
        wrong.append(("POST", NATIVE, content, good | {"Authorization": changed}))
    for method, path, body, headers in wrong:
        status, code, _, signed = await merchant.send(method, path, body, headers)
        assert (401, "SIGN_ERROR", False) == (status, code, signed), (method, path, headers)
    assert {} == merchant.mock.books.charges


@pytest.mark.parametrize("age_s", [301, -301])
async def test_an_old_signature_is_refused(merchant: Merchant, age_s: int) -> None:
    """Five minutes are allowed, in both directions."""
    merchant.age_s = age_s
    assert (401, "SIGN_ERROR") == (await merchant.ask("POST", NATIVE, ORDER))[:2]


@pytest.mark.parametrize("name", ["Accept", "User-Agent", "Content-Type"])
async def test_headers_that_must_be_there(merchant: Merchant, name: str) -> None:
    """WeChat Pay's general rules ask for them."""
    status, _, _ = await merchant.ask("POST", NATIVE, ORDER, **{name: ""})
    assert status in {400, 403}


WRONG_ORDERS: list[dict[str, Any]] = [
    {"out_trade_no": "short"},
    {"out_trade_no": "x" * 33},
    {"out_trade_no": "a.b:c-1"},
    {"description": ""},
    {"description": "x" * 128},
    {"time_expire": "2030-01-01T00:00:00Z"},
    {"time_expire": "2030-01-01T00:00:00.000+08:00"},
    {"attach": "x" * 129},
    {"notify_url": "http://shop/hook?token=1"},
    {"notify_url": "shop"},
    {"amount": {"total": 0, "currency": "CNY"}},
    {"amount": {"total": "1999", "currency": "CNY"}},
    {"amount": {"total": 19.99, "currency": "CNY"}},
    {"amount": {"total": 1999, "currency": "USD"}},
    {"amount": {"total": 1999, "currency": "CNY", "more": 1}},
    {"amount": 1999},
    {"appid": "wx0000000000000000"},
    {"mchid": "1900000002"},
    {"gods_tag": "a slip"},
]


@pytest.mark.parametrize("changed", WRONG_ORDERS)
async def test_a_field_out_of_shape_is_refused(merchant: Merchant, changed: dict[str, Any]) -> None:
    """Required ones, formats, sizes, and names that WeChat Pay does not know."""
    status, code, _ = await merchant.ask("POST", NATIVE, ORDER | changed)
    assert (400, True) == (status, code in {"PARAM_ERROR", "APPID_MCHID_NOT_MATCH"})


@pytest.mark.parametrize("name", [one for one in ORDER if one not in {"time_expire", "attach"}])
async def test_a_field_that_must_be_there(merchant: Merchant, name: str) -> None:
    """Without it there is no order."""
    body = {key: value for key, value in ORDER.items() if key != name}
    assert (400, "PARAM_ERROR") == (await merchant.ask("POST", NATIVE, body))[:2]


async def test_a_number_is_one_order(merchant: Merchant) -> None:
    """Another amount, another end, or paid or closed: no."""
    await merchant.ask("POST", NATIVE, ORDER)
    for changed in ({"amount": {"total": 1}}, {"time_expire": "2031-01-01T08:00:00+08:00"}):
        answer = await merchant.ask("POST", NATIVE, ORDER | changed)
        assert (400, "INVALID_REQUEST") == answer[:2]
    close = {"mchid": merchant.mock.sandbox.mchid}
    assert (204, "", None) == await merchant.ask("POST", f"{ORDERS}/number-1/close", close)
    assert (400, "ORDER_CLOSED") == (await merchant.ask("POST", NATIVE, ORDER))[:2]
    again = await merchant.ask("POST", f"{ORDERS}/number-1/close", close)
    assert (400, "ORDER_CLOSED") == again[:2]


async def test_an_order_is_asked_about_with_its_merchant(merchant: Merchant) -> None:
    """As it stands, and 404 where there is none."""
    await paid(merchant)
    mchid = merchant.mock.sandbox.mchid
    assert 400 == (await merchant.ask("GET", f"{ORDERS}/number-1"))[0]
    unknown = await merchant.ask("GET", f"{ORDERS}/number-2?mchid={mchid}")
    assert (404, "ORDER_NOT_EXIST") == unknown[:2]
    _, _, told = await merchant.ask("GET", f"{ORDERS}/number-1?mchid={mchid}")
    assert ("SUCCESS", "p-1", 1999, 28) == (
        told["trade_state"],
        told["attach"],
        told["amount"]["total"],
        len(told["transaction_id"]),
    )
    assert told["success_time"].endswith("+08:00")
    close = await merchant.ask("POST", f"{ORDERS}/number-1/close", {"mchid": mchid})
    assert (403, "TRADE_ERROR") == close[:2]


WRONG_REFUNDS: list[dict[str, Any]] = [
    {"out_refund_no": "a.b"},
    {"out_refund_no": "x" * 65},
    {"reason": "退" * 27},
    {"amount": {"refund": 500, "total": 1999}},
    {"amount": {"refund": 500, "total": 500, "currency": "CNY"}},
    {"amount": {"refund": 2000, "total": 1999, "currency": "CNY"}},
    {"more": 1},
]


@pytest.mark.parametrize("changed", WRONG_REFUNDS)
async def test_a_refund_out_of_shape_is_refused(
    merchant: Merchant, changed: dict[str, Any]
) -> None:
    """Formats, sizes, and amounts that are not the order's."""
    await paid(merchant)
    assert 400 == (await merchant.ask("POST", REFUNDS, REFUND | changed))[0]
    assert 0 == merchant.mock.books.charges["p-1"].refunded


async def test_refunds_have_their_rules(merchant: Merchant) -> None:
    """One number pays once, a minute apart, 50 at most, within a year."""
    await paid(merchant)
    charge = merchant.mock.books.charges["p-1"]
    _, _, first = await merchant.ask("POST", REFUNDS, REFUND)
    assert ("SUCCESS", 500) == (first["status"], charge.refunded)
    assert 200 == (await merchant.ask("POST", REFUNDS, REFUND))[0]
    other = REFUND | {"amount": REFUND["amount"] | {"refund": 499}}
    assert (400, "INVALID_REQUEST") == (await merchant.ask("POST", REFUNDS, other))[:2]
    second = REFUND | {"out_refund_no": "rf-2"}
    assert (429, "FREQUENCY_LIMITED") == (await merchant.ask("POST", REFUNDS, second))[:2]
    merchant.mock._refunded_at.clear()
    charge.paid_at = time.time() - 366 * 86_400
    assert (400, "INVALID_REQUEST") == (await merchant.ask("POST", REFUNDS, second))[:2]
    charge.paid_at = time.time()
    charge.refunds.extend([replace(charge.refunds[0], amount=1)] * 49)
    assert (400, "INVALID_REQUEST") == (await merchant.ask("POST", REFUNDS, second))[:2]
    del charge.refunds[1:]
    assert 200 == (await merchant.ask("POST", REFUNDS, second))[0]
    assert 1000 == charge.refunded


async def test_a_refund_of_what_is_not_there_or_not_paid(merchant: Merchant) -> None:
    """Each has its code."""
    assert (404, "RESOURCE_NOT_EXISTS") == (await merchant.ask("POST", REFUNDS, REFUND))[:2]
    await merchant.ask("POST", NATIVE, ORDER)
    assert (400, "INVALID_REQUEST") == (await merchant.ask("POST", REFUNDS, REFUND))[:2]
    assert (404, "RESOURCE_NOT_EXISTS") == (await merchant.ask("GET", f"{REFUNDS}/rf-1"))[:2]


async def test_an_abnormal_refund_is_told_as_such(merchant: Merchant) -> None:
    """Its money has left the shop."""
    await paid(merchant, refunds="abnormal")
    _, _, made = await merchant.ask("POST", REFUNDS, REFUND)
    _, _, found = await merchant.ask("GET", f"{REFUNDS}/rf-1")
    assert ("ABNORMAL", "ABNORMAL") == (made["status"], found["status"])
    assert 500 == merchant.mock.books.charges["p-1"].refunded
