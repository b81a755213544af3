"""What the edge serves, put together."""

from collections.abc import Iterable

from aiohttp import web

from payonce.adapters.postgres.installation import Installation
from payonce.bootstrap.applications import payment_routes
from payonce.bootstrap.world import World
from payonce.edge.auth import Auth


def routes_of(world: World) -> Iterable[web.RouteDef]:
    """Yield the routes besides health and metrics, in order of their paths."""
    auth = Auth(world.settings.http, Installation(world.database).token_key)
    yield from payment_routes(world, auth)
