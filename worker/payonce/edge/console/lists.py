"""The lists for people, and one order's story."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from payonce.domain.errors import InvalidField
from payonce.domain.refund import OVER, RefundStatus
from payonce.edge.console.door import Door
from payonce.edge.console.ports import Rules, Sources
from payonce.edge.console.sessions import PATH, Session
from payonce.edge.console.shelf import Shelf
from payonce.edge.console.words import lines_of
from payonce.edge.ops import Listed
from payonce.ports.clock import Clock
from payonce.ports.inbox import Which

LISTED = 50
PARKED_LISTED = 25
LONGEST_QUERY = 255

Read = Callable[[int, str | None], Awaitable[Listed]]


class Lists:
    """Pages that list something."""

    def __init__(
        self, door: Door, sources: Sources, rules: Rules, shelf: Shelf, clock: Clock
    ) -> None:
        self._door = door
        self._sources = sources
        self._rules = rules
        self._shelf = shelf
        self._clock = clock

    def routes(self) -> Iterator[web.RouteDef]:
        """Yield the routes of the pages."""
        page, stories = self._door.page, self._sources.stories
        for name in ("unresolved", "mismatched", "unacknowledged"):
            yield web.get(f"{PATH}/{name}", page(self._list_of(name, getattr(stories, name))))
        yield web.get(f"{PATH}/refunds", page(self._refunds))
        yield web.get(f"{PATH}/webhooks", page(self._webhooks))
        yield web.get(f"{PATH}/parked", page(self._parked))
        yield web.get(f"{PATH}/gateways", page(self._gateways))
        yield web.get(f"{PATH}/orders", page(self._search))
        yield web.get(f"{PATH}/orders/{{id}}", page(self._order))

    def _list_of(
        self, name: str, read: Read
    ) -> Callable[[web.Request, Session], Awaitable[web.Response]]:
        async def show(request: web.Request, session: Session) -> web.Response:
            return await self._show(request, session, name, read, {})

        return show

    async def _refunds(self, request: web.Request, session: Session) -> web.Response:
        status = request.query.get("status") or None

        async def read(limit: int, cursor: str | None) -> Listed:
            return await self._sources.stories.refunds(limit, cursor, status)

        more = {
            "of_status": status,
            "statuses": list(RefundStatus),
            "needs_two": self._needs_two,
        }
        return await self._show(request, session, "refunds", read, more, status=status)

    async def _webhooks(self, request: web.Request, session: Session) -> web.Response:
        given = request.query.get("which") or "problems"
        if given not in list(Which):
            raise InvalidField("which", f"{given[:60]!r} is unknown", ", ".join(Which))
        which = Which(given)

        async def read(limit: int, cursor: str | None) -> Listed:
            return await self._sources.inbox.list(which, limit, cursor)

        more = {"which": which, "kinds": list(Which)}
        return await self._show(request, session, "webhooks", read, more, which=which)

    async def _parked(self, request: web.Request, session: Session) -> web.Response:
        """List parked messages. To look at one is a delivery of it: the page stands still."""
        queue = request.query.get("queue") or "parked"
        if queue not in self._sources.parked:
            allowed = ", ".join(self._sources.parked)
            raise InvalidField("queue", f"{queue[:60]!r} is unknown", allowed)
        page = await self._sources.parked[queue].page(PARKED_LISTED, _cursor(request))
        return await self._door.show(
            request,
            session,
            "ops/parked.html",
            now=self._clock.now(),
            page=page,
            following=_following(request, page.cursor),
            queue=queue,
            queues=list(self._sources.parked),
        )

    async def _gateways(self, request: web.Request, session: Session) -> web.Response:
        gateways = await self._shelf.get("gateways", self._sources.gateways.list)
        return await self._door.show(
            request, session, "ops/gateways.html", now=self._clock.now(), gateways=gateways
        )

    async def _search(self, request: web.Request, session: Session) -> web.Response:
        wanted = request.query.get("q", "").strip()
        if len(wanted) > LONGEST_QUERY or not wanted.isprintable():
            raise InvalidField("q", "is no id", f"printable text of 1 to {LONGEST_QUERY}")
        found = await self._sources.counts.find(wanted) if wanted else []
        orders = {one.order_id for one in found}
        if len(orders) == 1:
            where = f"{PATH}/orders/{quote(orders.pop(), safe='')}"
            return web.Response(status=303, headers={"Location": where})
        return await self._door.show(
            request, session, "ops/search.html", wanted=wanted, found=found
        )

    async def _order(self, request: web.Request, session: Session) -> web.Response:
        order_id = request.match_info["id"]
        order = await self._shelf.get(
            ("order", order_id), lambda: self._sources.stories.order(order_id)
        )
        if order is None:
            template = "ops/search.html"
            return await self._door.show(
                request, session, template, http_status=404, wanted=order_id, found=[]
            )
        return await self._door.show(
            request,
            session,
            "ops/order.html",
            now=self._clock.now(),
            order=order,
            lines=lines_of(order["timeline"]),
            refunded={one["payment_id"] for one in order["refunds"] if one["status"] not in OVER},
            needs_two=self._needs_two,
        )

    def _needs_two(self, refund: Mapping[str, Any]) -> bool:
        limit = self._rules.two_people_above.get(refund["currency"])
        return limit is not None and refund["amount"] > limit

    async def _show(
        self,
        request: web.Request,
        session: Session,
        name: str,
        read: Read,
        more: Mapping[str, Any],
        **query: str | None,
    ) -> web.Response:
        cursor = _cursor(request)
        key = (name, cursor, *query.values())
        page = await self._shelf.get(key, lambda: read(LISTED, cursor))
        return await self._door.show(
            request,
            session,
            f"ops/{name}.html",
            now=self._clock.now(),
            page=page,
            following=_following(request, page.cursor),
            **more,
        )


def _cursor(request: web.Request) -> str | None:
    return request.query.get("cursor") or None


def _following(request: web.Request, cursor: str | None) -> str | None:
    """Return the address of the next page; None: there is none."""
    if cursor is None:
        return None
    kept = [(key, value) for key, value in request.query.items() if key != "cursor"]
    return f"{request.path}?{urlencode([*kept, ('cursor', cursor)])}"
