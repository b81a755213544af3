"""The one place where tests wait: for a condition, never for time to pass."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

Found = TypeVar("Found")

_LOOK_EVERY_S = 0.02


async def eventually(
    check: Callable[[], Found | Awaitable[Found]], timeout_s: float = 10.0, what: str = ""
) -> Found:
    """Return the first truthy result of `check`, sync or not; AssertionError after `timeout_s`."""
    until = time.monotonic() + timeout_s
    while True:
        found = check()
        result = await found if inspect.isawaitable(found) else found
        if result:
            return result
        if time.monotonic() > until:
            raise AssertionError(f"not within {timeout_s:g} s: {what or check}, last {result!r}")
        await asyncio.sleep(_LOOK_EVERY_S)
