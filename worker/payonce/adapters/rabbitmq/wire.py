"""AMQP 0-9-1 frames of the methods that come in numbers. Source: the AMQP 0-9-1 specification.

Out: publish, ack. In: deliver, return, and the broker's ack and nack of publishes. The rest, and
everything rare, stays with the client library.
"""

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from pamqp import encode
from pamqp.commands import Basic
from pamqp.decode import field_table
from pamqp.header import ContentHeader

METHOD, HEADER, BODY = 1, 2, 3
FRAME_END = b"\xce"
HEARTBEAT = b"\x08\x00\x00\x00\x00\x00\x00\xce"
FRAME_OVERHEAD_BYTES = 8
_START_BYTES, _CHANNEL_ENDS_AT = 7, 3
_CONTENT_START_BYTES = 12

DELIVER = b"\x00\x3c\x00\x3c"
RETURN = b"\x00\x3c\x00\x32"
ACK = b"\x00\x3c\x00\x50"
NACK = b"\x00\x3c\x00\x78"

_PERSISTENT = b"\x02"
_CONTENT_TYPE, _CONTENT_ENCODING, _HEADERS, _DELIVERY_MODE, _PRIORITY = (
    0x8000,
    0x4000,
    0x2000,
    0x1000,
    0x0800,
)
_BEFORE_MESSAGE_ID = (0x0400, 0x0200, 0x0100)
"""correlation_id, reply_to and expiration: short strings that are stepped over."""
_MESSAGE_ID = 0x0080

_GARBAGE = (
    struct.error,
    ValueError,
    OverflowError,
    IndexError,
    KeyError,
    TypeError,
    RecursionError,
)
"""What the library raises on tables that it cannot read or write, deeply nested ones too."""

_frame_start = struct.Struct(">BHI")
_content_start = struct.Struct(">HHQH")
_flags = struct.Struct(">H")
_ack = struct.Struct(">BHI4sQ?B")
_long = struct.Struct(">I")
_longlong = struct.Struct(">Q")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to publish; `properties` are encoded already."""

    exchange: str
    routing_key: str
    body: bytes
    properties: bytes
    message_id: str


@dataclass(slots=True)
class Received:
    """A message that came: `header` is its encoded content header."""

    delivery_tag: int
    redelivered: bool
    exchange: str
    routing_key: str
    header: bytes = b""
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Confirm:
    """The broker's word on publishes: `delivery_tag`, and all before it where `multiple`."""

    delivery_tag: int
    multiple: bool
    taken: bool


def encode_publish(channel: int, message: Outgoing, frame_max: int) -> bytes:
    """Return the frames of a mandatory publish."""
    size = len(message.body)
    parts = [
        _publish_frame(channel, message.exchange, message.routing_key),
        _frame_start.pack(HEADER, channel, 12 + len(message.properties)),
        b"\x00\x3c\x00\x00",
        _longlong.pack(size),
        message.properties,
        FRAME_END,
    ]
    room = frame_max - FRAME_OVERHEAD_BYTES
    for start in range(0, size, room):
        piece = message.body[start : start + room] if size > room else message.body
        parts += (_frame_start.pack(BODY, channel, len(piece)), piece, FRAME_END)
    return b"".join(parts)


def encode_ack(channel: int, delivery_tag: int, *, multiple: bool) -> bytes:
    """Return the frame that acknowledges `delivery_tag`, and all before it where `multiple`."""
    return _ack.pack(METHOD, channel, 13, ACK, delivery_tag, multiple, 0xCE)


def plain_properties(
    content_type: str, message_id: str, headers: Mapping[str, Any] | None = None
) -> bytes:
    """Return the encoded properties of a persistent message."""
    flags = _CONTENT_TYPE | _DELIVERY_MODE | _MESSAGE_ID
    table = b""
    if headers:
        flags |= _HEADERS
        table = encode.field_table(dict(headers))
    return b"".join(
        (_flags.pack(flags), _short(content_type), table, _PERSISTENT, _short(message_id))
    )


def encode_properties(properties: Basic.Properties) -> bytes:
    """Return any properties encoded, slower than `plain_properties`. Raises ValueError."""
    try:
        return ContentHeader(properties=properties).marshal()[12:]
    except _GARBAGE as error:
        raise ValueError(f"properties: {error}") from error


