"""Applications: the order's payment claimed before its gateway is asked, confirmed afterwards."""

from collections.abc import Sequence
from datetime import datetime

from asyncpg import Record, UniqueViolationError

from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.failures import SERVER
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import order_of, payment_of, to_json
from payonce.domain.application import Application, Applied
from payonce.domain.claim import Claim, Confirmation, Fresh, Refused, Resumed, Shared
from payonce.domain.decide import Facts
from payonce.domain.errors import Unavailable
from payonce.domain.order import Order, OrderStatus
from payonce.domain.watch import CLOSE_AGAIN_AFTER
from payonce.ports.applications import ClaimJudge, ConfirmJudge

SQL = load("applications")
LOCK = load("ledger")["lock_payments"]

CONFIRM_ATTEMPTS = 3


class _RefusedError(Exception):
    """Rolls back: an order that was opened for what is refused shall not stay."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(refused.refusal)
        self.refused = refused


class Applications:
    """`payonce.ports.applications.Applications` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(
        self, application: Application, revive_at: datetime, judge: ClaimJudge
    ) -> Claim:
        """Judge an application under its order's lock, and write what comes of it."""

        async def work(connection: Connection) -> Claim:
            order = await _lock_order(connection, application)
            ids = (application.order_id, application.payment_id)
            rows = await connection.fetch(SQL["lock_unfinished"], *ids)
            found = sorted(map(_applied_of, rows), key=_age)
            decided = judge(order, found, await _count(connection, application))
            if isinstance(decided, Refused):
                raise _RefusedError(decided)
            await _write(connection, decided, revive_at)
            return decided

        try:
            decided = await self._database.transact(work)
        except _RefusedError as error:
            return error.refused
        if isinstance(decided, Fresh):
            self._database.orders_changed({decided.order.order_id: decided.order.version})
        return decided

    async def confirm(
        self, payment_id: str, gateway_ref: str | None, judge: ConfirmJudge
    ) -> Confirmation:
        """Judge a claimed payment under its order's lock, and write what comes of it."""

        async def work(connection: Connection) -> Confirmation:
            [locked] = await connection.fetch(LOCK, [payment_id], [gateway_ref])
            order = order_of(locked, locked["order_id"])
            facts = Facts(order, payment_of(locked), locked["ref_owner"])
            [row] = await connection.fetch(SQL["payment"], payment_id)
            decided = judge(facts, _applied_of(row))
            await connection.execute(SQL["confirm"], payment_id, *_confirmed(decided))
            return decided

        for _ in range(CONFIRM_ATTEMPTS):
            try:
                decided = await self._database.transact(work)
            except UniqueViolationError:
                continue
            self._database.orders_changed({decided.order.order_id: decided.order.version})
            return decided
        raise Unavailable(SERVER, "a gateway_ref changes hands faster than it can be looked up")

    async def applied(self, payment_id: str) -> tuple[Order, Applied] | None:
        """Return a payment as it stands, with its order."""
        rows = await self._database.fetch(SQL["payment"], payment_id)
        return (order_of(rows[0], rows[0]["order_id"]), _applied_of(rows[0])) if rows else None


async def _lock_order(connection: Connection, application: Application) -> Order | None:
    order_id, price = application.order_id, (application.amount, application.currency)
    if application.amount is not None:
        await connection.execute(SQL["open_order"], order_id, *price)
    row = await connection.fetchrow(SQL["lock_order"], order_id)
    if row is None:
        return None
    status, amount, currency, settled_by, version = row
    return Order(order_id, OrderStatus(status), amount, currency, settled_by, version)


async def _count(connection: Connection, application: Application) -> int:
    """Return how many payments the order has, where somebody may have to be stopped."""
    if application.amount is not None:
        return 0
    [row] = await connection.fetch(SQL["count_payments"], application.order_id)
    count: int = row[0]
    return count


async def _write(connection: Connection, decided: Claim, revive_at: datetime) -> None:
    match decided:
        case Fresh():
            await connection.execute(SQL["insert"], *_inserted(decided, revive_at))
        case Shared(shared_until=datetime() as until) | Resumed(shared_until=until):
            await connection.execute(SQL["share"], decided.applied.payment.payment_id, until)


def _inserted(fresh: Fresh, revive_at: datetime) -> Sequence[object]:
    payment, now, event = fresh.applied.payment, fresh.applied.initiated_at, fresh.event
    return (
        payment.payment_id,
        payment.order_id,
        payment.amount,
        payment.currency,
        fresh.order.version,
        payment.gateway,
        now,
        payment.expires_at,
        revive_at,
        [one.payment_id for one in fresh.superseded],
        now + CLOSE_AGAIN_AFTER,
        event.event_id,
        event.type,
        to_json(event.data),
        payment.traceparent,
        fresh.entry.kind,
        to_json(fresh.entry.detail),
    )


def _confirmed(decided: Confirmation) -> Sequence[object]:
    applied, payment = decided.applied, decided.applied.payment
    return (
        payment.order_id,
        decided.order.version,
        to_json(decided.events),
        to_json(decided.entries),
        payment.status,
        payment.gateway_ref,
        payment.closing,
        payment.mismatched,
        applied.answered_at,
        applied.shared_until,
        applied.qr,
        applied.pay_url,
        decided.revive_at,
        decided.last_answer,
    )


def _applied_of(row: Record) -> Applied:
    payment = payment_of(row)
    return Applied(
        payment,
        row["initiated_at"],
        row["answered_at"],
        row["shared_until"],
        row["qr"],
        row["pay_url"],
    )


def _age(one: Applied) -> tuple[datetime, str]:
    return one.initiated_at, one.payment.payment_id
