"""Alipay's open platform as a mock: it checks us as the gateway does, and signs what it says.

Written from the official pages (opendocs.alipay.com) on its own, without the worker's code. A trade
is there once its code was scanned. What it knows and demands: docs/gateways.md.
"""

import json
import secrets
import time
from collections.abc import Awaitable, Callable, Container
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from gateway_mock.alipay_checks import (
    CODE_LIVES_S,
    MESSAGES,
    Fault,
    check_common,
    check_named,
    check_order,
    check_refund,
    check_refund_question,
    china,
    fen_of,
    seconds_of,
    yuan,
)
from gateway_mock.alipay_keys import Sandbox, joined, keep_sandbox, make_sandbox
from gateway_mock.books import Charge, Refund, Refused
from gateway_mock.callbacks import Letter
from gateway_mock.server import Mock, faulty, refund_fault
from gateway_mock.shopper import Profile

_SUBJECT = "Order "
_SYSTEM_ERROR = "ACQ.SYSTEM_ERROR"
_FORM = "application/x-www-form-urlencoded"

Content = dict[str, Any]
Handle = Callable[[Content, web.Request], Awaitable[Content | web.StreamResponse]]


class AlipayMock(Mock):
    """One seller's trades. In the books a payment's id is the trade's body, else its number."""

    def __init__(
        self,
        sandbox: Sandbox | None = None,
        make_profile: Callable[[], Profile] = Profile,
        clock: Callable[[], float] = time.time,
        public_url: str = "",
    ) -> None:
        super().__init__(make_profile=make_profile, clock=clock, public_url=public_url)
        self.sandbox = sandbox or make_sandbox()
        self._payments: dict[str, str] = {}
        self._numbers: dict[str, str] = {}

    @classmethod
    def kept(
        cls, folder: Path | None, make_profile: Callable[[], Profile], public_url: str = ""
    ) -> "AlipayMock":
        """Return a mock with the keys of a folder; none: with keys of its own."""
        sandbox = None if folder is None else keep_sandbox(folder)
        return cls(sandbox, make_profile, public_url=public_url)

    async def reset(self) -> None:
        """Forget all that happened; the keys stay."""
        await super().reset()
        self._payments.clear()
        self._numbers.clear()

    def routes(self) -> list[web.RouteDef]:
        """Return Alipay's one route, and one to turn its key."""
        return [
            web.post("/gateway.do", self._serve),
            web.post("/control/keys/rotate", self._rotate),
        ]

    def open_charge(self, data: dict[str, Any]) -> tuple[Charge, bool]:
        """Open a charge under its number, with a trade_no as Alipay gives them."""
        charge, is_new = super().open_charge(data)
        if is_new:
            _, word, count = charge.gateway_ref.split("_")
            charge.gateway_ref = f"20260131{int(word, 16):010d}{int(count):010d}"
            number = data.get("out_trade_no") or charge.payment_id
            self._payments[number] = charge.payment_id
            self._numbers[charge.payment_id] = number
        return charge, is_new

    def scan(self, charge: Charge) -> None:
        """Let there be a trade from now on."""
        if charge.script.scanned_after_s is None:
            elapsed_s = self.clock() - charge.created_at
            charge.script = replace(charge.script, scanned_after_s=elapsed_s)

    def charge_letter(self, charge: Charge, now: float) -> Letter | None:
        """Return a callback about what was paid; of a decline nobody is told."""
        if charge.status(now) != "succeeded":
            return None
        return self._letter(self._told(charge, now))

    def refund_letter(self, charge: Charge, refund: Refund) -> Letter | None:
        """Return the trade's callback with what went back; of one under way nobody is told."""
        if refund.status != "succeeded":
            return None
        now = self.clock()
        told = self._told(charge, now)
        return self._letter(told | {"gmt_refund": china(now), "out_biz_no": refund.refund_id})

    def _told(self, charge: Charge, now: float) -> dict[str, str]:
        """Return what callbacks of all kinds say of a trade."""
        told = self._trade(charge, now)
        return {
            "trade_no": told["trade_no"],
            "out_trade_no": told["out_trade_no"],
            "trade_status": told["trade_status"],
            "total_amount": told["total_amount"],
            "receipt_amount": told["total_amount"],
            "refund_fee": yuan(_gone(charge)),
            "gmt_create": china(charge.created_at),
            "gmt_payment": told.get("send_pay_date", ""),
            "subject": f"{_SUBJECT}{charge.order_id}",
            "body": charge.payment_id,
        }

    def _letter(self, told: dict[str, str]) -> Letter:
        form = {name: value for name, value in told.items() if value} | {
            "notify_id": secrets.token_hex(17),
            "notify_type": "trade_status_sync",
            "notify_time": china(self.clock()),
            "charset": "utf-8",
            "version": "1.0",
            "app_id": self.sandbox.app_id,
            "auth_app_id": self.sandbox.app_id,
            "seller_id": self.sandbox.seller_id,
            "sign_type": "RSA2",
        }
        form["sign"] = self.sandbox.sign(joined(form, "sign_type"))
        headers = {"Content-Type": f"{_FORM}; charset=utf-8"}
        return Letter(
            urlencode(form).encode(), lambda _: headers, lambda _, body: body == b"success"
        )

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        """Serve one call; its answer stands under its name, beside the signature of its bytes."""
        calls: dict[str, Handle] = {
            "alipay.trade.precreate": self._precreate,
            "alipay.trade.query": self._find_trade,
            "alipay.trade.close": self._close_trade,
            "alipay.trade.refund": self._send_back,
            "alipay.trade.fastpay.refund.query": self._find_refund,
        }
        method = request.query.get("method", "")
        name = f"{method.replace('.', '_')}_response" if method in calls else "error_response"
        try:
            content = await self._read(request, calls)
            answer = await calls[method](content, request)
        except Fault as fault:
            return self._answer(name, _fault_json(fault), is_signed=fault.is_signed)
        except Refused as refused:
            told = _fault_json(Fault("40004", "ACQ.INVALID_PARAMETER", refused.detail))
            return self._answer(name, told)
        if isinstance(answer, web.StreamResponse):
            return answer
        return self._answer(name, {"code": "10000", "msg": "Success", **answer})

    async def _read(self, request: web.Request, calls: Container[str]) -> Content:
        """Return what a request of the app's asks for. Raises Fault."""
        if len(request.query) != len(set(request.query)) or request.content_type != _FORM:
            raise Fault("40002", "isv.invalid-parameter", "malformed", is_signed=False)
        form = {key: str(value) for key, value in (await request.post()).items()}
        content = check_common(self.sandbox, dict(request.query), form, self.clock())
        if request.query["method"] not in calls:
            raise Fault("40002", "isv.invalid-method", "method is unknown")
        return content

    def _answer(self, name: str, told: Content, *, is_signed: bool = True) -> web.Response:
        """Write an answer with `/` escaped, as Alipay does: who writes it anew has other bytes."""
        content = json.dumps(told, ensure_ascii=False, separators=(",", ":")).replace("/", "\\/")
        sign = f',"sign":"{self.sandbox.sign(content.encode())}"' if is_signed else ""
        text = f'{{"{name}":{content}{sign}}}'
        return web.Response(text=text, content_type="text/html", charset="utf-8")

    async def _precreate(self, content: Content, request: web.Request) -> Content | web.Response:
        now = self.clock()
        check_order(content, self.sandbox, now)
        expires = content.get("time_expire")
        asked = {
            "payment_id": content.get("body", content["out_trade_no"]),
            "order_id": content["subject"].removeprefix(_SUBJECT),
            "amount": fen_of(content["total_amount"]),
            "currency": "CNY",
            "notify_url": request.query.get("notify_url"),
            "out_trade_no": content["out_trade_no"],
        }
        fault = self._next_create_fault(asked)
        if fault == "refused":
            raise Fault("40004", "ACQ.ACCESS_FORBIDDEN", "this seller takes no such trade")
        if (answer := await _befalls(fault)) is not None:
            return answer
        self._open(asked, now + CODE_LIVES_S if expires is None else seconds_of(expires))
        if (answer := await _befalls(fault.removesuffix("-after"))) is not None:
            return answer
        host = self._public_url or str(request.url.origin())
        code = f"{host}/pay/{quote(asked['payment_id'])}"
        return {"out_trade_no": content["out_trade_no"], "qr_code": code}

    def _open(self, asked: dict[str, Any], expires_at: float) -> None:
        """Open a trade, the same one for the same content. Raises Fault."""
        number, known = asked["out_trade_no"], None
        if number in self._payments:
            known = self.books.charges[self._payments[number]]
            if (known.order_id, known.amount) != (asked["order_id"], asked["amount"]):
                raise Fault("40004", "ACQ.CONTEXT_INCONSISTENT", "another content")
            status = self._status(known, self.clock())
            if status != "WAIT_BUYER_PAY":
                ended = "CLOSE" if status == "TRADE_CLOSED" else "SUCCESS"
                raise Fault("40004", f"ACQ.TRADE_HAS_{ended}", "the trade has ended")
        if known is None:
            charge, _ = self.open_charge(asked)
            charge.expires_at = expires_at

    async def _find_trade(self, content: Content, _request: web.Request) -> Content | web.Response:
        check_named(content)
        now, payment_id = self.clock(), self._payments.get(content["out_trade_no"], "")
        if payment_id in self.books.charges:
            charge = self.books.charges[payment_id]
            charge.queried_at.append(now)
            if (answer := await self._misbehave(charge)) is not None:
                return _told(answer)
        return self._trade(self._scanned(content), now)

    async def _close_trade(self, content: Content, _request: web.Request) -> Content:
        check_named(content)
        now, charge = self.clock(), self._scanned(content)
        if charge.script.pays_on_close and charge.status(now) == "pending":
            charge.script = replace(charge.script, pays_after_s=now - charge.created_at)
            self.plan_callback(charge, 0.0)
        if self._status(charge, now) != "WAIT_BUYER_PAY":
            raise Fault("40004", "ACQ.REASON_TRADE_STATUS_INVALID", "only what waits is closed")
        # Who was declined may try again, until the trade is closed.
        charge.failed = False
        charge.script = replace(charge.script, declines_after_s=None)
        self.books.close(charge.payment_id, now)
        return {"trade_no": charge.gateway_ref, "out_trade_no": content["out_trade_no"]}

    async def _send_back(
        self, content: Content, request: web.Request
    ) -> Content | web.StreamResponse:
        check_refund(content)
        charge, now = self._scanned(content), self.clock()
        fault = refund_fault(charge)
        if fault in {"refused", "unheard", "429", "503"}:
            raise _refund_refusal(fault)
        refund, moved = self._refund_in_books(charge, content, now)
        if fault == "cut" and request.transport is not None:
            request.transport.abort()
        if (answer := await _befalls(fault)) is not None:
            return answer
        return {
            "trade_no": charge.gateway_ref,
            "out_trade_no": content["out_trade_no"],
            "buyer_logon_id": "159****5620",
            "fund_change": "Y" if moved and refund.status == "succeeded" else "N",
            "refund_fee": yuan(_gone(charge)),
        }

    def _refund_in_books(self, charge: Charge, content: Content, now: float) -> tuple[Refund, bool]:
        """Return the refund of a number, and whether this call made it. Raises Fault."""
        amount, number = fen_of(content["refund_amount"]), content["out_request_no"]
        known = self.books.find_refund(number, now)
        if known is not None and known.amount != amount:
            raise Fault("40004", "ACQ.DISCORDANT_REPEAT_REQUEST", "another amount")
        if known is None:
            self._check_refundable(charge, amount, now)
        if charge.script.refunds == "failed" or (known and known.status == "failed"):
            raise _refund_refusal("refused")
        reason = content.get("refund_reason", "")
        refund, is_new = self.books.refund(number, charge.payment_id, amount, reason, now)
        if is_new:
            self.plan_refund_callback(charge, refund)
        return refund, is_new

    def _check_refundable(self, charge: Charge, amount: int, now: float) -> None:
        status = self._status(charge, now)
        if status == "TRADE_FINISHED":
            raise Fault("40004", "ACQ.TRADE_HAS_FINISHED", "the trade is finished")
        if status != "TRADE_SUCCESS":
            raise Fault("40004", "ACQ.TRADE_STATUS_ERROR", "the trade is not paid")
        if amount > charge.captured - charge.refunded:
            raise Fault("40004", "ACQ.REFUND_AMT_NOT_EQUAL_TOTAL", "more than is left")

    async def _find_refund(self, content: Content, _request: web.Request) -> Content:
        check_refund_question(content)
        charge, now = self._scanned(content), self.clock()
        refund = self.books.find_refund(content["out_request_no"], now)
        if refund is None or refund.payment_id != charge.payment_id:
            return {}
        if refund.status != "succeeded":
            return {}
        return {
            "trade_no": charge.gateway_ref,
            "out_trade_no": content["out_trade_no"],
            "out_request_no": content["out_request_no"],
            "total_amount": yuan(charge.amount),
            "refund_amount": yuan(refund.amount),
            "refund_status": "REFUND_SUCCESS",
        }

    def _scanned(self, content: Content) -> Charge:
        """Return the charge of a trade that is there. Raises Fault."""
        now, charge = (
            self.clock(),
            self.books.charges.get(self._payments.get(content["out_trade_no"], "")),
        )
        if charge is None or not charge.is_known(now) or not _is_scanned(charge, now):
            raise Fault("40004", "ACQ.TRADE_NOT_EXIST", "no such trade")
        return charge

    def _trade(self, charge: Charge, now: float) -> Content:
        """Return a trade as a query tells it."""
        told = self.charge_json(charge, now)
        data = {
            "trade_no": told["gateway_ref"],
            "out_trade_no": self._numbers[charge.payment_id],
            "buyer_logon_id": "159****5620",
            "trade_status": self._status(charge, now),
            "total_amount": yuan(told["amount"]),
        }
        if told["currency"] != "CNY":
            data["trans_currency"] = told["currency"]
        if charge.paid_at is not None and charge.script.tells_paid_at:
            data["send_pay_date"] = china(charge.paid_at)
        return data

    def _status(self, charge: Charge, now: float) -> str:
        status, finishes_after_s = charge.status(now), charge.script.finishes_after_s
        if status == "succeeded" and charge.paid_at is not None:
            if _gone(charge) + charge.script.reports_refunded >= charge.amount:
                return "TRADE_CLOSED"
            finished = finishes_after_s is not None and now >= charge.paid_at + finishes_after_s
            return "TRADE_FINISHED" if finished else "TRADE_SUCCESS"
        if status == "closed" or (charge.expires_at is not None and now >= charge.expires_at):
            return "TRADE_CLOSED"
        return "WAIT_BUYER_PAY"

    async def _rotate(self, _request: web.Request) -> web.Response:
        """Sign with a new key, and tell it."""
        self.sandbox.rotate()
        return web.json_response({"public_key": self.sandbox.alipay_pem})


