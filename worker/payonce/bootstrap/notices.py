"""Calls to the order service, put together: what makes them, where operators ask for them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import structlog

from payonce.adapters.clock import SystemClock
from payonce.adapters.intake import take_notices
from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.orders import Orders
from payonce.adapters.postgres.retelling import Retelling
from payonce.adapters.webhook import WebhookPoster, open_session, private_names
from payonce.domain.signature import signing_key
from payonce.handlers.notify import Notify, drop
from payonce.handlers.notify_desk import NotifyDesk
from payonce.ports.bus import Receiver
from payonce.ports.notifier import Notifier
from payonce.settings import Settings

log = structlog.get_logger(__name__)

UNSIGNED = "order_service.secret is empty: the order service cannot tell our calls from anybody's"

if TYPE_CHECKING:
    from payonce.bootstrap.world import World


@asynccontextmanager
async def open_notifier(settings: Settings) -> AsyncIterator[Notifier | None]:
    """Give what calls the order service; None where it is told by events alone."""
    wanted = settings.order_service
    if not wanted.notify_url:
        yield None
        return
    key = signing_key(wanted.secret.reveal()) if wanted.secret else None
    if key is None:
        log.warning("notifier.unsigned", reason=UNSIGNED)
    names = private_names(wanted.notify_url, allow_private=wanted.allow_private)
    async with open_session(wanted.timeout_s, wanted.max_in_flight, names) as session:
        yield WebhookPoster(session, wanted.notify_url, key)


def notices_of(world: "World") -> Notify | None:
    """Return what has the order service called, None where it is told by events alone."""
    if world.notifier is None:
        return None
    return Notify(
        world.notifier,
        Orders(world.database),
        Retelling(world.database),
        world.acknowledge.note,
        world.broker.timer,
        world.clock,
        world.meter,
    )


def notice_receiver(world: "World") -> Receiver:
    """Return what takes the calls that are due, also those of an earlier configuration."""
    return take_notices(world.notices.handle if world.notices else drop)


@asynccontextmanager
async def open_notify_desk(settings: Settings) -> AsyncIterator[NotifyDesk]:
    """Give what takes an operator's wish to tell of orders again to a command."""
    database = Database(settings.servers.postgres_dsn)
    await database.open()
    try:
        yield NotifyDesk(Retelling(database), SystemClock())
    finally:
        await database.close()
