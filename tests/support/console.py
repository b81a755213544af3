"""The console on things that a test made up, and a browser's manners without a browser."""

import re
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from aiohttp import ClientResponse, ClientSession, CookieJar, web
from aiohttp.test_utils import TestClient, TestServer

from payonce.adapters.metrics import NullMeter
from payonce.adapters.postgres.dashboard import Flight, Found
from payonce.adapters.postgres.reader import Page
from payonce.domain.errors import Conflict, Unavailable
from payonce.edge.attempts import Attempts
from payonce.edge.auth import Auth
from payonce.edge.console.actions import Actions
from payonce.edge.console.dashboard import Dashboard
from payonce.edge.console.door import Door
from payonce.edge.console.lists import Lists
from payonce.edge.console.pages import console_pages
from payonce.edge.console.ports import Notify, Rules, Sources
from payonce.edge.console.sessions import PATH, Sessions
from payonce.edge.console.shelf import Shelf
from payonce.edge.server import Edge
from payonce.handlers.gateway_desk import GatewayDesk
from payonce.ports.activity import Counted
from payonce.ports.inbox import Which
from payonce.ports.store import Backlog
from payonce.settings.model import HttpSettings
from payonce.settings.secret import Secret
from tests.handlers.fakes import FakeClock
from tests.store.fake_board import FakeBoard

ANN, BOB = "token-of-ann", "token-of-bob"
OPERATORS = {"ann": ANN, "bob": BOB}
HOSTILE = "<script>alert('x')</script>"
AT = "2026-01-31T08:00:00.000Z"
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}
_CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')

Client = TestClient[web.Request, web.Application]


def refund(refund_id: str = "r-1", **changed: Any) -> dict[str, Any]:
    """Return a held refund as lists show it."""
    return {
        "refund_id": refund_id,
        "payment_id": "p-2",
        "order_id": "o-1",
        "gateway": "mock",
        "status": "HELD",
        "amount": 1999,
        "currency": "CNY",
        "reason": "order-paid",
        "rule": "over-limit",
        "last_answer": None,
        "contradicted_at": None,
        "created_at": AT,
        **dict.fromkeys(
            (
                "requested_by",
                "requested_why",
                "approved_by",
                "approved_again_by",
                "rejected_by",
                "rejected_why",
                "resolved_by",
                "resolved_why",
            )
        ),
        **changed,
    }


def payment(payment_id: str = "p-2", **changed: Any) -> dict[str, Any]:
    """Return a payment as lists show it."""
    return {
        "payment_id": payment_id,
        "order_id": "o-1",
        "gateway": "mock",
        "status": "PENDING",
        "amount": 1999,
        "currency": "CNY",
        "gateway_ref": None,
        "duplicate": False,
        "unresolved": False,
        "mismatched": None,
        "closing": None,
        "captured_amount": None,
        "captured_currency": None,
        "initiated_at": AT,
        "expires_at": AT,
        "paid_at": None,
        "last_answer": None,
        "resolved_as": None,
        "resolved_by": None,
        "resolved_why": None,
        **changed,
    }


ORDER = {
    "order_id": "o-1",
    "status": "PAID",
    "amount": 1999,
    "currency": "CNY",
    "settled_by": "p-1",
    "settled_at": AT,
    "acknowledged": False,
    "payments": [payment("p-1", status="SUCCEEDED"), payment(status="SUCCEEDED", duplicate=True)],
    "refunds": [refund(rejected_by="bob", rejected_why=HOSTILE)],
    "timeline": [
        {
            "at": AT,
            "kind": "payment.failed",
            "payment_id": "p-1",
            "detail": {"reason": HOSTILE, "source": "poll", "polls": [[0, 1769846400000, HOSTILE]]},
        },
        {"at": AT, "kind": "thing.unheard_of", "payment_id": None, "detail": {"x": HOSTILE}},
    ],
}


