"""What the edge serves, put together."""

from collections.abc import Iterable

from aiohttp import web

from payonce.adapters.postgres.inbox import InboxDesk
from payonce.adapters.postgres.installation import Installation
from payonce.bootstrap.applications import payment_routes
from payonce.bootstrap.gateways import desk_of
from payonce.bootstrap.parked import ParkedQueue
from payonce.bootstrap.refunds import refund_desk_of
from payonce.bootstrap.world import World
from payonce.edge.auth import Auth
from payonce.edge.documents import document_routes
from payonce.edge.ops import Ops, Pager
from payonce.edge.pages.rendering import Pages
from payonce.edge.refunds import refund_routes
from payonce.edge.webhooks import Webhooks


def routes_of(world: World) -> Iterable[web.RouteDef]:
    """Yield the routes besides health and metrics, in order of their paths."""
    auth = Auth(world.settings.http, Installation(world.database).token_key)
    desk, pages = InboxDesk(world.database), Pages()
    yield from pages.routes()
    yield from Webhooks(world.reception, desk, auth, world.clock).routes()
    yield from payment_routes(world, auth)
    yield from _ops(world, auth).routes()
    yield from document_routes()
    yield from refund_routes(auth, refund_desk_of(world), world.reader())


def _ops(world: World, auth: Auth) -> Ops:
    """Return the operators' lists, parked messages and gateways."""
    reader = world.reader()
    pagers: dict[str, Pager] = {
        "unresolved": reader.unresolved,
        "mismatched": reader.mismatched,
        "unacknowledged": reader.unacknowledged,
    }
    parked = ParkedQueue(world.settings.servers.amqp_url)
    return Ops(auth, pagers, parked, desk_of(world.settings, world.database, world.clock))
