"""The operators' pages, put together."""

from collections.abc import Iterator

from aiohttp import web

from payonce.adapters.postgres.activity import Activity
from payonce.adapters.postgres.dashboard import Dashboard as Counts
from payonce.adapters.postgres.inbox import InboxDesk
from payonce.adapters.postgres.installation import Installation
from payonce.adapters.postgres.journal import OperatorJournal
from payonce.adapters.rabbitmq.topology import UNROUTED
from payonce.bootstrap.checks import queue_depths_of
from payonce.bootstrap.gateways import desk_of
from payonce.bootstrap.parked import ParkedQueue
from payonce.bootstrap.refunds import refund_desk_of
from payonce.bootstrap.world import World
from payonce.edge.auth import Auth
from payonce.edge.console.actions import Actions
from payonce.edge.console.dashboard import Dashboard
from payonce.edge.console.door import Door
from payonce.edge.console.lists import Lists
from payonce.edge.console.pages import console_pages
from payonce.edge.console.ports import Notify, Rules, Sources
from payonce.edge.console.sessions import PATH, Sessions
from payonce.edge.console.shelf import Shelf


def console_routes(world: World, auth: Auth, notify: Notify) -> Iterator[web.RouteDef]:
    """Yield the routes below /ops. `notify`: what tells the order service of an order again."""
    settings, clock = world.settings, world.clock
    public_url = settings.http.public_url
    token_key = Installation(world.database).token_key
    sessions = Sessions(auth, token_key, clock, secure=public_url.startswith("https:"))
    door = Door(auth, sessions, console_pages(), public_url)
    sources, rules, shelf = _sources(world), _rules(world), Shelf(clock)
    desk = refund_desk_of(world)
    yield web.get(PATH, door.page(Dashboard(door, sources, rules, shelf, clock).page))
    yield from door.routes()
    yield from Lists(door, sources, rules, shelf, clock).routes()
    yield from Actions(door, sources, desk, shelf, clock, notify).routes()


def _sources(world: World) -> Sources:
    settings, database = world.settings, world.database
    amqp_url = settings.servers.amqp_url
    return Sources(
        stories=world.reader(),
        counts=Counts(database),
        hours=Activity(database),
        waiting=world.overview(),
        journal=OperatorJournal(database),
        parked={"parked": ParkedQueue(amqp_url), "unrouted": ParkedQueue(amqp_url, UNROUTED)},
        inbox=InboxDesk(database),
        gateways=desk_of(settings, database, world.clock),
        depths=queue_depths_of(world),
    )


def _rules(world: World) -> Rules:
    settings = world.settings
    return Rules(
        {name: one.terms.ladder.waits_ms for name, one in settings.gateways.items()},
        settings.refund.two_people_above,
    )
