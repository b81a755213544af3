"""What the tests of the `wechatpay` adapter stand on."""

import json
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from gateway_mock.app import serving
from gateway_mock.wechatpay import WechatPayMock
from gateway_mock.wechatpay_keys import PlatformKey, Sandbox
from payonce.gateways.client import open_session
from payonce.gateways.wechatpay import WechatPayGateway
from tests.gateways.rigs import NotingMeter, answer, settings_for
from tests.support.wechatpay import credentials_for, sandbox

NOW = datetime.now(UTC).replace(microsecond=0)
NUMBER = "___p-1"
"""The out_trade_no of the payment p-1."""


def order(made: Sandbox, **changed: Any) -> dict[str, Any]:
    """Return a paid order as WeChat Pay tells it."""
    return {
        "appid": made.appid,
        "mchid": made.mchid,
        "out_trade_no": NUMBER,
        "transaction_id": "4200001234202611250000000001",
        "trade_state": "SUCCESS",
        "attach": "p-1",
        "success_time": NOW.isoformat(),
        "amount": {"total": 1999, "payer_total": 1899, "currency": "CNY"},
    } | changed


def refund(**changed: Any) -> dict[str, Any]:
    """Return a refund as WeChat Pay tells it."""
    return {
        "refund_id": "50000000382019052709732678859",
        "out_refund_no": "rf-1",
        "out_trade_no": NUMBER,
        "status": "SUCCESS",
        "amount": {"total": 1999, "refund": 1999, "currency": "CNY"},
    } | changed


def letter(
    made: Sandbox,
    told: Mapping[str, Any] | bytes,
    original_type: str = "transaction",
    **changed: Any,
) -> bytes:
    """Return a callback's body with this in it."""
    content = told if isinstance(told, bytes) else json.dumps(told).encode()
    envelope = {
        "id": "EV-1",
        "event_type": "TRANSACTION.SUCCESS",
        "resource": made.seal(content, original_type, original_type),
    }
    return json.dumps(envelope | changed).encode()


def signed_answer(
    key: PlatformKey, body: bytes | Mapping[str, Any] = b"{}", status: int = 200, age_s: int = 0
) -> bytes:
    """Return an HTTP answer that is well signed, whatever stands in it."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    return answer(content, status, key.sign(content, int(time.time()) - age_s))


class Hands:
    """A clock whose hands can be moved: seconds since 1970."""

    ahead_s = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return time.time() + self.ahead_s


@dataclass(frozen=True)
class Rig:
    """The adapter, the mock, and what the adapter goes by."""

    gateway: WechatPayGateway
    mock: WechatPayMock
    meter: NotingMeter
    clock: Hands

    def asked(self, call: str) -> int:
        """Return how often a call was made."""
        return sum(name == call for _, name, _ in self.meter.asked)


@asynccontextmanager
async def open_rig(
    url: str | None = None, known: Iterable[PlatformKey] | None = None, **changed: Any
) -> AsyncIterator[Rig]:
    """Give an adapter before the mock, or before `url`.

    `known`: the platform's keys that are configured, else all of the sandbox.
    """
    mock, meter, clock = WechatPayMock(sandbox()), NotingMeter(), Hands()
    credentials = credentials_for(mock.sandbox, known)
    async with serving(mock) as own_url, open_session() as session:
        settings = settings_for(url or own_url, kind="wechatpay", timeout_s=2.0, **changed)
        gateway = WechatPayGateway(settings, credentials, session, meter, clock)
        yield Rig(gateway, mock, meter, clock)


MADE = sandbox()
KEY = MADE.certificates[0]
PAID = letter(MADE, order(MADE))


def signed(body: bytes = PAID, key: PlatformKey = KEY) -> dict[str, str]:
    """Return the headers of a callback that is sent NOW."""
    return key.sign(body, int(NOW.timestamp()))
