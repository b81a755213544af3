"""The operators' routes that have unacknowledged orders told again."""

from collections.abc import Iterator
from typing import Protocol

from aiohttp import web

from payonce.domain.errors import InvalidField
from payonce.edge.auth import Auth
from payonce.edge.bodies import read_body, read_object
from payonce.edge.refunds import refusing


class Desk(Protocol):
    """What takes an operator's wish."""

    async def notify(self, order_id: object, by: object) -> None:
        """Have one paid order told again now."""
        ...

    async def notify_all(self, by: object) -> int:
        """Have every unacknowledged order told again now; return how many were not due."""
        ...


def notify_routes(auth: Auth, desk: Desk) -> Iterator[web.RouteDef]:
    """Yield the routes, in order of their paths."""

    async def one(request: web.Request) -> web.Response:
        by = auth.require_operator(request)
        order_id = request.match_info["order_id"]
        await read_body(request)
        await desk.notify(order_id, by)
        return web.json_response({"order_id": order_id, "due": True}, status=202)

    async def everything(request: web.Request) -> web.Response:
        by = auth.require_operator(request)
        if (await read_object(request)).get("all") is not True:
            raise InvalidField("all", "is not true", "true: every unacknowledged order")
        return web.json_response({"orders": await desk.notify_all(by)}, status=202)

    yield web.post("/v1/ops/unacknowledged/notify", everything)
    yield web.post("/v1/ops/unacknowledged/{order_id}/notify", refusing(one))
