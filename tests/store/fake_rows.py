"""Rows of the store in memory, and how they are made."""

from dataclasses import dataclass
from datetime import datetime

from payonce.domain.events import Event
from payonce.domain.messages import PaymentInitiated
from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import Payment, PaymentStatus
from payonce.ports.store import OutboxRow, WatchState


@dataclass
class Waiting:
    """An event of the outbox."""

    event: Event
    leased_until: datetime | None = None
    attempts: int = 0

    @property
    def due_at(self) -> datetime:
        """When its turn comes."""
        return self.leased_until or self.event.occurred_at


def open_order(order_id: str) -> Order:
    """Return an order that nobody has put a price on."""
    return Order(order_id, OrderStatus.OPEN, None, None, None, 0)


def state_of(payment: Payment | None, now: datetime) -> WatchState | None:
    """Return how far a watch is known to be."""
    if payment is None:
        return None
    return WatchState(payment.status, payment.unresolved, payment.epoch, payment.step, now)


def new_payment(message: PaymentInitiated) -> Payment:
    """Return the row of a payment that was initiated."""
    return Payment(
        payment_id=message.payment_id,
        order_id=message.order_id,
        gateway=message.gateway,
        amount=message.amount,
        currency=message.currency,
        status=PaymentStatus.PENDING,
        gateway_ref=message.gateway_ref,
        expires_at=message.expires_at,
        traceparent=message.traceparent,
    )


def outbox_row(waiting: Waiting) -> OutboxRow:
    """Return an event of the outbox as a relay gets it."""
    event = waiting.event
    return OutboxRow(
        event_id=event.event_id,
        type=event.type,
        order_id=event.order_id,
        occurred_at=event.occurred_at,
        data=event.data,
        traceparent=event.traceparent,
        attempts=waiting.attempts,
    )
