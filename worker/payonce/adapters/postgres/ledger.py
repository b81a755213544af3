"""Where everything meets: lock, decide, apply."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from asyncpg import UniqueViolationError

from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import order_of, payment_of, to_json
from payonce.domain.decide import Facts, Verdict
from payonce.domain.effects import Effects
from payonce.domain.order import Order
from payonce.ports.store import Judge, Wanted

SQL = load("ledger")

TOGETHER_ATTEMPTS = 2
ALONE_ATTEMPTS = 3


class Ledger:
    """`payonce.ports.store.Ledger` on PostgreSQL: two statements for many payments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def settle(self, wanted: Sequence[Wanted], judge: Judge) -> None:
        """Settle all in one transaction.

        A gateway_ref that another transaction took after the lock makes a unique index refuse the
        write. The next attempt sees its owner; where that does not help, each is settled alone, so
        that no payment is held up by another's trouble.
        """
        for _ in range(TOGETHER_ATTEMPTS):
            if await self._try_settle(wanted, judge) is None:
                return
        refused = [await self._settle_alone(one, judge) for one in wanted]
        for error in filter(None, refused):
            raise error

    async def _settle_alone(self, one: Wanted, judge: Judge) -> UniqueViolationError | None:
        refused = None
        for _ in range(ALONE_ATTEMPTS):
            refused = await self._try_settle([one], judge)
            if refused is None:
                break
        return refused

    async def _try_settle(
        self, wanted: Sequence[Wanted], judge: Judge
    ) -> UniqueViolationError | None:
        """Settle in one transaction; return what a unique index refused."""

        async def work(connection: Connection) -> None:
            effects = _that_write(judge(await _lock(connection, wanted)))
            if effects:
                await connection.execute(SQL["apply"], *_arguments(effects))

        try:
            await self._database.transact(work)
        except UniqueViolationError as error:
            return error
        return None


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
    settled = {one.order.order_id: one.settled_at for one in effects if one.settled_at}
    groups = (
        list(payments.values()),
        [_order_row(order, settled.get(order_id)) for order_id, order in orders.items()],
        [event for one in effects for event in one.events],
        [refund for one in effects for refund in one.refunds],
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
    }


def _order_row(order: Order, settled_at: datetime | None) -> dict[str, object]:
    return {
        "order_id": order.order_id,
        "status": order.status,
        "settled_by": order.settled_by,
        "settled_at": settled_at,
        "version": order.version,
    }
