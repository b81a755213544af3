"""Signs of life of the watches in their repeating tail, and the search for dead ones."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime

from asyncpg import Record

from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import columns, payment_of
from payonce.domain.payment import UNFINISHED, Payment, PaymentStatus
from payonce.ports.store import Revival, StepDone, WatchState

SQL = load("watches")


class Watches:
    """`payonce.ports.store.Watches` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def watch_states(self, payment_ids: Sequence[str]) -> list[WatchState | None]:
        """Return each payment's state, None where unknown, in order."""
        rows = await self._database.fetch(SQL["read_states"], list(set(payment_ids)))
        states = {row["payment_id"]: _state_of(row) for row in rows}
        return [states.get(payment_id) for payment_id in payment_ids]

    async def record_steps(self, steps: Sequence[StepDone]) -> list[bool]:
        """Record the latest step of each payment's epoch; a finished payment records nothing."""
        latest: dict[tuple[str, int], StepDone] = {}
        for one in sorted(steps, key=lambda step: step.step):
            latest[one.payment_id, one.epoch] = one
        values = ((one.payment_id, one.epoch, one.step, one.revive_at) for one in latest.values())
        rows = await self._database.fetch(SQL["record_steps"], *columns(values, 4))
        before = {row["payment_id"]: row["step"] for row in rows if _is_watched(row)}
        epochs = {row["payment_id"]: row["epoch"] for row in rows}
        return [_is_news(one, before, epochs) for one in steps]

    async def revive(
        self,
        now: datetime,
        limit: int,
        plan: Callable[[Sequence[Payment]], Sequence[Revival]],
        gateways: Collection[str] | None = None,
    ) -> list[Payment]:
        """Give up to `limit` overdue payments a new epoch; those locked elsewhere are skipped."""
        wanted = None if gateways is None else list(gateways)

        async def work(connection: Connection) -> list[Payment]:
            rows = await connection.fetch(SQL["lock_dead"], now, limit, wanted)
            payments = [payment_of(row) for row in rows]
            revivals = plan(payments)
            values = ((one.payment_id, one.epoch, one.revive_at) for one in revivals)
            await connection.execute(SQL["revive"], *columns(values, 3))
            epochs = {one.payment_id: one.epoch for one in revivals}
            return [
                replace(payment, epoch=epochs[payment.payment_id])
                for payment in payments
                if payment.payment_id in epochs
            ]

        return await self._database.transact(work)

    async def restart(self, payment_id: str, now: datetime, revive_at: datetime) -> Payment | None:
        """Begin a payment's watch anew, in a new epoch; None where there is nothing to wait for."""
        rows = await self._database.fetch(SQL["restart"], payment_id, now, revive_at)
        return payment_of(rows[0]) if rows else None

    async def looked(self, payment_id: str, epoch: int, next_at: datetime | None) -> None:
        """Note that an ended payment was asked about; one that has come to life is left alone."""
        await self._database.fetch(SQL["looked"], payment_id, epoch, next_at)

    async def end_closing(self, payment_id: str, now: datetime) -> None:
        """Note that a gateway cannot close this payment: it is watched to its end."""
        rows = await self._database.fetch(SQL["end_closing"], payment_id, now)
        self._database.orders_changed({row["order_id"]: row["version"] for row in rows})


def _state_of(row: Record) -> WatchState:
    return WatchState(
        status=PaymentStatus(row["status"]),
        unresolved=row["unresolved"],
        epoch=row["epoch"],
        step=row["step"],
        read_at=row["read_at"],
    )


def _is_watched(row: Record) -> bool:
    return row["status"] in UNFINISHED and row["mismatched"] is None


def _is_news(one: StepDone, steps: dict[str, int], epochs: dict[str, int]) -> bool:
    """Say whether a step was new, and count it, so that its twin in the same call is not."""
    if epochs.get(one.payment_id) != one.epoch or one.step <= steps.get(one.payment_id, one.step):
        return False
    steps[one.payment_id] = one.step
    return True
