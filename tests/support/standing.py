"""Stand-ins for servers: each connection is a function's, in a thread of its own."""

import asyncio
import socket
import socketserver
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress

from tests.support.ports import HOST
from tests.support.tls import Tls

Take = Callable[[socket.socket], None]
PATIENCE_S = 10.0


@asynccontextmanager
async def standing(take: Take) -> AsyncIterator[int]:
    """Give the port of a server whose connections are handed to `take`, and closed after it."""
    open_ends: list[socket.socket] = []

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            open_ends.append(self.request.dup())
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
        for end in open_ends:
            with suppress(OSError), end:
                end.shutdown(socket.SHUT_RDWR)
        await asyncio.to_thread(server.server_close)


def silent(connection: socket.socket) -> None:
    """Read what comes until it ends."""
    while connection.recv(65_536):
        pass


def fronting(port: int, tls: Tls) -> AbstractAsyncContextManager[int]:
    """Return what takes connections over TLS and hands on what is said to a server without it."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tls.certificate, tls.key)

    def take(connection: socket.socket) -> None:
        with (
            context.wrap_socket(connection, server_side=True) as outer,
            socket.create_connection((HOST, port), PATIENCE_S) as inner,
        ):
            back = threading.Thread(target=_pump, args=(inner, outer))
            back.start()
            _pump(outer, inner)
            back.join()

    return standing(take)


def _pump(source: socket.socket, target: socket.socket) -> None:
    """Hand on until one side ends, then end the other."""
    with suppress(OSError):
        while data := source.recv(65_536):
            target.sendall(data)
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
