"""No secret is told: every one is unmistakable, everything is done, and everywhere is listened."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from redis import asyncio as aioredis

from gateway_mock.alipay import AlipayMock
from gateway_mock.app import serving
from gateway_mock.paypal import PaypalMock
from gateway_mock.paypal_keys import Account
from gateway_mock.server import Mock
from gateway_mock.shopper import parse_script
from gateway_mock.stripe import StripeMock
from gateway_mock.wechatpay import WechatPayMock
from tests.support import alipay
from tests.support.canaries import Canaries, canary, webhook_canary
from tests.support.eavesdropping import Eavesdropper, say_raw
from tests.support.kinds import KINDS, environment_of
from tests.support.operators import SAME_SITE
from tests.support.paypal import KEYS
from tests.support.paypal_schema import check
from tests.support.postgres import LOCKED
from tests.support.roles import dsn_of, login
from tests.support.servers import Servers
from tests.support.shop import Answered
from tests.support.town import FAST_LADDER, Town, Worker, open_town
from tests.support.waiting import eventually
from tests.support.wechatpay import sandbox

pytestmark = pytest.mark.timeout(480)

SECRETS = {
    "password": canary("password"),
    "wrong password": canary("wrong password"),
    "api token": canary("api token"),
    "ann": canary("ann"),
    "bob": canary("bob"),
    "order service": webhook_canary("order service"),
    "notify url": canary("notify url"),
    "management": canary("management"),
    "mock": webhook_canary("mock"),
    "mock old": webhook_canary("mock old"),
    "stripe key": f"sk_test_{canary('stripe')}",
    "stripe webhooks": webhook_canary("stripe webhooks"),
    "paypal": canary("paypal"),
    "paypal access": canary("paypal access"),
    "alipay": alipay.sandbox().app_pem,
    "wechatpay": sandbox().merchant_pem,
    "wechatpay v3": canary("wechatpay v3")[:32],
}

ON_PURPOSE = {
    "installation.token_key": {"installation key"},
    "idempotency_keys.answer": {"order token"},
    "webhook_inbox.body": {"order token"},
}
"""What is stored, and where: tokens follow from the key, an answer is given twice, a callback is
kept as it came, and Stripe repeats in it the address to which it sends the shopper back."""

FORMS = ("message", "name", "code", "error", "error_description", "sub_msg", "detail", "status")


@dataclass
class Day:
    """A town with a gateway of each kind, and one of each that repeats whatever it was sent."""

    town: Town
    worker: Worker
    mocks: Mapping[str, Mock]
    session: aiohttp.ClientSession
    spy: Eavesdropper

    async def api(self, method: str, path: str, token: str = "api token", **more: Any) -> Answered:
        """Ask with somebody's token, and listen."""
        headers = {
            "Authorization": f"Bearer {SECRETS.get(token, token)}",
            **more.pop("headers", {}),
        }
        url = self.worker.url + path
        status, text = await self.spy.ask(self.session, method, url, headers=headers, **more)
        try:
            body = json.loads(text)
        except ValueError:
            body = {}
        return Answered(status, body, {}, text)

    async def apply(self, order_id: str, gateway: str, **script: Any) -> Answered:
        """Apply for a payment; its answer alone tells the token of its order."""
        if gateway in self.mocks:
            plan = {**KINDS[_kind(gateway)].script, **script}
            self.mocks[gateway].scripts[order_id] = parse_script(plan)
        body = {"order_id": order_id, "gateway": gateway, "amount": 1999, "currency": "CNY"}
        key = {"Idempotency-Key": f"{order_id}-{gateway}"}
        told = {"order token"}
        answer = await self.api("POST", "/v1/payments", json=body, headers=key, may_hold=told)
        if token := answer.body.get("order_token"):
            self.spy.canaries.add("order token", token)
        return answer


def _kind(gateway: str) -> str:
    return "http" if gateway == "mock" else gateway


def _mocks() -> dict[str, Mock]:
    wechatpay = replace(sandbox(), api_v3_key=SECRETS["wechatpay v3"])
    account = Account(client_secret=SECRETS["paypal"])
    return {
        "alipay": AlipayMock(alipay.sandbox()),
        "mock": Mock(SECRETS["mock"]),
        "paypal": PaypalMock(account, KEYS, check),
        "stripe": StripeMock(SECRETS["stripe webhooks"], secret_key=SECRETS["stripe key"]),
        "wechatpay": WechatPayMock(wechatpay),
    }