def decode_properties(header: bytes) -> Basic.Properties:
    """Return all properties of an encoded content header. Raises ValueError where it is garbage."""
    content = ContentHeader()
    try:
        content.unmarshal(header)
    except _GARBAGE as error:
        raise ValueError(f"properties: {error}") from error
    return content.properties


def readable(frame_type: int, frame: bytes) -> bytes:
    """Return a frame that the library can read: a content header of garbage loses its properties.

    Else one message of a queue would end the connection of whoever looks at the queue.
    """
    if frame_type != HEADER:
        return frame
    try:
        decode_properties(frame[_START_BYTES:-1])
    except ValueError:
        bare = frame[_START_BYTES : _START_BYTES + _CONTENT_START_BYTES] + b"\x00\x00"
        start = frame[:_CHANNEL_ENDS_AT] + _long.pack(len(bare))
        return start + bare + FRAME_END
    return frame


def read_properties(header: bytes) -> tuple[str | None, str | None, bytes]:
    """Return content type, message id and the encoded table of headers (empty: none)."""
    (flags,) = _flags.unpack_from(header, 12)
    at = 14
    content_type = message_id = None
    headers = b""
    if flags & _CONTENT_TYPE:
        content_type, at = _read_short(header, at)
    if flags & _CONTENT_ENCODING:
        at += 1 + header[at]
    if flags & _HEADERS:
        end = at + 4 + _long.unpack_from(header, at)[0]
        headers, at = header[at:end], end
    at += bool(flags & _DELIVERY_MODE) + bool(flags & _PRIORITY)
    for flag in _BEFORE_MESSAGE_ID:
        if flags & flag:
            at += 1 + header[at]
    if flags & _MESSAGE_ID:
        message_id, at = _read_short(header, at)
    return content_type, message_id, headers


class Headers(Mapping[str, Any]):
    """The headers of a message, decoded when somebody looks: most never are."""

    __slots__ = ("_encoded", "_table")

    def __init__(self, encoded: bytes) -> None:
        self._encoded = encoded
        self._table: Mapping[str, Any] | None = None

    def _decoded(self) -> Mapping[str, Any]:
        if self._table is None:
            self._table = _decode_table(self._encoded)
        return self._table

    def __getitem__(self, name: str) -> Any:
        return self._decoded()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._decoded())

    def __len__(self) -> int:
        return len(self._decoded())


def decode_deliver(payload: bytes) -> Received:
    """Return what a basic.deliver says; header and body follow in frames of their own."""
    at = 5 + payload[4]
    (delivery_tag,) = _longlong.unpack_from(payload, at)
    exchange, end = _read_short(payload, at + 9)
    routing_key, _ = _read_short(payload, end)
    return Received(delivery_tag, payload[at + 8] == 1, exchange, routing_key)


def decode_return(payload: bytes) -> Received:
    """Return what a basic.return says; its delivery tag is 0: the broker does not name one."""
    exchange, end = _read_short(payload, 7 + payload[6])
    routing_key, _ = _read_short(payload, end)
    return Received(0, redelivered=False, exchange=exchange, routing_key=routing_key)


def decode_confirm(payload: bytes) -> Confirm:
    """Return what a basic.ack or basic.nack from the broker says of publishes."""
    (delivery_tag,) = _longlong.unpack_from(payload, 4)
    return Confirm(delivery_tag, bool(payload[12] & 1), payload[:4] == ACK)


def body_size(header: bytes) -> int:
    """Return how many bytes of body follow a content header."""
    size: int = _content_start.unpack_from(header)[2]
    return size


@lru_cache(maxsize=1024)
def _publish_frame(channel: int, exchange: str, routing_key: str) -> bytes:
    arguments = b"\x00\x00" + _short(exchange) + _short(routing_key) + b"\x01"
    payload = b"\x00\x3c\x00\x28" + arguments
    return _frame_start.pack(METHOD, channel, len(payload)) + payload + FRAME_END


def _short(text: str) -> bytes:
    encoded = text.encode()
    return bytes((len(encoded),)) + encoded


def _read_short(data: bytes, at: int) -> tuple[str, int]:
    end = at + 1 + data[at]
    return data[at + 1 : end].decode(errors="replace"), end


def _decode_table(encoded: bytes) -> Mapping[str, Any]:
    if not encoded:
        return {}
    try:
        return field_table(encoded)[1]
    except _GARBAGE:
        return {}
