"""Short ways to say what a test needs of the store."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from payonce.adapters.postgres import (
    ledger,
    orders,
    outbox,
    overview,
    registrar,
    retelling,
    watches,
)
from payonce.adapters.postgres.database import Database
from payonce.domain.decide import Facts
from payonce.domain.effects import Effects, Occasion
from payonce.domain.judge import Hearing, judge
from payonce.domain.messages import PaymentInitiated
from payonce.domain.report import GatewayReport, Outcome, Source
from payonce.ports.store import (
    Ledger,
    Orders,
    Outbox,
    Overview,
    Registered,
    Registrar,
    Registration,
    Retelling,
    Wanted,
    Watches,
)

NOW = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
EXPIRES = NOW + timedelta(hours=2)


Opened = TypeVar("Opened", bound=Database)


@dataclass(frozen=True)
class Store:
    """The ports that a handler would be given."""

    registrar: Registrar
    ledger: Ledger
    watches: Watches
    orders: Orders
    outbox: Outbox
    overview: Overview
    retelling: Retelling


def store_on(database: Database) -> Store:
    """Return the store on PostgreSQL."""
    return Store(
        registrar.Registrar(database),
        ledger.Ledger(database),
        watches.Watches(database),
        orders.Orders(database),
        outbox.Outbox(database),
        overview.Overview(database),
        retelling.Retelling(database),
    )


@asynccontextmanager
async def opened(database: Opened) -> AsyncIterator[Opened]:
    """Open a pool and close it in any case."""
    await database.open()
    try:
        yield database
    finally:
        await database.close()


def later(seconds: float) -> datetime:
    """Return a time after NOW."""
    return NOW + timedelta(seconds=seconds)


def registration(
    payment_id: str = "p1",
    order_id: str = "o1",
    amount: int = 100,
    *,
    currency: str = "CNY",
    gateway: str = "mock",
    ref: str | None = None,
    initiated_at: datetime = NOW,
    expires_at: datetime | None = None,
    revive_at: datetime | None = None,
) -> Registration:
    """Return a registration with everything ordinary but what is given."""
    message = PaymentInitiated(
        payment_id=payment_id,
        order_id=order_id,
        gateway=gateway,
        amount=amount,
        currency=currency,
        gateway_ref=ref,
        initiated_at=initiated_at,
        expires_at=expires_at or EXPIRES,
        expires_given=expires_at is not None,
        traceparent=f"trace-of-{payment_id}",
    )
    return Registration(message, revive_at or later(600))


async def register(store: Store, *wanted: Registration) -> list[Registered]:
    """Register in one call."""
    return await store.registrar.register(wanted)


def success(
    payment_id: str = "p1",
    amount: int = 100,
    *,
    ref: str | None = None,
    currency: str = "CNY",
    at: datetime = NOW,
) -> Hearing:
    """Return a gateway's word that a payment was paid."""
    report = GatewayReport(Outcome.SUCCEEDED, ref, amount, currency, paid_at=at)
    return Hearing(payment_id, report, Occasion(at, Source.POLL))


def word(
    payment_id: str, outcome: Outcome, *, ref: str | None = None, ended: bool = False
) -> Hearing:
    """Return a gateway's word without money."""
    report = GatewayReport(outcome, ref)
    return Hearing(payment_id, report, Occasion(NOW, Source.POLL), watch_ended=ended)


async def settle(store: Store, *hearings: Hearing) -> list[Effects | None]:
    """Settle in one call, and return what was judged; None for an unknown payment."""
    judged: dict[int, Effects] = {}

    def decide_all(locked: Mapping[str, Facts]) -> Sequence[Effects]:
        found = judge(hearings, locked)
        judged.update((n, one) for n, one in enumerate(found) if one)
        return [one for one in found if one]

    wanted = [Wanted(one.payment_id, one.report.gateway_ref) for one in hearings]
    await store.ledger.settle(wanted, decide_all)
    return [judged.get(n) for n in range(len(hearings))]


async def facts(store: Store, *payment_ids: str) -> dict[str, Facts]:
    """Return the rows as a decision would see them."""
    seen: dict[str, Facts] = {}

    def look(locked: Mapping[str, Facts]) -> Sequence[Effects]:
        seen.update(locked)
        return []

    await store.ledger.settle([Wanted(one, None) for one in payment_ids], look)
    return seen
