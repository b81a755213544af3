"""What the console needs of the rest: narrow protocols, given by bootstrap."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from payonce.edge import ops, refunds, webhooks
from payonce.ports.activity import Counted
from payonce.ports.store import Backlog

View = Mapping[str, Any]


class Stories(refunds.Shown, Protocol):
    """Orders, payments and the lists of them."""

    async def order(self, order_id: str) -> View | None:
        """Return an order with its payments, refunds and timeline."""
        ...

    async def unresolved(self, limit: int = 100, cursor: str | None = None) -> ops.Listed:
        """Return payments whose watch ended without a definite word."""
        ...

    async def mismatched(self, limit: int = 100, cursor: str | None = None) -> ops.Listed:
        """Return payments whose success may not settle."""
        ...

    async def unacknowledged(self, limit: int = 100, cursor: str | None = None) -> ops.Listed:
        """Return paid orders that the order service has not booked."""
        ...


class Flight(Protocol):
    """Payments of one gateway whose age lies between two bounds."""

    @property
    def gateway(self) -> str:
        """The gateway."""
        ...

    @property
    def bound(self) -> int:
        """How many of the asked bounds they are older than."""
        ...

    @property
    def payments(self) -> int:
        """How many."""
        ...

    @property
    def created(self) -> int:
        """How many of them are not known to be accepted by the gateway."""
        ...

    @property
    def closing(self) -> int:
        """How many of them shall be closed there."""
        ...


class Found(Protocol):
    """Where an id leads."""

    @property
    def what(self) -> str:
        """What it is the id of."""
        ...

    @property
    def order_id(self) -> str:
        """The order."""
        ...


class Counts(Protocol):
    """Counts for people, and where an id leads."""

    async def in_flight(self, bounds: Sequence[timedelta], limit: int) -> Sequence[Flight]:
        """Return up to `limit` payments that are watched, by gateway and age since receipt."""
        ...

    async def refunds_waiting(self) -> Mapping[str, int]:
        """Return how many refunds of each status wait for a person."""
        ...

    async def find(self, wanted: str) -> Sequence[Found]:
        """Return the orders that an id leads to."""
        ...


class Hours(Protocol):
    """What happened lately."""

    async def since(self, start: datetime) -> Sequence[Counted]:
        """Return the sums from the minute of `start` on."""
        ...


class Waiting(Protocol):
    """What waits."""

    async def backlog(self) -> Backlog:
        """Return the counts of the lists."""
        ...


class Journal(Protocol):
    """Who asked for what."""

    async def note(
        self, now: datetime, by: str, action: str, subject: str, why: str | None = None
    ) -> None:
        """Note that an operator asks for something, before it is done."""
        ...

    async def latest(self, limit: int) -> Sequence[View]:
        """Return the latest entries, the latest first."""
        ...


QueueDepths = Callable[[], Awaitable[Mapping[str, tuple[int, int | None]]]]
"""Messages of each queue, and those stuck on their way (None: unknown)."""

Notify = Callable[[str, str], Awaitable[str]]
"""Tells the order service of an order again, for an operator; returns what came of it in words."""


@dataclass(frozen=True, slots=True)
class Sources:
    """What the pages show. `parked`: the queues for people, by the names that pages give them."""

    stories: Stories
    counts: Counts
    hours: Hours
    waiting: Waiting
    journal: Journal
    parked: Mapping[str, ops.ParkedMessages]
    inbox: webhooks.Desk
    gateways: ops.Desk
    depths: QueueDepths


@dataclass(frozen=True, slots=True)
class Rules:
    """What of the configuration the pages explain.

    `waits_ms`: each gateway's ladder. `two_people_above`: amounts in minor units by currency.
    """

    waits_ms: Mapping[str, Sequence[int]]
    two_people_above: Mapping[str, int]
