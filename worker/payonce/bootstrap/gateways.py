"""Gateways behind their gates, and the desk where people treat them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from uuid import uuid4

import aiohttp
from yarl import URL

from payonce.adapters.clock import SystemClock
from payonce.adapters.postgres.board import Board
from payonce.adapters.postgres.captures import Captures
from payonce.adapters.postgres.database import Database
from payonce.gateways.capturing import Capturing
from payonce.gateways.gate import Ear, Gate
from payonce.gateways.guard import Guarded, GuardedCapturing
from payonce.gateways.keeper import Keeper
from payonce.gateways.registry import build_gateway
from payonce.handlers.gateway_desk import GatewayDesk
from payonce.ports.clock import Clock
from payonce.ports.gateway import CapturingGateway, Gateway, Gateways
from payonce.ports.meter import Meter
from payonce.settings import GatewaySettings, Settings
from payonce.settings.kinds.paypal import PaypalCredentials


def guard_gateways(
    settings: Mapping[str, GatewaySettings],
    session: aiohttp.ClientSession,
    database: Database,
    clock: Clock,
    meter: Meter,
) -> tuple[Gateways, Keeper]:
    """Return the gateways by name, each behind a gate, and what keeps the gates. BadSettings."""
    gates = {name: Gate(name, one.rate_per_s, meter, clock) for name, one in settings.items()}
    captures = Captures(database)
    gateways: dict[str, Gateway] = {}
    for name, one in settings.items():
        bare = build_gateway(one, session, Ear(gates[name], meter))
        gateways[name] = _guarded(bare, gates[name], captures, clock)
    return gateways, Keeper(Board(database), gates, str(uuid4()), clock, meter)


def _guarded(bare: Gateway, gate: Gate, captures: Captures, clock: Clock) -> Gateway:
    """Return a gateway behind its gate; a capturing one captures by itself what it finds approved.

    Capturing stands outside of the gate, so that each of its calls is counted by it.
    """
    if isinstance(bare, CapturingGateway):
        return Capturing(GuardedCapturing(bare, gate), captures, clock)
    return Guarded(bare, gate)


def private_names(settings: Mapping[str, GatewaySettings]) -> tuple[str, ...]:
    """Return the names that may lead into a private network: those of who has `allow_private`."""
    allowed = [one for one in settings.values() if one.allow_private]
    hosts = [host for one in allowed if (host := URL(one.base_url).host)]
    for one in allowed:
        if isinstance(one.credentials, PaypalCredentials):
            hosts += one.credentials.cert_hosts
    return tuple(hosts)


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
