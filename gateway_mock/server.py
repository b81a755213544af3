"""The HTTP server: the gateway's own protocol, and the control API beside it."""

import asyncio
import hmac
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from gateway_mock.books import Books, Charge, Refund, Refused
from gateway_mock.callbacks import Callbacks, Letter, Write, webhook_letter
from gateway_mock.shopper import Profile, Script

DEFAULT_SECRET = "whsec_cGF5b25jZS1tb2NrLXNlY3JldC1rZXk="  # noqa: S105 - a mock's, public
MAX_BODY_BYTES = 1_048_576
HANG_S = 3_600.0
RETRY_AFTER_S = 1


class Mock:
    """One gateway: its books, its profile, and the routes that serve them.

    Gateways of other kinds keep the same books and speak otherwise: they override `routes` and the
    two letters.
    `make_profile` makes the profile that it begins with, and begins with again after `reset`.
    `public_url`: where shoppers reach it; empty: where its customer does.
    """

    def __init__(
        self,
        secret: str = DEFAULT_SECRET,
        clock: Callable[[], float] = time.time,
        make_profile: Callable[[], Profile] = Profile,
        public_url: str = "",
    ) -> None:
        self.secret = secret
        self._public_url = public_url.rstrip("/")
        self.clock = clock
        self._make_profile = make_profile
        self.books = Books()
        self.profile = make_profile()
        self.scripts: dict[str, Script] = {}
        self.creates: dict[str, int] = {}
        self._drawn: dict[str, Script] = {}
        self.callbacks = Callbacks()

    async def reset(self) -> None:
        """Forget all that happened and was planned, callbacks on their way too."""
        await self.callbacks.forget()
        self.callbacks.sent = 0
        self.books = Books()
        self.profile = self._make_profile()
        self.scripts.clear()

    def routes(self) -> list[web.RouteDef]:
        """Return the routes of the gateway's protocol."""
        return [
            web.post("/charges", self._create),
            web.get("/charges/{payment_id}", self._query),
            web.post("/charges/{payment_id}/close", self._close),
            web.post("/refunds", self._refund),
            web.get("/refunds/{refund_id}", self._query_refund),
        ]

    def open_charge(self, data: dict[str, Any]) -> tuple[Charge, bool]:
        """Open a charge with the script planned for it, or one drawn from the profile."""
        payment_id = _text(data, "payment_id")
        script = self._script_of(data)
        charge, is_new = self.books.open(
            payment_id=payment_id,
            order_id=_text(data, "order_id"),
            amount=_amount(data),
            currency=_text(data, "currency"),
            now=self.clock(),
            expires_at=_time(data.get("expires_at")),
            notify_url=_text(data, "notify_url") if data.get("notify_url") else None,
            script=script,
        )
        self._drawn.pop(payment_id, None)
        if is_new and script.pays_after_s is not None:
            self.plan_callback(charge, script.pays_after_s)
        elif is_new and script.declines_after_s is not None:
            self.plan_callback(charge, script.declines_after_s)
        return charge, is_new

    def _script_of(self, data: dict[str, Any]) -> Script:
        """Return the script of a payment, or of its order, or one drawn once for this payment."""
        payment_id = _text(data, "payment_id")
        planned = self.scripts.get(payment_id) or self.scripts.get(_text(data, "order_id"))
        if planned is None and payment_id not in self.books.charges:
            planned = self._drawn.setdefault(payment_id, self.profile.draw_script())
        return planned or self.books.charges[payment_id].script

    def scan(self, charge: Charge) -> None:
        """Let the shopper open the code; where that changes something, the kind overrides it."""

    def pay(self, charge: Charge, after_s: float = 0.0, *, though_closed: bool = False) -> None:
        """Let the shopper pay in so many seconds; `though_closed`: also what takes no money."""
        script = charge.script
        charge.script = replace(
            script,
            pays_after_s=self.clock() - charge.created_at + after_s,
            pays_though_closed=script.pays_though_closed or though_closed,
        )
        self.plan_callback(charge, after_s)

    def decline(self, charge: Charge) -> None:
        """Let the payment fail now."""
        charge.script = replace(charge.script, declines_after_s=self.clock() - charge.created_at)
        self.plan_callback(charge, 0.0)

    def plan_callback(self, charge: Charge, delay_s: float) -> None:
        """Call back about a charge after `delay_s` if it was paid or has failed by then."""
        due = self.clock() + delay_s

        def write() -> Letter | None:
            now = max(due, self.clock())
            done = charge.status(now) in {"succeeded", "failed"}
            return self.charge_letter(charge, now) if done else None

        self._call_back(charge, write, delay_s)

    def plan_refund_callback(self, charge: Charge, refund: Refund) -> None:
        """Call back about a refund as it stands when it is made, and when it turns."""

        def write() -> Letter | None:
            refund.settle(self.clock())
            return self.refund_letter(charge, refund)

        self._call_back(charge, write, 0.0)
        if refund.turns is not None:
            self._call_back(charge, write, max(refund.turns[1] - self.clock(), 0.0))

    def charge_letter(self, charge: Charge, now: float) -> Letter | None:
        """Return the callback about a charge that was paid or has failed; None: none is sent."""
        return webhook_letter(
            self.secret, {"type": "charge", "data": self.charge_json(charge, now)}
        )

    def refund_letter(self, charge: Charge, refund: Refund) -> Letter | None:
        """Return the callback about a refund; None: none is sent."""
        del charge  # the refund names it
        return webhook_letter(self.secret, {"type": "refund", "data": refund_json(refund)})

    def _call_back(self, charge: Charge, write: Write, delay_s: float) -> None:
        """Plan a callback, unless it gets lost."""
        copies = {"once": 1, "twice": 2, "lost": 0}[self.profile.draw_callbacks(charge.script)]
        if charge.notify_url:
            delay_s += charge.script.callback_delay_s
            self.callbacks.plan(charge.notify_url, write, delay_s, copies)

    def charge_json(self, charge: Charge, now: float) -> dict[str, Any]:
        """Return a charge as the protocol writes it."""
        script = charge.script
        data: dict[str, Any] = {
            "payment_id": charge.payment_id,
            "gateway_ref": script.reports_ref or charge.gateway_ref,
            "status": charge.status(now),
            "amount": charge.amount if script.reports_amount is None else script.reports_amount,
            "currency": script.reports_currency or charge.currency,
            "refunded": charge.refunded + script.reports_refunded,
        }
        if charge.paid_at is not None:
            data["paid_at"] = _rfc3339(charge.paid_at)
        return data

    async def _create(self, request: web.Request) -> web.Response:
        self._check_bearer(request)
        data = await read_object(request)
        script, fault = self._script_of(data), self._next_create_fault(data)
        if script.create_latency_ms:
            await asyncio.sleep(script.create_latency_ms / 1000)
        if fault == "refused":
            raise Refused(422, "this gateway takes no such charge")
        if (answer := await faulty(fault)) is not None:
            return answer
        charge, is_new = self.open_charge(data)
        if (answer := await faulty(fault.removesuffix("-after"))) is not None:
            return answer
        link = f"{self._public_url or request.url.origin()}/pay/{quote(charge.payment_id)}"
        data = self.charge_json(charge, self.clock()) | {"qr": link, "pay_url": link}
        return web.json_response(data, status=201 if is_new else 200)

    def _next_create_fault(self, data: dict[str, Any]) -> str:
        """Return what befalls this create, and count it."""
        payment_id = _text(data, "payment_id")
        turn = self.creates.get(payment_id, 0)
        self.creates[payment_id] = turn + 1
        planned = self._script_of(data).create_faults
        return planned[turn] if turn < len(planned) else "ok"

    async def _query(self, request: web.Request) -> web.Response:
        self._check_bearer(request)
        now = self.clock()
        payment_id = request.match_info["payment_id"]
        charge = self.books.charges.get(payment_id)
        if charge is not None:
            charge.queried_at.append(now)
            if (answer := await self._misbehave(charge)) is not None:
                return answer
        return web.json_response(self.charge_json(self.books.find(payment_id, now), now))

    async def _misbehave(self, charge: Charge) -> web.Response | None:
        """Return the answer that the script or the profile puts in place of the true one."""
        script, turn = charge.script, len(charge.queried_at) - 1
        latency_ms = script.latency_ms or self.profile.latency_ms
        if latency_ms:
            await asyncio.sleep(latency_ms / 1000)
        planned = script.faults[turn] if turn < len(script.faults) else None
        return await faulty(planned or self.profile.draw_fault())

    async def _close(self, request: web.Request) -> web.Response:
        self._check_bearer(request)
        if not self.profile.can_close:
            raise Refused(405, "this gateway closes nothing")
        status = self.books.close(request.match_info["payment_id"], self.clock())
        return web.json_response({"status": status}, status=200 if status == "closed" else 409)

    async def _refund(self, request: web.Request) -> web.StreamResponse:
        self._check_bearer(request)
        data = await read_object(request)
        charge = self.books.find(_text(data, "payment_id"), self.clock())
        fault = refund_fault(charge)
        if (answer := _not_taken(fault)) is not None:
            return answer
        refund, is_new = self.books.refund(
            _text(data, "refund_id"),
            charge.payment_id,
            _amount(data),
            str(data.get("reason", "")),
            self.clock(),
        )
        if is_new:
            self.plan_refund_callback(charge, refund)
        return await self._answer_refund(request, refund, fault, is_new=is_new)

    async def _answer_refund(
        self, request: web.Request, refund: Refund, fault: str, *, is_new: bool
    ) -> web.StreamResponse:
        """Answer a refund that took effect, or leave the caller in the dark about it."""
        match fault:
            case "cut":
                if request.transport is not None:
                    request.transport.abort()
            case "timeout":
                await asyncio.sleep(HANG_S)
            case "500":
                return web.json_response({"error": "internal"}, status=500)
        return web.json_response(refund_json(refund), status=201 if is_new else 200)

    async def _query_refund(self, request: web.Request) -> web.Response:
        self._check_bearer(request)
        refund = self.books.find_refund(request.match_info["refund_id"], self.clock())
        if refund is None:
            raise Refused(404, "no such refund")
        return web.json_response(refund_json(refund))

    def _check_bearer(self, request: web.Request) -> None:
        given = request.headers.get("Authorization", "").encode()
        if not hmac.compare_digest(given, f"Bearer {self.secret}".encode()):
            raise Refused(401, "the bearer is not this gateway's secret")


