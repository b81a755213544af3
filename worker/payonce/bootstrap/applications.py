"""Applications for payments, put together."""

from collections.abc import Iterable, Mapping
from datetime import timedelta

from aiohttp import web

from payonce.adapters.postgres.applications import Applications
from payonce.adapters.postgres.keys import Keys
from payonce.adapters.postgres.watches import Watches
from payonce.bootstrap.world import World
from payonce.domain.application import Policy
from payonce.edge.auth import Auth
from payonce.edge.idempotency import Idempotency
from payonce.edge.payments import Payments
from payonce.handlers.apply import Apply, ApplyRules
from payonce.handlers.close import Close
from payonce.handlers.expire import Expire

BUDGET_TIMEOUTS = 2
"""How long a gateway is asked for one step of an application, in time-outs of one call."""

LEASE_BUDGETS = 4
"""An application waits for the lock, closes, creates, or waits for another: within this it ends."""

LEASE_MARGIN_S = 15.0


def payment_routes(world: World, auth: Auth, apply: Apply) -> Iterable[web.RouteDef]:
    """Return the routes of payments and orders."""
    lease_s = max(_budgets_s(world).values()) * LEASE_BUDGETS + LEASE_MARGIN_S
    payments = Payments(
        auth,
        apply,
        Idempotency(_keys(world), world.clock, lease_s),
        world.views,
        watch_for_of(world),
        world.clock,
    )
    return payments.routes()


def watch_for_of(world: World) -> Mapping[str, timedelta]:
    """Return how long a payment may take that names no expiry, by configured gateway."""
    return {name: gateway.terms.watch_for for name, gateway in world.gateways.items()}


def apply_of(world: World, auth: Auth) -> Apply:
    """Return what takes applications; one a process, since those that come at once share it."""
    public_url = world.settings.http.public_url.rstrip("/")
    rules = ApplyRules(_policy(world), public_url, auth.checkout_url, _budgets_s(world))
    database, timer, clock, meter = world.database, world.broker.timer, world.clock, world.meter
    settler = world.settler()
    close = Close(settler, Watches(database), timer, world.gateways, clock)
    return Apply(
        Applications(database),
        settler,
        close.handle,
        world.announcer(),
        world.locks,
        world.cache,
        world.gateways,
        rules,
        clock,
        meter,
        world.keeper.paused,
    )


def key_expiry(world: World) -> Expire:
    """Return what forgets answers that nobody asks for any more."""
    return Expire(_keys(world), world.clock)


def _keys(world: World) -> Keys:
    return Keys(world.database, world.settings.retention.idempotency_keys)


def _budgets_s(world: World) -> Mapping[str, float]:
    return {name: one.timeout_s * BUDGET_TIMEOUTS for name, one in world.settings.gateways.items()}


def _policy(world: World) -> Policy:
    return Policy(world.settings.on_second_payment.value)
