"""Thousands of shoppers who listen: raw sockets, one small object each."""

import asyncio
import hashlib
import hmac
import resource
import time
from collections.abc import Sequence

OPEN_AT_ONCE = 200
OPEN_WITHIN_S = 120.0


class Ear(asyncio.Protocol):
    """One stream: notes when each event of it came."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._transport: asyncio.Transport | None = None
        self.came_s: list[float] = []
        self.heartbeats = 0
        loop = asyncio.get_running_loop()
        self.first: asyncio.Future[None] = loop.create_future()
        self.second: asyncio.Future[None] = loop.create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for the stream."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(f"GET {self._path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Count what came."""
        now_s = time.time()
        self.came_s += [now_s] * data.count(b"event: order")
        self.heartbeats += data.count(b"\n: \n")
        for number, event in enumerate((self.first, self.second), 1):
            if len(self.came_s) >= number and not event.done():
                event.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        """Give up."""
        if not self.first.done():
            self.first.set_exception(exc or ConnectionError("the stream did not begin"))

    def close(self) -> None:
        """Hang up."""
        if self._transport is not None:
            self._transport.close()


def allow_files(wanted: int) -> None:
    """Let this process and its children have so many files open. Raises ValueError."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))


def token_of(key: bytes, order_id: str) -> str:
    """Return the token of an order."""
    return "ot_" + hmac.new(key, order_id.encode(), hashlib.sha256).hexdigest()


async def listen(port: int, key: bytes, order_ids: Sequence[str]) -> dict[str, Ear]:
    """Open a stream of each order and return once each has told where its order stands."""
    loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(OPEN_AT_ONCE)

    async def one(order_id: str) -> Ear:
        path = f"/v1/orders/{order_id}/events?token={token_of(key, order_id)}"
        async with gate:
            _, ear = await loop.create_connection(lambda: Ear(path), "127.0.0.1", port)
            await ear.first
        return ear

    async with asyncio.timeout(OPEN_WITHIN_S):
        ears = await asyncio.gather(*map(one, order_ids))
    return dict(zip(order_ids, ears, strict=True))
