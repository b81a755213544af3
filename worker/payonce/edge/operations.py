"""Every route of the API in one table: who may ask, what may stand in it, what is answered.

The OpenAPI document is made of it, and a test holds it to the routes that are really there. Pages
for people (`PAGES`) stay out: they are no interface for programs.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Any, Literal

from msgspec import Meta

from payonce.domain.refund import RefundStatus
from payonce.domain.risk import Rule
from payonce.ports import requests, views
from payonce.ports.fields import Cursor
from payonce.ports.inbox import Which

PAGES = ("/checkout/", "/ops", "/static/")
"""Paths below which people are served, not programs."""


class Who(StrEnum):
    """Whose word a route asks for."""

    ANYBODY = "anybody"
    GATEWAY = "gateway"
    SHOP = "shop"
    ORDER = "order"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class AnyOf:
    """One of several objects, by who asks or what was named."""

    types: tuple[type[Any], ...]


@dataclass(frozen=True, slots=True)
class PageOf:
    """A page of a list."""

    item: type[Any]


@dataclass(frozen=True, slots=True)
class Content:
    """What is no JSON object of ours."""

    content_type: str
    schema: Mapping[str, Any] = field(default_factory=dict)


Answer = type[Any] | AnyOf | PageOf | Content


@dataclass(frozen=True, slots=True)
class Parameter:
    """What stands in the query or a header; nothing of it has to be there."""

    name: str
    type: Any
    about: str
    place: Literal["query", "header"] = "query"


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path. `problems`: beside those that follow from who asks, and from a body.

    `answers` are named by status, or by `2XX`.
    """

    name: str
    summary: str
    who: Who
    answers: Mapping[int | str, Answer]
    problems: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    body: type[Any] | Content | None = None
    parameters: tuple[Parameter, ...] = ()
    needs_body: bool = True


_LIMIT = Parameter("limit", Annotated[int, Meta(ge=1, le=1000)], "How many; else 100.")
_CURSOR = Parameter("cursor", Cursor, "The cursor of the page before.")
_PAGE = (_LIMIT, _CURSOR)
_KEY = Parameter(
    "Idempotency-Key",
    Annotated[str, Meta(pattern="^[ -~]{1,255}$")],
    "For 24 hours a repeat gets the same answer, with `Idempotency-Replayed: true`.",
    "header",
)
_TRACE = Parameter(
    "traceparent", str, "W3C Trace Context, handed through; one that is none is ignored.", "header"
)
_LAST = Parameter(
    "Last-Event-ID", str, "The version that is known: later ones alone are sent.", "header"
)

_INVALID = {422: ("invalid",)}
_NOT_FOUND = {404: ("not-found",)}
_NO_BODY = {408: ("timeout",), 413: ("too-large",)}
"""Of what is posted without a body: one that comes all the same has the same bounds."""

_APPLYING: Mapping[int, tuple[str, ...]] = {
    409: ("order-paid", "order-cancelled", "superseded", "in-hand"),
    422: ("invalid", "idempotency-key-reused"),
    502: ("gateway-refused", "gateway-ref-taken"),
    503: ("gateway-paused",),
}
_ASKING = (
    "winner",
    Rule.SAME_CHARGE,
    "nothing-captured",
    "refund-exists",
    "unknown-currency",
    Rule.ABOVE_CAPTURED,
)
_APPROVING = ("not-held", Rule.SAME_CHARGE, Rule.ABOVE_CAPTURED, "own-request", "own-approval")
_RESOLVING = ("not-listed", "not-resolvable", "resolved-already", *_ASKING)
_DOCUMENT = Content("application/json", {"type": "object"})


def _listing(name: str, summary: str, item: type[Any], *more: Parameter) -> Operation:
    return Operation(
        name, summary, Who.OPERATOR, {200: PageOf(item)}, _INVALID, parameters=(*more, *_PAGE)
    )


def _treating(name: str, summary: str, body: type[Any], *, needs_body: bool) -> Operation:
    answers: Mapping[int | str, Answer] = {200: views.GatewayTreated}
    problems = _NOT_FOUND | _INVALID
    return Operation(
        name, summary, Who.OPERATOR, answers, problems, body=body, needs_body=needs_body
    )