def _is_scanned(charge: Charge, now: float) -> bool:
    """Say whether the shopper scanned the code; who pays or is declined has done so."""
    after_s = charge.script.scanned_after_s
    seen = after_s is not None and now >= charge.created_at + after_s
    return seen or charge.status(now) != "pending"


def _gone(charge: Charge) -> int:
    """Return what went back and arrived."""
    return sum(one.amount for one in charge.refunds if one.status == "succeeded")


def _fault_json(fault: Fault) -> Content:
    return {
        "code": fault.code,
        "msg": MESSAGES[fault.code],
        "sub_code": fault.sub_code,
        "sub_msg": fault.words,
    }


def _refund_refusal(fault: str) -> Fault:
    match fault:
        case "refused":
            return Fault("40004", "ACQ.SELLER_BALANCE_NOT_ENOUGH", "too little on the account")
        case "unheard":
            return Fault("20000", "aop.ACQ.SYSTEM_ERROR", "try again")
        case _:
            return Fault("40005", "isv.call-limited", "too many calls")


async def _befalls(fault: str) -> web.Response | None:
    """Return what a fault puts in place of the true answer; None: nothing. Raises Fault."""
    answer = await faulty(fault)
    return None if answer is None else _told(answer)


def _told(answer: web.Response) -> web.Response:
    """Return an answer of the mock's own in Alipay's words, where it has any. Raises Fault."""
    if answer.status in {429, 503}:
        raise Fault("40005", "isv.call-limited", "too many calls")
    if answer.status >= 500:
        raise Fault("40004", _SYSTEM_ERROR, "try again")
    return answer
