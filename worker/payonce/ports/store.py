"""The truth, as handlers need it. Each method is one transaction and may raise Unavailable."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from payonce.domain.decide import Facts
from payonce.domain.effects import Effects
from payonce.domain.events import Event, EventType
from payonce.domain.messages import OrderAcknowledged, PaymentInitiated
from payonce.domain.order import Order
from payonce.domain.payment import Payment, PaymentStatus


class RegisterOutcome(StrEnum):
    """What became of a registration."""

    NEW = "new"
    SAME = "same"
    CONFLICT = "conflict"
    REF_TAKEN = "ref-taken"


@dataclass(frozen=True, slots=True)
class Registration:
    """A payment to register and when the sweeper shall look after it."""

    message: PaymentInitiated
    revive_at: datetime


@dataclass(frozen=True, slots=True)
class Registered:
    """The payment and order as they stand now; on CONFLICT and REF_TAKEN `detail` says of what.

    `payment` is None only on REF_TAKEN. `superseded` holds older payments of the order that shall
    be closed; `called_back`: a callback of the payment came before it was registered;
    `has_sibling`: its order has other pending payments.
    """

    outcome: RegisterOutcome
    payment: Payment | None
    order: Order
    detail: str = ""
    superseded: tuple[Payment, ...] = ()
    called_back: bool = False
    has_sibling: bool = False


class Registrar(Protocol):
    """Writes down payments that were initiated."""

    async def register(
        self, wanted: Sequence[Registration], *, supersede: bool = False
    ) -> list[Registered]:
        """Lock the orders, insert the payments, in one transaction; one result for each, in order.

        A payment of an order that is not open shall be closed; with `supersede` also the older of
        two pending payments of one order, by (initiated_at, payment_id).
        The first payment of an order fixes its amount and currency. A repeat fills absent fields.
        The same payment_id twice in one call is a NEW and a SAME.
        """
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """A payment whose rows shall be locked, and the gateway's id that was reported for it."""

    payment_id: str
    reported_ref: str | None


Judge = Callable[[Mapping[str, Facts]], Sequence[Effects]]
"""Pure: locked facts by payment_id (unknown payments are absent) -> what to write, in order."""


class Ledger(Protocol):
    """Where everything meets: lock, decide, apply."""

    async def settle(self, wanted: Sequence[Wanted], judge: Judge) -> list[Payment]:
        """Lock the payments and their orders (in order of order_id), call `judge`, write, commit.

        Returns the other pending payments of orders that were settled: they shall be closed.

        Serialization failures and deadlocks are retried, `judge` is called again then; where a
        write of one payment keeps being refused, each is settled alone, `judge` seeing one at a
        time. Raises Unavailable also where the commit's outcome is unknown: settling again is
        harmless.
        """
        ...


@dataclass(frozen=True, slots=True)
class WatchState:
    """How far Postgres knows a watch to be; `read_at`: when that was, by its own clock."""

    status: PaymentStatus
    unresolved: bool
    epoch: int
    step: int
    read_at: datetime


@dataclass(frozen=True, slots=True)
class StepDone:
    """A poll of the repeating tail that has scheduled its successor."""

    payment_id: str
    epoch: int
    step: int
    revive_at: datetime


@dataclass(frozen=True, slots=True)
class Revival:
    """A revived payment's new epoch and when the sweeper looks at it next (None: never)."""

    payment_id: str
    epoch: int
    revive_at: datetime | None


class Watches(Protocol):
    """Signs of life of the watches in their repeating tail, and the search for dead ones."""

    async def watch_states(self, payment_ids: Sequence[str]) -> list[WatchState | None]:
        """Return each payment's state, None where unknown, in order."""
        ...

    async def record_steps(self, steps: Sequence[StepDone]) -> list[bool]:
        """Record each step of its epoch; False where that epoch or step is history already."""
        ...

    async def revive(
        self,
        now: datetime,
        limit: int,
        plan: Callable[[Sequence[Payment]], Sequence[Revival]],
        gateways: Collection[str] | None = None,
    ) -> list[Payment]:
        """Give up to `limit` payments whose revive_at has passed new epochs, and return them.

        They are locked (those locked elsewhere are skipped); the pure `plan` says what is written.
        Only payments of these gateways; None: of all. The others stay overdue and hold up nobody.
        """
        ...

    async def restart(self, payment_id: str, now: datetime, revive_at: datetime) -> Payment | None:
        """Begin a payment's watch anew: a new epoch, from step 0; return it as it stands then.

        None where it is unknown, has succeeded, or waits for a person. `revive_at` counts for a
        payment that is being watched; others are looked at when they would have been.
        """
        ...

    async def looked(self, payment_id: str, epoch: int, next_at: datetime | None) -> None:
        """Note that a FAILED or CLOSED payment of this epoch was asked about, and the next time."""
        ...

    async def end_closing(self, payment_id: str, now: datetime) -> None:
        """Note that a gateway cannot close this payment: it is watched to its end."""
        ...


