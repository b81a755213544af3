"""The bus as handlers see it: timers, events, deliveries and what becomes of them."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from payonce.domain.events import Event
from payonce.domain.messages import CloseDue, NotifyDue, PollDue, RefundDue


class WorkQueue(StrEnum):
    """payonce's own work queues; the value is the last part of the queue's name."""

    INITIATED = "initiated"
    ACKNOWLEDGED = "acknowledged"
    CANCELLED = "cancelled"
    POLL = "poll"
    CLOSE = "close"
    REFUND = "refund"
    NOTIFY = "notify"


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message as it came: raw bytes, and what the broker says of it."""

    body: bytes
    queue: str
    received_at: datetime
    content_type: str | None = None
    message_id: str | None = None
    routing_key: str = ""
    headers: Mapping[str, Any] = field(default_factory=dict)
    delivery_count: int = 0


@dataclass(frozen=True, slots=True)
class Done:
    """The delivery is dealt with: acknowledge it."""


@dataclass(frozen=True, slots=True)
class Park:
    """The delivery cannot be processed: put it aside, whole, with the reason."""

    reason: str


Fate = Done | Park
DONE = Done()

Receiver = Callable[[Delivery], Awaitable[Fate]]
"""What a consumer calls. Unavailable: kept in hand and called again. InvalidField: parked."""


class Timer(Protocol):
    """Puts payonce's own messages on the delay queues; returns once the broker has confirmed."""

    async def poll_after(self, wait_ms: int, message: PollDue) -> None:
        """Deliver `message` to the poll queue after `wait_ms` (0: at once).

        Raises Unavailable where the broker does not confirm or the wait is not declared.
        """
        ...

    async def close_after(self, wait_ms: int, message: CloseDue) -> None:
        """Deliver `message` to the close queue after `wait_ms` (0: at once)."""
        ...

    async def refund_after(self, wait_ms: int, message: RefundDue) -> None:
        """Deliver `message` to the refund queue after `wait_ms` (0: at once)."""
        ...

    async def notify_after(self, wait_ms: int, message: NotifyDue) -> None:
        """Deliver `message` to the notify queue after `wait_ms` (0: at once)."""
        ...


class EventBus(Protocol):
    """Tells the world."""

    async def publish(self, event: Event) -> None:
        """Publish `event` with confirm.

        Raises Unroutable where nobody listens, Unavailable where the broker does not confirm.
        """
        ...
