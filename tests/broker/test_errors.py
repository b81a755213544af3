"""The client library's errors, and what becomes of a task that is asked to end meanwhile."""

import asyncio
from typing import Any

import aiormq.exceptions
import pytest
from yarl import URL

from payonce.adapters.rabbitmq import connection
from payonce.adapters.rabbitmq.errors import as_unavailable
from payonce.adapters.rabbitmq.transport import SplittingTransport
from payonce.domain.errors import Unavailable
from tests.support.ports import HOST
from tests.support.waiting import eventually

BROKER = "amqp://user:hunter2@127.0.0.1:5672/shop"


async def test_an_error_names_the_server_without_its_password() -> None:
    """Nobody reads a password in a log."""
    with pytest.raises(Unavailable) as caught, as_unavailable(BROKER):
        raise aiormq.exceptions.AMQPConnectionError("refused")
    assert "127.0.0.1:5672/shop" in str(caught.value)
    assert "hunter2" not in str(caught.value)


async def test_a_cancellation_that_nobody_asked_for_is_a_lost_connection() -> None:
    """The library cancels its calls when the connection goes."""
    with pytest.raises(Unavailable, match="connection lost"), as_unavailable(BROKER):
        raise asyncio.CancelledError


async def test_who_is_asked_to_end_ends_though_the_library_answers_with_an_error() -> None:
    """Else a loop that outlives errors would outlive its own end."""
    waiting = asyncio.Event()

    async def connect() -> None:
        with as_unavailable(BROKER):
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


class LateTransport(SplittingTransport):
    """A loop so busy that the broker has hung up before the client goes on."""

    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the two ends once nothing more will come."""
        reader, writer = await super().create(url, **kwargs)
        await eventually(reader.at_eof)
        return reader, writer


async def test_a_broker_that_hung_up_before_it_was_greeted_is_unavailable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The library ends an iteration then, though nobody iterates: that ends no process."""
    monkeypatch.setattr(connection, "SplittingTransport", LateTransport)

    def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    async with await asyncio.start_server(hang_up, HOST, 0) as server:
        port = server.sockets[0].getsockname()[1]
        with pytest.raises(Unavailable):
            await connection.connect(f"amqp://guest:guest@{HOST}:{port}/", "test")
