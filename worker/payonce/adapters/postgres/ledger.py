"""Where everything meets: lock, decide, apply."""

from collections.abc import Iterable, Sequence
from typing import Any

from asyncpg import UniqueViolationError

from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import columns, order_of, payment_of, to_json
from payonce.domain.decide import Facts, Verdict
from payonce.domain.effects import Effects, Entry
from payonce.domain.events import Event
from payonce.domain.refund import Refund
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


def _arguments(effects: Sequence[Effects]) -> list[Sequence[Any]]:
    """Return the columns of `apply`; of several effects on one row the last one holds."""
    payments = {one.payment.payment_id: one for one in effects}
    orders = {one.order.order_id: one for one in effects}
    settled = {one.order.order_id: one.settled_at for one in effects if one.settled_at}
    return [
        *columns(map(_payment_values, payments.values()), 10),
        *columns(((*_order_values(one), settled.get(key)) for key, one in orders.items()), 5),
        *columns((_event_values(event) for one in effects for event in one.events), 6),
        *columns((_refund_values(refund) for one in effects for refund in one.refunds), 9),
        *columns((_entry_values(entry) for one in effects for entry in one.entries), 5),
    ]


def _payment_values(effects: Effects) -> tuple[object, ...]:
    payment = effects.payment
    return (
        payment.payment_id,
        payment.status,
        payment.gateway_ref,
        payment.duplicate,
        payment.unresolved,
        payment.mismatched,
        effects.paid_at,
        effects.settled_at,
        effects.revive_at,
        effects.last_answer,
    )


def _order_values(effects: Effects) -> tuple[object, ...]:
    order = effects.order
    return order.order_id, order.status, order.settled_by, order.version


def _event_values(event: Event) -> tuple[object, ...]:
    return (
        event.event_id,
        event.type,
        event.order_id,
        event.occurred_at,
        to_json(event.data),
        event.traceparent,
    )


def _refund_values(refund: Refund) -> tuple[object, ...]:
    return (
        refund.refund_id,
        refund.payment_id,
        refund.order_id,
        refund.gateway,
        refund.amount,
        refund.currency,
        refund.status,
        refund.reason,
        refund.rule,
    )


def _entry_values(entry: Entry) -> tuple[object, ...]:
    return entry.order_id, entry.payment_id, entry.at, entry.kind, to_json(entry.detail)