async def _echo(request: web.Request) -> web.Response:
    """Refuse, and repeat the request in every field that a gateway explains itself in."""
    if request.path.endswith("/oauth2/token"):
        told = {"access_token": SECRETS["paypal access"], "expires_in": 600}
        return web.json_response(told)
    if request.method == "GET" and "down" in request.path:
        return web.Response(status=500)
    heard = f"{dict(request.headers)} {await request.text()}"
    told = dict.fromkeys(FORMS, heard) | {"details": [{"issue": heard, "description": heard}]}
    told["error"] = dict.fromkeys(FORMS, heard)
    return web.json_response(told, status=400)


@asynccontextmanager
async def _echoing() -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", _echo)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


async def lock(servers: Servers, dsn: str, vhost: str) -> dict[str, str]:
    """Have all three servers ask for one password; return the variables that hold it."""
    password = SECRETS["password"]
    api = servers.rabbitmq.api
    rights = {"configure": ".*", "write": ".*", "read": ".*"}
    user = {"password": password, "tags": "administrator"}
    await asyncio.to_thread(api, "PUT", f"/api/users/{LOCKED}", user)
    await asyncio.to_thread(api, "PUT", f"/api/permissions/{vhost}/{LOCKED}", rights)
    async with aioredis.from_url(servers.redis.url) as client:
        await client.acl_setuser(
            LOCKED,
            enabled=True,
            passwords=[f"+{password}"],
            keys=["*"],
            channels=["*"],
            categories=["+@all"],
            reset=True,
        )
    return locked(servers, dsn, vhost, password)


def locked(servers: Servers, dsn: str, vhost: str, password: str) -> dict[str, str]:
    """Return the variables of somebody who gives this password."""
    rabbitmq, redis = servers.rabbitmq, servers.redis
    management = f"http://{LOCKED}:{password}@127.0.0.1:{rabbitmq.ports['management']}"
    return {
        "PAYONCE_POSTGRES_DSN": dsn_of(dsn, LOCKED, password),
        "PAYONCE_AMQP_URL": f"amqp://{LOCKED}:{password}@127.0.0.1:{rabbitmq.port}/{vhost}",
        "PAYONCE_REDIS_URL": f"redis://{LOCKED}:{password}@127.0.0.1:{redis.port}/0",
        "PAYONCE_BROKER__MANAGEMENT_URL": management,
    }


def variables_of(mocks: Mapping[str, Mock], urls: Mapping[str, str], echo: str) -> dict[str, str]:
    """Return what the worker is told: all secrets, whatever the kind of what needs them."""
    found: dict[str, str] = {}
    for name, mock in mocks.items():
        kind = KINDS[_kind(name)]
        found |= environment_of(kind, mock, urls[name], name, FAST_LADDER)
        found |= environment_of(kind, mock, echo, f"echo_{name}", FAST_LADDER)
    found["PAYONCE_GATEWAYS__MOCK__SECRET"] = json.dumps([SECRETS["mock"], SECRETS["mock old"]])
    return found | {
        "PAYONCE_LOG_LEVEL": "debug",
        "PAYONCE_HTTP__API_TOKEN": SECRETS["api token"],
        "PAYONCE_HTTP__OPERATORS": json.dumps({one: SECRETS[one] for one in ("ann", "bob")}),
        "PAYONCE_ORDER_SERVICE__SECRET": SECRETS["order service"],
        "PAYONCE_ORDER_SERVICE__NOTIFY_URL": f"{echo}/paid?key={SECRETS['notify url']}",
        "PAYONCE_ON_SECOND_PAYMENT__POLICY": "allow",
        "PAYONCE_REFUND__HOLD_ABOVE": '{"CNY": 100000}',
    }


