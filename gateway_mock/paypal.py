"""A PayPal of one's own: Orders v2, Payments v2 and webhooks, as strict as the documents say.

Money moves at the capture, once an order, whatever keys are used.
"""

import base64
import hmac
import json
import re
import time
from collections.abc import Callable, Mapping
from secrets import token_hex
from typing import Any

from aiohttp import web

from gateway_mock.books import Charge, Refund, Refused
from gateway_mock.callbacks import Letter
from gateway_mock.paypal_keys import Account, Keys, make_keys, sign
from gateway_mock.paypal_page import page_routes
from gateway_mock.paypal_rules import (
    KeyBook,
    Problem,
    check_request,
    fault_after,
    fault_before,
    minor,
    refund_fault,
)
from gateway_mock.paypal_views import (
    Taken,
    capture_json,
    event_json,
    order_json,
    refund_json,
)
from gateway_mock.server import Mock
from gateway_mock.shopper import Profile

TOKEN_FOR_S = 32_400.0
ORDER_FOR_S = 3 * 3_600.0
"""An order is to be approved, and an approval to be captured, within so long (Orders v2, links)."""
CERT_PATH = "/v1/notifications/certs/CERT-mock-1"

_REQUEST_ID = re.compile(r"[!-~]{1,108}")
_LETTERS = str.maketrans("", "", "_ch")

Acted = tuple[int, str, dict[str, Any]]
"""What a call is answered: status, schema, document."""
Check = Callable[[str, Any], None]
"""Raises ValueError where a document does not fit the schema of its name."""


