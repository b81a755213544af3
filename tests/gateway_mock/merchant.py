"""A merchant of WeChat Pay, who signs by the documentation alone or, where told so, wrongly."""

import base64
import json
import time
from dataclasses import dataclass
from typing import Any

import aiohttp
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding

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
