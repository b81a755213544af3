"""`/checkout/{payment_id}`: the page on which a shopper pays, and learns that he has."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import quote, urlencode
from uuid import uuid4

import structlog
from aiohttp import web
from markupsafe import Markup

from payonce.domain.application import parse_choice
from payonce.domain.claim import Refusal
from payonce.domain.errors import InvalidField, Unavailable
from payonce.domain.ids import payment_id
from payonce.edge.auth import Auth, not_this_order
from payonce.edge.bodies import read_form
from payonce.edge.pages.amounts import format_amount
from payonce.edge.pages.channels import Channel
from payonce.edge.pages.codes import code_of, link_of
from payonce.edge.pages.panel import Panel, State, panel_of
from payonce.edge.pages.rendering import Pages
from payonce.edge.pages.words import Words, choose_language, load_words
from payonce.edge.problems import Refused
from payonce.handlers.apply import Apply, Denied
from payonce.ports.clock import Clock

log = structlog.get_logger(__name__)

DRAWN_AT_ONCE = 200
"""Characters of a code that take some milliseconds to draw."""

TOKEN, LANGUAGE, NOTICE = "token", "lang", "notice"
AGAIN_AFTER_S = 3
"""A browser asks again for a page that could not be made."""

_NOTICES = {
    Refusal.GATEWAY_REFUSED: "refused",
    Refusal.GATEWAY_REF_TAKEN: "refused",
    Refusal.GATEWAY_PAUSED: "paused",
}
NOTICES = frozenset(_NOTICES.values()) | {"unknown-channel"}


View = Mapping[str, Any]


class Stories(Protocol):
    """Reads orders and payments; may raise Unavailable."""

    async def order(self, order_id: str, *, timeline: bool = True) -> View | None:
        """Return an order with its payments and refunds; None where it is unknown."""
        ...

    async def payment(self, payment_id: str) -> View | None:
        """Return a payment; None where it is unknown."""
        ...


@dataclass(frozen=True, slots=True)
class Rules:
    """What the page knows of the gateways: labels, how long one may pay, which are paused."""

    channels: Mapping[str, Channel]
    watch_for: Mapping[str, timedelta]
    paused: Callable[[], frozenset[str]]


class Checkout:
    """The routes of the page. Whoever holds the order's token is its shopper."""

    def __init__(  # noqa: PLR0913 - the page is where shopper, order and gateways meet
        self,
        pages: Pages,
        auth: Auth,
        apply: Apply,
        stories: Stories,
        rules: Rules,
        clock: Clock,
    ) -> None:
        self._pages = pages
        self._auth = auth
        self._apply = apply
        self._stories = stories
        self._rules = rules
        self._clock = clock
        self._words = load_words()

    def routes(self) -> Iterable[web.RouteDef]:
        """Yield the routes."""
        yield web.get("/checkout/{payment_id}", self._as_page(self._show))
        yield web.post("/checkout/{payment_id}", self._as_page(self._choose))

    async def _show(self, request: web.Request) -> web.Response:
        payment = await self._payment(request)
        order = await self._stories.order(payment["order_id"], timeline=False)
        if order is None:
            raise not_this_order()
        shown = panel_of(order, payment, self._clock.now())
        token = await self._auth.order_token(order["order_id"])
        words = self._words_for(request)
        return self._pages.answer(
            "checkout/page.html",
            t=words,
            money=partial(format_amount, language=words.language),
            panel=shown,
            channels=[one.named(words) for one in self._rules.channels.values()],
            paused=self._rules.paused(),
            channel=self._label(shown.payment["gateway"], words),
            code=await _code(shown),
            link=link_of(shown.payment.get("pay_url")),
            notice=_notice(request),
            addresses=Addresses(order["order_id"], token, request.query.get(LANGUAGE)),
        )

    async def _choose(self, request: web.Request) -> web.Response:
        """Apply for a payment through the channel chosen, and send the browser to its page."""
        arrived_at, earlier = self._clock.now(), await self._payment(request)
        order_id = earlier["order_id"]
        fields = await read_form(request)
        to = Addresses(
            order_id, await self._auth.order_token(order_id), request.query.get(LANGUAGE)
        )
        try:
            application = parse_choice(
                {"gateway": fields.get("gateway")},
                payment_id(uuid4().hex),
                order_id,
                arrived_at,
                self._rules.watch_for,
                None,
            )
        except InvalidField:
            return _see(to.page(earlier["payment_id"], "unknown-channel"))
        result = await self._apply.apply(application)
        if isinstance(result, Denied):
            return _see(to.page(earlier["payment_id"], _NOTICES.get(result.refusal)))
        return _see(to.page(result.applied.payment.payment_id))

    async def _payment(self, request: web.Request) -> View:
        """Return the payment that the address names, for whoever may see its order."""
        found = await self._stories.payment(request.match_info["payment_id"])
        if found is None:
            raise not_this_order()
        await self._auth.require_order(request, found["order_id"])
        return found

    def _label(self, gateway: str, words: Words) -> str:
        """Return the label of a payment's gateway, which may have left the configuration."""
        channel = self._rules.channels.get(gateway)
        return channel.named(words).label if channel else gateway

    def _words_for(self, request: web.Request) -> Words:
        accepted = request.headers.get("Accept-Language", "")
        return self._words[choose_language(request.query.get(LANGUAGE), accepted)]

    def _as_page(self, work: "Work") -> "Work":
        """Return a handler that says as a page what a program would be told as a document."""

        async def handle(request: web.Request) -> web.Response:
            try:
                return await work(request)
            except Refused as error:
                answer = self._say(request, error.status, "no-access")
                answer.headers["WWW-Authenticate"] = "Bearer"
                return answer
            except Unavailable as error:
                log.warning("request.postponed", path=request.path, reason=str(error))
                answer = self._say(request, HTTPStatus.SERVICE_UNAVAILABLE, "away")
                answer.headers["Retry-After"] = str(AGAIN_AFTER_S)
                # What a browser asks again is a GET, whatever it asked before.
                answer.headers["Refresh"] = str(AGAIN_AFTER_S)
                return answer

        return handle

    def _say(self, request: web.Request, status: int, key: str) -> web.Response:
        words = self._words_for(request)
        return self._pages.answer(
            "message.html",
            status=status,
            lang=words.tag,
            title=words(f"{key}.title"),
            text=words(f"{key}.text"),
        )