class AcknowledgeOutcome(StrEnum):
    """What became of an acknowledgement."""

    ACKNOWLEDGED = "acknowledged"
    ALREADY = "already"
    NOT_THE_WINNER = "not-the-winner"
    UNKNOWN_ORDER = "unknown-order"


class Orders(Protocol):
    """What the shop says of its orders."""

    async def acknowledge(
        self, messages: Sequence[OrderAcknowledged], now: datetime
    ) -> list[AcknowledgeOutcome]:
        """Note that the order service booked the settling payment; one outcome each, in order.

        Takes nothing out of the outbox: other queues may be bound for what waits there.
        """
        ...

    async def unacknowledged(self, order_ids: Sequence[str]) -> list[Event | None]:
        """Return the `payment.succeeded` of each order, in order, as it was first told.

        None where nothing is to be told: the order is unknown, unpaid or acknowledged.
        """
        ...

    async def cancel(self, order_id: str, now: datetime) -> list[Payment]:
        """Cancel an OPEN or unknown order; return its unfinished payments. PAID: no change."""
        ...


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An event that waits to be published; `attempts` counts the claims before this one.

    `acknowledged`: its order is, so that nobody is owed the event but queues that are bound now.
    """

    event_id: str
    type: EventType
    order_id: str
    occurred_at: datetime
    data: Mapping[str, Any]
    traceparent: str | None
    attempts: int
    acknowledged: bool = False


class Outbox(Protocol):
    """Events that were committed with the state they tell of."""

    async def delete_events(self, event_ids: Sequence[str]) -> list[None]:
        """Forget events that were published; one None each."""
        ...

    async def claim_events(
        self, now: datetime, older_than: datetime, until: datetime, limit: int
    ) -> list[OutboxRow]:
        """Lease up to `limit` events, oldest first, so that others skip them until `until`.

        Only those that were written before `older_than` and are not leased past `now`.
        """
        ...


class DueOutcome(StrEnum):
    """What became of the wish to tell of an order again."""

    DUE = "due"
    ACKNOWLEDGED = "acknowledged"
    NOT_PAID = "not-paid"
    UNKNOWN = "unknown"


class Retelling(Protocol):
    """Paid orders that the order service has not acknowledged."""

    async def retell(
        self, now: datetime, limit: int, next_at: Callable[[datetime], datetime]
    ) -> list[Event]:
        """Put `payment.succeeded` of up to `limit` orders that are due back into the outbox.

        Returns the events: id, time and data are those of the first telling. The pure `next_at`
        says, by the time of settlement, when each is due again. Orders that are locked elsewhere
        are skipped.
        """
        ...

    async def make_due(self, order_id: str, by: str, now: datetime) -> DueOutcome:
        """Have an order told again now, and note in its timeline who wanted it."""
        ...

    async def make_all_due(self, by: str | None, now: datetime, limit: int) -> int:
        """Have up to `limit` unacknowledged orders told again now; return how many were not due.

        With `by` their timelines note who wanted it. Orders that are locked elsewhere are skipped.
        """
        ...


@dataclass(frozen=True, slots=True)
class Backlog:
    """What waits, for the metrics; ages are of the oldest, None where nothing waits."""

    outbox_events: int
    outbox_oldest_at: datetime | None
    unresolved: int
    unresolved_oldest_at: datetime | None
    mismatched: int
    mismatched_oldest_at: datetime | None
    unacknowledged: int
    unacknowledged_oldest_at: datetime | None
    refunds_held: int
    refunds_held_oldest_at: datetime | None
    callbacks: int
    callbacks_oldest_at: datetime | None
    refunds_requested: int = 0
    refunds_requested_oldest_at: datetime | None = None
    refunds_submitted: int = 0
    refunds_submitted_oldest_at: datetime | None = None
    refunds_manual: int = 0
    refunds_manual_oldest_at: datetime | None = None


class Overview(Protocol):
    """Counts for the metrics."""

    async def backlog(self) -> Backlog:
        """Return what waits."""
        ...