def refund_fault(charge: Charge) -> str:
    """Return what befalls the next call that refunds a charge."""
    turn, faults = charge.refund_calls, charge.script.refund_faults
    charge.refund_calls += 1
    return faults[turn] if turn < len(faults) else "ok"


def _not_taken(fault: str) -> web.Response | None:
    """Return the answer to a call that has no effect; None: it has."""
    match fault:
        case "refused":
            return web.json_response({"detail": "refunds of this charge are refused"}, status=422)
        case "unheard":
            return web.json_response({"error": "internal"}, status=500)
        case "429" | "503":
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            return web.json_response({}, status=int(fault), headers=headers)
    return None


async def faulty(fault: str) -> web.Response | None:
    """Return the answer that a fault puts in place of the true one; None: there is no fault."""
    match fault:
        case "500":
            return web.json_response({"error": "internal"}, status=500)
        case "429" | "503":
            headers = {"Retry-After": str(RETRY_AFTER_S)}
            return web.json_response({}, status=int(fault), headers=headers)
        case "nonsense":
            return web.Response(text='{"status": "maybe", "amount": "lots"', status=200)
        case "timeout":
            await asyncio.sleep(HANG_S)
    return None


def refund_json(refund: Refund) -> dict[str, Any]:
    """Return a refund as the protocol writes it."""
    return {
        "refund_id": refund.refund_id,
        "payment_id": refund.payment_id,
        "amount": refund.amount,
        "status": refund.status,
    }


async def read_object(request: web.Request) -> dict[str, Any]:
    """Return the JSON object that a request holds, else raise TypeError or ValueError."""
    return check_object(await request.json())


def check_object(data: Any) -> dict[str, Any]:
    """Return `data` if it is a JSON object, else raise TypeError."""
    if not isinstance(data, dict):
        raise TypeError("not a JSON object")
    return data


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise ValueError(f"{name}: is missing or not text")
    return value


def _amount(data: dict[str, Any]) -> int:
    value = data.get("amount")
    if type(value) is not int or value < 1:
        raise ValueError("amount: is not an integer of minor units >= 1")
    return value


def _time(value: object) -> float | None:
    return None if value is None else datetime.fromisoformat(str(value)).timestamp()


def _rfc3339(at: float) -> str:
    text = datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
