"""Where everything meets: lock, decide, apply."""

from collections.abc import Iterable, Sequence
from dataclasses import fields
from datetime import timedelta

from asyncpg import UniqueViolationError

from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import order_of, payment_of, to_json
from payonce.domain.decide import Facts, Verdict
from payonce.domain.effects import Effects
from payonce.domain.order import Order
from payonce.domain.payment import Payment
from payonce.domain.refund import Refund
from payonce.domain.watch import CLOSE_AGAIN_AFTER, REFUND_AGAIN_AFTER, RETELL_AFTER
from payonce.ports.store import Judge, Wanted

SQL = load("ledger")

TOGETHER_ATTEMPTS = 2
ALONE_ATTEMPTS = 3


class Ledger:
    """`payonce.ports.store.Ledger` on PostgreSQL: two statements for many payments."""

    def __init__(self, database: Database, retell_after: timedelta = RETELL_AFTER) -> None:
        self._database = database
        self._waits = (CLOSE_AGAIN_AFTER, retell_after)

    async def settle(self, wanted: Sequence[Wanted], judge: Judge) -> list[Payment]:
        """Settle all in one transaction; return the payments that shall be closed.

        A gateway_ref that another transaction took after the lock makes a unique index refuse the
        write. The next attempt sees its owner; where that does not help, each is settled alone, so
        that no payment is held up by another's trouble.
        """
        for _ in range(TOGETHER_ATTEMPTS):
            settled = await self._try_settle(wanted, judge)
            if not isinstance(settled, UniqueViolationError):
                return settled
        alone = [await self._settle_alone(one, judge) for one in wanted]
        for each in alone:
            if isinstance(each, UniqueViolationError):
                raise each
        return [sibling for each in alone if isinstance(each, list) for sibling in each]

    async def _settle_alone(
        self, one: Wanted, judge: Judge
    ) -> list[Payment] | UniqueViolationError:
        settled = await self._try_settle([one], judge)
        for _ in range(ALONE_ATTEMPTS - 1):
            if not isinstance(settled, UniqueViolationError):
                break
            settled = await self._try_settle([one], judge)
        return settled

    async def _try_settle(
        self, wanted: Sequence[Wanted], judge: Judge
    ) -> list[Payment] | UniqueViolationError:
        """Settle in one transaction; return what a unique index refused."""

        async def work(connection: Connection) -> tuple[list[Effects], list[Payment]]:
            effects = _that_write(judge(await _lock(connection, wanted)))
            if not effects:
                return [], []
            rows = await connection.fetch(SQL["apply"], *_arguments(effects), *self._waits)
            return effects, [payment_of(row) for row in rows]

        try:
            effects, siblings = await self._database.transact(work)
        except UniqueViolationError as error:
            return error
        self._database.orders_changed({one.order.order_id: one.order.version for one in effects})
        return siblings


async def _lock(connection: Connection, wanted: Sequence[Wanted]) -> dict[str, Facts]:
    refs = {one.payment_id: one.reported_ref for one in wanted}
    rows = await connection.fetch(SQL["lock_payments"], list(refs), list(refs.values()))
    return {
        row["payment_id"]: Facts(
            order_of(row, row["order_id"]), payment_of(row), ref_owner=row["ref_owner"]
        )
        for row in rows
    }


def _that_write(judged: Iterable[Effects]) -> list[Effects]:
    return [one for one in judged if one.decision.verdict is not Verdict.IGNORED]


def _arguments(effects: Sequence[Effects]) -> list[str]:
    """Return the rows that `apply` writes; of several effects on one row the last one holds."""
    payments = {one.payment.payment_id: _payment_row(one) for one in effects}
    orders = {one.order.order_id: one.order for one in effects}
    settled = {one.order.order_id: one for one in effects if one.settled_at}
    groups = (
        list(payments.values()),
        [_order_row(order, settled.get(order_id)) for order_id, order in orders.items()],
        [event for one in effects for event in one.events],
        [_refund_row(refund, one) for one in effects for refund in one.refunds],
        [entry for one in effects for entry in one.entries],
    )
    return [to_json(group) for group in groups]


def _payment_row(effects: Effects) -> dict[str, object]:
    payment = effects.payment
    return {
        "payment_id": payment.payment_id,
        "status": payment.status,
        "gateway_ref": payment.gateway_ref,
        "duplicate": payment.duplicate,
        "unresolved": payment.unresolved,
        "mismatched": payment.mismatched,
        "paid_at": effects.paid_at,
        "settled_at": effects.settled_at,
        "revive_at": effects.revive_at,
        "last_answer": effects.last_answer,
        "closing": payment.closing,
        "reversed_amount": payment.reversed_amount,
        "captured_amount": effects.captured and effects.captured.amount,
        "captured_currency": effects.captured and effects.captured.currency,
    }


def _refund_row(refund: Refund, effects: Effects) -> dict[str, object]:
    """Return a refund's row; it is looked after soon, should its first message be lost."""
    now = effects.entries[0].at
    return {
        **{name: getattr(refund, name) for name in _REFUND_COLUMNS},
        "revive_at": now + REFUND_AGAIN_AFTER,
        "traceparent": effects.payment.traceparent,
    }


_REFUND_COLUMNS = tuple(one.name for one in fields(Refund))


def _order_row(order: Order, settled: Effects | None) -> dict[str, object]:
    """Return an order's row; the data of the event that settled it are kept to be told again."""
    return {
        "order_id": order.order_id,
        "status": order.status,
        "settled_by": order.settled_by,
        "settled_at": settled and settled.settled_at,
        "success_data": settled and settled.events[0].data,
        "version": order.version,
    }
