"""The gateways that the behavioural suite runs on."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import pytest

from gateway_mock.app import serving
from gateway_mock.server import Mock
from gateway_mock.wechatpay import WechatPayMock
from payonce.settings.kinds.http import HttpCredentials
from payonce.settings.secret import Secret
from tests.gateways.rigs import NotingMeter, open_gateway
from tests.gateways.stage import HttpStage, Stage, WechatPayStage
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
async def _wechatpay() -> AsyncIterator[Stage]:
    mock, meter = WechatPayMock(sandbox()), NotingMeter()
    credentials = credentials_for(mock.sandbox)
    async with (
        serving(mock) as url,
        open_gateway(url, meter, credentials=credentials, timeout_s=TIMEOUT_S) as gateway,
    ):
        yield WechatPayStage(gateway, meter, mock)


STAGES: Mapping[str, Callable[[], AbstractAsyncContextManager[Stage]]] = {
    "http": _http,
    "wechatpay": _wechatpay,
}


@pytest.fixture(params=sorted(STAGES))
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A gateway of each kind, asked through its adapter, with a way behind its counter."""
    async with STAGES[request.param]() as opened:
        yield opened
