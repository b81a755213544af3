"""What Redis remembers to save work; every answer may be missing, none is needed."""

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Seen:
    """What is remembered of a poll: this step was done; this payment itself SUCCEEDED."""

    step_done: bool = False
    succeeded: bool = False


class Cache(Protocol):
    """Never raises and never waits long: where Redis is away it knows nothing."""

    async def seen(self, payment_id: str, epoch: int, step: int) -> Seen:
        """Return what is remembered of this poll."""
        ...

    async def mark_step(self, payment_id: str, epoch: int, step: int) -> None:
        """Remember that the poll after this one is scheduled."""
        ...

    async def remember_succeeded(
        self, payment_id: str, order_id: str, version: int, paid_by: str | None
    ) -> None:
        """Remember a committed success, and the payment that its order is paid by.

        A lower order version never replaces a higher.
        """
        ...

    async def paid_by(self, order_id: str) -> str | None:
        """Return the payment that an order is known to be paid by: paid is a last word."""
        ...
