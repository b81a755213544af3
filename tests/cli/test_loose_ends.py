"""What libraries leave behind when a command ends."""

import asyncio

import aiormq.exceptions
import pytest

from payonce.cli.main import _execute


async def leave(error: Exception) -> int:
    """End, and leave a task behind that fails when it is asked to end."""
    started = asyncio.Event()

    async def stay() -> None:
        started.set()
        try:
            await asyncio.Event().wait()
        finally:
            raise error

    task = asyncio.create_task(stay())
    await started.wait()
    return 0 if not task.done() else 1


@pytest.mark.parametrize(
    ("error", "lines"),
    [(aiormq.exceptions.ChannelClosed(320, "the connection is gone"), 0), (ValueError("a bug"), 1)],
)
def test_a_channel_that_ends_with_its_connection_is_not_told(
    caplog: pytest.LogCaptureFixture, error: Exception, lines: int
) -> None:
    """The command said all there was to say; a bug is told."""
    assert 0 == _execute(leave(error))
    assert lines == len(caplog.records)
