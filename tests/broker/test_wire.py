"""Our frames against the client library's own, and against any cutting of the stream."""

import asyncio
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pamqp.frame
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from payonce.adapters.rabbitmq import wire
from payonce.adapters.rabbitmq.transport import SplittingReader

CHANNEL = 3
FRAME_MAX = 131_072

shorts = st.text(max_size=60)
tables = st.dictionaries(
    st.text(min_size=1, max_size=20),
    st.integers(-(2**31), 2**31 - 1) | st.booleans() | st.text(max_size=40) | st.none(),
    max_size=4,
)
properties = st.builds(
    Basic.Properties,
    content_type=st.none() | shorts,
    content_encoding=st.none() | shorts,
    headers=st.none() | tables,
    delivery_mode=st.none() | st.integers(1, 2),
    priority=st.none() | st.integers(0, 9),
    correlation_id=st.none() | shorts,
    reply_to=st.none() | shorts,
    expiration=st.none() | shorts,
    message_id=st.none() | shorts,
    timestamp=st.none() | st.just(datetime(2026, 1, 31, 8, tzinfo=UTC)),
    app_id=st.none() | shorts,
)


def frames(data: bytes) -> list[Any]:
    """Return what the library reads out of bytes."""
    found = []
    while data:
        used, channel, frame = pamqp.frame.unmarshal(data)
        assert CHANNEL == channel
        found.append(frame)
        data = data[used:]
    return found


def outgoing(body: bytes = b"{}") -> wire.Outgoing:
    """Return a message to publish."""
    encoded = wire.plain_properties("application/json", "m-1", {"x-attempt": 3})
    return wire.Outgoing("payonce.delay", "3000.poll", body, encoded, "m-1")


def test_publish_is_what_the_library_reads() -> None:
    """Our publish is understood field by field."""
    method, header, body = frames(wire.encode_publish(CHANNEL, outgoing(), FRAME_MAX))
    assert ("payonce.delay", "3000.poll", True) == (
        method.exchange,
        method.routing_key,
        method.mandatory,
    )
    got = header.properties
    assert ("application/json", "m-1", 2, {"x-attempt": 3}) == (
        got.content_type,
        got.message_id,
        got.delivery_mode,
        got.headers,
    )
    assert (2, b"{}") == (header.body_size, body.value)


@pytest.mark.parametrize("size", [0, 1, 91, 92, 93, 184, 185, 1000])
def test_long_bodies_are_cut_into_frames(size: int) -> None:
    """No frame is longer than was agreed, and no byte is lost."""
    data = wire.encode_publish(CHANNEL, outgoing(b"x" * size), 100)
    _, header, *bodies = frames(data)
    assert size == header.body_size == sum(len(one.value) for one in bodies)
    assert all(len(one.value) <= 92 for one in bodies)


@given(properties)
def test_properties_survive(given_properties: Basic.Properties) -> None:
    """All properties come back as they were, and the quick look sees the same."""
    header = ContentHeader(properties=given_properties, body_size=7).marshal()
    decoded = wire.decode_properties(header)
    assert header[12:] == wire.encode_properties(decoded)
    content_type, message_id, encoded = wire.read_properties(header)
    assert (
        decoded.content_type,
        decoded.message_id,
        decoded.headers or {},
    ) == (content_type, message_id, dict(wire.Headers(encoded)))


@given(st.binary(max_size=60))
def test_garbage_headers_are_no_headers(encoded: bytes) -> None:
    """Whatever bytes stand for headers, looking at them harms nobody."""
    assert isinstance(dict(wire.Headers(encoded)), dict)


@given(st.integers(1, 2**63 - 1), st.booleans())
def test_ack_is_what_the_library_reads(tag: int, multiple: bool) -> None:
    """Our ack is understood."""
    (frame,) = frames(wire.encode_ack(CHANNEL, tag, multiple=multiple))
    assert (tag, multiple) == (frame.delivery_tag, frame.multiple)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (Basic.Ack(9, multiple=True), wire.Confirm(9, multiple=True, taken=True)),
        (Basic.Ack(9), wire.Confirm(9, multiple=False, taken=True)),
        (Basic.Nack(9, multiple=True, requeue=False), wire.Confirm(9, multiple=True, taken=False)),
        (Basic.Nack(9, multiple=False), wire.Confirm(9, multiple=False, taken=False)),
    ],
)
def test_confirms_are_read(frame: Any, expected: wire.Confirm) -> None:
    """The broker's ack and nack of publishes are told apart."""
    payload = pamqp.frame.marshal(frame, CHANNEL)[7:-1]
    assert expected == wire.decode_confirm(payload)


class Taker:
    """A sink that takes every deliver and its content, and leaves the rest."""

    def __init__(self) -> None:
        self.taken: list[tuple[int, bytes]] = []

    def take(self, frame_type: int, payload: bytes) -> bool:
        """Take content frames and delivers."""
        if frame_type == wire.METHOD and payload[:4] != wire.DELIVER:
            return False
        self.taken.append((frame_type, payload))
        return True


def stream() -> tuple[bytes, list[tuple[int, bytes]], bytes]:
    """Return mixed frames, the payloads of the hot ones, and the bytes of the others."""
    deliver = Basic.Deliver("tag", 7, False, "payments", "payment.initiated")
    hot = [
        pamqp.frame.marshal(deliver, CHANNEL),
        pamqp.frame.marshal(ContentHeader(body_size=300), CHANNEL),
        pamqp.frame.marshal(ContentBody(b"\xce" * 300), CHANNEL),
    ]
    cold = [
        pamqp.frame.marshal(Basic.QosOk(), CHANNEL),
        pamqp.frame.marshal(commands.Channel.OpenOk(), 1),
        pamqp.frame.marshal(Basic.Ack(1), 2),
    ]
    mixed = b"".join((cold[0], *hot, cold[1], *hot, cold[2]))
    return mixed, [(data[0], data[7:-1]) for data in (*hot, *hot)], b"".join(cold)


@given(st.lists(st.integers(1, 1200), max_size=12))
def test_stream_may_be_cut_anywhere(cuts: list[int]) -> None:
    """Hot frames go to their channel and all others to the library, however the bytes come."""

    async def split() -> None:
        mixed, hot, cold = stream()
        reader, sink = SplittingReader(asyncio.get_running_loop()), Taker()
        reader.sinks[CHANNEL] = sink
        edges = sorted({0, len(mixed), *(cut % len(mixed) for cut in cuts)})
        for start, end in pairwise(edges):
            reader.feed_data(mixed[start:end])
        reader.feed_eof()
        passed = await reader.read()
        assert hot == sink.taken
        assert cold == passed.replace(wire.HEARTBEAT, b"")

    asyncio.run(split())


async def test_hot_frames_count_as_signs_of_life() -> None:
    """The library, which sees none of them, is told that the broker lives."""
    mixed, _, _ = stream()
    reader = SplittingReader(asyncio.get_running_loop())
    reader.sinks[CHANNEL] = Taker()
    reader.feed_data(mixed)
    reader.feed_eof()
    assert wire.HEARTBEAT in await reader.read()


async def test_what_is_no_amqp_goes_to_the_library() -> None:
    """A server of another protocol is the library's to report."""
    reader = SplittingReader(asyncio.get_running_loop())
    reader.feed_data(b"HTTP/1.1 ")
    reader.feed_data(b"400 Bad Request\r\n")
    reader.feed_eof()
    assert b"HTTP/1.1 400 Bad Request\r\n" == await reader.read()
