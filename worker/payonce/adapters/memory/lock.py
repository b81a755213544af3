"""ports.lock.OrderLocks within one process, for tests and for a demo without Redis."""

import asyncio
from collections import Counter

from payonce.ports.lock import LockOutcome, NoLock, OrderLock


class MemoryOrderLock:
    """One acquisition."""

    def __init__(self, locks: "MemoryLocks", order_id: str, outcome: LockOutcome) -> None:
        self.outcome = outcome
        self._locks = locks
        self._order_id = order_id

    async def release(self) -> bool:
        """Give it back."""
        self._locks.give_back(self._order_id)
        return True


class MemoryLocks:
    """Hands out locks, which end with their process."""

    def __init__(self) -> None:
        self._locks: dict[str, asyncio.Lock] = {}
        self._users: Counter[str] = Counter()

    async def take(self, order_id: str, hold_s: float, wait_s: float) -> OrderLock:
        """Wait up to `wait_s` for the holder."""
        del hold_s  # a holder that dies takes this process with it
        lock = self._locks.setdefault(order_id, asyncio.Lock())
        self._users[order_id] += 1
        outcome = LockOutcome.WAITED if lock.locked() else LockOutcome.TAKEN
        try:
            async with asyncio.timeout(wait_s):
                await lock.acquire()
        except TimeoutError:
            self._leave(order_id)
            return NoLock(LockOutcome.GIVEN_UP)
        return MemoryOrderLock(self, order_id, outcome)

    def give_back(self, order_id: str) -> None:
        """Let the next one in."""
        self._locks[order_id].release()
        self._leave(order_id)

    def _leave(self, order_id: str) -> None:
        self._users[order_id] -= 1
        if not self._users[order_id]:
            del self._users[order_id], self._locks[order_id]
