"""What the handlers' tests are given."""

from collections.abc import AsyncIterator

import pytest

from tests.handlers.applying import Counter, opened_counter
from tests.handlers.bench import Bench, opened_bench


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    """One worker on fakes."""
    async with opened_bench() as bench:
        yield bench


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    """A shop's counter by the default policy."""
    async with opened_counter() as counter:
        yield counter