Work = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the page finds what belongs to its order; relative, for proxies with a path."""

    order_id: str
    token: str
    language: str | None

    def page(self, payment: str, notice: str | None = None, language: str | None = None) -> str:
        """Return the address of a payment's page."""
        chosen = {TOKEN: self.token, LANGUAGE: language or self.language, NOTICE: notice}
        return f"{quote(payment)}?{urlencode({k: v for k, v in chosen.items() if v})}"

    @property
    def order(self) -> str:
        """Return the address of the order."""
        return f"../v1/orders/{quote(self.order_id)}?{urlencode({TOKEN: self.token})}"

    @property
    def events(self) -> str:
        """Return the address of the order's stream."""
        return f"../v1/orders/{quote(self.order_id)}/events?{urlencode({TOKEN: self.token})}"


def _see(address: str) -> web.Response:
    return web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": address})


async def _code(panel: Panel) -> Markup | None:
    """Return the code to scan, while it may be paid by; a long one is drawn beside the loop."""
    if panel.state is not State.PAY:
        return None
    content = panel.payment.get("qr") or panel.payment.get("pay_url") or ""
    if len(content) <= DRAWN_AT_ONCE:
        return code_of(content)
    return await asyncio.to_thread(code_of, content)


def _notice(request: web.Request) -> str | None:
    found = request.query.get(NOTICE)
    return found if found in NOTICES else None
