"""Stand-ins for servers: each connection is a function's, in a thread of its own."""

import asyncio
import socket
import socketserver
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

from tests.support.ports import HOST

Take = Callable[[socket.socket], None]
PATIENCE_S = 10.0


@asynccontextmanager
async def standing(take: Take) -> AsyncIterator[int]:
    """Give the port of a server whose connections are handed to `take`, and closed after it."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.request.settimeout(PATIENCE_S)
            with suppress(OSError):
                take(self.request)

    server = socketserver.ThreadingTCPServer((HOST, 0), Handler)
    serving = asyncio.create_task(asyncio.to_thread(server.serve_forever, 0.01))
    try:
        yield server.server_address[1]
    finally:
        # The loop goes on meanwhile: it has yet to close its ends.
        await asyncio.to_thread(server.shutdown)
        await serving
        await asyncio.to_thread(server.server_close)


def silent(connection: socket.socket) -> None:
    """Read what comes until it ends."""
    while connection.recv(65_536):
        pass
