"""Applications for payments, and what is told of payments and orders: CONTRACT section 4."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from aiohttp import web

from payonce.adapters.codec import check_traceparent
from payonce.domain.application import Application, parse_application, parse_choice
from payonce.domain.claim import Refusal
from payonce.domain.ids import check_id
from payonce.domain.payment import PaymentStatus
from payonce.domain.times import format_time
from payonce.edge.auth import Auth, not_this_order
from payonce.edge.bodies import read_object
from payonce.edge.idempotency import Idempotency
from payonce.edge.problems import Refused, problem
from payonce.edge.views import Views, payment_for_shopper
from payonce.handlers.apply import Apply, Denied, Shown, Unsure
from payonce.ports import views
from payonce.ports.clock import Clock

_STATUS = {
    Refusal.NOT_FOUND: 404,
    Refusal.GATEWAY_REFUSED: 502,
    Refusal.GATEWAY_REF_TAKEN: 502,
    Refusal.GATEWAY_PAUSED: 503,
}
_DETAIL = {
    Refusal.ORDER_PAID: "the order is paid already",
    Refusal.ORDER_CANCELLED: "the order is cancelled",
    Refusal.AMOUNT_DIFFERS: "the order's first payment fixed another amount or currency",
    Refusal.SUPERSEDED: "another payment of this order took this one's place; apply again",
    Refusal.TOO_MANY_PAYMENTS: "this order has had too many payments; ask the shop",
    Refusal.NOT_FOUND: "no such order has a price yet; apply with POST /v1/payments",
    Refusal.GATEWAY_REFUSED: "the gateway refused the payment",
    Refusal.GATEWAY_PAUSED: "the gateway is paused; choose another one, or try again later",
    Refusal.GATEWAY_REF_TAKEN: "the gateway answered with the charge of another payment",
}


class Payments:
    """The routes of payments and orders. `watch_for`: by configured gateway."""

    def __init__(  # noqa: PLR0913 - the edge is where everybody comes
        self,
        auth: Auth,
        apply: Apply,
        idempotency: Idempotency,
        views: Views,
        watch_for: Mapping[str, timedelta],
        clock: Clock,
    ) -> None:
        self._auth = auth
        self._apply = apply
        self._idempotency = idempotency
        self._views = views
        self._watch_for = watch_for
        self._clock = clock

    def routes(self) -> Iterable[web.RouteDef]:
        """Yield the routes."""
        yield web.post("/v1/payments", self._apply_for_shop)
        yield web.post("/v1/orders/{order_id}/payments", self._apply_for_shopper)
        yield web.get("/v1/payments/{payment_id}", self._show_payment)
        yield web.get("/v1/orders/{order_id}", self._show_order)

    async def _apply_for_shop(self, request: web.Request) -> web.Response:
        arrived_at = self._clock.now()
        self._auth.require_api(request)
        data = await read_object(request)
        traceparent = check_traceparent(request.headers.get("traceparent"))

        async def work(payment_id: str) -> web.Response:
            application = parse_application(
                data, payment_id, arrived_at, self._watch_for, traceparent
            )
            return await self._answer(application)

        return await self._idempotency.run(request, "payments", data, work)

    async def _apply_for_shopper(self, request: web.Request) -> web.Response:
        arrived_at = self._clock.now()
        order_id = request.match_info["order_id"]
        await self._auth.require_order(request, order_id)
        check_id(order_id, "order_id")
        data = await read_object(request)
        traceparent = check_traceparent(request.headers.get("traceparent"))

        async def work(payment_id: str) -> web.Response:
            application = parse_choice(
                data, payment_id, order_id, arrived_at, self._watch_for, traceparent
            )
            return await self._answer(application)

        return await self._idempotency.run(request, f"orders/{order_id}", data, work)

    async def _show_payment(self, request: web.Request) -> web.Response:
        view = await self._views.payment(request.match_info["payment_id"])
        if view is not None:
            await self._auth.require_order(request, view["order_id"])
            is_api = self._auth.is_api(request)
            return web.json_response(view if is_api else payment_for_shopper(view))
        if not self._auth.is_api(request):
            raise not_this_order()
        raise Refused(404, "not-found", "no such payment is known")

    async def _show_order(self, request: web.Request) -> web.Response:
        order_id = request.match_info["order_id"]
        await self._auth.require_order(request, order_id)
        shown = await self._views.order(order_id, for_shop=self._auth.is_api(request))
        if shown is None:
            raise Refused(404, "not-found", "no such order is known")
        return web.Response(body=shown.body, content_type="application/json", charset="utf-8")

    async def _answer(self, application: Application) -> web.Response:
        result = await self._apply.apply(application)
        match result:
            case Shown() | Unsure():
                body = await self._payment_body(result)
                return web.json_response(body, status=201 if isinstance(result, Shown) else 202)
            case Denied():
                return _denied(result)

    async def _payment_body(self, result: Shown | Unsure) -> views.Applied:
        applied, payment = result.applied, result.applied.payment
        token = await self._auth.order_token(payment.order_id)
        body: views.Applied = {
            "payment_id": payment.payment_id,
            "order_id": payment.order_id,
            "status": payment.status,
            "checkout_url": await self._auth.checkout_url(payment.payment_id, payment.order_id),
            "order_token": token,
            "expires_at": format_time(payment.expires_at),
        }
        if payment.status is PaymentStatus.PENDING and payment.mismatched is None:
            if applied.qr is not None:
                body["qr"] = applied.qr
            if applied.pay_url is not None:
                body["pay_url"] = applied.pay_url
        return body


def _denied(result: Denied) -> web.Response:
    refusal, more = result.refusal, _more(result)
    status = _STATUS.get(refusal, 409)
    detail = f"{_DETAIL[refusal]}: {result.words}" if result.words else _DETAIL[refusal]
    answer = problem(status, refusal, detail, **more)
    if refusal is Refusal.GATEWAY_PAUSED:
        answer.headers["Retry-After"] = "60"
    return answer


def _more(result: Denied) -> Mapping[str, object]:
    """Return the members that a program can act on."""
    order = result.order
    match result.refusal:
        case Refusal.AMOUNT_DIFFERS if order is not None:
            return {"amount": order.amount, "currency": order.currency}
        case Refusal.ORDER_PAID:
            return {"settled_by": result.settled_by or (order and order.settled_by)}
        case _:
            return {}
