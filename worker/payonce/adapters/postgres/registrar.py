"""Writes down payments that were initiated."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from asyncpg import Record, UniqueViolationError

from payonce.adapters.postgres.database import Connection, Database
from payonce.adapters.postgres.failures import SERVER
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.repeats import find_conflict
from payonce.adapters.postgres.rows import columns, order_of, payment_of, to_json
from payonce.domain.errors import Unavailable
from payonce.domain.messages import PaymentInitiated
from payonce.domain.order import Order, closing_of
from payonce.domain.payment import Payment, PaymentStatus
from payonce.domain.watch import CLOSE_AGAIN_AFTER
from payonce.ports.store import Registered, RegisterOutcome, Registration

SQL = load("registrar")

EXTRA_TURNS = 5

Price = tuple[int, str]

Versions = dict[str, int]
"""Those of orders that were there before and have changed."""


class Registrar:
    """`payonce.ports.store.Registrar` on PostgreSQL: two statements for many payments."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def register(
        self, wanted: Sequence[Registration], *, supersede: bool = False
    ) -> list[Registered]:
        """Register each; a payment that stands twice takes a second turn, where it is a repeat."""
        results: dict[int, Registered] = {}
        left = list(range(len(wanted)))
        for _ in range(len(wanted) + EXTRA_TURNS):
            turn = _distinct(left, wanted)
            found = await self._take_turn([wanted[n] for n in turn], supersede=supersede)
            results.update((n, one) for n, one in zip(turn, found, strict=True) if one)
            left = [n for n in left if n not in results]
            if not left:
                return [results[n] for n in range(len(wanted))]
        raise Unavailable(SERVER, "payments change faster than they can be registered")

    async def _take_turn(
        self, wanted: Sequence[Registration], *, supersede: bool
    ) -> list[Registered | None]:
        """Return results, None where another registration was in the way and is committed now."""

        async def work(connection: Connection) -> tuple[list[Registered | None], Versions]:
            results, versions = await _register(connection, wanted)
            return await _supersede(connection, results) if supersede else results, versions

        try:
            results, versions = await self._database.transact(work)
        except UniqueViolationError:
            # Two of these want the same gateway_ref, or another process took it just now.
            if len(wanted) == 1:
                return [None]
            turns = [await self._take_turn([each], supersede=supersede) for each in wanted]
            return [one for turn in turns for one in turn]
        self._database.orders_changed(versions)
        return results


async def _register(
    connection: Connection, wanted: Sequence[Registration]
) -> tuple[list[Registered | None], Versions]:
    messages = [each.message for each in wanted]
    prices = _first_prices(messages)
    ordered = [(order_id, *prices[order_id]) for order_id in sorted(prices)]
    fixed = await connection.fetch(SQL["lock_orders"], *columns(ordered, 3))
    revivals = [each.revive_at for each in wanted]
    known = prices.keys() - {row["order_id"] for row in fixed if row["version"] == 0}
    rows = await connection.fetch(
        SQL["insert_payments"], to_json(messages), revivals, CLOSE_AGAIN_AFTER, list(known)
    )
    crowded = _crowded(messages, rows)
    results = [_judge(message, row, crowded) for message, row in zip(messages, rows, strict=True)]
    fresh = {row["order_id"]: prices[row["order_id"]] for row in fixed}
    refixed = await _refix(connection, fresh, messages, results)
    versions = {
        message.order_id: row["version"] + 1
        for message, row in zip(messages, rows, strict=True)
        if row["inserted"] and message.order_id in known
    }
    filled = await _fill(connection, _fills(messages, rows, results), versions)
    return [_corrected(one, refixed, filled, versions) for one in results], versions


def _crowded(messages: Sequence[PaymentInitiated], rows: Sequence[Record]) -> frozenset[str]:
    """Return the orders that have, or get by these, more than one pending payment."""
    counts = Counter(message.order_id for message in messages)
    return frozenset(
        message.order_id
        for message, row in zip(messages, rows, strict=True)
        if row["has_sibling"] or counts[message.order_id] > 1
    )


def _judge(message: PaymentInitiated, row: Record, crowded: frozenset[str]) -> Registered | None:
    """Say what became of one registration; None: what refused it was not visible yet."""
    order = order_of(row, message.order_id)
    if row["inserted"]:
        return Registered(
            RegisterOutcome.NEW,
            _new_payment(message, order),
            order,
            called_back=row["called_back"],
            has_sibling=message.order_id in crowded,
        )
    owner = row["ref_owner"]
    taken = owner is not None and owner != message.payment_id
    if row["payment_id"] is None:
        return _ref_taken(message, None, order, owner) if taken else None
    payment = payment_of(row)
    problem = find_conflict(payment, message)
    if problem:
        return Registered(RegisterOutcome.CONFLICT, payment, order, problem)
    if taken:
        return _ref_taken(message, payment, order, owner)
    return Registered(RegisterOutcome.SAME, payment, order)