@dataclass
class Books:
    """What the pages read, and what was done; `away`: the database is."""

    away: bool = False
    broker_away: bool = False
    crowded: bool = False
    reads: int = 0
    lists: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    orders: dict[str, dict[str, Any]] = field(default_factory=dict)
    found: list[Found] = field(default_factory=list)
    done: list[tuple[object, ...]] = field(default_factory=list)
    noted: list[tuple[object, ...]] = field(default_factory=list)
    refusal: Conflict | None = None

    def look(self) -> None:
        """Count a look, or be away."""
        self.reads += 1
        if self.away:
            raise Unavailable("postgresql", "away")

    def _page(self, name: str) -> Page[Any]:
        self.look()
        return Page(self.lists.get(name, []), None)

    async def order(self, order_id: str) -> Any:
        """Return an order."""
        self.look()
        return self.orders.get(order_id)

    async def payment(self, payment_id: str) -> Any:
        """Return a payment."""
        self.look()
        return payment(payment_id)

    async def refund(self, refund_id: str) -> Any:
        """Return a refund."""
        self.look()
        return refund(refund_id, rule="second-approval")

    async def refunds(
        self, limit: int = 100, cursor: str | None = None, status: str | None = None
    ) -> Page[Any]:
        """Return refunds."""
        return self._page(status or "refunds")

    async def unresolved(self, limit: int = 100, cursor: str | None = None) -> Page[Any]:
        """Return unresolved payments, and that there are more."""
        return Page(self._page("unresolved").items, None if cursor else "more")

    async def mismatched(self, limit: int = 100, cursor: str | None = None) -> Page[Any]:
        """Return mismatched payments."""
        return self._page("mismatched")

    async def unacknowledged(self, limit: int = 100, cursor: str | None = None) -> Page[Any]:
        """Return orders."""
        return self._page("unacknowledged")

    async def list(self, which: Which, limit: int, cursor: str | None) -> Page[Any]:
        """Return callbacks."""
        return self._page("webhooks")

    async def replay(self, inbox_ids: Sequence[int], now: datetime) -> set[int]:
        """Replay callbacks below 100."""
        self.done.append(("callback", *inbox_ids))
        return {one for one in inbox_ids if one < 100}

    async def tell_again(self, order_id: str, by: str) -> str:
        """Have an order told again."""
        self.done.append(("told", order_id, by))
        return f"{order_id} is told again."

    async def page(self, limit: int, cursor: str | None) -> Page[Any]:
        """Return parked messages."""
        return self._page("parked")

    async def send_back(self, ids: "list[str] | None") -> Any:  # type: ignore[valid-type]
        """Replay parked messages."""
        self.done.append(("parked", ids))
        return {"replayed": 1, "left": [], "absent": 0}

    async def request(self, payment_id: str, amount: int | None, by: object, why: object) -> str:
        """Ask for a refund."""
        self._do("request", payment_id, amount, by, why)
        return "r-9"

    async def approve(self, refund_id: str, by: object) -> None:
        """Approve a refund."""
        self._do("approve", refund_id, by)

    async def reject(self, refund_id: str, by: object, why: object) -> None:
        """Reject a refund."""
        self._do("reject", refund_id, by, why)

    async def resolve(self, id_: str, resolved_as: object, by: object, why: object) -> str | None:
        """End an entry."""
        self._do("resolve", id_, resolved_as, by, why)
        return None

    def _do(self, *what: object) -> None:
        if self.refusal is not None:
            raise self.refusal
        self.done.append(what)

    async def in_flight(self, bounds: Sequence[timedelta], limit: int) -> Sequence[Flight]:
        """Return as many as shall be counted, where there are so many."""
        self.look()
        return [Flight("mock", 0, limit, 0, 0)] if self.crowded else []

    async def refunds_waiting(self) -> Mapping[str, int]:
        """Return one."""
        self.look()
        return {"HELD": 1}

    async def find(self, wanted: str) -> Sequence[Found]:
        """Return what was given."""
        self.look()
        return self.found

    async def since(self, start: datetime) -> Sequence[Counted]:
        """Return nothing."""
        self.look()
        return []

    async def backlog(self) -> Backlog:
        """Return that nothing waits."""
        self.look()
        return Backlog(0, None, 0, None, 0, None, 0, None, 0, None, 0, None)

    async def note(
        self, now: datetime, by: str, action: str, subject: str, why: str | None = None
    ) -> None:
        """Note it."""
        self.look()
        self.noted.append((by, action, subject, why))

    async def latest(self, limit: int) -> Sequence[dict[str, Any]]:
        """Return what was noted."""
        self.look()
        return [
            {"at": AT, "by": by, "action": action, "subject": subject, "why": why}
            for by, action, subject, why in self.noted
        ]

    async def depths(self) -> Mapping[str, tuple[int, int | None]]:
        """Return two queues."""
        if self.broker_away:
            raise Unavailable("rabbitmq", "away")
        return {"payonce.parked": (3, None), "payonce.poll": (0, None)}


