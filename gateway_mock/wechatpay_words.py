"""What WeChat Pay's mock says: orders, refunds and faults as the gateway writes them."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

from aiohttp import web

from gateway_mock.books import Charge, Refund
from gateway_mock.wechatpay_checks import Fault

_BEIJING = timezone(timedelta(hours=8))
_STATES = {"pending": "NOTPAY", "succeeded": "SUCCESS", "failed": "PAYERROR", "closed": "CLOSED"}
REFUND_STATES = {
    "pending": "PROCESSING",
    "succeeded": "SUCCESS",
    "failed": "CLOSED",
    "abnormal": "ABNORMAL",
}


def order_json(
    told: dict[str, Any], paid_at: float | None, state: str | None = None
) -> dict[str, Any]:
    """Return what changes of an order, from what the books tell; `state`: as it stood then."""
    went_back = told["status"] == "succeeded" and told["refunded"]
    state = state or ("REFUND" if went_back else _STATES[told["status"]])
    amount = {"total": told["amount"], "currency": told["currency"], "payer_currency": "CNY"}
    data = {
        "trade_state": state,
        "trade_state_desc": f"the order is {state}",
        "amount": amount,
    }
    if paid_at is None:
        return data
    return data | {
        "transaction_id": told["gateway_ref"],
        "trade_type": "NATIVE",
        "bank_type": "OTHERS",
        "success_time": beijing(paid_at),
        "payer": {"openid": "oUpF8uMuAJO_M2pxb1Q9zNjWeS6o"},
        "amount": amount | {"payer_total": told["amount"]},
    }


def refund_json(charge: Charge, refund: Refund, number: str, now: float) -> dict[str, Any]:
    """Return a refund; `number`: its order's."""
    data: dict[str, Any] = {
        "refund_id": f"50{charge.gateway_ref[2:]}",
        "out_refund_no": refund.refund_id,
        "transaction_id": charge.gateway_ref,
        "out_trade_no": number,
        "channel": "ORIGINAL",
        "user_received_account": "sandbox",
        "create_time": beijing(now),
        "status": REFUND_STATES[refund.status],
        "amount": {
            "total": charge.amount,
            "refund": refund.amount,
            "payer_total": charge.amount,
            "payer_refund": refund.amount,
            "settlement_refund": refund.amount,
            "settlement_total": charge.amount,
            "discount_refund": 0,
            "currency": charge.currency,
        },
    }
    if data["status"] == "SUCCESS":
        data["success_time"] = data["create_time"]
    return data


def not_taken(fault: str) -> web.Response | None:
    """Return the answer to a refund that has no effect; None: it has."""
    match fault:
        case "refused":
            return fault_json(403, "NOT_ENOUGH", "the merchant's balance does not suffice")
        case "unheard":
            return fault_json(500, "SYSTEM_ERROR", "try again")
        case "429" | "503":
            return fault_json(429, "FREQUENCY_LIMITED", "too many requests")
    return None


def told_by_wechat(answer: web.Response) -> web.Response:
    """Return an answer of the mock's own in WeChat Pay's words."""
    if answer.status in {429, 503}:
        return fault_json(429, "FREQUENCY_LIMITED", "too many requests")
    if answer.status >= 500:
        return fault_json(500, "SYSTEM_ERROR", "try again")
    return answer


def fault_json(status: int, code: str, message: str) -> web.Response:
    """Return an answer that is no success."""
    return web.json_response({"code": code, "message": message}, status=status)


def read_object(body: bytes) -> dict[str, Any]:
    """Return the object of a body. Raises Fault."""
    try:
        data = json.loads(body)
    except ValueError:
        raise Fault(400, "PARAM_ERROR", "the body is not JSON") from None
    if not isinstance(data, dict):
        raise Fault(400, "PARAM_ERROR", "the body is not an object")
    return data


def to_json(data: dict[str, Any]) -> bytes:
    """Return JSON as it is sent."""
    return json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode()


def beijing(at: float) -> str:
    """Return RFC 3339 in Beijing's time."""
    return datetime.fromtimestamp(at, UTC).astimezone(_BEIJING).isoformat(timespec="seconds")
