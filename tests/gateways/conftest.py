"""The gateways that the behavioural suite runs on."""

from collections.abc import AsyncIterator

import pytest

from gateway_mock.app import serving
from gateway_mock.server import Mock
from payonce.settings.kinds.http import HttpCredentials
from payonce.settings.secret import Secret
from tests.gateways.rigs import NotingMeter, open_gateway
from tests.gateways.stage import HttpStage, Stage

STAGES = {"http": HttpStage}


@pytest.fixture(params=sorted(STAGES))
async def stage(request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A gateway of each kind, asked through its adapter, with a way behind its counter."""
    mock, meter = Mock(), NotingMeter()
    credentials = HttpCredentials((Secret(mock.secret),))
    async with (
        serving(mock) as url,
        open_gateway(url, meter, credentials=credentials, timeout_s=2.0) as gateway,
    ):
        yield STAGES[request.param](gateway, meter, mock)
