"""Counts the statements that pass between the worker and PostgreSQL.

A proxy that reads the frontend messages (PostgreSQL documentation, "Message Formats"): Parse gives
a statement its text, Bind and Execute run it, Query runs text directly.
"""

import asyncio
import struct
from collections import Counter
from collections.abc import Callable
from typing import Self
from urllib.parse import urlsplit, urlunsplit

from tests.support import ports

_LABEL_LENGTH = 60
_READ_BYTES = 65_536

_long = struct.Struct(">I")


class Listener:
    """Understands what one client sends."""

    def __init__(self, counts: "Counter[str]") -> None:
        self._counts = counts
        self._rest = b""
        self._started = False
        self._texts: dict[bytes, str] = {}
        self._bound = b""

    def hear(self, data: bytes) -> None:
        """Take bytes on their way to the server."""
        data = self._rest + data
        at = 0
        while True:
            kind_bytes = int(self._started)
            if len(data) < at + kind_bytes + 4:
                break
            end = at + kind_bytes + _long.unpack_from(data, at + kind_bytes)[0]
            if len(data) < end:
                break
            self._message(data[at : at + kind_bytes], data[at + kind_bytes + 4 : end])
            at = end
        self._rest = data[at:]

    def _message(self, kind: bytes, content: bytes) -> None:
        match kind:
            case b"":
                # An SSL request is 4 bytes long and comes before the start-up message.
                self._started = len(content) > 4
            case b"P":
                name, text, _ = content.split(b"\0", 2)
                self._texts[name] = label(text)
            case b"B":
                _, self._bound, _ = content.split(b"\0", 2)
            case b"E":
                self._counts[self._texts.get(self._bound, "?")] += 1
            case b"Q":
                self._counts[label(content)] += 1
            case _:
                pass


class WireTap:
    """A proxy before PostgreSQL, for one measurement."""

    def __init__(self, dsn: str) -> None:
        parts = urlsplit(dsn)
        self._target = (parts.hostname or "127.0.0.1", parts.port or 5432)
        self._port = ports.free_port()
        self._server: asyncio.Server | None = None
        self._counts: Counter[str] = Counter()

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Listen no more."""
        if self._server is not None:
            self._server.close()

    def dsn_of(self, dsn: str) -> str:
        """Return `dsn` by way of this proxy."""
        parts = urlsplit(dsn)
        user, at, _ = parts.netloc.rpartition("@")
        return urlunsplit(parts._replace(netloc=f"{user}{at}127.0.0.1:{self._port}"))

    def take(self) -> "Counter[str]":
        """Return how often each statement ran since the last time."""
        taken = self._counts.copy()
        self._counts.clear()
        return taken

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        await asyncio.gather(
            _copy(reader, server_writer, Listener(self._counts).hear),
            _copy(server_reader, writer, _ignore),
        )


async def _copy(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, hear: Callable[[bytes], None]
) -> None:
    try:
        while data := await reader.read(_READ_BYTES):
            hear(data)
            writer.write(data)
            await writer.drain()
    except OSError:
        return
    finally:
        writer.close()


def label(text: bytes) -> str:
    """Return the beginning of a statement on one line."""
    lines = text.rstrip(b"\0").decode(errors="replace").splitlines()
    words = " ".join(line for line in lines if not line.lstrip().startswith("--")).split()
    return " ".join(words)[:_LABEL_LENGTH]


def _ignore(_data: bytes) -> None:
    """Hear nothing."""
