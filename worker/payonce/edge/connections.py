"""How many connections the edge keeps, and how long it waits for what a caller wants.

Every connection is an open file of this process, and so are those to the servers and gateways that
payments need: strangers who say nothing must not use them up.
"""

import asyncio
import resource
from dataclasses import dataclass

import structlog
from aiohttp import web

log = structlog.get_logger(__name__)

RESERVE = 256
"""Open files for what is no caller: PostgreSQL, RabbitMQ, Redis, gateways."""
HEAD_WITHIN_S = 10.0
KEEP_ALIVE_S = 75.0
"""Proxies end what is idle after a minute; the side that sends requests should be the first."""
TELL_EVERY_S = 10.0


@dataclass(frozen=True, slots=True)
class Bounds:
    """At most `most` connections; the first request's head has to come within `head_within_s`."""

    most: int
    head_within_s: float = HEAD_WITHIN_S


def bounds_of_process() -> Bounds:
    """Return the bounds that leave open files for all else: at least half of the limit is used."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return Bounds(1_000_000)
    return Bounds(max(limit - RESERVE, limit // 2))


class Gate:
    """Makes what asyncio calls a protocol for each connection that comes."""

    def __init__(self, server: web.Server, bounds: Bounds) -> None:
        self.bounds = bounds
        self._server = server
        self._count = 0
        self._told_at = -TELL_EVERY_S

    def __call__(self) -> "Connection":
        """Return what speaks HTTP over the next connection."""
        return Connection(self._server, self)

    def enter(self) -> bool:
        """Count a connection; False: there are too many."""
        if self._count >= self.bounds.most:
            now = asyncio.get_running_loop().time()
            if now - self._told_at >= TELL_EVERY_S:
                self._told_at = now
                log.warning("edge.crowded", connections=self._count)
            return False
        self._count += 1
        return True

    def leave(self) -> None:
        """Count a connection that has ended."""
        self._count -= 1


class Connection(web.RequestHandler):
    """One connection: closed at once where there are too many, and soon where nothing comes."""

    __slots__ = ("_first_head", "_gate")

    def __init__(self, server: web.Server, gate: Gate) -> None:
        # Signatures are over the bytes that came: nothing is unpacked on the way.
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # as the library's own runner passes it
            auto_decompress=False,
            keepalive_timeout=KEEP_ALIVE_S,
        )
        self._gate = gate
        self._first_head: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        if not self._gate.enter():
            transport.abort()  # type: ignore[attr-defined]
            return
        within_s = self._gate.bounds.head_within_s
        self._first_head = self._loop.call_later(within_s, self._expect_head)
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """See asyncio.Protocol."""
        if self._first_head is None:
            return
        self._first_head.cancel()
        self._gate.leave()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        """Close the connection if no request's head has come whole."""
        if not self._request_count:
            self.force_close()
