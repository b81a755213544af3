"""Events that payonce tells the world, as rows of the outbox."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from payonce.domain.ids import event_id


class EventType(StrEnum):
    """The type of an event, which is its routing key too."""

    PAYMENT_INITIATED = "payment.initiated"
    PAYMENT_SUCCEEDED = "payment.succeeded"
    PAYMENT_FAILED = "payment.failed"
    PAYMENT_CLOSED = "payment.closed"
    PAYMENT_DUPLICATED = "payment.duplicated"
    PAYMENT_UNRESOLVED = "payment.unresolved"
    PAYMENT_MISMATCHED = "payment.mismatched"
    PAYMENT_REVERSED = "payment.reversed"
    REFUND_HELD = "refund.held"
    REFUND_SUCCEEDED = "refund.succeeded"
    REFUND_FAILED = "refund.failed"
    REFUND_REJECTED = "refund.rejected"
    REFUND_MANUAL = "refund.manual"


@dataclass(frozen=True, slots=True)
class Event:
    """One event: `data` is the CloudEvent's data, `occurred_at` its time."""

    event_id: str
    type: EventType
    order_id: str
    occurred_at: datetime
    data: Mapping[str, Any]
    traceparent: str | None = None


def make_event(  # noqa: PLR0913 - an event is its six parts
    event_type: EventType,
    about: str,
    order_id: str,
    occurred_at: datetime,
    data: Mapping[str, Any],
    traceparent: str | None,
) -> Event:
    """Return the event of this type about one thing, with the id that both always give."""
    return Event(event_id(event_type, about), event_type, order_id, occurred_at, data, traceparent)
