"""The one place where tests wait: for a condition, never for time to pass."""

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar, overload

Found = TypeVar("Found")

_LOOK_EVERY_S = 0.02


def holds_within(timeout_s: float, check: Callable[[], bool]) -> bool:
    """Say whether `check` comes true within `timeout_s`."""
    until = time.monotonic() + timeout_s
    while not check():
        if time.monotonic() > until:
            return False
        time.sleep(_LOOK_EVERY_S)
    return True


@overload
async def eventually(
    check: Callable[[], Awaitable[Found]], timeout_s: float = ..., what: str = ...
) -> Found: ...


@overload
async def eventually(
    check: Callable[[], Found], timeout_s: float = ..., what: str = ...
) -> Found: ...


async def eventually(check: Callable[[], Any], timeout_s: float = 30.0, what: str = "") -> Any:
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
