"""Messages of the bus: any bytes are a message that can be meant, or InvalidField."""

import asyncio
import struct
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, cast

import msgspec
from hypothesis import strategies as st
from pamqp import encode

from payonce.adapters import codec
from payonce.adapters.postgres.rows import from_json, to_json
from payonce.adapters.rabbitmq import wire
from payonce.adapters.rabbitmq.parking import parked_message
from payonce.adapters.rabbitmq.transport import SplittingReader
from payonce.domain.errors import InvalidField
from payonce.domain.ids import check_id
from payonce.domain.messages import (
    CloseDue,
    NotifyDue,
    PollDue,
    RefundDue,
    parse_acknowledged,
    parse_cancelled,
    parse_initiated,
)
from payonce.domain.money import check_amount, check_currency
from payonce.domain.times import from_ms
from tests.fuzz.mutating import hostile
from tests.fuzz.targets import target

NOW = datetime(2026, 1, 31, 8, tzinfo=UTC)
WATCH_FOR = {"mock": timedelta(hours=2)}
CHANNEL = 3

INITIATED = {
    "payment_id": "p-1",
    "order_id": "o-1",
    "gateway": "mock",
    "amount": 1999,
    "currency": "CNY",
    "gateway_ref": "ch_1",
    "initiated_at": "2026-01-31T08:00:00Z",
    "expires_at": "2026-01-31T10:00:00Z",
}
NAMED = {"order_id": "o-1", "payment_id": "p-1"}
POLLS = ((0, 1_700_000_000_123, "pending"),)
DUE: dict[Callable[[bytes], Any], Any] = {
    codec.decode_poll: PollDue(
        "p-1", "o-1", "mock", 1999, "CNY", 2, 1_700_000_000_123, 1_700_007_200_000, polls=POLLS
    ),
    codec.decode_close: CloseDue("p-1", "o-1", "mock", 1999, "CNY", "order-paid", None, 1),
    codec.decode_refund: RefundDue("rf-1", "p-1", "o-1", "mock", 1_700_000_000_123, 3),
    codec.decode_notify: NotifyDue("o-1", "p-1", 2),
}


def envelope(data: Any, kind: str) -> dict[str, Any]:
    """Return a CloudEvent as another program writes it."""
    return {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/shop",
        "type": kind,
        "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        "data": data,
    }


def _inbound(
    body: bytes, content_type: str | None, kind: str
) -> tuple[Mapping[str, Any], Any] | None:
    try:
        inbound = codec.decode_inbound(body, content_type, kind)
    except InvalidField:
        return None
    assert inbound.traceparent is None or codec.check_traceparent(inbound.traceparent)
    return inbound.data, inbound.traceparent


content_types = st.sampled_from([None, codec.JSON, codec.CLOUDEVENT, "text/plain", "\x00;"])


@target(
    body=hostile(INITIATED) | hostile(envelope(INITIATED, "payment.initiated")),
    content_type=content_types,
)
def initiated(body: bytes, content_type: str | None) -> None:
    """A payment that is taken has ids, a price and times that every later step can use."""
    found = _inbound(body, content_type, "payment.initiated")
    if found is None:
        return
    with suppress(InvalidField):
        one = parse_initiated(found[0], NOW, WATCH_FOR, found[1])
        for value in (one.payment_id, one.order_id, one.gateway):
            check_id(value, "id")
        assert type(one.amount) is int
        assert check_amount(one.amount) == one.amount
        assert check_currency(one.currency) == one.currency
        assert one.initiated_at <= NOW
        assert one.expires_at.tzinfo is UTC
        assert one.gateway_ref is None or one.gateway_ref.isprintable()


@target(
    body=hostile(NAMED)
    | hostile(envelope(NAMED, "order.acknowledged"))
    | hostile(envelope(NAMED, "order.cancelled")),
    content_type=content_types,
    kind=st.sampled_from(["order.acknowledged", "order.cancelled"]),
)
def named(body: bytes, content_type: str | None, kind: str) -> None:
    """An acknowledgement or a cancellation names things by ids."""
    found = _inbound(body, content_type, kind)
    if found is None:
        return
    parse = parse_acknowledged if kind == "order.acknowledged" else parse_cancelled
    with suppress(InvalidField):
        check_id(parse(found[0]).order_id, "order_id")


@target(body=hostile(envelope(NAMED, "payment.succeeded")))
def consumed(body: bytes) -> None:
    """What an order consumer reads has an id that can be remembered."""
    with suppress(InvalidField):
        event = codec.decode_cloudevent(body, "payment.succeeded")
        assert event.event_id.isprintable()


