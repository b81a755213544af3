"""The gateways that the behavioural suite runs on."""

from collections.abc import AsyncIterator

import pytest

from gateway_mock.app import serving
from gateway_mock.server import Mock
from payonce.settings.model import Secret
from tests.gateways.rigs import NotingMeter, open_gateway
from tests.gateways.stage import HttpStage, Stage

KINDS = {"http": HttpStage}


@pytest.fixture(params=sorted(KINDS))
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A gateway of each kind, asked through its adapter, with a way behind its counter."""
    mock, meter = Mock(), NotingMeter()
    async with (
        serving(mock) as url,
        open_gateway(url, meter, secrets=(Secret(mock.secret),), timeout_s=2.0) as gateway,
    ):
        yield KINDS[request.param](gateway, meter, mock)
