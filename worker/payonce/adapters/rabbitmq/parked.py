"""What was put aside: looked at without harm, and sent back to where it came from."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiormq.abc
import structlog
from aiormq.exceptions import ChannelNotFoundEntity, DeliveryError, PublishError
from pamqp.commands import Basic

from payonce.adapters.rabbitmq.declare import plain_channel
from payonce.adapters.rabbitmq.parking import (
    AT_MS,
    FIRST_DEATH_QUEUE,
    FIRST_DEATH_REASON,
    FROM,
    REASON,
    clean_headers,
    republished,
)
from payonce.adapters.rabbitmq.topology import DUE, PARKED, due_queue_name
from payonce.domain.errors import InvalidField

log = structlog.get_logger(__name__)

MOST_LISTED = 1_001
"""The longest page, and the message behind it that tells of another one."""
MOST_REPLAYED = 10_000
_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class Parked:
    """A parked message; `came_from` is the queue that it was parked from, None where unknown.

    Of a message that came due for a queue that was not there, it is that queue.
    """

    message_id: str | None
    reason: str
    came_from: str | None
    parked_at_ms: int | None
    content_type: str | None
    headers: Mapping[str, Any]
    body: bytes


@dataclass(frozen=True, slots=True)
class Replayed:
    """How many messages went back, and (message id, why not) of those that were wanted too."""

    count: int
    left: tuple[tuple[str | None, str], ...]


async def list_parked(
    url: str, queue: str = PARKED, limit: int = 100, skip: int = 0
) -> list[Parked]:
    """Return up to `limit` parked messages behind the oldest `skip`; all stay where they are.

    They are taken in hand and returned together, which counts as a delivery of each; parked queues
    allow a million of those. Raises InvalidField where there is no such queue, Unavailable.
    """
    async with plain_channel(url) as channel:
        wanted = min(skip + min(limit, MOST_LISTED), MOST_REPLAYED)
        count = min(wanted, await _count(channel, queue))
        taken = [message for _ in range(count) if (message := await _get(channel, queue))]
        await _return_all(channel, taken)
        return [_parked(message) for message in taken[skip:]]


async def replay(
    url: str,
    wanted: Callable[[Parked], bool],
    queue: str = PARKED,
    limit: int = MOST_REPLAYED,
) -> Replayed:
    """Send the wanted messages back to the queues that they came from; the others stay.

    Each is confirmed there before it is acknowledged here, so a crash doubles one but loses none.
    What is parked meanwhile is left for the next call. Raises InvalidField, Unavailable.
    """
    kept: list[aiormq.abc.DeliveredMessage] = []
    left: list[tuple[str | None, str]] = []
    count = 0
    async with plain_channel(url) as channel:
        for _ in range(min(limit, MOST_REPLAYED, await _count(channel, queue))):
            message = await _get(channel, queue)
            if message is None:
                break
            parked = _parked(message)
            problem = await _send_back(channel, message, parked) if wanted(parked) else ""
            if problem is None:
                count += 1
                continue
            kept.append(message)
            if problem:
                left.append((parked.message_id, problem))
        await _return_all(channel, kept)
    log.info("parked.replayed", queue=queue, messages=count, left=len(left))
    return Replayed(count, tuple(left))


async def _send_back(
    channel: aiormq.abc.AbstractChannel, message: aiormq.abc.DeliveredMessage, parked: Parked
) -> str | None:
    """Return None once the message is where it came from, else why it cannot go there."""
    if parked.came_from is None:
        return "nothing tells where it came from"
    properties = message.header.properties
    properties.headers = clean_headers(properties.headers)
    again = republished("", parked.came_from, message.body, properties)
    try:
        await channel.basic_publish(
            again.body,
            exchange=again.exchange,
            routing_key=again.routing_key,
            properties=properties,
            mandatory=True,
            timeout=_TIMEOUT_S,
        )
    except PublishError:
        return f"there is no queue {parked.came_from}"
    except DeliveryError:
        return f"{parked.came_from} does not take it"
    await channel.basic_ack(_tag(message))
    return None


async def _count(channel: aiormq.abc.AbstractChannel, queue: str) -> int:
    try:
        declared = await channel.queue_declare(queue, passive=True, timeout=_TIMEOUT_S)
    except ChannelNotFoundEntity:
        raise InvalidField("queue", f"there is no {queue!r}", "the name of a queue") from None
    return declared.message_count or 0


async def _get(
    channel: aiormq.abc.AbstractChannel, queue: str
) -> aiormq.abc.DeliveredMessage | None:
    message = await channel.basic_get(queue, timeout=_TIMEOUT_S)
    return message if isinstance(message.delivery, Basic.GetOk) else None


async def _return_all(
    channel: aiormq.abc.AbstractChannel, messages: list[aiormq.abc.DeliveredMessage]
) -> None:
    """Give back what is unacknowledged, all of it at once."""
    if messages:
        await channel.basic_nack(_tag(messages[-1]), multiple=True, requeue=True)


def _tag(message: aiormq.abc.DeliveredMessage) -> int:
    return message.delivery.delivery_tag or 0  # type: ignore[union-attr]


def _parked(message: aiormq.abc.DeliveredMessage) -> Parked:
    properties = message.header.properties
    headers: Mapping[str, Any] = properties.headers or {}
    at_ms = headers.get(AT_MS)
    return Parked(
        message_id=properties.message_id,
        reason=_reason(message.delivery, headers),
        came_from=_origin(message.delivery, headers),
        parked_at_ms=at_ms if isinstance(at_ms, int) else None,
        content_type=properties.content_type,
        headers=headers,
        body=message.body,
    )


def _reason(delivery: Any, headers: Mapping[str, Any]) -> str:
    if delivery.exchange == DUE:
        return f"no queue is bound for {delivery.routing_key}"
    return str(headers.get(REASON) or headers.get(FIRST_DEATH_REASON) or "unknown")


def _origin(delivery: Any, headers: Mapping[str, Any]) -> str | None:
    """Return the queue that a message was parked from, or should have come to.

    Ours name it. Where the broker parked, the routing key does; x-first-death-queue would name the
    delay queue that a poll expired from before it came to its work queue. An alternate exchange
    leaves exchange and routing key as they were.
    """
    if delivery.exchange == DUE:
        return due_queue_name(str(delivery.routing_key))
    if FROM in headers:
        return str(headers[FROM])
    if delivery.exchange == PARKED:
        return str(delivery.routing_key)
    first = headers.get(FIRST_DEATH_QUEUE)
    return None if first is None else str(first)