class PaypalMock(Mock):
    """PayPal's side. `check` validates requests and answers; what it finds is in `problems`."""

    def __init__(  # noqa: PLR0913 - what tests and the command line may change
        self,
        account: Account | None = None,
        keys: Keys | None = None,
        check: Check | None = None,
        clock: Callable[[], float] = time.time,
        make_profile: Callable[[], Profile] = Profile,
        public_url: str = "",
    ) -> None:
        super().__init__(clock=clock, make_profile=make_profile, public_url=public_url)
        self.account = account or Account()
        self.keys = keys or make_keys()
        self.problems: list[str] = []
        self.webhook_url: str | None = None
        self.tokens: dict[str, float] = {}
        self.cert_fetches = 0
        self._check = check
        self._base_url = ""
        self._orders: dict[str, Charge] = {}
        self.return_urls: dict[str, str] = {}
        self._taken: dict[str, Taken] = {}
        self._captures: dict[str, Charge] = {}
        self._keys = KeyBook()
        self.capture_calls: dict[str, int] = {}

    async def reset(self) -> None:
        """Forget everything, tokens too."""
        await super().reset()
        for each in (self._orders, self._taken, self._captures, self.tokens, self.capture_calls):
            each.clear()
        self._keys = KeyBook()

    def routes(self) -> list[web.RouteDef]:
        """Return PayPal's routes, and the page where a shopper approves."""
        return [
            web.post("/v1/oauth2/token", self._token),
            web.post("/v2/checkout/orders", self._create_order),
            web.get("/v2/checkout/orders/{id}", self._show_order),
            web.post("/v2/checkout/orders/{id}/capture", self._capture_order),
            web.post("/v2/payments/captures/{id}/refund", self._refund_capture),
            web.get(CERT_PATH, self._certificate),
            *page_routes(self),
        ]

    def charge_letter(self, charge: Charge, now: float) -> Letter | None:
        """Return the event that tells of a charge as it stands."""
        taken = self._taken_of(charge, now)
        if taken is None:
            view = order_json(charge, self._status(charge, now), None, self._base_url)
            return self._letter("CHECKOUT.ORDER.APPROVED", "checkout-order", view)
        view = capture_json(charge, taken) | {
            "supplementary_data": {"related_ids": {"order_id": charge.gateway_ref}}
        }
        kind = {"COMPLETED": "COMPLETED", "PENDING": "PENDING"}.get(taken.status, "DENIED")
        return self._letter(f"PAYMENT.CAPTURE.{kind}", "capture", view)

    def refund_letter(self, charge: Charge, refund: Refund) -> Letter | None:
        """Return the event that tells of a refund."""
        taken = self._taken[charge.payment_id]
        return self._letter(
            "PAYMENT.CAPTURE.REFUNDED", "refund", refund_json(refund, charge, taken)
        )

    def plan_callback(self, charge: Charge, delay_s: float) -> None:
        """Tell of an approval after `delay_s`, or of what else became of the charge."""
        due = self.clock() + delay_s

        def write() -> Letter | None:
            now = max(due, self.clock())
            is_over = charge.status(now) in {"approved", "succeeded", "failed"}
            return self.charge_letter(charge, now) if is_over else None

        self._call_back(charge, write, delay_s)

    def _letter(self, kind: str, resource_type: str, resource: Mapping[str, Any]) -> Letter:
        event = event_json(kind, resource_type, resource, self.clock())
        content = json.dumps(event).encode()
        return Letter(content, lambda at: self.sign(content, at))

    def sign(self, content: bytes, at: float) -> dict[str, str]:
        """Return the headers that PayPal sends along with an event."""
        return sign(self.keys, self.account.webhook_id, self._base_url + CERT_PATH, content, at)

    async def _certificate(self, request: web.Request) -> web.Response:
        del request  # there is one
        self.cert_fetches += 1
        return web.Response(body=self.keys.cert_pem, content_type="application/x-pem-file")

    async def _token(self, request: web.Request) -> web.Response:
        self._base_url = f"{request.scheme}://{request.host}"
        pair = f"{self.account.client_id}:{self.account.client_secret}".encode()
        wanted = f"Basic {base64.b64encode(pair).decode()}"
        given = request.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), wanted.encode()):
            return web.json_response({"error": "invalid_client"}, status=401)
        form = await request.post()
        if form.get("grant_type") != "client_credentials":
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        token = f"A21AA{token_hex(40)}"
        self.tokens[token] = self.clock() + TOKEN_FOR_S
        lasts_s = int(TOKEN_FOR_S)
        return web.json_response({"access_token": token, "expires_in": lasts_s})

    async def _create_order(self, request: web.Request) -> web.StreamResponse:
        return await self._answered(request, "create", "order_request", self._created)

    async def _capture_order(self, request: web.Request) -> web.StreamResponse:
        return await self._answered(request, "capture", "order_capture_request", self._captured)

    async def _refund_capture(self, request: web.Request) -> web.StreamResponse:
        return await self._answered(request, "refund", "refund_request", self._refunded)

    async def _show_order(self, request: web.Request) -> web.StreamResponse:
        try:
            self._authorize(request)
            charge = self._find(request)
        except Problem as problem:
            return self._problem(problem)
        charge.queried_at.append(self.clock())
        if (answer := await self._misbehave(charge)) is not None:
            return answer
        try:
            return self._json(200, "order", self._order(charge))
        except Problem as problem:
            return self._problem(problem)

    async def _answered(
        self,
        request: web.Request,
        call: str,
        schema: str,
        act: Callable[[web.Request, dict[str, Any]], Acted],
    ) -> web.StreamResponse:
        """Answer a call that acts: once a key, as often as it is repeated."""
        try:
            key = self._authorize(request, needs_key=True)
            content = await request.read()
            data = self._body(content, schema, request)
            fault = self._fault(request, call, data)
            if (answer := await fault_before(request, fault)) is not None:
                return answer
            known = self._keys.find(call, key, request.path, content, self.clock())
            if known is None:
                status, shape, body = act(request, data)
                self._keys.keep(call, key, request.path, content, self.clock(), body)
            else:
                status, shape, body = 200, _SHAPES[call], known
                body = self._refund_now(body) if call == "refund" else body
        except Problem as problem:
            return self._problem(problem)
        if (answer := await fault_after(request, fault)) is not None:
            return answer
        return self._json(status, shape, body)

    def _created(self, request: web.Request, data: dict[str, Any]) -> Acted:
        del request  # the body says it all
        [unit] = data["purchase_units"]
        opened = {
            "payment_id": unit["custom_id"],
            "order_id": unit.get("reference_id", "default"),
            "amount": minor(unit["amount"]),
            "currency": unit["amount"]["currency_code"],
            "notify_url": self.webhook_url,
        }
        try:
            charge, is_new = self.open_charge(opened)
        except Refused:
            raise Problem(422, "DUPLICATE_INVOICE_ID") from None
        if is_new:
            self.adopt(charge)
            context = data["payment_source"]["paypal"]["experience_context"]
            self.return_urls[charge.payment_id] = context["return_url"]
        return 201, "order", self._order(charge)

    def adopt(self, charge: Charge) -> None:
        """Make an order of a charge, also of one that was opened behind the counter."""
        charge.needs_capture = True
        charge.gateway_ref = f"5O{charge.gateway_ref.translate(_LETTERS).upper()}X"
        self._orders[charge.gateway_ref] = charge

    def order(self, ref: str) -> Charge | None:
        """Return the charge of an order."""
        return self._orders.get(ref)

    def _captured(self, request: web.Request, data: dict[str, Any]) -> Acted:
        del data  # nothing can be chosen
        charge, now = self._find(request), self.clock()
        if charge.payment_id in self._taken or charge.failed:
            raise Problem(422, "ORDER_ALREADY_CAPTURED")
        if self._status(charge, now) != "APPROVED":
            raise Problem(422, "ORDER_NOT_APPROVED")
        self._take(charge, now)
        return 201, "order", self._order(charge)

    def take(self, payment_id: str) -> None:
        """Capture a charge behind the counter, unless that is done."""
        if payment_id not in self._taken:
            self._take(self.books.charges[payment_id], self.clock())

    def _take(self, charge: Charge, now: float) -> None:
        script = charge.script
        turns = script.captures_turn and script.captures_turn.upper()
        taken = Taken(
            capture_id=f"3C{charge.gateway_ref[2:]}",
            at=now,
            status=script.captures.upper(),
            turns=(turns, now + script.captures_turn_after_s) if turns else None,
        )
        self._taken[charge.payment_id] = taken
        self._captures[taken.capture_id] = charge
        self._settle(charge, taken, now)
        self.plan_callback(charge, 0.0)
        if turns:
            self.plan_callback(charge, script.captures_turn_after_s)

    def _refunded(self, request: web.Request, data: dict[str, Any]) -> Acted:
        charge = self._captures.get(request.match_info["id"])
        if charge is None:
            raise Problem(404, "INVALID_RESOURCE_ID")
        taken = self._taken[charge.payment_id]
        if "amount" in data and data["amount"]["currency_code"] != charge.currency:
            raise Problem(422, "REFUND_CAPTURE_CURRENCY_MISMATCH")
        rest = charge.captured - charge.refunded
        amount = minor(data["amount"]) if "amount" in data else rest
        custom_id = data.get("custom_id", charge.payment_id)
        name = data.get("invoice_id", f"{charge.payment_id}.{token_hex(4)}")
        if name in self.books.refunds:
            # PayPal's usual setting: an invoice is paid back once, whatever the key.
            raise Problem(422, "DUPLICATE_INVOICE_ID")
        try:
            refund, _ = self.books.refund(
                name, charge.payment_id, amount, f"custom:{custom_id}", self.clock()
            )
        except Refused:
            issue = "CAPTURE_FULLY_REFUNDED" if not rest else "REFUND_AMOUNT_EXCEEDED"
            raise Problem(422, issue) from None
        self.plan_refund_callback(charge, refund)
        return 201, "refund", refund_json(refund, charge, taken)

    def _refund_now(self, view: dict[str, Any]) -> dict[str, Any]:
        """Return a refund as it stands by now."""
        refund = self.books.find_refund(view["invoice_id"], self.clock())
        if refund is None:
            return view
        charge = self.books.charges[refund.payment_id]
        return refund_json(refund, charge, self._taken[charge.payment_id])

    def _order(self, charge: Charge) -> dict[str, Any]:
        status = self._status(charge, now := self.clock())
        if status == "EXPIRED":
            raise Problem(404, "INVALID_RESOURCE_ID")
        for refund in charge.refunds:
            refund.settle(now)
        taken = self._taken_of(charge, now)
        return order_json(charge, status, taken, self._base_url, self._public_url)

    def _status(self, charge: Charge, now: float) -> str:
        """Return an order's status, EXPIRED where nobody approved it in time."""
        charge.settle(now)
        if charge.payment_id in self._taken or charge.failed:
            return "COMPLETED"
        if charge.paid_at is not None:
            return "VOIDED" if now > charge.paid_at + ORDER_FOR_S else "APPROVED"
        return "EXPIRED" if now > charge.created_at + ORDER_FOR_S else "PAYER_ACTION_REQUIRED"

    def _taken_of(self, charge: Charge, now: float) -> Taken | None:
        if charge.failed and charge.payment_id not in self._taken:
            self._taken[charge.payment_id] = Taken(f"3C{charge.gateway_ref[2:]}", now, "DECLINED")
        taken = self._taken.get(charge.payment_id)
        if taken is not None:
            self._settle(charge, taken, now)
        return taken

    def _settle(self, charge: Charge, taken: Taken, now: float) -> None:
        taken.settle(now)
        if taken.status == "COMPLETED" and charge.captured_at is None:
            charge.captured_at = now

    def _find(self, request: web.Request) -> Charge:
        charge = self._orders.get(request.match_info["id"])
        if charge is None or not charge.is_known(self.clock()):
            raise Problem(404, "INVALID_RESOURCE_ID")
        return charge

    def _fault(self, request: web.Request, call: str, data: dict[str, Any]) -> str:
        """Return what befalls this call, and count it."""
        if call == "create":
            unit = data["purchase_units"][0]
            order_id = unit.get("reference_id", "default")
            return self._next_create_fault({"payment_id": unit["custom_id"], "order_id": order_id})
        if call == "refund":
            charge = self._captures.get(request.match_info["id"])
            if charge is None:
                return "ok"
            return refund_fault(charge)
        charge = self._find(request)
        turn, planned = self.capture_calls.get(charge.payment_id, 0), charge.script.capture_faults
        self.capture_calls[charge.payment_id] = turn + 1
        return planned[turn] if turn < len(planned) else "ok"

    def _authorize(self, request: web.Request, *, needs_key: bool = False) -> str:
        """Return the key of idempotency of a call that may be made."""
        self._base_url = f"{request.scheme}://{request.host}"
        token = request.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.tokens.get(token, 0.0) < self.clock():
            raise Problem(401, "INVALID_ACCOUNT_STATUS")
        key = request.headers.get("PayPal-Request-Id", "")
        if needs_key and not _REQUEST_ID.fullmatch(key):
            raise Problem(400, "PAYPAL_REQUEST_ID_REQUIRED")
        if needs_key and request.headers.get("Prefer") != "return=representation":
            self.problems.append(f"{request.path}: without Prefer the answer is minimal")
        return key

    def _body(self, content: bytes, schema: str, request: web.Request) -> dict[str, Any]:
        if request.content_type != "application/json":
            raise Problem(400, "MALFORMED_REQUEST_JSON")
        try:
            data = json.loads(content)
        except ValueError:
            raise Problem(400, "MALFORMED_REQUEST_JSON") from None
        try:
            check_request(schema, data)
            if self._check is not None:
                self._check(schema, data)
        except (ValueError, KeyError, TypeError) as error:
            self.problems.append(f"{request.path}: {error}")
            raise Problem(400, "INVALID_PARAMETER_VALUE") from None
        return dict(data)

    def _json(self, status: int, schema: str, body: dict[str, Any]) -> web.Response:
        if self._check is not None:
            try:
                self._check(schema, body)
            except ValueError as error:
                self.problems.append(f"answer {status} {schema}: {error}")
                return web.json_response({"name": "INTERNAL_SERVER_ERROR"}, status=500)
        return web.json_response(body, status=status)

    def _problem(self, problem: Problem) -> web.Response:
        return self._json(problem.status, f"error_{problem.status}", problem.body)


_SHAPES = {"create": "order", "capture": "order", "refund": "refund"}
