"""Where refunds are decided: lock, decide, apply."""

from collections.abc import Collection, Sequence
from dataclasses import fields
from datetime import datetime, timedelta

from asyncpg import Record

from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import order_of, payment_of, to_json
from payonce.domain.money import Money
from payonce.domain.payment import Payment, PaymentStatus
from payonce.domain.people import PaymentCase
from payonce.domain.refund import Refund, RefundReason, RefundStatus
from payonce.domain.refunding import RefundEffects
from payonce.domain.risk import Case, Counts
from payonce.ports.clock import Clock
from payonce.ports.refunds import PaymentJudge, RefundJudge

SQL = load("refunds")

HOUR = timedelta(hours=1)
SENDING = 0x7265_6675_6E64
"""The advisory lock of whoever sends a refund; the bytes spell it."""

_COLUMNS = tuple(one.name for one in fields(Refund))
_WRITTEN = (
    "refund_id",
    "status",
    "rule",
    "approved_by",
    "approved_at",
    "approved_again_by",
    "approved_again_at",
    "overruled",
    "rejected_by",
    "rejected_why",
    "resolved_by",
    "resolved_why",
    "attempts",
    "submitted_at",
    "finished_at",
    "last_answer",
    "looks",
    "contradicted_at",
)


class Refunds:
    """`payonce.ports.refunds.Refunds` on PostgreSQL."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def find(self, refund_id: str) -> Case | None:
        """Return a refund with its payment, order and winner; None: no such refund."""

        async def work(connection: Connection) -> Case | None:
            return await self._read(connection, refund_id, None)

        return await self._database.transact(work, snapshot=True)

    async def change(
        self,
        refund_id: str,
        judge: RefundJudge,
        *,
        reported_ref: str | None = None,
        counting: bool = False,
    ) -> RefundEffects | None:
        """Lock the order and the refund, call `judge`, write, commit."""

        async def work(connection: Connection) -> RefundEffects | None:
            await connection.fetch(SQL["lock_order_of_refund"], refund_id)
            await connection.fetch(SQL["lock_refund"], refund_id)
            if counting:
                await connection.fetch(SQL["lock_sending"], SENDING)
            case = await self._read(connection, refund_id, reported_ref, counting=counting)
            effects = None if case is None else judge(case)
            await _write(connection, effects)
            return effects

        return self._told(await self._database.transact(work))

    async def change_payment(self, payment_id: str, judge: PaymentJudge) -> RefundEffects | None:
        """Lock the order of a payment, call `judge`, write, commit; None: no such payment."""

        async def work(connection: Connection) -> RefundEffects | None:
            await connection.fetch(SQL["lock_order_of_payment"], payment_id)
            rows = await connection.fetch(SQL["payment"], payment_id)
            if not rows:
                return None
            effects = judge(await _payment_case(connection, rows[0]))
            await _write(connection, effects)
            return effects

        return self._told(await self._database.transact(work))

    async def overdue(
        self, now: datetime, until: datetime, limit: int, gateways: Collection[str]
    ) -> Sequence[Refund]:
        """Return up to `limit` refunds that show no life; those locked elsewhere are skipped."""
        rows = await self._database.fetch(SQL["overdue"], now, until, limit, list(gateways))
        return [_refund_of(row) for row in rows]

    def _told(self, effects: RefundEffects | None) -> RefundEffects | None:
        """Tell of what was committed; the note of a look is told too, and found to be no news."""
        if effects is not None and effects.writes:
            self._database.orders_changed({effects.order.order_id: effects.order.version})
        return effects

    async def _read(
        self,
        connection: Connection,
        refund_id: str,
        reported_ref: str | None,
        *,
        counting: bool = False,
    ) -> Case | None:
        rows = await connection.fetch(SQL["find"], refund_id, reported_ref)
        if not rows:
            return None
        [row] = rows
        [refund] = await connection.fetch(SQL["refund"], refund_id)
        winners = await connection.fetch(SQL["winner"], row["order_id"])
        counts = Counts()
        if counting:
            since = self._clock.now() - HOUR
            counts = Counts(*(await connection.fetch(SQL["counts"], refund_id, since))[0])
        payment = payment_of(row)
        return Case(
            refund=_refund_of(refund),
            payment=payment,
            order=order_of(row, row["order_id"]),
            winner=payment_of(winners[0]) if winners else None,
            captured=_captured(payment, row),
            ref_owner=row["ref_owner"],
            counts=counts,
        )


async def _payment_case(connection: Connection, row: Record) -> PaymentCase:
    payment = payment_of(row)
    refunds = await connection.fetch(
        SQL["refunds_of_payment"], payment.order_id, payment.payment_id
    )
    return PaymentCase(
        payment=payment,
        order=order_of(row, payment.order_id),
        captured=_captured(payment, row),
        refunds=tuple(_refund_of(one) for one in refunds),
        resolved_as=row["resolved_as"],
    )


def _captured(payment: Payment, row: Record) -> Money | None:
    """Return what the gateway took, as far as it is known."""
    if row["captured_amount"] is not None:
        return Money(row["captured_amount"], row["captured_currency"])
    paid = payment.status is PaymentStatus.SUCCEEDED
    return Money(payment.amount, payment.currency) if paid else None


def _refund_of(row: Record) -> Refund:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["status"] = RefundStatus(values["status"])
    values["reason"] = RefundReason(values["reason"])
    return Refund(**values)


async def _write(connection: Connection, effects: RefundEffects | None) -> None:
    if effects is None or not effects.writes:
        return
    if effects.refund is not None:
        await _write_refund(connection, effects.refund, effects)
    if effects.resolution is not None:
        one = effects.resolution
        await connection.execute(
            SQL["resolve_payment"],
            *(one.payment.payment_id, one.resolved_as, one.by, one.why, one.at),
        )
    await connection.execute(SQL["write_version"], effects.order.order_id, effects.order.version)
    if effects.events:
        await connection.execute(SQL["tell"], to_json(effects.events))
    if effects.entries:
        await connection.execute(SQL["note"], to_json(effects.entries))


async def _write_refund(connection: Connection, refund: Refund, effects: RefundEffects) -> None:
    if effects.is_new:
        head = [getattr(refund, name) for name in _COLUMNS[:11]]
        last = (effects.revive_at, refund.traceparent)
        await connection.execute(SQL["insert_refund"], *head, *last)
        return
    for step in effects.path[:-1]:
        await connection.execute(SQL["step_refund"], refund.refund_id, step)
    values = [getattr(refund, name) for name in _WRITTEN]
    await connection.execute(SQL["write_refund"], *values, effects.revive_at)
