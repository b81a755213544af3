"""Rows to domain objects and back to columns."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from asyncpg import Record

from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import MismatchReason, Payment, PaymentStatus

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(dict[str, Any])


def payment_of(row: Record) -> Payment:
    """Return the payment in a row that holds the columns of `payments`."""
    mismatched = row["mismatched"]
    return Payment(
        payment_id=row["payment_id"],
        order_id=row["order_id"],
        gateway=row["gateway"],
        amount=row["amount"],
        currency=row["currency"],
        status=PaymentStatus(row["status"]),
        gateway_ref=row["gateway_ref"],
        expires_at=row["expires_at"],
        epoch=row["epoch"],
        step=row["step"],
        duplicate=row["duplicate"],
        unresolved=row["unresolved"],
        mismatched=MismatchReason(mismatched) if mismatched else None,
        traceparent=row["traceparent"],
    )


def order_of(row: Record, order_id: str) -> Order:
    """Return the order in a row that holds its columns as `order_status`, `order_amount`, ..."""
    return Order(
        order_id=order_id,
        status=OrderStatus(row["order_status"]),
        amount=row["order_amount"],
        currency=row["order_currency"],
        settled_by=row["settled_by"],
        version=row["version"],
    )


def columns(rows: Iterable[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    """Return the `width` columns of rows, for one `unnest`."""
    return list(zip(*rows, strict=True)) or [()] * width


def to_json(value: Mapping[str, Any]) -> str:
    """Return the text of a jsonb."""
    return _encoder.encode(value).decode()


def from_json(text: str) -> dict[str, Any]:
    """Return the object in a jsonb."""
    return _decoder.decode(text)
