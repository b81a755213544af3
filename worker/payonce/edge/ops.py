"""What operators ask for: lists, parked messages, gateways."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import msgspec
from aiohttp import web

from payonce.adapters.codec import field_of, reason_of
from payonce.domain.errors import InvalidField, UnknownGateway
from payonce.edge.auth import Auth
from payonce.edge.bodies import read_body
from payonce.edge.problems import Refused
from payonce.ports import views
from payonce.ports.requests import Pause, Replay, Resume

MOST_LISTED = 1_000
LISTED = 100
MOST_NOTED = 255
"""Of the ids of replayed messages so much is noted."""


class Listed(Protocol):
    """A page of a list."""

    @property
    def items(self) -> Sequence[Mapping[str, Any]]:
        """The entries, oldest first."""
        ...

    @property
    def cursor(self) -> str | None:
        """Where the next page begins; None: there is none."""
        ...


Shape = TypeVar("Shape", bound=msgspec.Struct)

Note = Callable[[str, str, str], Awaitable[None]]
"""Notes in the journal that an operator asks for something: name, action, subject."""

Pager = Callable[[int, str | None], Awaitable[Listed]]
"""Returns a page of so many entries from a cursor on. Raises InvalidField, Unavailable."""


class ParkedMessages(Protocol):
    """The messages that were put aside."""

    async def page(self, limit: int, cursor: str | None) -> Listed:
        """Return a page of parked messages, which stay where they are."""
        ...

    async def send_back(self, ids: list[str] | None) -> views.MessagesReplayed:
        """Replay some, None: all; return what became of it."""
        ...


class Desk(Protocol):
    """Where gateways are treated."""

    async def list(self) -> list[views.GatewayStanding]:
        """Return every gateway."""
        ...

    async def pause(self, name: str, by: str, why: str) -> views.GatewayTreated:
        """Pause a gateway."""
        ...

    async def resume(self, name: str, by: str, why: str | None = None) -> views.GatewayTreated:
        """End a pause."""
        ...


class Ops:
    """The operators' routes for lists, parked messages and gateways."""

    def __init__(
        self,
        auth: Auth,
        pagers: Mapping[str, Pager],
        parked: ParkedMessages,
        desk: Desk,
        note: Note,
    ) -> None:
        self._auth = auth
        self._pagers = pagers
        self._parked = parked
        self._desk = desk
        self._note = note

    def routes(self) -> list[web.RouteDef]:
        """Return the routes below /v1/ops that are served here."""
        return [
            *(web.get(f"/v1/ops/{name}", self._list(name)) for name in self._pagers),
            web.get("/v1/ops/parked", self._list_parked),
            web.post("/v1/ops/parked/replay", self._replay),
            web.get("/v1/ops/gateways", self._list_gateways),
            web.post("/v1/ops/gateways/{name}/pause", self._pause),
            web.post("/v1/ops/gateways/{name}/resume", self._resume),
        ]

    def _list(self, name: str) -> Callable[[web.Request], Awaitable[web.Response]]:
        pager = self._pagers[name]

        async def page(request: web.Request) -> web.Response:
            self._auth.require_operator(request)
            return _page(await pager(*_limits(request)))

        return page

    async def _list_parked(self, request: web.Request) -> web.Response:
        self._auth.require_operator(request)
        return _page(await self._parked.page(*_limits(request)))

    async def _replay(self, request: web.Request) -> web.Response:
        by = self._auth.require_operator(request)
        body = await _body(request, Replay)
        if bool(body.message_ids) == body.all:
            problem = "names messages and all" if body.all else "names no message"
            raise InvalidField("message_ids", problem, "a list of ids, or all: true")
        named = ", ".join(body.message_ids or ())[:MOST_NOTED]
        await self._note(by, "replay", f"parked: {named or 'all'}")
        return web.json_response(await self._parked.send_back(body.message_ids or None))

    async def _list_gateways(self, request: web.Request) -> web.Response:
        self._auth.require_operator(request)
        return web.json_response({"items": await self._desk.list(), "cursor": None})

    async def _pause(self, request: web.Request) -> web.Response:
        by = self._auth.require_operator(request)
        body = await _body(request, Pause)
        return await _treated(self._desk.pause(request.match_info["name"], by, body.why))

    async def _resume(self, request: web.Request) -> web.Response:
        by = self._auth.require_operator(request)
        body = await _body(request, Resume)
        return await _treated(self._desk.resume(request.match_info["name"], by, body.why))


async def _treated(work: Awaitable[views.GatewayTreated]) -> web.Response:
    try:
        return web.json_response(await work)
    except UnknownGateway as error:
        raise Refused(404, "not-found", str(error), known=list(error.known)) from None


def _page(page: Listed) -> web.Response:
    return web.json_response({"items": page.items, "cursor": page.cursor})


def _limits(request: web.Request) -> tuple[int, str | None]:
    text = request.query.get("limit", str(LISTED))
    limit = int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 0
    if not 1 <= limit <= MOST_LISTED:
        raise InvalidField("limit", f"{text[:20]!r} is out of range", f"1 to {MOST_LISTED}")
    return limit, request.query.get("cursor") or None


async def _body(request: web.Request, shape: type[Shape]) -> Shape:
    """Return the JSON of a body; an empty one is an empty object."""
    content = await read_body(request)
    try:
        return msgspec.json.decode(content or b"{}", type=shape)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        allowed = ", ".join(shape.__struct_fields__)
        problem = reason_of(error)
        raise InvalidField(field_of(problem), problem, f"a JSON object of {allowed}") from None