@target(
    chosen=st.sampled_from(list(DUE)).flatmap(
        lambda decode: st.tuples(st.just(decode), hostile(msgspec.to_builtins(DUE[decode])))
    )
)
def own(chosen: tuple[Callable[[bytes], Any], bytes]) -> None:
    """What claims to be our own message holds what the database and a terminal can take."""
    decode, body = chosen
    try:
        message = decode(body)
    except InvalidField:
        return
    check_id(message.payment_id, "payment_id")
    assert message == decode(codec.encode_due(message))
    if isinstance(message, PollDue):
        from_ms(message.due_ms)
        assert from_json(to_json({"polls": message.polls}))
        assert all(outcome.isprintable() for _, _, outcome in message.polls)


tables = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.text(max_size=30)
    | st.datetimes(
        datetime(1971, 1, 1),  # noqa: DTZ001 - the zone is drawn too
        timezones=st.just(UTC),
    ),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(min_size=1, max_size=20), inner, max_size=3)
    ),
    max_leaves=10,
)


def _nested(depth: int) -> bytes:
    inner = struct.pack(">I", 0)
    for _ in range(depth):
        entry = b"\x01aF" + inner
        inner = struct.pack(">I", len(entry)) + entry
    return inner


@st.composite
def headers(draw: st.DrawFn) -> bytes:
    """Return an encoded table, in order or not."""
    if draw(st.booleans()):
        return _nested(draw(st.integers(0, 4_000)))
    names = st.sampled_from(["x-death", "x-parked-from", "x-delivery-count", "traceparent", "CC"])
    made = draw(st.dictionaries(names | st.text(min_size=1, max_size=20), tables, max_size=4))
    try:
        encoded = bytearray(encode.field_table(cast("Any", made)))
    except (ValueError, TypeError, OverflowError):
        return draw(st.binary(max_size=60))
    for at in draw(st.lists(st.integers(0, max(len(encoded) - 1, 0)), max_size=3)):
        encoded[at] = draw(st.integers(0, 255))
    return bytes(encoded)


@target(
    table=headers(), flags=st.integers(0, 0xFFFF) | st.just(0x2000), rest=st.binary(max_size=40)
)
def properties(table: bytes, flags: int, rest: bytes) -> None:
    """Any content header can be looked at, and its message parked whole."""
    header = b"\x00\x3c\x00\x00" + struct.pack(">QH", 2, flags) + table + rest
    dict(wire.Headers(table))
    received = wire.Received(1, redelivered=False, exchange="x", routing_key="y", header=header)
    message = parked_message(received, "payonce.poll", "because", NOW)
    kept = wire.decode_properties(_header_of(message)).headers or {}
    assert not {"x-death", "cc"} & {name.lower() for name in kept}
    frame = struct.pack(">BHI", wire.HEADER, CHANNEL, len(header)) + header + wire.FRAME_END
    readable = wire.readable(wire.HEADER, frame)
    wire.decode_properties(readable[7:-1])
    assert 2 == wire.body_size(readable[7:-1])


def _header_of(message: wire.Outgoing) -> bytes:
    return b"\x00\x3c\x00\x00" + struct.pack(">Q", 2) + message.properties


class _Taker:
    """Takes the frames of a channel, up to a number."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, bytes]] = []

    def take(self, frame_type: int, payload: bytes) -> bool:
        """Take every second frame, so that both ways are used."""
        self.taken.append((frame_type, payload))
        return len(self.taken) % 2 == 0


frames = st.lists(
    st.builds(
        lambda kind, channel, payload, end: (
            struct.pack(">BHI", kind, channel, len(payload)) + payload + end
        ),
        st.sampled_from([1, 2, 3, 8]) | st.integers(0, 255),
        st.sampled_from([CHANNEL, CHANNEL, 1]),
        st.binary(max_size=60),
        st.just(b"\xce") | st.binary(min_size=1, max_size=1),
    ),
    max_size=8,
).map(b"".join)


async def _split(data: bytes, cuts: list[int]) -> tuple[list[tuple[int, bytes]], bytes]:
    reader, sink = SplittingReader(asyncio.get_running_loop()), _Taker()
    reader.sinks[CHANNEL] = sink
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    for start, end in pairwise(edges):
        reader.feed_data(data[start:end])
        assert len(reader._rest) <= len(data)
    reader.feed_eof()
    return sink.taken, (await reader.read()).replace(wire.HEARTBEAT, b"")


@target(data=frames | st.binary(max_size=200), cuts=st.lists(st.integers(0, 2_000), max_size=12))
def stream(data: bytes, cuts: list[int]) -> None:
    """However a stream is cut, the same frames come out of it, and nothing is made up."""
    whole = asyncio.run(_split(data, []))
    assert whole == asyncio.run(_split(data, cuts))


@target(payload=st.binary(max_size=60), kind=st.sampled_from(["deliver", "return", "confirm"]))
def methods(payload: bytes, kind: str) -> None:
    """A method of garbage raises what ends the connection, and nothing else."""
    read: Callable[[bytes], object] = {
        "deliver": wire.decode_deliver,
        "return": wire.decode_return,
        "confirm": wire.decode_confirm,
    }[kind]
    with suppress(struct.error, IndexError):
        read(payload)
