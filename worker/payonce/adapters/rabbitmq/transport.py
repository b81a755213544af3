"""A connection whose hot channels read and write their own frames, past the client library.

The library (aiormq) does the handshake, heartbeats and every rare method; per message it costs
about 140 microseconds of CPU each way, most of it tasks, locks and frame objects. Its public
`transport_factory` lets us see the bytes first: frames of hot channels are taken out here, all
others go on to the library untouched.
"""

import asyncio
import struct
from collections.abc import Callable, Iterable
from typing import Any, Protocol, SupportsIndex

import aiormq.abc
from aiormq.connection import TransportFactory
from aiormq.exceptions import AMQPConnectionError
from yarl import URL

from payonce.adapters.rabbitmq import wire

_START_BYTES = 7
_FRAME_TYPES = frozenset({wire.METHOD, wire.HEADER, wire.BODY, 8})
_LARGEST_FRAME = 16 * 1024 * 1024
_SIGN_OF_LIFE_EVERY_S = 1.0
_READ_LIMIT_BYTES = 256 * 1024

_frame_start = struct.Struct(">BHI")


class Sink(Protocol):
    """Takes frames of one channel."""

    def take(self, frame_type: int, payload: bytes) -> bool:
        """Deal with a frame; False: it is the client library's."""
        ...


class SplittingReader(asyncio.StreamReader):
    """Hands frames of hot channels to their sinks and everything else to the client library."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(limit=_READ_LIMIT_BYTES, loop=loop)
        self.sinks: dict[int, Sink] = {}
        self._time = loop.time
        self._rest = b""
        self._raw = False
        self._next_sign = 0.0

    def feed_data(self, data: Iterable[SupportsIndex]) -> None:
        """Take bytes from the socket."""
        if self._raw:
            super().feed_data(data)
            return
        passed, taken = self._split(self._rest + bytes(data))
        if taken and self._time() >= self._next_sign:
            # The library counts frames as signs of life and must not miss those taken here.
            self._next_sign = self._time() + _SIGN_OF_LIFE_EVERY_S
            passed.append(wire.HEARTBEAT)
        if passed:
            super().feed_data(b"".join(passed))

    def _split(self, data: bytes) -> tuple[list[bytes], bool]:
        passed: list[bytes] = []
        taken = False
        at, size = 0, len(data)
        while size - at >= _START_BYTES:
            frame_type, channel, length = _frame_start.unpack_from(data, at)
            if frame_type not in _FRAME_TYPES or length > _LARGEST_FRAME:
                self._raw = True
                passed.append(data[at:])
                at = size
                break
            end = at + length + wire.FRAME_OVERHEAD_BYTES
            if end > size:
                break
            sink = self.sinks.get(channel)
            if sink is not None and sink.take(frame_type, data[at + _START_BYTES : end - 1]):
                taken = True
            else:
                passed.append(wire.readable(frame_type, data[at:end]))
            at = end
        self._rest = data[at:]
        return passed, taken


class SplittingTransport(TransportFactory):
    """Opens the socket for aiormq and keeps hold of both ends; good for one connection."""

    def __init__(self) -> None:
        self.reader: SplittingReader | None = None
        self.writer: asyncio.StreamWriter | None = None

    async def create(
        self, url: URL, **kwargs: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Return the two ends, as aiormq asks for them."""
        provider = kwargs.pop("ssl_context_provider")
        context = await provider.get_context() if url.scheme == "amqps" else None
        loop = asyncio.get_running_loop()
        reader = SplittingReader(loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.create_connection(
                lambda: protocol, url.host or "localhost", url.port or 0, ssl=context
            )
        except OSError as error:
            raise AMQPConnectionError(*error.args) from error
        self.reader = reader
        self.writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        return self.reader, self.writer


class HotChannel:
    """One channel: publishes, acks and deliveries go past the library, the rest is `rare`'s."""

    def __init__(
        self, rare: aiormq.abc.AbstractChannel, transport: SplittingTransport, frame_max: int
    ) -> None:
        if transport.reader is None or transport.writer is None:
            raise RuntimeError("the transport was never opened")
        self.rare = rare
        self.number = rare.number
        self.on_received: Callable[[wire.Received], None] | None = None
        self.on_returned: Callable[[wire.Received], None] | None = None
        self.on_confirmed: Callable[[wire.Confirm], None] | None = None
        self._loop = asyncio.get_running_loop()
        self._reader, self._writer = transport.reader, transport.writer
        self._frame_max = frame_max
        self._unsent: list[bytes] = []
        self._content: wire.Received | None = None
        self._pieces: list[bytes] = []
        self._missing_bytes = 0
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self._reader.sinks[self.number] = self
        rare.closing.add_done_callback(self._on_closed)

    @property
    def is_open(self) -> bool:
        """Whether frames still go somewhere."""
        return not self.closed.done() and not self._writer.is_closing()

    def publish(self, message: wire.Outgoing) -> None:
        """Send a mandatory publish with the next frames of this loop turn."""
        self._send(wire.encode_publish(self.number, message, self._frame_max))

    def ack(self, delivery_tag: int, *, multiple: bool = False) -> None:
        """Send an acknowledgement with the next frames of this loop turn."""
        self._send(wire.encode_ack(self.number, delivery_tag, multiple=multiple))

    def flush(self) -> None:
        """Write what is unsent."""
        if self._unsent and self.is_open:
            self._writer.write(b"".join(self._unsent))
        self._unsent.clear()

    def take(self, frame_type: int, payload: bytes) -> bool:
        """Deal with a frame of a hot method."""
        if frame_type == wire.METHOD:
            return self._take_method(payload)
        if self._content is None:
            return False
        if frame_type == wire.HEADER:
            self._content.header = payload
            self._missing_bytes = wire.body_size(payload)
        else:
            self._pieces.append(payload)
            self._missing_bytes -= len(payload)
        if self._missing_bytes <= 0:
            self._hand_over(self._content)
        return True

    def _take_method(self, payload: bytes) -> bool:
        method = payload[:4]
        if method == wire.DELIVER:
            self._content = wire.decode_deliver(payload)
            return True
        if method in (wire.ACK, wire.NACK):
            if self.on_confirmed is not None:
                self.on_confirmed(wire.decode_confirm(payload))
            return True
        if method == wire.RETURN:
            self._content = wire.decode_return(payload)
            return True
        return False

    def _hand_over(self, message: wire.Received) -> None:
        pieces = self._pieces
        message.body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._content = None
        self._pieces = []
        take = self.on_received if message.delivery_tag else self.on_returned
        if take is not None:
            take(message)

    def _send(self, frames: bytes) -> None:
        if not self._unsent:
            self._loop.call_soon(self.flush)
        self._unsent.append(frames)

    def _on_closed(self, closing: "asyncio.Future[Any]") -> None:
        if not closing.cancelled():
            closing.exception()
        if self._reader.sinks.get(self.number) is self:
            del self._reader.sinks[self.number]
        if not self.closed.done():
            self.closed.set_result(None)
