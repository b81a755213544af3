"""Checkout pages without servers: orders made by hand, applications written down."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, cast

import aiohttp
from aiohttp import web

from payonce.domain.application import Application
from payonce.domain.errors import Unavailable
from payonce.domain.times import format_time
from payonce.edge.auth import Auth
from payonce.edge.pages.channels import channels_of
from payonce.edge.pages.checkout import Checkout, Rules
from payonce.edge.pages.rendering import Pages
from payonce.edge.problems import problems
from payonce.handlers.apply import Apply, Result
from payonce.settings.model import HttpSettings
from payonce.settings.secret import Secret
from tests.handlers.fakes import FakeClock
from tests.store.making import NOW
from tests.support.markup import Page, read
from tests.support.ports import HOST, free_port

View = dict[str, Any]


def payment(payment_id: str = "p-1", **changed: Any) -> View:
    """Return a payment as it is read, pending and with a code."""
    return {
        "payment_id": payment_id,
        "order_id": "o-1",
        "gateway": "wallet",
        "status": "PENDING",
        "amount": 1999,
        "currency": "CNY",
        "closing": None,
        "unresolved": False,
        "mismatched": None,
        "reversed_amount": None,
        "resolved_as": None,
        "paid_at": None,
        "expires_at": format_time(NOW + timedelta(minutes=15)),
        "qr": "weixin://pay/1",
        "pay_url": "https://pay.example/1",
    } | changed


def order(*payments: View, **changed: Any) -> View:
    """Return an order as it is read, with these payments."""
    return {
        "order_id": "o-1",
        "status": "OPEN",
        "amount": 1999,
        "currency": "CNY",
        "settled_by": None,
        "acknowledged": False,
        "version": 1,
        "payments": list(payments),
        "refunds": [],
    } | changed


def refund(status: str, **changed: Any) -> View:
    """Return a refund as it is read."""
    return {"payment_id": "p-1", "status": status, "amount": 1999, "currency": "CNY"} | changed


@dataclass
class Shelf:
    """The orders that there are."""

    orders: dict[str, View] = field(default_factory=dict)
    is_away: bool = False

    async def order(self, order_id: str, *, timeline: bool = True) -> View | None:
        """Return an order."""
        assert not timeline, "a shopper's page needs no timeline"
        return self.orders.get(order_id)

    async def payment(self, payment_id: str) -> View | None:
        """Return a payment."""
        if self.is_away:
            raise Unavailable("PostgreSQL", "refused")
        found = [one for order in self.orders.values() for one in order["payments"]]
        return next((one for one in found if one["payment_id"] == payment_id), None)


@dataclass
class Applications:
    """Writes down who applied, and answers with what it was given."""

    result: Result | None = None
    taken: list[Application] = field(default_factory=list)

    async def apply(self, application: Application) -> Result:
        """Take an application."""
        self.taken.append(application)
        assert self.result is not None
        return self.result


@dataclass
class Answer:
    """A page as it came."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def page(self) -> Page:
        """The page, taken apart."""
        return read(self.text)


class Till:
    """One edge with checkout pages alone."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.applications = Applications()
        self.clock = FakeClock()
        self.auth = Auth(HttpSettings("", 0, "http://x", Secret("api"), {}), _key)
        self.channels = [("wallet", "wechatpay", ""), ("bank", "http", "Bank & Sons")]
        self.paused: set[str] = set()
        self.port = free_port()

    def put(self, *payments: View, **changed: Any) -> None:
        """Let there be an order."""
        found = order(*payments, **changed)
        self.shelf.orders[found["order_id"]] = found

    def app(self) -> web.Application:
        """Return what serves the pages."""
        pages = Pages()
        watch_for = {name: timedelta(hours=2) for name, _, _ in self.channels}
        rules = Rules(channels_of(self.channels), watch_for, lambda: frozenset(self.paused))
        checkout = Checkout(
            pages, self.auth, cast("Apply", self.applications), self.shelf, rules, self.clock
        )
        app = web.Application(middlewares=[problems])
        app.add_routes([*pages.routes(), *checkout.routes()])
        return app

    async def token(self, order_id: str = "o-1") -> str:
        """Return the token of an order."""
        return await self.auth.order_token(order_id)

    async def get(
        self, payment_id: str = "p-1", *, token: str | None = None, lang: str = "en", **more: str
    ) -> Answer:
        """Look at a page with the token of order o-1, or another one."""
        query = {"token": await self.token() if token is None else token, "lang": lang, **more}
        return await self.ask("GET", f"/checkout/{payment_id}", params=query)

    async def post(self, data: object, payment_id: str = "p-1") -> Answer:
        """Choose on a page."""
        query = {"token": await self.token()}
        return await self.ask("POST", f"/checkout/{payment_id}", params=query, data=data)

    async def ask(self, method: str, path: str, **more: Any) -> Answer:
        """Return what any request is answered; redirects are not followed."""
        url = f"http://{HOST}:{self.port}{path}"
        async with (
            aiohttp.ClientSession() as session,
            session.request(method, url, allow_redirects=False, **more) as answer,
        ):
            return Answer(answer.status, answer.headers, await answer.text())


async def _key() -> bytes:
    return b"k" * 32


@asynccontextmanager
async def opened() -> AsyncIterator[Till]:
    """Give a till that is served."""
    till = Till()
    runner = web.AppRunner(till.app())
    await runner.setup()
    await web.TCPSite(runner, HOST, till.port).start()
    try:
        yield till
    finally:
        await runner.cleanup()
