"""Rows as JSON objects: the fields of CONTRACT.md, section 4."""

from datetime import datetime

from asyncpg import Record

from payonce.adapters.postgres.rows import from_json
from payonce.domain.times import format_time
from payonce.ports import views


def order_view(row: Record) -> views.OrderSummary:
    """Return an order without its payments."""
    return {
        "order_id": row["order_id"],
        "status": row["status"],
        "amount": row["amount"],
        "currency": row["currency"],
        "settled_by": row["settled_by"],
        "settled_at": _time(row["settled_at"]),
        "acknowledged": row["acknowledged_at"] is not None,
        "version": row["version"],
    }


def payment_view(row: Record) -> views.Payment:
    """Return a payment; `qr` and `pay_url` are there while it may be paid by them."""
    view: views.Payment = {
        "payment_id": row["payment_id"],
        "order_id": row["order_id"],
        "gateway": row["gateway"],
        "status": row["status"],
        "amount": row["amount"],
        "currency": row["currency"],
        "gateway_ref": row["gateway_ref"],
        "duplicate": row["duplicate"],
        "unresolved": row["unresolved"],
        "mismatched": row["mismatched"],
        "closing": row["closing"],
        "captured_amount": row["captured_amount"],
        "captured_currency": row["captured_currency"],
        "reversed_amount": row["reversed_amount"],
        "initiated_at": format_time(row["initiated_at"]),
        "expires_at": format_time(row["expires_at"]),
        "paid_at": _time(row["paid_at"]),
        "settled_at": _time(row["settled_at"]),
        "last_answer": row["last_answer"],
        "epoch": row["epoch"],
        "step": row["step"],
        "revive_at": _time(row["revive_at"]),
        "resolved_as": row["resolved_as"],
        "resolved_by": row["resolved_by"],
        "resolved_why": row["resolved_why"],
    }
    if row["status"] == "PENDING" and row["closing"] is None and row["mismatched"] is None:
        if row["qr"] is not None:
            view["qr"] = row["qr"]
        if row["pay_url"] is not None:
            view["pay_url"] = row["pay_url"]
    return view


def refund_view(row: Record) -> views.Refund:
    """Return a refund."""
    return {
        "refund_id": row["refund_id"],
        "payment_id": row["payment_id"],
        "order_id": row["order_id"],
        "gateway": row["gateway"],
        "status": row["status"],
        "amount": row["amount"],
        "currency": row["currency"],
        "reason": row["reason"],
        "rule": row["rule"],
        "requested_by": row["requested_by"],
        "requested_why": row["requested_why"],
        "approved_by": row["approved_by"],
        "approved_again_by": row["approved_again_by"],
        "rejected_by": row["rejected_by"],
        "rejected_why": row["rejected_why"],
        "resolved_by": row["resolved_by"],
        "resolved_why": row["resolved_why"],
        "overruled": row["overruled"],
        "attempts": row["attempts"],
        "last_answer": row["last_answer"],
        "contradicted_at": _time(row["contradicted_at"]),
        "created_at": format_time(row["created_at"]),
        "submitted_at": _time(row["submitted_at"]),
        "finished_at": _time(row["finished_at"]),
    }


def timeline_view(row: Record) -> views.TimelineLine:
    """Return one line of a timeline."""
    return {
        "at": format_time(row["at"]),
        "kind": row["kind"],
        "payment_id": row["payment_id"],
        "detail": dict(from_json(row["detail"])),
    }


def callback_view(row: Record) -> views.Callback:
    """Return a callback with its body as text; its headers stay where they are."""
    return {
        "inbox_id": row["inbox_id"],
        "gateway": row["gateway"],
        "event_id": row["event_id"],
        "payment_id": row["payment_id"],
        "received_at": format_time(row["received_at"]),
        "processed_at": _time(row["processed_at"]),
        "problem": row["problem"],
        "attempts": row["attempts"],
        "revive_at": _time(row["revive_at"]),
        "body": row["body"].decode(errors="replace"),
    }


def _time(value: datetime | None) -> str | None:
    return None if value is None else format_time(value)
