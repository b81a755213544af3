"""Rows to domain objects and back. Hot: columns are read by position, enumerations by table."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec
from asyncpg import Record

from payonce.domain.events import Event, EventType
from payonce.domain.ids import event_id
from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import MismatchReason, Payment, PaymentStatus

_PAYMENT_STATUS = {one.value: one for one in PaymentStatus}
_ORDER_STATUS = {one.value: one for one in OrderStatus}
_MISMATCHED: dict[str | None, MismatchReason | None] = {
    None: None,
    **{one.value: one for one in MismatchReason},
}

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(dict[str, Any])
_NUL = re.compile(r"(\\\\)|\\u0000")


def payment_of(row: Record) -> Payment:
    """Return the payment in a row that begins with the columns of `Payment`, in order of those."""
    key, order_id, gateway, amount, currency, status, ref, expires_at, *rest = row[:16]
    epoch, step, duplicate, unresolved, mismatched, traceparent, closing, reversed_amount = rest
    return Payment(
        key,
        order_id,
        gateway,
        amount,
        currency,
        _PAYMENT_STATUS[status],
        ref,
        expires_at,
        epoch,
        step,
        duplicate,
        unresolved,
        _MISMATCHED[mismatched],
        traceparent,
        closing,
        reversed_amount,
    )


def order_of(row: Record, order_id: str) -> Order:
    """Return the order in a row that goes on, behind the payment, with the columns of `Order`."""
    status, amount, currency, settled_by, version = row[16:21]
    return Order(order_id, _ORDER_STATUS[status], amount, currency, settled_by, version)


def columns(rows: Iterable[Sequence[Any]], width: int) -> list[Sequence[Any]]:
    """Return the `width` columns of rows, for one `unnest`."""
    return list(zip(*rows, strict=True)) or [()] * width


def to_json(value: object) -> str:
    """Return the text of a json; NUL, which PostgreSQL does not take, becomes U+FFFD.

    Many rows of many columns go as one json: asyncpg looks twice at every element of an array,
    which took 29 us of CPU a settled payment against 11.
    """
    text = _encoder.encode(value).decode()
    return _NUL.sub(_replace_nul, text) if "\\u0000" in text else text


def from_json(text: str) -> Mapping[str, Any]:
    """Return the object in a jsonb."""
    return _decoder.decode(text)


def _replace_nul(found: "re.Match[str]") -> str:
    return found.group(1) or "\\ufffd"


def success_of(row: Record) -> Event:
    """Return the `payment.succeeded` of a paid order, as it was first told."""
    order_id = row["order_id"]
    return Event(
        event_id(EventType.PAYMENT_SUCCEEDED, order_id),
        EventType.PAYMENT_SUCCEEDED,
        order_id,
        row["occurred_at"],
        from_json(row["data"]),
        row["traceparent"],
    )
