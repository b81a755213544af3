"""Either bus, for the suite that both must pass."""

from collections.abc import AsyncIterator

import pytest

from tests.broker.rigs import RabbitRig, Rig, memory_rig, rabbit_rig


@pytest.fixture(params=["memory", "rabbitmq"])
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    """A bus, running."""
    if request.param == "memory":
        async with memory_rig() as memory:
            yield memory
    else:
        async with rabbit_rig(request.getfixturevalue("amqp_url")) as rabbit:
            yield rabbit


@pytest.fixture
async def rabbit(amqp_url: str) -> AsyncIterator[RabbitRig]:
    """RabbitMQ alone, running."""
    async with rabbit_rig(amqp_url) as running:
        yield running
