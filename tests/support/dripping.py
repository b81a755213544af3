"""Bytes that come one by one: how a slow peer outlives every limit on a single read."""

import asyncio
from collections.abc import Iterable


async def drip(writer: asyncio.StreamWriter, content: Iterable[int], every_s: float) -> None:
    """Send a byte every `every_s`; `content` may have no end."""
    for byte in content:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(every_s)
