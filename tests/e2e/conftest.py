"""A whole payonce for each test, on real servers."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.counter import opened
from tests.support.servers import Servers
from tests.support.shop import Shop
from tests.support.town import Town, open_town


@pytest.fixture
async def town(
    tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str
) -> AsyncIterator[Town]:
    """A town with a short ladder and an impatient sweeper."""
    async with open_town(tmp_path, postgres_dsn, amqp_url, redis_url) as opened:
        yield opened


@pytest.fixture
async def shop(town: Town) -> AsyncIterator[Shop]:
    """A shop before one worker."""
    async with opened(town) as [shop]:
        yield shop


@pytest.fixture
async def mortal(servers: Servers) -> AsyncIterator[Servers]:
    """Servers that may be killed; they live again afterwards."""
    yield servers
    await asyncio.to_thread(servers.start)
