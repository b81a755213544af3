"""The order service, told by a call."""

from collections.abc import Sequence
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


class Notifier(Protocol):
    """Calls the order service."""

    async def notify(self, event: Event) -> NoticeOutcome:
        """Tell of a paid order in one signed call; never raises."""
        ...


class Notices(Protocol):
    """Has the order service called about events that were committed."""

    async def tell(self, events: Sequence[Event], *, again: bool = False) -> None:
        """Put the calls on their way; never raises: what fails is told again by the reteller.

        `again`: the reteller tells; each is called once, the ladder knows the next time.
        """
        ...