@dataclass
class Console:
    """A console, its clock, and the means to make another client of it."""

    client: Client
    books: Books
    board: FakeBoard
    clock: FakeClock
    now_s: "list[float]"
    server: TestServer

    @asynccontextmanager
    async def stranger(self, **cookies: str) -> AsyncIterator[ClientSession]:
        """Give another browser that holds these cookies."""
        jar = CookieJar(unsafe=True)
        url = self.server.make_url("/")
        async with ClientSession(url, cookie_jar=jar, cookies=cookies) as session:
            yield session

    def cookies(self) -> dict[str, str]:
        """Return the cookies of the one that is logged in."""
        return {one.key: one.value for one in self.client.session.cookie_jar}

    async def log_in(self, token: str = ANN, **headers: str) -> ClientResponse:
        """Log in; return the answer, not followed."""
        return await self.client.post(
            f"{PATH}/login",
            data={"token": token, "next": PATH},
            headers={**SAME_SITE, **headers},
            allow_redirects=False,
        )

    async def get(self, path: str, **headers: str) -> tuple[int, str]:
        """Return status and text of a page."""
        answer = await self.client.get(path, headers=headers, allow_redirects=False)
        return answer.status, await answer.text()

    async def csrf(self) -> str:
        """Return what proves that a form comes from here."""
        _, text = await self.get(f"{PATH}/unresolved")
        found = _CSRF.search(text)
        assert found, text[:500]
        return found[1]

    async def send(self, path: str, **fields: str) -> str:
        """Send a form as its page would; return what the page says then."""
        fields = {"csrf": await self.csrf(), **fields}
        answer = await self.client.post(path, data=fields, headers=SAME_SITE)
        text = await answer.text()
        said = re.search(r'<p class="said[^>]*>(.*?)</p>', text)
        return said[1] if said else f"{answer.status}: nothing said"


@asynccontextmanager
async def open_console(
    operators: Mapping[str, str] = OPERATORS,
    *,
    key: bytes = b"k" * 32,
    public_url: str = "http://pay.example",
    notify: Notify | None = None,
) -> AsyncIterator[Console]:
    """Serve a console."""
    books, board, clock = Books(), FakeBoard(), FakeClock()
    now_s = [1_000.0]
    secrets = {name: Secret(token) for name, token in operators.items()}
    settings = HttpSettings("127.0.0.1", 0, public_url, Secret(""), secrets)

    async def token_key() -> bytes:
        return key

    auth = Auth(settings, token_key, Attempts(lambda: now_s[0]))
    sessions = Sessions(auth, token_key, clock, secure=public_url.startswith("https:"))
    door, shelf = Door(auth, sessions, console_pages(), public_url), Shelf(clock)
    desk = GatewayDesk(board, {"mock": 0.0}, clock)
    sources = Sources(
        stories=books,
        counts=books,
        hours=books,
        waiting=books,
        journal=books,
        parked={"parked": books, "unrouted": books},
        inbox=books,
        gateways=desk,
        depths=books.depths,
    )
    rules = Rules({"mock": (3_000, 10_000)}, {"CNY": 1_000})
    routes = [
        web.get(PATH, door.page(Dashboard(door, sources, rules, shelf, clock).page)),
        *door.routes(),
        *Lists(door, sources, rules, shelf, clock).routes(),
        *Actions(door, sources, books, shelf, clock, notify or books.tell_again).routes(),
    ]
    edge = Edge(settings, {}, NullMeter().registry, routes)
    server = TestServer(edge.app)
    async with TestClient(server, cookie_jar=CookieJar(unsafe=True)) as client:
        yield Console(client, books, board, clock, now_s, server)
