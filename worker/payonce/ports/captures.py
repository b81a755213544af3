"""Captures: which payment's money may be taken. Each method is one transaction."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from payonce.domain.capture import CaptureCase, CaptureDecision


@dataclass(frozen=True, slots=True)
class Ended:
    """How an attempt ended that took no money: definitely refused, or not sent at all.

    `is_sent`: False where it was not sent, and the same attempt may be made again; then it counts
    for the claim of `claimed_at` alone, since another process may have sent it meanwhile.
    """

    payment_id: str
    attempt: int
    claimed_at: datetime
    is_sent: bool


JudgeCapture = Callable[[CaptureCase], CaptureDecision]
"""Pure: the locked rows -> what may be done, and what is written."""


class Captures(Protocol):
    """Lock, decide, write, commit; then the gateway is called. May raise Unavailable."""

    async def decide(
        self, payment_id: str, reported_ref: str | None, judge: JudgeCapture
    ) -> CaptureDecision | None:
        """Lock the order and its payment, call `judge`, write a claim or that it is forbidden.

        None where the payment is not registered. Deadlocks and the like are retried.
        """
        ...

    async def free(self, ended: Ended) -> None:
        """Give up a claim of this attempt, which took no money."""
        ...

    async def let_go(self, payment_id: str, attempt: int, now: datetime) -> None:
        """Let others go on with a claim at once: the outcome of its attempt is not known."""
        ...

    async def ref_of(self, payment_id: str) -> str | None:
        """Return the gateway's id of a payment, where one is stored."""
        ...
