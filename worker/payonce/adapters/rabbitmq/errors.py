"""The one place where the broker client's errors become payonce's."""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import aiormq.exceptions
from yarl import URL

from payonce.domain.errors import Unavailable
from payonce.egress import tls_problem

SERVER = "rabbitmq"
_CA_OPTION = "cafile in its URL"
# The library ends an iteration, also where nobody iterates, when the broker hangs up as it greets.
_FAILURES = (
    aiormq.exceptions.AMQPError,
    OSError,
    TimeoutError,
    RuntimeError,
    StopAsyncIteration,
)


@contextmanager
def as_unavailable(url: str) -> Iterator[None]:
    """Raise Unavailable, naming the server without its password, where the broker cannot be used.

    The client library ends calls on a lost connection with a CancelledError that nobody asked for,
    and answers a cancellation while it connects with an error: who is asked to end must end.
    """
    try:
        yield
    except asyncio.CancelledError:
        if _is_cancelled():
            raise
        raise Unavailable(SERVER, f"{shown(url)}: connection lost") from None
    except _FAILURES as error:
        if _is_cancelled():
            raise asyncio.CancelledError from error
        problem = tls_problem(error, _CA_OPTION) or describe(error)
        raise Unavailable(SERVER, f"{shown(url)}: {problem}") from error


def pass_over_loose_ends(loop: asyncio.AbstractEventLoop, context: Mapping[str, Any]) -> None:
    """Say nothing of a task of the client library that ended with its connection.

    An exception handler of the loop: whoever used the channel was told already.
    """
    if not isinstance(context.get("exception"), aiormq.exceptions.AMQPError):
        loop.default_exception_handler(dict(context))


def _is_cancelled() -> bool:
    """Say whether the current task was asked to end."""
    task = asyncio.current_task()
    return task is None or task.cancelling() > 0


def shown(url: str) -> str:
    """Return host, port and virtual host of an AMQP URL: what may stand in logs."""
    parts = URL(url)
    port = parts.port or (5671 if parts.scheme == "amqps" else 5672)
    return f"{parts.host}:{port}{parts.path or '/'}"


def describe(error: BaseException) -> str:
    """Return one line about `error`."""
    text = " ".join(str(error).split())
    return f"{type(error).__name__} {text}"[:300].strip()
