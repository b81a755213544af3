"""ports.lock.OrderLocks on Redis: one SET NX PX with a random token, compared before it is deleted.

There is no renewal: who takes longer than the lock lasts has lost it, and the row's lock decides.
"""

import asyncio
import random
import secrets
import time
from collections.abc import Callable

from payonce.adapters.redis.link import RedisLink
from payonce.ports.lock import LockOutcome, NoLock, OrderLock
from payonce.ports.meter import Meter

_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.02, 0.2

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""


class RedisOrderLock:
    """One acquisition. `is_held`: Redis said so; else its answer was lost, and may be yes."""

    def __init__(
        self, link: RedisLink, key: str, token: str, outcome: LockOutcome, *, is_held: bool
    ) -> None:
        self.outcome = outcome
        self._link = link
        self._key = key
        self._token = token
        self._is_held = is_held

    async def release(self) -> bool:
        """Delete the key if it is still ours; False where it had been held and was lost."""
        client = self._link.client
        deleted = await self._link.use(lambda: client.eval(_RELEASE, 1, self._key, self._token))
        return not self._is_held or deleted != 0


class RedisLocks:
    """Hands out order locks; where Redis is away, everybody goes on without."""

    def __init__(
        self,
        url: str,
        meter: Meter,
        clock: Callable[[], float] = time.monotonic,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._link = RedisLink(url, meter, clock)
        self._clock = clock
        self._jitter = jitter

    async def take(self, order_id: str, hold_s: float, wait_s: float) -> OrderLock:
        """Wait up to `wait_s` for the holder; the lock ends by itself after `hold_s`."""
        key, until = self._link.key("lock", order_id), self._clock() + wait_s
        pause_s, outcome = _FIRST_PAUSE_S, LockOutcome.TAKEN
        while not self._link.is_away():
            # A token of its own each time: an earlier try whose answer was lost is not ours.
            token = secrets.token_hex(16)
            is_ours = await self._try(key, token, hold_s)
            if is_ours is None:
                return RedisOrderLock(self._link, key, token, LockOutcome.AWAY, is_held=False)
            if is_ours:
                return RedisOrderLock(self._link, key, token, outcome, is_held=True)
            if self._clock() >= until:
                return NoLock(LockOutcome.GIVEN_UP)
            outcome = LockOutcome.WAITED
            await asyncio.sleep(pause_s * (0.5 + self._jitter() / 2))
            pause_s = min(pause_s * 2, _LONGEST_PAUSE_S)
        return NoLock()

    def belong_to(self, installation: str) -> None:
        """Keep to the keys of one installation."""
        self._link.belong_to(installation)

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    async def _try(self, key: str, token: str, hold_s: float) -> bool | None:
        """Return whether the lock is ours; None where Redis does not say."""
        hold_ms = round(hold_s * 1000)

        async def once() -> bool:
            return await self._link.client.set(key, token, nx=True, px=hold_ms) is not None

        return await self._link.use(once)