def _ref_taken(
    message: PaymentInitiated, payment: Payment | None, order: Order, owner: str
) -> Registered:
    detail = f"gateway_ref {message.gateway_ref} belongs to payment {owner}"
    return Registered(RegisterOutcome.REF_TAKEN, payment, order, detail)


async def _supersede(
    connection: Connection, results: list[Registered | None]
) -> list[Registered | None]:
    """Mark the older ones of several pending payments, and hand them out with the new ones."""
    orders = {
        one.order.order_id
        for one in results
        if one and one.outcome is RegisterOutcome.NEW and one.has_sibling
    }
    if not orders:
        return results
    rows = await connection.fetch(SQL["supersede"], sorted(orders), CLOSE_AGAIN_AFTER)
    older: dict[str, list[Payment]] = {}
    for row in rows:
        older.setdefault(row["order_id"], []).append(payment_of(row))
    return [
        replace(one, superseded=tuple(older.pop(one.order.order_id, ())))
        if one and one.outcome is RegisterOutcome.NEW
        else one
        for one in results
    ]


def _new_payment(message: PaymentInitiated, order: Order) -> Payment:
    return Payment(
        payment_id=message.payment_id,
        order_id=message.order_id,
        gateway=message.gateway,
        amount=message.amount,
        currency=message.currency,
        status=PaymentStatus.PENDING,
        gateway_ref=message.gateway_ref,
        expires_at=message.expires_at,
        traceparent=message.traceparent,
        closing=closing_of(order),
    )


async def _refix(
    connection: Connection,
    fixed: Mapping[str, Price],
    messages: Sequence[PaymentInitiated],
    results: Sequence[Registered | None],
) -> dict[str, Price | None]:
    """Take back prices that no registered payment has, and return what holds instead."""
    accepted: dict[str, list[Price]] = {order_id: [] for order_id in fixed}
    for message, result in zip(messages, results, strict=True):
        if message.order_id in fixed and result and result.outcome is RegisterOutcome.NEW:
            accepted[message.order_id].append((message.amount, message.currency))
    refixed = {
        order_id: next(iter(found), None)
        for order_id, found in accepted.items()
        if fixed[order_id] not in found
    }
    if refixed:
        rows = [(order_id, *(refixed[order_id] or (None, None))) for order_id in sorted(refixed)]
        await connection.execute(SQL["refix_orders"], *columns(rows, 3))
    return refixed


def _fills(
    messages: Sequence[PaymentInitiated],
    rows: Sequence[Record],
    results: Sequence[Registered | None],
) -> list[PaymentInitiated]:
    return [
        message
        for message, row, result in zip(messages, rows, results, strict=True)
        if result and result.outcome is RegisterOutcome.SAME and _brings_more(message, row)
    ]


def _brings_more(message: PaymentInitiated, row: Record) -> bool:
    ref = message.gateway_ref is not None and row["gateway_ref"] is None
    return ref or (message.expires_given and not row["expires_given"])


async def _fill(
    connection: Connection, messages: list[PaymentInitiated], versions: Versions
) -> dict[str, Payment]:
    """Fill absent fields and note the versions of the orders that this changes."""
    if not messages:
        return {}
    messages.sort(key=lambda message: (message.order_id, message.payment_id))
    values = ((m.payment_id, m.gateway_ref, m.expires_at, m.expires_given) for m in messages)
    rows = await connection.fetch(SQL["fill_payments"], *columns(values, 4))
    versions.update((row["order_id"], row["version"]) for row in rows)
    return {row["payment_id"]: payment_of(row) for row in rows}


def _corrected(
    result: Registered | None,
    refixed: dict[str, Price | None],
    filled: dict[str, Payment],
    versions: Versions,
) -> Registered | None:
    if result is None or not (refixed or filled or versions):
        return result
    order, payment = result.order, result.payment
    if order.order_id in refixed:
        amount, currency = refixed[order.order_id] or (None, None)
        order = replace(order, amount=amount, currency=currency)
    order = replace(order, version=versions.get(order.order_id, order.version))
    if payment is not None:
        payment = filled.get(payment.payment_id, payment)
    return replace(result, order=order, payment=payment)


def _first_prices(messages: Iterable[PaymentInitiated]) -> dict[str, Price]:
    prices: dict[str, Price] = {}
    for message in messages:
        prices.setdefault(message.order_id, (message.amount, message.currency))
    return prices


def _distinct(left: Sequence[int], wanted: Sequence[Registration]) -> list[int]:
    """Return the first position of each payment."""
    first: dict[str, int] = {}
    for n in left:
        first.setdefault(wanted[n].message.payment_id, n)
    return list(first.values())
