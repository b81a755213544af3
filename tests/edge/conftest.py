"""The console that the tests of its pages share."""

from collections.abc import AsyncIterator

import pytest

from tests.support.console import Console, open_console


@pytest.fixture
async def console() -> AsyncIterator[Console]:
    """A console with two operators."""
    async with open_console() as opened:
        yield opened


@pytest.fixture
async def inside(console: Console) -> Console:
    """A console with ann logged in."""
    assert 303 == (await console.log_in()).status
    return console
