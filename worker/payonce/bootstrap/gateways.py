"""Gateways behind their gates, and the desk where people treat them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4

import aiohttp

from payonce.adapters.clock import SystemClock
from payonce.adapters.postgres.board import Board
from payonce.adapters.postgres.database import Database
from payonce.gateways.gate import Ear, Gate
from payonce.gateways.guard import Guarded
from payonce.gateways.keeper import Keeper
from payonce.gateways.registry import build_gateway
from payonce.handlers.gateway_desk import GatewayDesk
from payonce.ports.clock import Clock
from payonce.ports.gateway import Gateways
from payonce.ports.meter import Meter
from payonce.settings import GatewaySettings, Settings


def guard_gateways(
    settings: Mapping[str, GatewaySettings],
    session: aiohttp.ClientSession,
    database: Database,
    clock: Clock,
    meter: Meter,
) -> tuple[Gateways, Keeper]:
    """Return the gateways by name, each behind a gate, and what keeps the gates. BadSettings."""
    gates = {name: Gate(name, one.rate_per_s, meter, clock) for name, one in settings.items()}
    gateways = {
        name: Guarded(build_gateway(one, session, Ear(gates[name], meter)), gates[name])
        for name, one in settings.items()
    }
    return gateways, Keeper(Board(database), gates, str(uuid4()), clock, meter)


def desk_of(settings: Settings, database: Database, clock: Clock) -> GatewayDesk:
    """Return the desk on an open database."""
    rates = {name: one.rate_per_s for name, one in settings.gateways.items()}
    return GatewayDesk(Board(database), rates, clock)


@asynccontextmanager
async def open_desk(settings: Settings) -> AsyncIterator[GatewayDesk]:
    """Give the desk to a command."""
    database = Database(settings.servers.postgres_dsn)
    await database.open()
    try:
        yield desk_of(settings, database, SystemClock())
    finally:
        await database.close()
