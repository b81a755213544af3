"""An order: what is paid, once."""

from dataclasses import dataclass
from enum import StrEnum

from payonce.domain.errors import IllegalTransition


class OrderStatus(StrEnum):
    """Where an order stands; PAID and CANCELLED are last words."""

    OPEN = "OPEN"
    PAID = "PAID"
    CANCELLED = "CANCELLED"


TRANSITIONS: frozenset[tuple[OrderStatus, OrderStatus]] = frozenset(
    {
        (OrderStatus.OPEN, OrderStatus.PAID),
        (OrderStatus.OPEN, OrderStatus.CANCELLED),
    }
)


@dataclass(frozen=True, slots=True)
class Order:
    """An order's row. `amount` and `currency` are fixed by its first registered payment."""

    order_id: str
    status: OrderStatus
    amount: int | None
    currency: str | None
    settled_by: str | None
    version: int


def closing_of(order: Order) -> str | None:
    """Return why a payment that comes to this order shall be closed; None: it need not be."""
    return None if order.status is OrderStatus.OPEN else f"order-{order.status.lower()}"


def move(before: OrderStatus, after: OrderStatus) -> OrderStatus:
    """Return `after` if the table holds the step, else raise IllegalTransition."""
    if (before, after) not in TRANSITIONS:
        raise IllegalTransition("order", before, after)
    return after
