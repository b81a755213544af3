"""Captures on PostgreSQL: claimed under the order's row lock, before the gateway is called."""

from datetime import datetime

from asyncpg import Record

from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.rows import order_of, payment_of, to_json
from payonce.domain.capture import (
    Capture,
    CaptureCase,
    CaptureDecision,
    CaptureState,
    Claimed,
    Forbidden,
    Sibling,
)
from payonce.domain.decide import Facts
from payonce.ports.captures import Ended, JudgeCapture

SQL = load("captures")


class Captures:
    """`payonce.ports.captures.Captures` on PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def decide(
        self, payment_id: str, reported_ref: str | None, judge: JudgeCapture
    ) -> CaptureDecision | None:
        """Lock, decide, write."""

        async def work(connection: Connection) -> CaptureDecision | None:
            case = await _lock(connection, payment_id, reported_ref)
            if case is None:
                return None
            decided = judge(case)
            if isinstance(decided, Claimed) or (isinstance(decided, Forbidden) and decided.is_new):
                await _write(connection, case, decided)
            return decided

        return await self._database.transact(work)

    async def free(self, ended: Ended) -> None:
        """Give up a claim."""
        given = (ended.payment_id, ended.attempt, ended.is_sent, ended.claimed_at)
        await self._database.fetch(SQL["free"], *given)

    async def let_go(self, payment_id: str, attempt: int, now: datetime) -> None:
        """Let others go on."""
        await self._database.fetch(SQL["let_go"], payment_id, attempt, now)

    async def ref_of(self, payment_id: str) -> str | None:
        """Return the gateway's id of a payment."""
        rows = await self._database.fetch(SQL["ref_of"], payment_id)
        return rows[0]["gateway_ref"] if rows else None


async def _lock(
    connection: Connection, payment_id: str, reported_ref: str | None
) -> CaptureCase | None:
    if await connection.fetchrow(SQL["lock_order"], payment_id) is None:
        return None
    row = await connection.fetchrow(SQL["lock_payment"], payment_id, reported_ref)
    if row is None:
        return None
    order = order_of(row, row["order_id"])
    facts = Facts(order, payment_of(row), row["ref_owner"])
    rows = await connection.fetch(SQL["of_order"], order.order_id)
    captures = [Sibling(payment_of(one), _capture_of(one)) for one in rows]
    own = [one.capture for one in captures if one.payment.payment_id == payment_id]
    siblings = [one for one in captures if one.payment.payment_id != payment_id]
    return CaptureCase(facts, own[0] if own else None, siblings)


async def _write(connection: Connection, case: CaptureCase, decided: Claimed | Forbidden) -> None:
    capture = decided.capture
    kind = "payment.capturing" if isinstance(decided, Claimed) else "payment.capture_forbidden"
    detail = {"attempt": capture.attempt} | ({"why": capture.why} if capture.why else {})
    await connection.execute(
        SQL["write"],
        capture.payment_id,
        case.facts.order.order_id,
        capture.state,
        capture.attempt,
        capture.claimed_at,
        capture.held_until,
        capture.why,
        capture.claimed_at,
        kind,
        to_json(detail),
    )


def _capture_of(row: Record) -> Capture:
    return Capture(
        row["payment_id"],
        CaptureState(row["state"]),
        row["attempt"],
        row["claimed_at"],
        row["held_until"],
        row["why"],
    )
