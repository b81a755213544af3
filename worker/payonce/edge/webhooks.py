"""`POST /v1/webhooks/{gateway}`, and what operators see of the inbox."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from aiohttp import web

from payonce.adapters.postgres.reader import Page
from payonce.domain.errors import BadCallback, InvalidField
from payonce.edge.auth import Auth
from payonce.edge.bodies import read_body
from payonce.edge.ops import Note
from payonce.edge.problems import Refused
from payonce.ports import views
from payonce.ports.clock import Clock
from payonce.ports.gateway import CallbackAnswer
from payonce.ports.inbox import Which

_LARGEST_ID = 2**63 - 1


class Receiver(Protocol):
    """What takes callbacks in."""

    async def receive(
        self, name: str, headers: Mapping[str, str], body: bytes
    ) -> CallbackAnswer | None:
        """Keep a callback; None: there is no such gateway. Raises BadCallback, Unavailable."""
        ...


class Desk(Protocol):
    """What operators do with the inbox."""

    async def list(self, which: Which, limit: int, cursor: str | None) -> Page[views.Callback]:
        """Return callbacks, the latest first. Raises InvalidField."""
        ...

    async def replay(self, inbox_ids: Sequence[int], now: datetime) -> set[int]:
        """Make callbacks due; return those that are there."""
        ...


class Webhooks:
    """The routes of callbacks. Everything a gateway sends is judged by its adapter, not here."""

    def __init__(
        self, receiver: Receiver, desk: Desk, auth: Auth, clock: Clock, note: Note
    ) -> None:
        self._receiver = receiver
        self._desk = desk
        self._auth = auth
        self._clock = clock
        self._note = note

    def routes(self) -> Iterable[web.RouteDef]:
        """Return the routes."""
        return [
            web.get("/v1/ops/webhooks", self._list),
            web.post("/v1/ops/webhooks/{inbox_id}/replay", self._replay),
            web.post("/v1/webhooks/{gateway}", self._receive),
        ]

    async def _receive(self, request: web.Request) -> web.Response:
        name = request.match_info["gateway"]
        body = await read_body(request)
        try:
            answer = await self._receiver.receive(name, request.headers, body)
        except BadCallback as error:
            raise Refused(HTTPStatus.UNAUTHORIZED, error.code, error.problem) from None
        if answer is None:
            raise Refused(HTTPStatus.NOT_FOUND, "not-found", f"no gateway {name!r} is configured")
        return web.Response(
            status=answer.status, body=answer.body, content_type=answer.content_type
        )

    async def _list(self, request: web.Request) -> web.Response:
        self._auth.require_operator(request)
        which, limit = _which(request.query.get("which", "all")), request.query.get("limit", "100")
        page = await self._desk.list(which, _whole(limit, "limit"), request.query.get("cursor"))
        return web.json_response({"items": page.items, "cursor": page.cursor})

    async def _replay(self, request: web.Request) -> web.Response:
        by = self._auth.require_operator(request)
        inbox_id = _whole(request.match_info["inbox_id"], "inbox_id")
        await read_body(request)
        await self._note(by, "replay callback", str(inbox_id))
        if not await self._desk.replay([inbox_id], self._clock.now()):
            raise Refused(HTTPStatus.NOT_FOUND, "not-found", f"no callback {inbox_id} is kept")
        answer: views.CallbacksReplayed = {"replayed": 1}
        return web.json_response(answer)


def _which(text: str) -> Which:
    try:
        return Which(text)
    except ValueError:
        raise InvalidField("which", f"{text[:60]!r} is unknown", ", ".join(Which)) from None


def _whole(text: str, field: str) -> int:
    if text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= _LARGEST_ID:
        return int(text)
    raise InvalidField(field, f"{text[:60]!r} is not a whole number", "a whole number from 1")
