"""The gateways that the behavioural suite runs on."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from gateway_mock.alipay import AlipayMock
from gateway_mock.app import serving
from gateway_mock.paypal import PaypalMock
from gateway_mock.server import Mock
from gateway_mock.shopper import Profile, Script
from gateway_mock.stripe import StripeMock
from gateway_mock.wechatpay import WechatPayMock
from payonce.settings.kinds.http import HttpCredentials
from payonce.settings.secret import Secret
from tests.gateways.paypal_rigs import open_paypal
from tests.gateways.rigs import NotingMeter, open_gateway
from tests.gateways.stage import (
    AlipayStage,
    HttpStage,
    PaypalStage,
    Stage,
    StripeStage,
    WechatPayStage,
)
from tests.support import alipay
from tests.support.paypal import KEYS
from tests.support.paypal_schema import check
from tests.support.stripe import credentials_of
from tests.support.wechatpay import credentials_for, sandbox

TIMEOUT_S = 2.0


@asynccontextmanager
async def _http() -> AsyncIterator[Stage]:
    mock, meter = Mock(), NotingMeter()
    credentials = HttpCredentials((Secret(mock.secret),))
    async with (
        serving(mock) as url,
        open_gateway(url, meter, credentials=credentials, timeout_s=TIMEOUT_S) as gateway,
    ):
        yield HttpStage(gateway, meter, mock)


@asynccontextmanager
async def _stripe() -> AsyncIterator[Stage]:
    mock, meter = StripeMock(), NotingMeter()
    credentials = credentials_of(mock)
    async with (
        serving(mock) as url,
        open_gateway(url, meter, credentials=credentials, timeout_s=TIMEOUT_S) as gateway,
    ):
        yield StripeStage(gateway, meter, mock)


@asynccontextmanager
async def _paypal() -> AsyncIterator[Stage]:
    mock, meter = PaypalMock(keys=KEYS, check=check), NotingMeter()
    async with serving(mock) as url, open_paypal(url, mock, meter) as rig:
        yield PaypalStage(rig.gateway, meter, mock)
    assert [] == mock.problems


@asynccontextmanager
async def _wechatpay() -> AsyncIterator[Stage]:
    mock, meter = WechatPayMock(sandbox()), NotingMeter()
    credentials = credentials_for(mock.sandbox)
    async with (
        serving(mock) as url,
        open_gateway(url, meter, credentials=credentials, timeout_s=TIMEOUT_S) as gateway,
    ):
        yield WechatPayStage(gateway, meter, mock)


@asynccontextmanager
async def _alipay() -> AsyncIterator[Stage]:
    scanned = Profile(scripts=((1.0, Script(scanned_after_s=0.0)),))
    mock, meter = AlipayMock(alipay.sandbox(), lambda: scanned), NotingMeter()
    credentials = alipay.credentials_for(mock.sandbox)
    async with (
        serving(mock) as url,
        open_gateway(
            f"{url}/gateway.do", meter, credentials=credentials, timeout_s=TIMEOUT_S
        ) as gateway,
    ):
        yield AlipayStage(gateway, meter, mock)


STAGES: Mapping[str, Callable[[], AbstractAsyncContextManager[Stage]]] = {
    "alipay": _alipay,
    "http": _http,
    "paypal": _paypal,
    "stripe": _stripe,
    "wechatpay": _wechatpay,
}


@pytest.fixture(params=sorted(STAGES))
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A gateway of each kind, asked through its adapter, with a way behind its counter."""
    async with STAGES[request.param]() as opened:
        yield opened
