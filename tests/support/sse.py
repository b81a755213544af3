"""A client of Server-Sent Events, as far as a browser's is one."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp


@dataclass(frozen=True)
class Pushed:
    """One event of a stream."""

    id: str
    event: str
    data: dict[str, Any]


class StreamEnded(Exception):
    """The server has ended the stream."""


class Stream:
    """One stream; what was refused has no events."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer
        self.status = answer.status
        self.headers = answer.headers
        self.retry_ms: int | None = None
        self.comments = 0
        self.last_id = ""

    async def next(self, within_s: float = 5.0) -> Pushed:
        """Return the next event. Raises StreamEnded, and TimeoutError where none comes in time."""
        async with asyncio.timeout(within_s):
            return await self._read()

    async def end(self, within_s: float = 5.0) -> None:
        """Read until the server ends the stream. Raises TimeoutError where it does not."""
        async with asyncio.timeout(within_s):
            try:
                while True:
                    await self._read()
            except StreamEnded:
                return

    async def problem(self) -> str:
        """Return the name in which the type of a problem ends."""
        body = await self._answer.json(content_type=None)
        return str(body["type"]).rpartition("/")[2]

    async def _read(self) -> Pushed:
        fields: dict[str, str] = {}
        while True:
            line = await self._line()
            if not line:
                if "data" in fields:
                    return self._event(fields)
                fields = {}
                continue
            name, _, value = line.partition(":")
            if not name:
                self.comments += 1
            elif name == "retry":
                self.retry_ms = int(value)
            else:
                fields[name] = value.removeprefix(" ")

    async def _line(self) -> str:
        try:
            line = await self._answer.content.readline()
        except aiohttp.ClientError:
            raise StreamEnded from None
        if not line:
            raise StreamEnded
        return line.decode().rstrip("\n")

    def _event(self, fields: dict[str, str]) -> Pushed:
        self.last_id = fields.get("id", self.last_id)
        return Pushed(self.last_id, fields.get("event", "message"), json.loads(fields["data"]))


@asynccontextmanager
async def open_stream(
    url: str, token: str | None = None, *, last_id: str | None = None
) -> AsyncIterator[Stream]:
    """Open `url`, with a bearer where there is one, and as one who resumes where `last_id` is."""
    headers = {"Accept": "text/event-stream"}
    if token is not None:
        headers["Authorization"] = f"Bearer {token}"
    if last_id is not None:
        headers["Last-Event-ID"] = last_id
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
        session.get(url, headers=headers) as answer,
    ):
        yield Stream(answer)
