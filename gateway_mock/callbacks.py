"""Callbacks to the worker: signed as their gateway signs, repeated until they are taken."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import aiohttp

TRIES = 30
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
TIMEOUT_S = 5.0
MAX_ANSWER_BYTES = 4_096


def is_2xx(status: int, _body: bytes) -> bool:
    """Say whether a callback was taken, as most gateways see it."""
    return 200 <= status < 300


@dataclass(frozen=True, slots=True)
class Letter:
    """What is posted: `headers` are made anew for each try, by the seconds since 1970."""

    content: bytes
    headers: Callable[[int], Mapping[str, str]]
    is_taken: Callable[[int, bytes], bool] = is_2xx


Write = Callable[[], Letter | None]
"""Writes a callback at the time it is first sent; None: there is nothing to tell."""


class Callbacks:
    """Sends callbacks in tasks of its own; `sent` counts those that were taken."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.sent = 0

    def plan(self, url: str, write: Write, delay_s: float, copies: int) -> None:
        """Send what `write` returns to `url` after `delay_s`, so many times; one id for all."""
        written: list[Letter | None] = []

        def once() -> Letter | None:
            if not written:
                written.append(write())
            return written[0]

        for _ in range(copies):
            task = asyncio.create_task(self._deliver(url, once, delay_s))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def forget(self) -> None:
        """Give up what is unsent."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Give up what is unsent, for good."""
        await self.forget()
        if self._session is not None:
            await self._session.close()

    async def _deliver(self, url: str, write: Write, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        letter = write()
        if letter is None:
            return
        for attempt in range(TRIES):
            if await self._post(url, letter):
                self.sent += 1
                return
            await asyncio.sleep(min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S))

    async def _post(self, url: str, letter: Letter) -> bool:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout)
        headers = letter.headers(int(time.time()))
        try:
            async with self._session.post(
                url, data=letter.content, headers=headers, allow_redirects=False
            ) as answer:
                return letter.is_taken(answer.status, await answer.content.read(MAX_ANSWER_BYTES))
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return False


def webhook_letter(secret: str, told: Mapping[str, Any]) -> Letter:
    """Return a callback signed by Standard Webhooks, under an id of its own."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    message_id = f"msg_{uuid4().hex}"
    content = json.dumps(told, separators=(",", ":")).encode()

    def headers(timestamp_s: int) -> dict[str, str]:
        signed = f"{message_id}.{timestamp_s}.".encode() + content
        digest = hmac.new(key, signed, hashlib.sha256).digest()
        return {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }

    return Letter(content, headers)
