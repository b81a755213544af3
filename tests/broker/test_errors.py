"""The client library's errors, and what becomes of a task that is asked to end meanwhile."""

import asyncio

import aiormq.exceptions
import pytest

from payonce.adapters.rabbitmq.errors import as_unavailable
from payonce.domain.errors import Unavailable

URL = "amqp://user:hunter2@127.0.0.1:5672/shop"


async def test_an_error_names_the_server_without_its_password() -> None:
    """Nobody reads a password in a log."""
    with pytest.raises(Unavailable) as caught, as_unavailable(URL):
        raise aiormq.exceptions.AMQPConnectionError("refused")
    assert "127.0.0.1:5672/shop" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_a_cancellation_that_nobody_asked_for_is_a_lost_connection() -> None:
    """The library cancels its calls when the connection goes."""
    with pytest.raises(Unavailable, match="connection lost"), as_unavailable(URL):
        raise asyncio.CancelledError


async def test_who_is_asked_to_end_ends_though_the_library_answers_with_an_error() -> None:
    """Else a loop that outlives errors would outlive its own end."""
    waiting = asyncio.Event()

    async def connect() -> None:
        with as_unavailable(URL):
            try:
                waiting.set()
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise aiormq.exceptions.AMQPConnectionError("given up") from None

    task = asyncio.create_task(connect())
    await waiting.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
