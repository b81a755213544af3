"""The order lock: keeps applications for one order apart while gateways are asked."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class LockOutcome(StrEnum):
    """How an acquisition went; whoever is not let in goes on without, the rows' locks decide."""

    TAKEN = "taken"
    WAITED = "waited"
    GIVEN_UP = "given-up"
    AWAY = "away"


class OrderLock(Protocol):
    """One acquisition; it is used once."""

    @property
    def outcome(self) -> LockOutcome:
        """How it went."""
        ...

    async def release(self) -> bool:
        """Give it back; False where it had been held and was lost. Never raises."""
        ...


class OrderLocks(Protocol):
    """Hands out locks; never raises, never waits longer than it is told."""

    async def take(self, order_id: str, hold_s: float, wait_s: float) -> OrderLock:
        """Wait up to `wait_s` for the holder; the lock ends by itself after `hold_s`."""
        ...


@dataclass(frozen=True, slots=True)
class NoLock:
    """An acquisition that nobody granted."""

    outcome: LockOutcome = LockOutcome.AWAY

    async def release(self) -> bool:
        """Give back nothing."""
        return True
