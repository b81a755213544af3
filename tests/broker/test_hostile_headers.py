"""Headers that another client's encoder writes and ours cannot read: no message blocks another."""

import struct

import pytest

from payonce.adapters.rabbitmq import wire
from payonce.adapters.rabbitmq.parked import replay
from payonce.ports.bus import DONE, Delivery, Fate, Park
from tests.broker.rigs import RabbitRig, consuming, soon
from tests.broker.test_consumer import INITIATED, parked
from tests.support.waiting import eventually

DEEPEST = 8_000
"""Levels that still fit into one frame; the reader gives up long before."""


def table(field: bytes) -> bytes:
    """Return an encoded table with one field `a`; `field`: its type's letter and its value."""
    entry = b"\x01a" + field
    return struct.pack(">I", len(entry)) + entry


def nested(depth: int) -> bytes:
    """Return a table in a table in a table."""
    inner = struct.pack(">I", 0)
    for _ in range(depth):
        inner = table(b"F" + inner)
    return inner


HOSTILE = {
    "nested": nested(DEEPEST),
    "after the end of time": table(b"T" + struct.pack(">Q", 2**63)),
}


async def send(rig: RabbitRig, exchange: str, key: str, headers: bytes) -> None:
    """Publish with headers that are encoded already."""
    plain = wire.plain_properties("application/json", "m-1")
    # Flags, the content type, then what they say that follows.
    at = 3 + plain[2]
    flags = struct.pack(">H", struct.unpack(">H", plain[:2])[0] | 0x2000)
    properties = flags + plain[2:at] + headers + plain[at:]
    await rig.broker.publisher.publish(wire.Outgoing(exchange, key, b"{}", properties, "m-1"))


@pytest.mark.parametrize("name", HOSTILE)
async def test_a_message_with_any_headers_is_parked(rabbit: RabbitRig, name: str) -> None:
    """Without them where need be: its body counts. The next message is taken as ever."""
    taken: list[bytes] = []

    async def receive(delivery: Delivery) -> Fate:
        taken.append(delivery.body)
        return DONE if delivery.body == b'{"good":1}' else Park("because")

    async with consuming(rabbit.consumer(INITIATED, 10, receive)):
        await send(rabbit, "payments", "payment.initiated", HOSTILE[name])
        [one] = await parked(rabbit)
        await rabbit.send("payments", "payment.initiated", b'{"good":1}')
        await eventually(lambda: len(taken) == 2)
    assert (b"{}", "because") == (one.body, one.reason)


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_the_broker_parks_is_shown_whatever_its_headers(
    rabbit: RabbitRig, name: str
) -> None:
    """A message for a queue that is not there comes to the list without passing through us."""
    await send(rabbit, "payonce.parked", "payonce.poll", HOSTILE[name])
    [one] = await parked(rabbit)
    assert b"{}" == one.body
    await soon(lambda: rabbit.ready("payonce.parked"))
    assert 1 == (await replay(rabbit.url, lambda _: True)).count
    assert 1 == await soon(lambda: rabbit.ready("payonce.poll"))
