"""What a PayPal that is not refuses, and what befalls calls to it."""

import asyncio
from typing import Any

from aiohttp import web

from gateway_mock.books import Charge
from gateway_mock.paypal_views import error_json, minor_of
from gateway_mock.server import HANG_S, RETRY_AFTER_S

KEYS_FOR_S = {"create": 6 * 3_600.0, "capture": 6 * 3_600.0, "refund": 45 * 86_400.0}
"""How long keys are kept (PayPal-Request-Id in Orders v2 and Payments v2)."""


class Problem(Exception):
    """An error that is answered as PayPal answers it."""

    def __init__(self, status: int, issue: str, field: str = "") -> None:
        super().__init__(issue)
        self.status = status
        self.body = error_json(status, issue, field)


class KeyBook:
    """Keys of idempotency, each with what it stands for, as long as PayPal keeps them."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], tuple[str, bytes, float, dict[str, Any]]] = {}

    def find(
        self, call: str, key: str, path: str, content: bytes, now: float
    ) -> dict[str, Any] | None:
        """Return what the same call was answered; another one under its key is a Problem."""
        kept = self._kept.get((call, key))
        if kept is None or now > kept[2] + KEYS_FOR_S[call]:
            return None
        if kept[:2] != (path, content):
            raise Problem(422, "INCOMPATIBLE_PARAMETER_VALUE")
        return kept[3]

    def keep(  # noqa: PLR0913 - the parts of a request, and its answer
        self, call: str, key: str, path: str, content: bytes, now: float, answer: dict[str, Any]
    ) -> None:
        """Remember what a call was answered."""
        self._kept[call, key] = (path, content, now, answer)


def check_request(schema: str, data: Any) -> None:
    """Raise ValueError where a request is not what payonce has to send."""
    if not isinstance(data, dict):
        raise TypeError("not a JSON object")
    if schema == "order_request":
        [unit] = data["purchase_units"]
        if data["intent"] != "CAPTURE":
            raise ValueError("intent: money moves when it is captured, and not before")
        if "processing_instruction" in data:
            raise ValueError("processing_instruction: an order may not capture itself")
        if not unit.get("custom_id") or not unit.get("invoice_id"):
            raise ValueError("custom_id, invoice_id: they hold the payment's id")
        context = data["payment_source"]["paypal"]["experience_context"]
        if not (context["return_url"] and context["cancel_url"]):
            raise ValueError("return_url, cancel_url: the shopper comes back there")


def minor(money: dict[str, str]) -> int:
    """Return an amount in minor units, else raise Problem."""
    try:
        return minor_of(money)
    except (ValueError, ArithmeticError):
        raise Problem(422, "DECIMAL_PRECISION") from None


def refund_fault(charge: Charge) -> str:
    """Return what befalls the next call that refunds a charge, and count it."""
    turn, planned = charge.refund_calls, charge.script.refund_faults
    charge.refund_calls += 1
    fault = planned[turn] if turn < len(planned) else "ok"
    return f"{fault}-after" if fault in {"cut", "500", "timeout"} else fault


async def fault_before(request: web.Request, fault: str) -> web.StreamResponse | None:
    """Return the answer of a call that has no effect; None: it has."""
    match fault:
        case "500" | "unheard" | "nonsense":
            return web.json_response({"name": "INTERNAL_SERVER_ERROR"}, status=500)
        case "429" | "503":
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            body = {"name": "RATE_LIMIT_REACHED"}
            return web.json_response(body, status=int(fault), headers=headers)
        case "declined":
            raise Problem(422, "INSTRUMENT_DECLINED")
        case "refused":
            raise Problem(422, "COMPLIANCE_VIOLATION")
        case "timeout" | "cut":
            return await _lost(request, fault)
    return None


async def fault_after(request: web.Request, fault: str) -> web.StreamResponse | None:
    """Return what is left of the answer to a call that took effect; None: all of it."""
    match fault:
        case "500-after":
            return web.json_response({"name": "INTERNAL_SERVER_ERROR"}, status=500)
        case "nonsense-after":
            return web.Response(text='{"id": 5, "status": "maybe"', status=200)
        case "timeout-after" | "cut-after":
            return await _lost(request, fault)
    return None


async def _lost(request: web.Request, fault: str) -> web.StreamResponse:
    """Answer nothing."""
    if fault.startswith("cut") and request.transport is not None:
        request.transport.abort()
    else:
        await asyncio.sleep(HANG_S)
    return web.Response(status=500)
