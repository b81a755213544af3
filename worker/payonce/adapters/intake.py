"""From a delivery's bytes to the message that a handler takes."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from payonce.adapters.codec import (
    decode_close,
    decode_inbound,
    decode_notify,
    decode_poll,
    decode_refund,
)
from payonce.domain.messages import CloseDue, NotifyDue, PollDue, RefundDue
from payonce.ports.bus import Delivery, Fate, Receiver

HandleData = Callable[[Mapping[str, Any], str | None], Awaitable[Fate]]


def take_events(event_type: str, handle: HandleData) -> Receiver:
    """Return the receiver of messages from outside; `handle` gets their data and traceparent."""

    async def receive(delivery: Delivery) -> Fate:
        inbound = decode_inbound(delivery.body, delivery.content_type, event_type)
        return await handle(inbound.data, inbound.traceparent)

    return receive


def take_polls(handle: Callable[[PollDue], Awaitable[Fate]]) -> Receiver:
    """Return the receiver of polls that are due."""

    async def receive(delivery: Delivery) -> Fate:
        return await handle(decode_poll(delivery.body))

    return receive


def take_closes(handle: Callable[[CloseDue], Awaitable[Fate]]) -> Receiver:
    """Return the receiver of closes that are due."""

    async def receive(delivery: Delivery) -> Fate:
        return await handle(decode_close(delivery.body))

    return receive


def take_refunds(handle: Callable[[RefundDue], Awaitable[Fate]]) -> Receiver:
    """Return the receiver of looks at refunds that are due."""

    async def receive(delivery: Delivery) -> Fate:
        return await handle(decode_refund(delivery.body))

    return receive


def take_notices(handle: Callable[[NotifyDue], Awaitable[Fate]]) -> Receiver:
    """Return the receiver of calls to the order service that are due."""

    async def receive(delivery: Delivery) -> Fate:
        return await handle(decode_notify(delivery.body))

    return receive
