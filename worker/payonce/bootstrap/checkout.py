"""The checkout page, put together."""

from collections.abc import Iterable

from aiohttp import web

from payonce.bootstrap.applications import watch_for_of
from payonce.bootstrap.world import World
from payonce.edge.auth import Auth
from payonce.edge.pages.channels import channels_of
from payonce.edge.pages.checkout import Checkout, Rules
from payonce.edge.pages.rendering import Pages
from payonce.handlers.apply import Apply


def checkout_routes(world: World, auth: Auth, apply: Apply, pages: Pages) -> Iterable[web.RouteDef]:
    """Return the routes of the page."""
    gateways = world.settings.gateways.values()
    channels = channels_of((one.name, one.kind, one.label) for one in gateways)
    rules = Rules(channels, watch_for_of(world), world.keeper.paused)
    return Checkout(pages, auth, apply, world.reader(), rules, world.clock).routes()
