"""Refunds, put together: what sends them, what takes up lost ones, where operators step in."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from payonce.adapters.clock import SystemClock
from payonce.adapters.metrics import NullMeter
from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.installation import Installation
from payonce.adapters.postgres.outbox import Outbox
from payonce.adapters.postgres.refunds import Refunds
from payonce.adapters.rabbitmq.broker import RabbitBroker
from payonce.adapters.rabbitmq.topology import Topology
from payonce.adapters.redis.changes import RedisChanges
from payonce.domain.risk import GatewayPolicy, Policy
from payonce.handlers.announce import Announcer
from payonce.handlers.refund import Refunder
from payonce.handlers.refund_desk import RefundDesk
from payonce.handlers.refund_sweep import RefundSweep
from payonce.settings import Settings

if TYPE_CHECKING:
    from payonce.bootstrap.world import World

_CONFIRM_WITHIN_S = 3.0
"""A command that nobody confirms ends after this long: the sweeper does what is left."""


def policy_of(settings: Settings) -> Policy:
    """Return what the configuration says of refunds."""
    refund = settings.refund
    return Policy(
        auto=refund.auto,
        hold_above=refund.hold_above,
        two_people_above=refund.two_people_above,
        max_per_order=refund.max_per_order,
        max_per_hour=refund.max_per_hour,
        gateways={
            name: GatewayPolicy(
                can_refund=one.can_refund,
                auto=one.refund_auto,
                max_per_hour=one.refund_max_per_hour,
                key_window=one.refund_key_window,
            )
            for name, one in settings.gateways.items()
        },
    )


def refunder_of(world: "World") -> Refunder:
    """Return what takes looks at refunds, and gateways' words about them."""
    settings = world.settings
    return Refunder(
        Refunds(world.database, world.clock),
        world.announcer(),
        world.broker.timer,
        world.gateways,
        policy_of(settings),
        settings.refund.ladder,
        settings.sweep.grace,
        world.clock,
        world.meter,
    )


def refund_sweep_of(world: "World") -> RefundSweep:
    """Return what takes up refunds that show no life."""
    return RefundSweep(
        Refunds(world.database, world.clock),
        world.broker.timer,
        world.gateways,
        world.settings.sweep.every,
        world.clock,
    )


def refund_desk_of(world: "World") -> RefundDesk:
    """Return what takes an operator's word."""
    return RefundDesk(
        Refunds(world.database, world.clock),
        world.announcer(),
        world.broker.timer,
        policy_of(world.settings),
        world.clock,
        world.meter,
    )


@asynccontextmanager
async def open_refund_desk(settings: Settings) -> AsyncIterator[RefundDesk]:
    """Give what takes an operator's word to a command; a broker that is away holds up nothing."""
    clock, meter = SystemClock(), NullMeter()
    changes = RedisChanges(settings.servers.redis_url, meter)
    database = Database(settings.servers.postgres_dsn, on_change=changes.spread)
    broker = RabbitBroker(
        settings.servers.amqp_url,
        Topology((), (), ()),
        clock,
        confirm_timeout_s=_CONFIRM_WITHIN_S,
    )
    await database.open()
    running = asyncio.create_task(broker.run())
    announcer = Announcer(broker.events, Outbox(database), clock, meter)
    refunds = Refunds(database, clock)
    try:
        changes.belong_to(await Installation(database).name())
        yield RefundDesk(refunds, announcer, broker.timer, policy_of(settings), clock, meter)
    finally:
        await broker.close(1.0)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        await changes.close()
        await database.close()
