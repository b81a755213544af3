"""The order service, told by a call."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from payonce.domain.events import Event


class NoticeOutcome(StrEnum):
    """What came of one call."""

    OK = "ok"
    """A 2xx: the order service has booked the order."""
    REFUSED = "refused"
    """Another answer: it is there, and did not take this one."""
    FAILED = "failed"
    """No answer, or one that says that it is away (429, 502, 503, 504)."""
    TIMEOUT = "timeout"
    """No answer in time: it may have booked the order all the same."""


@dataclass(frozen=True, slots=True)
class NoticeAnswer:
    """What came of one call, and why: the status that it was answered with, or an error's name."""

    outcome: NoticeOutcome
    status: int | None = None
    reason: str | None = None


class Notifier(Protocol):
    """Calls the order service."""

    @property
    def address(self) -> str:
        """Where it calls, for people: without user and query, which may hold secrets."""
        ...

    async def notify(self, event: Event) -> NoticeAnswer:
        """Tell of a paid order in one signed call; never raises."""
        ...


class Notices(Protocol):
    """Has the order service called about events that were committed."""

    async def tell(self, events: Sequence[Event], *, again: bool = False) -> None:
        """Put the calls on their way; never raises: what fails is told again by the reteller.

        `again`: the reteller tells; each is called once, the ladder knows the next time.
        """
        ...
