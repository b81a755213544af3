"""What the edge serves, put together."""

from collections.abc import Iterable

from aiohttp import web

from payonce.adapters.postgres.installation import Installation
from payonce.bootstrap.refunds import refund_desk_of
from payonce.bootstrap.world import World
from payonce.edge.auth import Auth
from payonce.edge.refunds import refund_routes


def routes_of(world: World) -> Iterable[web.RouteDef]:
    """Yield the routes besides health and metrics, in order of their paths."""
    auth = Auth(world.settings.http, Installation(world.database).token_key)
    yield from refund_routes(auth, refund_desk_of(world), world.reader())
