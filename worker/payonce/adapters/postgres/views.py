"""Rows as JSON objects: the fields of CONTRACT.md, section 4."""

from datetime import datetime
from typing import Any

from asyncpg import Record

from payonce.adapters.postgres.rows import from_json
from payonce.domain.times import format_time

_PAYMENT = (
    "payment_id",
    "order_id",
    "gateway",
    "status",
    "amount",
    "currency",
    "gateway_ref",
    "duplicate",
    "unresolved",
    "mismatched",
    "closing",
    "captured_amount",
    "captured_currency",
    "reversed_amount",
    "initiated_at",
    "expires_at",
    "paid_at",
    "settled_at",
    "last_answer",
    "epoch",
    "step",
    "revive_at",
    "resolved_as",
    "resolved_by",
    "resolved_why",
)

_REFUND = (
    "refund_id",
    "payment_id",
    "order_id",
    "gateway",
    "status",
    "amount",
    "currency",
    "reason",
    "rule",
    "requested_by",
    "requested_why",
    "approved_by",
    "approved_again_by",
    "rejected_by",
    "rejected_why",
    "resolved_by",
    "resolved_why",
    "overruled",
    "attempts",
    "last_answer",
    "contradicted_at",
    "created_at",
    "submitted_at",
    "finished_at",
)

_ORDER = (
    "order_id",
    "status",
    "amount",
    "currency",
    "settled_by",
    "settled_at",
)

_CALLBACK = (
    "inbox_id",
    "gateway",
    "event_id",
    "payment_id",
    "received_at",
    "processed_at",
    "problem",
    "attempts",
    "revive_at",
)


def order_view(row: Record) -> dict[str, Any]:
    """Return an order without its payments."""
    acknowledged = row["acknowledged_at"] is not None
    return _pick(row, _ORDER) | {"acknowledged": acknowledged, "version": row["version"]}


def payment_view(row: Record) -> dict[str, Any]:
    """Return a payment; `qr` and `pay_url` are there while it may be paid by them."""
    is_offered = row["status"] == "PENDING" and row["closing"] is None and row["mismatched"] is None
    links = ("qr", "pay_url") if is_offered else ()
    return _pick(row, _PAYMENT) | {name: row[name] for name in links if row[name] is not None}


def refund_view(row: Record) -> dict[str, Any]:
    """Return a refund."""
    return _pick(row, _REFUND)


def timeline_view(row: Record) -> dict[str, Any]:
    """Return one line of a timeline."""
    line = _pick(row, ("at", "kind", "payment_id"))
    return line | {"detail": from_json(row["detail"])}


def callback_view(row: Record) -> dict[str, Any]:
    """Return a callback with its body as text; its headers stay where they are."""
    return _pick(row, _CALLBACK) | {"body": row["body"].decode(errors="replace")}


def _pick(row: Record, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: _plain(row[name]) for name in names}


def _plain(value: object) -> object:
    return format_time(value) if isinstance(value, datetime) else value
