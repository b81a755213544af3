"""What the tests of the Alipay adapter stand on: answers as Alipay signs them, a counter."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from gateway_mock.alipay import AlipayMock
from gateway_mock.alipay_keys import Sandbox, joined
from gateway_mock.app import serving
from payonce.gateways.alipay import AlipayGateway
from payonce.gateways.client import open_session
from payonce.ports.gateway import Gateway
from tests.gateways.rigs import (
    NEW_CHARGE,
    NotingMeter,
    Request,
    Serve,
    answer,
    hostile,
    settings_for,
)
from tests.support.alipay import credentials_for, sandbox

NOW = datetime(2026, 1, 31, 8, 0, tzinfo=UTC)
CHARGE_SOON = replace(NEW_CHARGE, expires_at=datetime(2026, 1, 31, 10, 0, tzinfo=UTC))

TRADE: Mapping[str, Any] = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": "p_1",
    "trade_no": "2026013122001400000000000001",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "19.99",
    "send_pay_date": "2026-01-31 16:00:47",
}
CREATED: Mapping[str, Any] = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": "p_1",
    "qr_code": "https://qr.alipay.com/bavh4wjlxf12tper3a",
}
REFUNDED: Mapping[str, Any] = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": "p_1",
    "fund_change": "Y",
    "refund_fee": "19.99",
}
FOUND_REFUND: Mapping[str, Any] = {
    "code": "10000",
    "msg": "Success",
    "out_trade_no": "p_1",
    "out_request_no": "rf_1",
    "refund_status": "REFUND_SUCCESS",
}
IN_ORDER: Mapping[str, Mapping[str, Any]] = {
    "alipay.trade.precreate": CREATED,
    "alipay.trade.query": TRADE,
    "alipay.trade.close": {"code": "10000", "msg": "Success", "out_trade_no": "p_1"},
    "alipay.trade.refund": REFUNDED,
    "alipay.trade.fastpay.refund.query": FOUND_REFUND,
}


def fault(sub_code: str, code: str = "40004") -> dict[str, Any]:
    """Return what an answer holds that says no."""
    return {"code": code, "msg": "no", "sub_code": sub_code, "sub_msg": "no, sorry"}


def method_of(request: Request) -> str:
    """Return which call a request is."""
    return request.line.split("method=")[1].split("&")[0]


def signed(method: str, content: bytes, signer: Sandbox | None = None, name: str = "") -> bytes:
    """Return an answer's body, signed by `signer`, the sandbox's Alipay."""
    name = name or f"{method.replace('.', '_')}_response"
    signature = (signer or sandbox()).sign(content)
    return f'{{"{name}":'.encode() + content + f',"sign":"{signature}"}}'.encode()


def saying(**told: Mapping[str, Any]) -> Serve:
    """Return a server that answers as Alipay; `told`: what differs, by the call's last word."""

    async def serve(request: Request, writer: Any) -> None:
        method = method_of(request)
        last = "refund_query" if "fastpay" in method else method.rpartition(".")[2]
        content = json.dumps(dict(told.get(last, IN_ORDER[method]))).encode()
        writer.write(answer(signed(method, content)))

    return serve


@asynccontextmanager
async def facing(serve: Serve, **changed: Any) -> AsyncIterator[tuple[Gateway, list[Request]]]:
    """Give the adapter before a server of any kind, and what it is asked; at NOW."""
    async with hostile(serve) as server, open_session() as session:
        credentials = credentials_for(sandbox(), **changed)
        settings = settings_for(f"{server.url}/gateway.do", credentials=credentials)
        meter = NotingMeter()
        yield (
            AlipayGateway(settings, credentials, session, meter, NOW.timestamp),
            server.requests,
        )


@dataclass
class Desk:
    """The adapter before its strict mock, whose clock can be moved."""

    gateway: Gateway
    mock: AlipayMock
    meter: NotingMeter
    now: list[float]

    def script(self, payment_id: str = "p-1", **changed: Any) -> None:
        """Change what the shopper of a charge does."""
        charge = self.mock.books.charges[payment_id]
        charge.script = replace(charge.script, **changed)

    def pay(self, payment_id: str = "p-1") -> None:
        """Let the shopper scan and pay."""
        charge = self.mock.books.charges[payment_id]
        self.script(payment_id, pays_after_s=self.mock.clock() - charge.created_at)


@asynccontextmanager
async def open_desk(**changed: Any) -> AsyncIterator[Desk]:
    """Give an adapter and its mock, at NOW; `changed`: credentials that differ."""
    now, meter = [NOW.timestamp()], NotingMeter()
    mock = AlipayMock(sandbox(), clock=lambda: now[0])
    async with serving(mock) as url, open_session() as session:
        credentials = credentials_for(mock.sandbox, **changed)
        settings = settings_for(
            f"{url}/gateway.do", credentials=credentials, timeout_s=2.0, kind="alipay"
        )
        gateway = AlipayGateway(settings, credentials, session, meter, lambda: now[0])
        yield Desk(gateway, mock, meter, now)


FORM: Mapping[str, str] = {
    "notify_id": "4a91b7a78a503640467525113fb7d8bg8e",
    "notify_type": "trade_status_sync",
    "notify_time": "2026-01-31 16:00:00",
    "app_id": sandbox().app_id,
    "seller_id": sandbox().seller_id,
    "out_trade_no": "p_1",
    "trade_no": "2026013122001400000000000001",
    "trade_status": "TRADE_SUCCESS",
    "total_amount": "19.99",
    "refund_fee": "0.00",
    "gmt_payment": "2026-01-31 15:59:58",
    "subject": "大乐透 2.1 + 100%",
    "charset": "utf-8",
    "sign_type": "RSA2",
}


def posted(**changed: str) -> bytes:
    """Return a callback's body; `changed`: of FORM."""
    return posted_by(sandbox(), "sign_type", **changed)


def posted_by(signer: Sandbox, left_out: str, /, **changed: str) -> bytes:
    """Return a callback's body, signed by somebody; `left_out`: of what is signed."""
    told = {name: value for name, value in {**FORM, **changed}.items() if value}
    return urlencode({**told, "sign": signer.sign(joined(told, left_out))}).encode()
