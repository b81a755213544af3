"""The operators' routes about refunds, and the end of an entry of a list."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Protocol

from aiohttp import web

from payonce.domain.errors import Conflict, InvalidField, UnknownId
from payonce.domain.ids import check_id
from payonce.domain.money import check_amount
from payonce.edge.auth import Auth
from payonce.edge.bodies import read_body, read_object
from payonce.edge.problems import Refused
from payonce.ports import views

Work = Callable[[web.Request], Awaitable[web.Response]]


class Page(Protocol):
    """Some entries of a list, and where the next page begins."""

    @property
    def items(self) -> Sequence[views.Refund]:
        """The entries."""
        ...

    @property
    def cursor(self) -> str | None:
        """Where the next page begins; None: there is none."""
        ...


class Shown(Protocol):
    """What the routes show."""

    async def refund(self, refund_id: str) -> views.Refund | None:
        """Return a refund."""
        ...

    async def payment(self, payment_id: str) -> views.Payment | None:
        """Return a payment."""
        ...

    async def refunds(
        self, limit: int = 100, cursor: str | None = None, status: str | None = None
    ) -> Page:
        """Return refunds of a status, or those that wait for a person."""
        ...


class Desk(Protocol):
    """What takes an operator's word."""

    async def request(self, payment_id: str, amount: int | None, by: object, why: object) -> str:
        """Ask for a refund; return its id."""
        ...

    async def approve(self, refund_id: str, by: object) -> None:
        """Set aside what holds a refund."""
        ...

    async def reject(self, refund_id: str, by: object, why: object) -> None:
        """End a held refund."""
        ...

    async def resolve(self, id_: str, resolved_as: object, by: object, why: object) -> str | None:
        """End an entry of a list; return the id of a refund, or None."""
        ...


def refund_routes(auth: Auth, desk: Desk, shown: Shown) -> Iterator[web.RouteDef]:
    """Yield the routes, in order of their paths."""
    routes = RefundRoutes(auth, desk, shown)
    yield web.get("/v1/ops/refunds", routes.list)
    yield web.post("/v1/ops/refunds", refusing(routes.request))
    yield web.post("/v1/ops/refunds/{id}/approve", refusing(routes.approve))
    yield web.post("/v1/ops/refunds/{id}/reject", refusing(routes.reject))
    yield web.post("/v1/ops/resolve/{id}", refusing(routes.resolve))


class RefundRoutes:
    """Each takes an operator's token, and answers with the refund or payment as it is then."""

    def __init__(self, auth: Auth, desk: Desk, shown: Shown) -> None:
        self._auth = auth
        self._desk = desk
        self._shown = shown

    async def list(self, request: web.Request) -> web.Response:
        """Answer with a page of refunds: of `status`, or those that wait for a person."""
        self._auth.require_operator(request)
        page = await self._shown.refunds(
            _limit(request), request.query.get("cursor"), request.query.get("status")
        )
        return web.json_response({"items": page.items, "cursor": page.cursor})

    async def request(self, request: web.Request) -> web.Response:
        """Ask for a refund of a payment; another operator has to approve it."""
        by = self._auth.require_operator(request)
        body = await read_object(request)
        amount = body.get("amount")
        refund_id = await self._desk.request(
            check_id(body.get("payment_id"), "payment_id"),
            None if amount is None else check_amount(amount),
            by,
            body.get("why"),
        )
        return web.json_response(await self._shown.refund(refund_id), status=201)

    async def approve(self, request: web.Request) -> web.Response:
        """Set aside what holds a refund."""
        by = self._auth.require_operator(request)
        refund_id = request.match_info["id"]
        await read_body(request)
        await self._desk.approve(refund_id, by)
        return web.json_response(await self._shown.refund(refund_id))

    async def reject(self, request: web.Request) -> web.Response:
        """End a held refund: the money is kept."""
        by = self._auth.require_operator(request)
        refund_id = request.match_info["id"]
        await self._desk.reject(refund_id, by, (await read_object(request)).get("why"))
        return web.json_response(await self._shown.refund(refund_id))

    async def resolve(self, request: web.Request) -> web.Response:
        """End an entry of a list, a payment's or a refund's."""
        by = self._auth.require_operator(request)
        body, id_ = await read_object(request), request.match_info["id"]
        refund_id = await self._desk.resolve(id_, body.get("as"), by, body.get("why"))
        if refund_id is not None:
            return web.json_response(await self._shown.refund(refund_id))
        return web.json_response(await self._shown.payment(id_))


def refusing(work: Work) -> Work:
    """Return a handler that answers what goes against a rule with a problem of the rule's name."""

    async def handle(request: web.Request) -> web.Response:
        try:
            return await work(request)
        except UnknownId as error:
            raise Refused(404, "not-found", str(error)) from None
        except Conflict as error:
            raise Refused(409, error.rule, error.problem) from None

    return handle


def _limit(request: web.Request) -> int:
    text = request.query.get("limit", "100")
    if not (text.isascii() and text.isdigit() and len(text) <= 4):
        raise InvalidField("limit", f"{text!r:.40} is not a number", "1 to 1000")
    return int(text)
