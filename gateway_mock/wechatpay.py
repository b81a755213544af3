"""WeChat Pay's API v3 as a mock: it checks us as the gateway does, and signs what it says.

Written from the official pages (pay.weixin.qq.com/doc/v3/merchant) on its own, without the worker's
code. What it knows and demands, and what it does not: docs/gateways.md.
"""

import json
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from aiohttp import web

from gateway_mock.books import Charge, Refund, Refused
from gateway_mock.callbacks import Letter
from gateway_mock.server import Mock, faulty, refund_fault
from gateway_mock.shopper import Profile
from gateway_mock.wechatpay_checks import (
    Fault,
    check_headers,
    check_mchid,
    check_order,
    check_refund,
    check_signature,
)
from gateway_mock.wechatpay_keys import Sandbox, keep_sandbox, make_sandbox
from gateway_mock.wechatpay_words import (
    REFUND_STATES,
    beijing,
    fault_json,
    not_taken,
    order_json,
    read_object,
    refund_json,
    to_json,
    told_by_wechat,
)

MOST_REFUNDS = 50
REFUNDS_APART_S = 60.0
REFUNDABLE_FOR_S = 365 * 86_400.0
_DESCRIPTION = "Order "

Handle = Callable[[web.Request, bytes], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Order:
    """What an order was created with: another content under its number is refused."""

    asked: str
    attach: str | None
    code_url: str


class WechatPayMock(Mock):
    """One merchant's orders. In the books a payment's id is the order's attach, else its number."""

    def __init__(
        self,
        sandbox: Sandbox | None = None,
        make_profile: Callable[[], Profile] = Profile,
        public_url: str = "",
    ) -> None:
        super().__init__(make_profile=make_profile, public_url=public_url)
        self.sandbox = sandbox or make_sandbox()
        self._orders: dict[str, Order] = {}
        self._payments: dict[str, str] = {}
        self._numbers: dict[str, str] = {}
        self._refunded_at: dict[str, tuple[str, float]] = {}

    @classmethod
    def kept(
        cls, folder: Path | None, make_profile: Callable[[], Profile], public_url: str = ""
    ) -> "WechatPayMock":
        """Return a mock with the keys of a folder; none: with keys of its own."""
        sandbox = None if folder is None else keep_sandbox(folder)
        return cls(sandbox, make_profile, public_url)

    async def reset(self) -> None:
        """Forget all that happened; the keys stay."""
        await super().reset()
        self._orders.clear()
        self._payments.clear()
        self._numbers.clear()
        self._refunded_at.clear()

    def routes(self) -> list[web.RouteDef]:
        """Return WeChat Pay's routes, and one to turn its keys."""
        trades, refunds = "/v3/pay/transactions", "/v3/refund/domestic/refunds"
        return [
            web.post(f"{trades}/native", self._served(self._create_order)),
            web.get(f"{trades}/out-trade-no/{{number}}", self._served(self._query_order)),
            web.post(f"{trades}/out-trade-no/{{number}}/close", self._served(self._close_order)),
            web.post(refunds, self._served(self._refund_order)),
            web.get(f"{refunds}/{{number}}", self._served(self._query_one_refund)),
            web.get("/v3/certificates", self._served(self._certificates)),
            web.post("/control/keys/{act}", self._turn_keys),
            web.post("/control/probes/{payment_id}", self._probe),
        ]

    def open_charge(self, data: dict[str, Any]) -> tuple[Charge, bool]:
        """Open a charge under its number, with a transaction_id as WeChat Pay gives them."""
        charge, is_new = super().open_charge(data)
        if is_new:
            _, word, count = charge.gateway_ref.split("_")
            charge.gateway_ref = f"42{int(word, 16):010d}{int(count):016d}"
            number = data.get("out_trade_no") or charge.payment_id.rjust(6, "_")
            self._payments[number] = charge.payment_id
            self._numbers[charge.payment_id] = number
        return charge, is_new

    def charge_letter(self, charge: Charge, now: float) -> Letter | None:
        """Return TRANSACTION.SUCCESS; of what failed nobody is told."""
        if charge.status(now) != "succeeded":
            return None
        told = self._transaction(charge, now, state="SUCCESS")
        return self._letter("TRANSACTION.SUCCESS", "transaction", told)

    def refund_letter(self, charge: Charge, refund: Refund) -> Letter | None:
        """Return REFUND.SUCCESS, .CLOSED or .ABNORMAL; while it is under way nobody is told."""
        state = REFUND_STATES[refund.status]
        if state == "PROCESSING":
            return None
        told = self._refund_json(charge, refund)
        told["refund_status"] = told.pop("status")
        told["mchid"] = self.sandbox.mchid
        return self._letter(f"REFUND.{state}", "refund", told)

    def _letter(self, event: str, original_type: str, told: dict[str, Any]) -> Letter:
        body = {
            "id": f"EV-{secrets.token_hex(12)}",
            "create_time": beijing(self.clock()),
            "resource_type": "encrypt-resource",
            "event_type": event,
            "summary": event,
            "resource": self.sandbox.seal(to_json(told), original_type, original_type),
        }
        content = to_json(body)

        def headers(timestamp_s: int) -> dict[str, str]:
            marks = self.sandbox.current.sign(content, timestamp_s)
            return {"Content-Type": "application/json", **marks}

        return Letter(content, headers, lambda status, _: status in {200, 204})

    def _served(self, handle: Handle) -> Callable[[web.Request], Awaitable[web.Response]]:
        """Return a route that checks who asks, and signs the answer unless that is unknown."""

        async def serve(request: web.Request) -> web.Response:
            body = await request.read()
            try:
                self._check(request, body)
                answer = await handle(request, body)
            except Fault as fault:
                answer = fault_json(fault.status, fault.code, fault.message)
                if fault.code == "SIGN_ERROR":
                    return answer
            except Refused as refused:
                answer = fault_json(400, "INVALID_REQUEST", refused.detail)
            content = answer.body if isinstance(answer.body, bytes) else b""
            key = self.sandbox.answering(request.headers.get("Wechatpay-Serial"))
            answer.headers.update(key.sign(content, int(self.clock())))
            return answer

        return serve

    def _check(self, request: web.Request, body: bytes) -> None:
        check_headers(request.headers, has_body=request.method == "POST")
        lines = f"{request.method}\n{request.raw_path}\n"
        given = request.headers.get("Authorization", "")
        check_signature(self.sandbox, self.clock(), given, lines, body)

    async def _create_order(self, request: web.Request, body: bytes) -> web.Response:
        data = read_object(body)
        check_order(data, self.sandbox)
        number = data["out_trade_no"]
        asked = {
            "payment_id": data.get("attach", number),
            "order_id": data["description"].removeprefix(_DESCRIPTION),
            "amount": data["amount"]["total"],
            "currency": "CNY",
            "expires_at": data.get("time_expire"),
            "notify_url": data["notify_url"],
            "out_trade_no": number,
        }
        fault = self._next_create_fault(asked)
        if fault == "refused":
            raise Fault(403, "RULE_LIMIT", "this merchant takes no such order")
        if (answer := await faulty(fault)) is not None:
            return told_by_wechat(answer)
        order = self._open(number, asked, data, self._public_url or str(request.url.origin()))
        if (answer := await faulty(fault.removesuffix("-after"))) is not None:
            return told_by_wechat(answer)
        return web.json_response({"code_url": order.code_url})

    def _open(self, number: str, asked: dict[str, Any], data: dict[str, Any], host: str) -> Order:
        """Return the order of a number, the same one for the same content. Raises Fault.

        Its code leads to the wallet, where a true one is weixin://: a person has to get there.
        """
        content, known = json.dumps(data, sort_keys=True), self._orders.get(number)
        if number in self._payments:
            status = self._charge(number).status(self.clock())
            if known is None or known.asked != content:
                raise Fault(400, "INVALID_REQUEST", "out_trade_no is taken")
            if status == "succeeded":
                raise Fault(400, "ORDERPAID", "the order is paid")
            if status != "pending":
                raise Fault(400, "ORDER_CLOSED", "the order is closed")
            return known
        charge, _ = self.open_charge(asked)
        link = f"{host}/pay/{quote(charge.payment_id)}"
        self._orders[number] = Order(content, data.get("attach"), link)
        return self._orders[number]

    async def _query_order(self, request: web.Request, _body: bytes) -> web.Response:
        check_mchid(request.query.get("mchid"), self.sandbox)
        now, number = self.clock(), request.match_info["number"]
        if number in self._payments:
            charge = self.books.charges[self._payments[number]]
            charge.queried_at.append(now)
            if (answer := await self._misbehave(charge)) is not None:
                return told_by_wechat(answer)
        return web.json_response(self._transaction(self._charge(number), now))

    async def _close_order(self, request: web.Request, body: bytes) -> web.Response:
        check_mchid(read_object(body).get("mchid"), self.sandbox)
        charge, now = self._charge(request.match_info["number"]), self.clock()
        if charge.script.closes == "paying":
            raise Fault(202, "USERPAYING", "the shopper is about to pay")
        if charge.status(now) == "closed":
            raise Fault(400, "ORDER_CLOSED", "the order is closed")
        status = self.books.close(charge.payment_id, now)
        if status != "closed":
            raise Fault(403, "TRADE_ERROR", f"the order is {status}")
        return web.Response(status=204)

    async def _refund_order(self, request: web.Request, body: bytes) -> web.Response:
        data, now = read_object(body), self.clock()
        check_refund(data)
        charge = self._charge(data["out_trade_no"], "RESOURCE_NOT_EXISTS")
        fault = refund_fault(charge)
        if (answer := not_taken(fault)) is not None:
            return answer
        refund_id = data["out_refund_no"]
        self._check_refundable(charge, data, now)
        refund, is_new = self.books.refund(
            refund_id, charge.payment_id, data["amount"]["refund"], data.get("reason", ""), now
        )
        if is_new:
            self._refunded_at[charge.payment_id] = refund_id, now
            self.plan_refund_callback(charge, refund)
        if fault == "cut" and request.transport is not None:
            request.transport.abort()
        if (answer := await faulty(fault)) is not None:
            return told_by_wechat(answer)
        return web.json_response(self._refund_json(charge, refund))

    def _check_refundable(self, charge: Charge, data: dict[str, Any], now: float) -> None:
        """Raise Fault where another refund of this order is not possible, or not now."""
        refund_id, amount = data["out_refund_no"], data["amount"]
        if charge.status(now) != "succeeded":
            raise Fault(400, "INVALID_REQUEST", "the order is not paid")
        if amount["total"] != charge.amount:
            raise Fault(400, "INVALID_REQUEST", "amount.total is not the order's")
        if self.books.find_refund(refund_id, now) is not None:
            return
        if charge.paid_at is not None and now - charge.paid_at > REFUNDABLE_FOR_S:
            raise Fault(400, "INVALID_REQUEST", "the order was paid more than a year ago")
        if len(charge.refunds) >= MOST_REFUNDS:
            raise Fault(400, "INVALID_REQUEST", f"the order has {MOST_REFUNDS} refunds")
        if amount["refund"] > charge.captured - charge.refunded:
            raise Fault(400, "INVALID_REQUEST", "amount.refund is above what is left")
        other, at = self._refunded_at.get(charge.payment_id, ("", 0.0))
        if other != refund_id and now - at < REFUNDS_APART_S:
            raise Fault(429, "FREQUENCY_LIMITED", "refunds of an order lie a minute apart")

    async def _query_one_refund(self, request: web.Request, _body: bytes) -> web.Response:
        refund = self.books.find_refund(request.match_info["number"], self.clock())
        if refund is None:
            raise Fault(404, "RESOURCE_NOT_EXISTS", "no such refund")
        return web.json_response(self._refund_json(self.books.charges[refund.payment_id], refund))

    async def _certificates(self, _request: web.Request, _body: bytes) -> web.Response:
        listed = [
            {
                "serial_no": one.number,
                "effective_time": one.effective_at.isoformat(),
                "expire_time": (one.effective_at + timedelta(days=5 * 365)).isoformat(),
                "encrypt_certificate": self.sandbox.seal(one.pem.encode(), "certificate", ""),
            }
            for one in self.sandbox.certificates
        ]
        return web.json_response({"data": listed})

    async def _turn_keys(self, request: web.Request) -> web.Response:
        """Sign with a new certificate, with the public key, or with the certificate again."""
        match request.match_info["act"]:
            case "rotate":
                self.sandbox.rotate()
                self.sandbox.signs_by_public_key = False
            case "public-key":
                self.sandbox.signs_by_public_key = True
            case "certificate":
                self.sandbox.signs_by_public_key = False
            case act:
                raise ValueError(f"{act}: known are rotate, public-key, certificate")
        return web.json_response({"signs_with": self.sandbox.current.number})

    async def _probe(self, request: web.Request) -> web.Response:
        """Send a callback of a payment with a signature that must be refused."""
        charge = self.books.find(request.match_info["payment_id"], self.clock())
        letter = self._letter("TRANSACTION.SUCCESS", "transaction", {})

        def headers(timestamp_s: int) -> dict[str, str]:
            true = dict(letter.headers(timestamp_s))
            signature = f"WECHATPAY/SIGNTEST/{true['Wechatpay-Signature'][19:]}"
            return true | {"Wechatpay-Signature": signature}

        def is_refused(status: int, _body: bytes) -> bool:
            return status >= 400

        probe = Letter(letter.content, headers, is_refused)
        if charge.notify_url:
            self.callbacks.plan(charge.notify_url, lambda: probe, 0.0, 1)
        return web.json_response({"probed": bool(charge.notify_url)})

    def _charge(self, number: str, code: str = "ORDER_NOT_EXIST") -> Charge:
        """Return the charge of an order's number. Raises Fault."""
        charge = self.books.charges.get(self._payments.get(number, ""))
        if charge is None or not charge.is_known(self.clock()):
            raise Fault(404, code, "no such order")
        return charge

    def _transaction(self, charge: Charge, now: float, state: str | None = None) -> dict[str, Any]:
        """Return an order as it is told; `state`: as it stood then."""
        told, number = self.charge_json(charge, now), self._numbers[charge.payment_id]
        order = self._orders.get(number)
        head = {
            "appid": self.sandbox.appid,
            "mchid": self.sandbox.mchid,
            "out_trade_no": number,
            "promotion_detail": [],
        }
        if order is not None and order.attach is not None:
            head["attach"] = order.attach
        return head | order_json(told, charge.paid_at, state)

    def _refund_json(self, charge: Charge, refund: Refund) -> dict[str, Any]:
        return refund_json(charge, refund, self._numbers[charge.payment_id], self.clock())
