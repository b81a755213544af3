"""What the mock of WeChat Pay seals and sends: certificates, answers, callbacks."""

import asyncio
import base64
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from gateway_mock.app import serving
from gateway_mock.kinds import KINDS, Options
from gateway_mock.shopper import Profile, Script
from gateway_mock.wechatpay import WechatPayMock
from gateway_mock.wechatpay_keys import Sandbox, keep_sandbox
from tests.support.waiting import eventually
from tests.support.wechatpay import other_certificate, sandbox

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
