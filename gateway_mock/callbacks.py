"""Callbacks to the worker: signed by Standard Webhooks, repeated until a 2xx."""

import asyncio
import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import aiohttp

TRIES = 30
FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 60.0
TIMEOUT_S = 5.0

Body = Callable[[], dict[str, Any] | None]
"""Returns what a callback says at the time it is first sent; None: there is nothing to tell."""


class Callbacks:
    """Sends callbacks in tasks of its own; `sent` counts answers of 2xx."""

    def __init__(self, secret: str) -> None:
        self._key = base64.b64decode(secret.removeprefix("whsec_"))
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self.sent = 0

    def plan(self, url: str, body: Body, delay_s: float, copies: int) -> None:
        """Send `body` to `url` after `delay_s`, so many times."""
        message_id = f"msg_{uuid4().hex}"
        for _ in range(copies):
            task = asyncio.create_task(self._deliver(url, message_id, body, delay_s))
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

    async def _deliver(self, url: str, message_id: str, body: Body, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
        told = body()
        if told is None:
            return
        content = json.dumps(told, separators=(",", ":")).encode()
        for attempt in range(TRIES):
            if await self._post(url, message_id, content):
                self.sent += 1
                return
            await asyncio.sleep(min(FIRST_PAUSE_S * 2**attempt, LONGEST_PAUSE_S))

    async def _post(self, url: str, message_id: str, content: bytes) -> bool:
        if self._session is None:
            timeout = aiohttp.ClientTimeout(total=TIMEOUT_S)
            self._session = aiohttp.ClientSession(timeout=timeout)
        headers = self._signed(message_id, int(time.time()), content)
        try:
            async with self._session.post(
                url, data=content, headers=headers, allow_redirects=False
            ) as answer:
                return 200 <= answer.status < 300
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
            return False

    def _signed(self, message_id: str, timestamp_s: int, content: bytes) -> dict[str, str]:
        signed = f"{message_id}.{timestamp_s}.".encode() + content
        digest = hmac.new(self._key, signed, hashlib.sha256).digest()
        return {
            "Content-Type": "application/json",
            "webhook-id": message_id,
            "webhook-timestamp": str(timestamp_s),
            "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
        }
