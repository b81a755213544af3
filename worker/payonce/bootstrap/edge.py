"""What the edge serves, put together."""

from collections.abc import Iterable

from aiohttp import web

from payonce.adapters.postgres.inbox import InboxDesk
from payonce.adapters.postgres.installation import Installation
from payonce.adapters.postgres.retelling import Retelling
from payonce.bootstrap.applications import apply_of, payment_routes
from payonce.bootstrap.checkout import checkout_routes
from payonce.bootstrap.console import console_routes
from payonce.bootstrap.gateways import desk_of
from payonce.bootstrap.parked import ParkedQueue
from payonce.bootstrap.refunds import refund_desk_of
from payonce.bootstrap.world import World
from payonce.edge.auth import Auth
from payonce.edge.console.ports import Notify
from payonce.edge.documents import document_routes
from payonce.edge.notify import notify_routes
from payonce.edge.ops import Ops, Pager
from payonce.edge.pages.rendering import Pages
from payonce.edge.push import Push
from payonce.edge.refunds import refund_routes
from payonce.edge.webhooks import Webhooks
from payonce.handlers.notify_desk import NotifyDesk


def routes_of(world: World) -> Iterable[web.RouteDef]:
    """Yield the routes besides health and metrics, in order of their paths."""
    auth = Auth(world.settings.http, Installation(world.database).token_key)
    desk, apply, pages = InboxDesk(world.database), apply_of(world, auth), Pages()
    yield from pages.routes()
    yield from checkout_routes(world, auth, apply, pages)
    yield from Webhooks(world.reception, desk, auth, world.clock).routes()
    yield from payment_routes(world, auth, apply)
    yield from Push(auth, world.listeners, world.meter).routes()
    yield from _ops(world, auth).routes()
    notices = NotifyDesk(Retelling(world.database), world.clock)
    yield from notify_routes(auth, notices)
    yield from document_routes()
    yield from refund_routes(auth, refund_desk_of(world), world.reader())
    yield from console_routes(world, auth, _telling_again(notices))


def _telling_again(desk: NotifyDesk) -> Notify:
    """Return what has an order told again, and says so on the operators' page."""

    async def tell(order_id: str, by: str) -> str:
        await desk.notify(order_id, by)
        return f"{order_id} is told again within seconds."

    return tell


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
