"""Applications for payments, put together."""

from collections.abc import Iterable

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


def payment_routes(world: World, auth: Auth) -> Iterable[web.RouteDef]:
    """Return the routes of payments and orders."""
    budgets_s = {
        name: one.timeout_s * BUDGET_TIMEOUTS for name, one in world.settings.gateways.items()
    }
    public_url = world.settings.http.public_url.rstrip("/")
    lease_s = max(budgets_s.values()) * LEASE_BUDGETS + LEASE_MARGIN_S
    payments = Payments(
        auth,
        _apply(world, ApplyRules(_policy(world), public_url, auth.checkout_url, budgets_s)),
        Idempotency(Keys(world.database), world.clock, lease_s),
        world.views,
        {name: gateway.terms.watch_for for name, gateway in world.gateways.items()},
        world.clock,
    )
    return payments.routes()


def key_expiry(world: World) -> Expire:
    """Return what forgets answers that nobody asks for any more."""
    return Expire(Keys(world.database), world.clock)


def _policy(world: World) -> Policy:
    return Policy(world.settings.on_second_payment.value)


def _apply(world: World, rules: ApplyRules) -> Apply:
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
    )
