"""Callbacks of gateways: kept first, applied afterwards, as handlers see them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from payonce.domain.payment import Payment


class Callbacks(Protocol):
    """Callbacks that wait in the inbox."""

    async def take_up(self, payment_id: str) -> None:
        """Apply what came before the payment was registered. Never raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class NewCallback:
    """A checked callback to keep; `payment_id` is None, and `problem` set, where it is nonsense.

    `revive_at`: when the sweep takes it up unless it was processed by then.
    """

    gateway: str
    event_id: str
    received_at: datetime
    headers: Mapping[str, str]
    body: bytes
    payment_id: str | None
    problem: str | None
    revive_at: datetime


@dataclass(frozen=True, slots=True)
class KeptCallback:
    """A callback of the inbox that somebody has in hand; `attempts` counts the tries before."""

    inbox_id: int
    gateway: str
    event_id: str
    received_at: datetime
    headers: Mapping[str, str]
    body: bytes
    attempts: int


@dataclass(frozen=True, slots=True)
class Processed:
    """Nothing is left to do about a callback; `problem`: why it could not be applied."""

    result: str
    payment_id: str | None = None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Waits:
    """A callback cannot be applied yet, for this reason; `at_least_s`: not before."""

    reason: str
    at_least_s: float = 0.0


Outcome = Processed | Waits


@dataclass(frozen=True, slots=True)
class Finished:
    """What to write of a callback that was processed, also into its payment's timeline."""

    inbox_id: int
    at: datetime
    outcome: Processed


class Which(StrEnum):
    """Which callbacks a list shows."""

    ALL = "all"
    UNPROCESSED = "unprocessed"
    PROBLEMS = "problems"


class Inbox(Protocol):
    """Remembers which callbacks were processed. Each method may raise Unavailable."""

    async def keep(self, callbacks: Sequence[NewCallback]) -> list[int | None]:
        """Keep each once by gateway and event id; None where it is kept already, in order.

        One with a problem counts as processed; any other is tried by whom it is returned to. A
        known payment's timeline tells of it.
        """
        ...

    async def claim(self, now: datetime, until: datetime, limit: int) -> list[KeptCallback]:
        """Take unprocessed ones that are due, so that nobody else does before `until`."""
        ...

    async def claim_of(self, payment_id: str, now: datetime, until: datetime) -> list[KeptCallback]:
        """Take the unprocessed ones of a payment, also those that are not due or were given up."""
        ...

    async def finish(self, finished: Sequence[Finished]) -> list[None]:
        """Note that callbacks were processed; one None each."""
        ...

    async def put_off(self, inbox_id: int, reason: str, until: datetime | None) -> None:
        """Note why a callback waits, and until when; None: for a person."""
        ...

    async def find_payment(self, payment_id: str) -> Payment | None:
        """Return a payment as it stands."""
        ...

    async def forget(
        self, processed_before: datetime, given_up_before: datetime, limit: int
    ) -> int:
        """Delete what was processed before, or came before and was given up; return how many.

        `limit`: of each kind.
        """
        ...