@pytest.fixture
async def day(
    tmp_path: Path, servers: Servers, postgres_dsn: str, amqp_url: str, redis_url: str
) -> AsyncIterator[Day]:
    """Everything is set up, and the worker is ready."""
    vhost = amqp_url.rpartition("/")[2]
    passwords = await lock(servers, postgres_dsn, vhost)
    async with AsyncExitStack() as stack:
        mocks = _mocks()
        urls = {name: await stack.enter_async_context(serving(one)) for name, one in mocks.items()}
        echo = await stack.enter_async_context(_echoing())
        variables = variables_of(mocks, urls, echo)
        town = await stack.enter_async_context(
            open_town(tmp_path, postgres_dsn, amqp_url, redis_url, **variables)
        )
        town.mock = mocks["mock"]
        await login(postgres_dsn, LOCKED, SECRETS["password"])
        town.env.update(passwords)
        spy = Eavesdropper(Canaries(SECRETS))
        [row] = await town.rows("SELECT token_key FROM installation")
        spy.canaries.add("installation key", row["token_key"])
        worker = town.worker()
        worker.lead_here()
        for name, mock in mocks.items():
            KINDS[_kind(name)].listen(mock, f"{worker.url}/v1/webhooks/{name}")
        await worker.start()
        session = await stack.enter_async_context(aiohttp.ClientSession())
        yield Day(town, worker, mocks, session, spy)


async def trade(day: Day) -> None:
    """Pay by every kind, twice, so that money goes back; be called back well and badly."""
    for name, mock in day.mocks.items():
        first = await day.apply(f"o-{name}", name, callbacks="twice")
        other = await day.apply(f"o-{name}", "mock" if name != "mock" else "stripe")
        assert [201, 201] == [first.status, other.status], (first.text, other.text)
        if name == "wechatpay":
            KINDS["http"].pay(day.mocks["mock"], other.body["payment_id"])
        KINDS[_kind(name)].pay(mock, first.body["payment_id"])
        await eventually(partial(_is_paid, day.town, f"o-{name}"), 30, f"{name} is paid")
    sent = "SELECT FROM refunds WHERE status = 'SUCCEEDED'"
    await eventually(lambda: day.town.rows(sent), 30, "a second payment went back")


async def _is_paid(town: Town, order_id: str) -> bool:
    paid = "SELECT FROM orders WHERE order_id = $1 AND status = 'PAID'"
    return bool(await town.rows(paid, order_id))


async def be_repeated(day: Day) -> None:
    """Ask gateways that repeat our keys in what they say, and call back with nonsense."""
    for name in day.mocks:
        answer = await day.apply(f"o-echo-{name}", f"echo_{name}")
        assert answer.status in {202, 422, 502, 503, 409, 201}, answer.text
        await day.api("GET", f"/v1/orders/o-echo-{name}")
        url = f"{day.worker.url}/v1/webhooks/{name}"
        forged = {"webhook-signature": "v1,bm8=", "webhook-id": "x", "Stripe-Signature": "t=1,v1=2"}
        for body in (b"", b"{", b"[]", b"a=b", bytes(70_000)):
            await day.spy.ask(day.session, "POST", url, data=body, headers=forged)
    day.town.open_charges([_charge("p-pub", "o-pub")], pays_after_s=0)
    await day.town.publish("payment.initiated", [_charge("p-pub", "o-pub")])
    echoed = [_charge(f"p-{name}", f"o-pub-{name}", f"echo_{name}") for name in day.mocks]
    await day.town.publish("payment.initiated", echoed)
    nonsense: list[Mapping[str, Any] | bytes] = [
        b"{",
        b"\x00",
        {"payment_id": "p", "gateway": "none"},
        b'{"payment_id": 1}',
    ]
    await day.town.publish("payment.initiated", nonsense)
    await day.town.publish("order.acknowledged", [{"order_id": "o-mock", "payment_id": "p-none"}])
    polled = "SELECT FROM payments WHERE gateway LIKE 'echo%' AND last_answer IS NOT NULL"
    await eventually(lambda: day.town.rows(polled), 30, "who repeats was asked")


def _charge(payment_id: str, order_id: str, gateway: str = "mock") -> dict[str, Any]:
    return {
        "payment_id": payment_id,
        "order_id": order_id,
        "gateway": gateway,
        "amount": 1999,
        "currency": "CNY",
    }


