"""WeChat Pay's mock is strict: who asks it wrongly is answered as WeChat Pay would."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway_mock.app import serving
from gateway_mock.kinds import KINDS, Options
from gateway_mock.shopper import Profile, Script
from gateway_mock.wechatpay import WechatPayMock
from gateway_mock.wechatpay_keys import Sandbox, keep_sandbox
from tests.gateway_mock.merchant import NATIVE, ORDER, ORDERS, REFUND, REFUNDS, Merchant
from tests.support.waiting import eventually
from tests.support.wechatpay import other_certificate, sandbox


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


async def test_certificates_are_sealed_and_come_with_their_serials(merchant: Merchant) -> None:
    """All of them, after a turn of the keys too; answers are signed with the newest."""
    fresh = merchant.mock.sandbox.rotate()
    _, _, told = await merchant.ask("GET", "/v3/certificates")
    cipher = AESGCM(merchant.mock.sandbox.api_v3_key.encode())
    serials = []
    for one in told["data"]:
        sealed = one["encrypt_certificate"]
        raw = base64.b64decode(sealed["ciphertext"])
        pem = cipher.decrypt(sealed["nonce"].encode(), raw, sealed["associated_data"].encode())
        serial = f"{x509.load_pem_x509_certificate(pem).serial_number:X}"
        assert serial == one["serial_no"]
        serials.append(serial)
    assert [sandbox().certificates[0].number, fresh.number] == serials


async def test_an_answer_is_signed_with_the_public_key_where_that_is_wished(
    merchant: Merchant,
) -> None:
    """Callbacks follow the turn of the keys, answers the request."""
    number = merchant.mock.sandbox.public_key.number
    headers = merchant.signed("GET", "/v3/certificates", b"") | {"Wechatpay-Serial": number}
    async with merchant.session.get(f"{merchant.url}/v3/certificates", headers=headers) as answer:
        assert number == answer.headers["Wechatpay-Serial"]
    async with merchant.session.post(f"{merchant.url}/control/keys/public-key") as answer:
        assert {"signs_with": number} == await answer.json()
    async with merchant.session.post(f"{merchant.url}/control/keys/rotate") as answer:
        assert merchant.mock.sandbox.current.number == (await answer.json())["signs_with"]
    async with merchant.session.post(f"{merchant.url}/control/keys/lose") as answer:
        assert 422 == answer.status


@dataclass
class Ear:
    """Hears callbacks, and answers them as it is told."""

    heard: list[tuple[dict[str, str], bytes]]
    status: int = 204

    async def hear(self, request: web.Request) -> web.Response:
        """Take one."""
        self.heard.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status)


@pytest.fixture
async def ear() -> AsyncIterator[tuple[Ear, str]]:
    """An ear, and where it listens."""
    ear, app = Ear([]), web.Application()
    app.router.add_post("/hook", ear.hear)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield ear, f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    await runner.cleanup()


async def test_a_probe_is_sent_until_it_is_refused(
    merchant: Merchant, ear: tuple[Ear, str]
) -> None:
    """An answer of 204 to it is wrong."""
    listener, url = ear
    await merchant.ask("POST", NATIVE, ORDER | {"notify_url": url})
    async with merchant.session.post(f"{merchant.url}/control/probes/p-1") as answer:
        assert {"probed": True} == await answer.json()
    await eventually(lambda: len(listener.heard) >= 2)
    assert 0 == merchant.mock.callbacks.sent
    listener.status = 401
    await eventually(lambda: merchant.mock.callbacks.sent == 1)
    assert all(
        headers["Wechatpay-Signature"].startswith("WECHATPAY/SIGNTEST/")
        for headers, _ in listener.heard
    )


async def test_callbacks_are_sealed_and_tell_of_successes_alone(
    merchant: Merchant, ear: tuple[Ear, str]
) -> None:
    """And of refunds that came to an end; never of failures."""
    listener, url = ear
    merchant.mock.scripts["p-2"] = Script(declines_after_s=0.0)
    other = {"out_trade_no": "number-2", "attach": "p-2", "notify_url": url}
    await merchant.ask("POST", NATIVE, ORDER | other)
    merchant.mock.scripts["p-1"] = Script(
        pays_after_s=0.0, refunds="pending", refunds_turn="abnormal"
    )
    await merchant.ask("POST", NATIVE, ORDER | {"notify_url": url})
    await eventually(lambda: len(listener.heard) == 1)
    await merchant.ask("POST", REFUNDS, REFUND)
    await eventually(lambda: len(listener.heard) >= 2)
    events = [json.loads(body)["event_type"] for _, body in listener.heard]
    assert ["TRANSACTION.SUCCESS", "REFUND.ABNORMAL"] == events[:2]
    await asyncio.gather(*merchant.mock.callbacks._tasks)
    assert "number-2" not in str(listener.heard)


def test_keys_are_written_once_and_read_again(tmp_path: Path) -> None:
    """A worker's configuration holds between two runs of the mock."""
    first = keep_sandbox(tmp_path / "keys")
    again = keep_sandbox(tmp_path / "keys")

    def seen(made: Sandbox) -> tuple[Any, ...]:
        return (
            made.merchant_pem,
            made.serial,
            made.api_v3_key,
            made.public_key.number,
            made.public_key.pem,
            made.certificates[0].number,
            made.certificates[0].pem,
        )

    assert seen(first) == seen(again)


def test_the_program_makes_a_mock_of_each_kind(tmp_path: Path) -> None:
    """With a folder of keys, and without."""
    for folder in (tmp_path, None):
        mock = KINDS["wechatpay"](Options("", folder, Profile))
        assert isinstance(mock, WechatPayMock)
    assert "http" in KINDS


async def test_a_reset_forgets_orders_and_keeps_keys(merchant: Merchant) -> None:
    """As at the start."""
    await paid(merchant)
    serial = merchant.mock.sandbox.current.number
    await merchant.mock.reset()
    assert 200 == (await merchant.ask("POST", NATIVE, ORDER | {"description": "Order o-2"}))[0]
    assert serial == merchant.mock.sandbox.current.number
    assert other_certificate().number != serial
