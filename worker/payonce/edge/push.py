"""`GET /v1/orders/{id}/events` and `/ws`: an order's state now, then at every change.

Tokens stand in the query or the header and never in a cookie, so that no foreign page can listen in
the shopper's name: no Origin has to be checked.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import structlog
from aiohttp import WSCloseCode, web

from payonce.edge.auth import Auth
from payonce.edge.listeners import Listener, Listeners
from payonce.edge.problems import Refused
from payonce.edge.views import Shown
from payonce.ports.meter import PushMeter

log = structlog.get_logger(__name__)

HEARTBEAT_S = 15.0
"""Proxies close what is silent for a minute; who hears nothing for 45 s may begin anew."""
PATIENCE_S = 30.0
"""A client that does not take what it was sent for so long is cut off."""
LOOK_EVERY_S = 0.25
RECONNECT_MS = 2_000
LARGEST_MESSAGE_BYTES = 4_096
CLOSE_WITHIN_S = 1.0
ASK_FOR_SOCKET = (
    "ask for a WebSocket: Upgrade: websocket, Connection: Upgrade, Sec-WebSocket-Version: 13 and a "
    "Sec-WebSocket-Key; for Server-Sent Events ask /events"
)

HEADERS = {
    "Content-Type": "text/event-stream",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
_RETRY = b"retry: %d\n\n" % RECONNECT_MS
_HEARTBEAT = b": \n\n"


class _Client:
    """The other end of a request."""

    def __init__(self, request: web.Request) -> None:
        self._request = request

    def is_gone(self) -> bool:
        """Say whether he has hung up."""
        return self._request.transport is None or self._request.transport.is_closing()

    def hang_up(self) -> None:
        """End the connection."""
        if self._request.transport is not None:
            self._request.transport.abort()

    def has_taken_all(self) -> bool:
        """Say whether the kernel has all that was sent."""
        transport = self._request.transport
        return transport is None or transport.get_write_buffer_size() == 0


class Push:
    """The routes of streams."""

    def __init__(
        self,
        auth: Auth,
        listeners: Listeners,
        meter: PushMeter,
        *,
        heartbeat_s: float = HEARTBEAT_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._auth = auth
        self._listeners = listeners
        self._meter = meter
        self._heartbeat_s = heartbeat_s
        self._patience_s = patience_s

    def routes(self) -> Iterator[web.RouteDef]:
        """Yield the routes."""
        # A HEAD would wait for the end of the stream.
        yield web.get("/v1/orders/{order_id}/events", self._events, allow_head=False)
        yield web.get("/v1/orders/{order_id}/ws", self._socket, allow_head=False)

    async def _events(self, request: web.Request) -> web.StreamResponse:
        async with self._listening(request, "sse", _last_event_id(request)) as listener:
            response = web.StreamResponse(headers=HEADERS)
            # After the end a client comes again by a new connection, perhaps to another process.
            response.force_close()
            try:
                await response.prepare(request)
                await response.write(_RETRY)
                async for shown in self._states(listener):
                    body = _event_of(shown) if shown else _HEARTBEAT
                    await self._send(response.write(body), listener)
                await response.write_eof()
            except ConnectionError:
                log.debug("stream.hung_up", order_id=listener.topic.order_id)
            return response

    async def _socket(self, request: web.Request) -> web.StreamResponse:
        async with self._listening(request, "ws", None) as listener:
            socket = web.WebSocketResponse(
                heartbeat=self._heartbeat_s,
                timeout=CLOSE_WITHIN_S,
                max_msg_size=LARGEST_MESSAGE_BYTES,
                compress=False,
            )
            if not socket.can_prepare(request):
                raise Refused(HTTPStatus.BAD_REQUEST, "no-websocket", ASK_FOR_SOCKET)
            try:
                await socket.prepare(request)
                await self._converse(socket, listener)
            except ConnectionError:
                # The client went before it was answered, or an answer to a ping finds it gone.
                log.debug("stream.hung_up", order_id=listener.topic.order_id)
            return socket

    async def _converse(self, socket: web.WebSocketResponse, listener: Listener) -> None:
        """Send states until one side ends the stream."""
        sending = asyncio.create_task(self._send_all(socket, listener))
        try:
            async for _ in socket:
                # Nothing that a client says has a meaning; too long a message ends the stream.
                pass
        finally:
            listener.end()
            await sending

    async def _send_all(self, socket: web.WebSocketResponse, listener: Listener) -> None:
        try:
            async for shown in self._states(listener):
                if shown:
                    await self._send(socket.send_str(shown.body.decode()), listener)
            await socket.close(code=WSCloseCode.GOING_AWAY)
        except ConnectionError:
            log.debug("stream.hung_up", order_id=listener.topic.order_id)

    @asynccontextmanager
    async def _listening(
        self, request: web.Request, transport: str, last_sent: int | None
    ) -> AsyncIterator[Listener]:
        """Give whoever may listen a listener that knows where the order stands, else refuse."""
        order_id = request.match_info["order_id"]
        await self._auth.require_order(request, order_id)
        for_shop = self._auth.is_api(request)

        client = _Client(request)
        with self._listeners.joined(order_id, client, for_shop=for_shop) as listener:
            if not await self._listeners.begin(listener, last_sent):
                raise Refused(HTTPStatus.NOT_FOUND, "not-found", "no such order is known")
            if self._listeners.is_ending:
                listener.end()
            self._meter.listener_joined(transport)
            try:
                yield listener
            finally:
                self._meter.listener_left(transport)

    async def _states(self, listener: Listener) -> AsyncIterator[Shown | None]:
        """Yield each state that the client is to be sent, and None where a heartbeat is due.

        While it has not taken what it was sent, it is sent nothing: then only the latest counts.
        """
        while True:
            await listener.wait(self._heartbeat_s)
            await self._taken(listener)
            if listener.is_over:
                return
            shown = listener.take()
            if shown:
                self._meter.state_pushed()
            yield shown

    async def _taken(self, listener: Listener) -> None:
        """Return once the client has taken all that it was sent, is cut off, or is to end."""
        waited_s = 0.0
        while not listener.is_over and not listener.client.has_taken_all():
            if waited_s >= self._patience_s:
                self._cut_off(listener)
            await asyncio.sleep(LOOK_EVERY_S)
            waited_s += LOOK_EVERY_S

    async def _send(self, sending: Awaitable[None], listener: Listener) -> None:
        """Send what is too much for the buffers, too, as far as the client takes it in time."""
        try:
            async with asyncio.timeout(self._patience_s):
                await sending
        except TimeoutError:
            self._cut_off(listener)

    def _cut_off(self, listener: Listener) -> None:
        log.info("stream.cut_off", order_id=listener.topic.order_id)
        listener.client.hang_up()
        listener.end()


def _event_of(shown: Shown) -> bytes:
    return b"id: %d\nevent: order\ndata: %b\n\n" % (shown.version, shown.body)


def _last_event_id(request: web.Request) -> int | None:
    """Return the version that the client has seen; what is none of ours counts as nothing seen."""
    text = request.headers.get("Last-Event-ID", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