async def look(day: Day, answer: Answered) -> None:
    """Look at whatever is served, with the right token, a wrong one and none."""
    order, payment = answer.body["order_id"], answer.body["payment_id"]
    token = answer.body["order_token"]
    url = day.worker.url
    for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/asyncapi.json", "/ops"):
        assert (await day.spy.ask(day.session, "GET", url + path))[0] < 500
    for path in (f"/v1/orders/{order}", f"/v1/payments/{payment}", "/v1/ops/refunds", "/v1/none"):
        for bearer in ("api token", "ann", "wrong password", token, ""):
            await day.api("GET", path, bearer)
            await day.spy.ask(
                day.session, "GET", f"{url}{path}?token={SECRETS.get(bearer, bearer)}"
            )
    for path in (f"/checkout/{payment}", "/checkout/none", "/checkout/%00"):
        for given in (token, token[:-1], SECRETS["api token"]):
            page = f"{url}{path}?token={given}"
            async with day.session.get(page) as shown:
                assert "no-referrer" == shown.headers["Referrer-Policy"], path
                if given != token:
                    day.spy.hear(f"page {path}", f"{shown.headers} {await shown.text()}")
    async with day.session.get(f"{url}/v1/orders/{order}/events?token={token}") as stream:
        day.spy.hear("stream", await stream.content.readuntil(b"\n\n"))
    async with day.session.ws_connect(f"{url}/v1/orders/{order}/ws?token={token}") as socket:
        day.spy.hear("socket", await socket.receive_str())
    for raw in (
        f"GET /checkout/{payment}?token={token} HTTP/9.9\r\n\r\n",
        f"GET /v1/orders/{order}?token={token}&\x00 HTTP/1.1\r\n\r\n",
        f"GET / HTTP/1.1\r\nAuthorization: Bearer {SECRETS['api token']}\x00\r\n\r\n",
        f"GET / HTTP/1.1\r\nX: {SECRETS['api token'] * 400}\r\n\r\n",
        f"POST /v1/payments HTTP/1.1\r\nTransfer-Encoding: {SECRETS['api token']}\r\n\r\n",
    ):
        await say_raw(day.worker.port, raw.encode())


async def operate(day: Day) -> None:
    """Log in and out at the operators' pages, rightly and wrongly, and open each of them."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar) as session:
        for token in (SECRETS["wrong password"], SECRETS["ann"]):
            form = {"token": token}
            url = f"{day.worker.url}/ops/login"
            await day.spy.ask(session, "POST", url, data=form, headers=SAME_SITE)
        pages = ("refunds", "mismatched", "unresolved", "unacknowledged", "parked", "webhooks")
        for page in ("", *(f"/{one}" for one in (*pages, "gateways", "live", "orders/o-mock"))):
            url = f"{day.worker.url}/ops{page}"
            may_hold = {"order token"} if "webhooks" in page else ()
            status, text = await day.spy.ask(session, "GET", url, may_hold=may_hold)
            assert status in {200, 404}, (page, text)


async def command(day: Day, **changed: str) -> None:
    """Run every command that shows something."""
    for words in (
        *("check --online", "show o-mock", "show o-echo-mock --json", "refunds list --json"),
        *("webhooks list --all --json", "parked list --json", "parked list --unrouted"),
        *("gateways list --json", "unacknowledged", "pay --gateway mock --amount 5", "migrate"),
    ):
        _, out, err = await day.town.payonce(*words.split(), **changed)
        day.spy.hear(f"output of {words}", out, {"order token"} if "webhooks" in words else ())
        day.spy.hear(f"errors of {words}", err)


async def test_a_whole_day_tells_no_secret(day: Day, servers: Servers, tmp_path: Path) -> None:
    """Payments by every kind, refunds, refusals, pages, commands: then every place is searched."""
    await trade(day)
    await be_repeated(day)
    await look(day, await day.apply("o-look", "mock"))
    await operate(day)
    await command(day)
    day.spy.hear_command_lines()
    await day.spy.hear_redis(day.town.env["PAYONCE_REDIS_URL"])
    vhost = day.town.amqp_url.rpartition("/")[2]
    assert await day.spy.hear_broker(servers.rabbitmq, vhost) > 3
    assert 0 == await day.worker.end()
    day.spy.hear_files(tmp_path)
    day.spy.hear("log of PostgreSQL", servers.postgres.folder.with_suffix(".log").read_bytes())
    day.spy.hear_files(servers.rabbitmq.folder / "log")
    stored = await day.spy.hear_database(day.town.owner_dsn)
    assert (ON_PURPOSE, {}) == (stored, day.spy.leaks)
    assert day.spy.places > 200
