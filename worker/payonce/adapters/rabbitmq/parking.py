"""What a parked message looks like: whole, and why and from where it was parked."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import uuid4

from pamqp.commands import Basic

from payonce.adapters.rabbitmq.topology import PARKED
from payonce.adapters.rabbitmq.wire import (
    Outgoing,
    Received,
    decode_properties,
    encode_properties,
)
from payonce.domain.times import to_ms

REASON = "x-parked-reason"
FROM = "x-parked-from"
AT_MS = "x-parked-at-ms"
FIRST_DEATH_QUEUE = "x-first-death-queue"
FIRST_DEATH_REASON = "x-first-death-reason"

_STRIPPED_PREFIXES = ("x-death", "x-first-death-", "x-last-death-", "x-parked-")
_STRIPPED = frozenset({"x-delivery-count", "x-acquired-count", "cc", "bcc"})
"""The broker's own counts; and CC and BCC, by which it would deliver copies elsewhere."""

_PERSISTENT = 2


def parked_message(received: Received, queue: str, reason: str, now: datetime) -> Outgoing:
    """Return `received` as it goes to the parked exchange.

    Properties that the client library cannot read or write are left behind: the body counts.
    """
    why: dict[str, Any] = {REASON: reason, FROM: queue, AT_MS: to_ms(now)}
    try:
        properties = decode_properties(received.header)
        properties.headers = {**clean_headers(properties.headers), **why}
        return republished(PARKED, queue, received.body, properties)
    except ValueError:
        bare = Basic.Properties(headers=why)
        return republished(PARKED, queue, received.body, bare)


def republished(
    exchange: str, routing_key: str, body: bytes, properties: Basic.Properties
) -> Outgoing:
    """Return a message that came, as a new one.

    An expiration would let it vanish, and a user id only its first publisher may name.
    """
    properties.delivery_mode = _PERSISTENT
    properties.expiration = None
    properties.user_id = None
    properties.message_id = properties.message_id or str(uuid4())
    return Outgoing(
        exchange, routing_key, body, encode_properties(properties), properties.message_id
    )


def clean_headers(headers: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return headers without those that the broker or an earlier parking wrote.

    A forged or stale x-death makes RabbitMQ 3.10 drop a message as a cycle.
    """
    return {
        name: value
        for name, value in (headers or {}).items()
        if not name.lower().startswith(_STRIPPED_PREFIXES) and name.lower() not in _STRIPPED
    }
