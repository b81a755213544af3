"""Work that ends when it is told to, also where its first cancellation is swallowed."""

import asyncio

import pytest

from payonce.adapters.until import until


async def test_work_that_swallows_a_cancellation_ends_all_the_same() -> None:
    """Client libraries do so where an answer comes at the same moment."""
    stop, begun = asyncio.Event(), asyncio.Event()
    cancelled: list[str] = []

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append("swallowed")
        await asyncio.Event().wait()

    running = asyncio.create_task(until(stop, work()))
    await begun.wait()
    stop.set()
    await asyncio.wait_for(running, 10)
    assert ["swallowed"] == cancelled


async def test_what_work_raises_is_raised() -> None:
    """A fault ends it before it is told to."""

    async def work() -> None:
        raise ArithmeticError("broken")

    with pytest.raises(ArithmeticError):
        await until(asyncio.Event(), work())