OPERATIONS: dict[tuple[str, str], Operation] = {
    ("POST", "/v1/payments"): Operation(
        "apply",
        "Apply for a payment of an order",
        Who.SHOP,
        {201: views.Applied, 202: views.Applied},
        {**_APPLYING, 409: (*_APPLYING[409], "amount-differs")},
        requests.Application,
        (_KEY, _TRACE),
    ),
    ("POST", "/v1/orders/{order_id}/payments"): Operation(
        "choose",
        "Choose another gateway, as the shopper",
        Who.ORDER,
        {201: views.Applied, 202: views.Applied},
        {**_APPLYING, **_NOT_FOUND, 409: (*_APPLYING[409], "too-many-payments")},
        requests.Choice,
        (_KEY, _TRACE),
    ),
    ("GET", "/v1/payments/{payment_id}"): Operation(
        "show_payment",
        "Look at a payment",
        Who.ORDER,
        {200: AnyOf((views.Payment, views.ShoppersPayment))},
        _NOT_FOUND,
    ),
    ("GET", "/v1/orders/{order_id}"): Operation(
        "show_order",
        "Look at an order; the shop's services see its story too",
        Who.ORDER,
        {200: AnyOf((views.Order, views.ShoppersOrder))},
        _NOT_FOUND,
    ),
    ("GET", "/v1/orders/{order_id}/events"): Operation(
        "follow_order",
        "An order's state now, then at every change, as Server-Sent Events",
        Who.ORDER,
        {200: Content("text/event-stream", {"type": "string"})},
        {**_NOT_FOUND, 503: ("too-many-listeners",)},
        parameters=(_LAST,),
    ),
    ("GET", "/v1/orders/{order_id}/ws"): Operation(
        "follow_order_by_socket",
        "The same by WebSocket, one state a message",
        Who.ORDER,
        {101: Content("*/*")},
        {400: ("no-websocket",), **_NOT_FOUND, 503: ("too-many-listeners",)},
    ),
    ("POST", "/v1/webhooks/{gateway}"): Operation(
        "receive_callback",
        "Take in a gateway's callback; the signature is over the raw bytes",
        Who.GATEWAY,
        {"2XX": Content("*/*")},
        {401: ("bad-signature", "stale", "early"), **_NOT_FOUND},
        Content("*/*"),
    ),
    ("GET", "/v1/ops/unresolved"): _listing(
        "list_unresolved", "Payments whose watch ended without a definite word", views.Payment
    ),
    ("GET", "/v1/ops/mismatched"): _listing(
        "list_mismatched", "Successes that do not fit their payment", views.Payment
    ),
    ("GET", "/v1/ops/unacknowledged"): _listing(
        "list_unacknowledged",
        "Paid orders that the order service has not booked",
        views.OrderSummary,
    ),
    ("POST", "/v1/ops/unacknowledged/notify"): Operation(
        "notify_all",
        "Have every unacknowledged order told again now",
        Who.OPERATOR,
        {202: views.OrdersDue},
        _INVALID,
        requests.NotifyAll,
    ),
    ("POST", "/v1/ops/unacknowledged/{order_id}/notify"): Operation(
        "notify",
        "Have one paid order told again now",
        Who.OPERATOR,
        {202: views.OrderDue},
        {**_NOT_FOUND, 409: ("order-not-paid", "order-acknowledged"), **_INVALID, **_NO_BODY},
    ),
    ("GET", "/v1/ops/parked"): _listing(
        "list_parked", "Messages that were put aside", views.ParkedMessage
    ),
    ("POST", "/v1/ops/parked/replay"): Operation(
        "replay_parked",
        "Send parked messages back to where they came from",
        Who.OPERATOR,
        {200: views.MessagesReplayed},
        _INVALID,
        requests.Replay,
    ),
    ("GET", "/v1/ops/gateways"): Operation(
        "list_gateways",
        "How every gateway is treated",
        Who.OPERATOR,
        {200: PageOf(views.GatewayStanding)},
    ),
    ("POST", "/v1/ops/gateways/{name}/pause"): _treating(
        "pause_gateway", "Let no call go to a gateway", requests.Pause, needs_body=True
    ),
    ("POST", "/v1/ops/gateways/{name}/resume"): _treating(
        "resume_gateway", "Let calls go to a gateway again", requests.Resume, needs_body=False
    ),
    ("GET", "/v1/ops/refunds"): _listing(
        "list_refunds",
        "Refunds of a status, or those that wait for a person",
        views.Refund,
        Parameter("status", RefundStatus, "Those of this status alone."),
    ),
    ("POST", "/v1/ops/refunds"): Operation(
        "request_refund",
        "Ask for a refund, which another operator has to approve",
        Who.OPERATOR,
        {201: views.Refund},
        {**_NOT_FOUND, 409: _ASKING, **_INVALID},
        requests.RefundRequest,
    ),
    ("POST", "/v1/ops/refunds/{id}/approve"): Operation(
        "approve_refund",
        "Set aside what holds a refund",
        Who.OPERATOR,
        {200: views.Refund},
        {**_NOT_FOUND, 409: _APPROVING, **_NO_BODY},
    ),
    ("POST", "/v1/ops/refunds/{id}/reject"): Operation(
        "reject_refund",
        "Keep the money of a held refund",
        Who.OPERATOR,
        {200: views.Refund},
        {**_NOT_FOUND, 409: ("not-held",), **_INVALID},
        requests.Rejection,
    ),
    ("POST", "/v1/ops/resolve/{id}"): Operation(
        "resolve",
        "End an entry of a list, a payment's or a refund's",
        Who.OPERATOR,
        {200: AnyOf((views.Refund, views.Payment))},
        {**_NOT_FOUND, 409: _RESOLVING, **_INVALID},
        requests.Resolution,
    ),
    ("GET", "/v1/ops/webhooks"): _listing(
        "list_callbacks",
        "Callbacks of gateways, the latest first",
        views.Callback,
        Parameter("which", Which, "All, those that wait, or those with a problem; else all."),
    ),
    ("POST", "/v1/ops/webhooks/{inbox_id}/replay"): Operation(
        "replay_callback",
        "Have a callback applied again",
        Who.OPERATOR,
        {200: views.CallbacksReplayed},
        {**_NOT_FOUND, **_INVALID, **_NO_BODY},
    ),
    ("GET", "/healthz"): Operation("alive", "Alive", Who.ANYBODY, {200: views.Alive}),
    ("GET", "/readyz"): Operation(
        "ready",
        "Connected to all it needs, and migrated",
        Who.ANYBODY,
        {200: views.Readiness, 503: views.Readiness},
    ),
    ("GET", "/metrics"): Operation(
        "metrics", "For Prometheus", Who.ANYBODY, {200: Content("text/plain", {"type": "string"})}
    ),
    ("GET", "/openapi.json"): Operation("openapi", "This", Who.ANYBODY, {200: _DOCUMENT}),
    ("GET", "/asyncapi.json"): Operation(
        "asyncapi", "The messages on the bus", Who.ANYBODY, {200: _DOCUMENT}
    ),
}


def is_page(path: str) -> bool:
    """Say whether a path serves people, not programs."""
    return path.startswith(PAGES)
