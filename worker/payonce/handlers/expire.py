"""Forget answers to requests with an Idempotency-Key once their time has passed."""

from datetime import timedelta

import structlog

from payonce.looping import repeat
from payonce.ports.applications import Keys
from payonce.ports.clock import Clock

log = structlog.get_logger(__name__)

EVERY = timedelta(minutes=1)
BATCH = 500


class Expire:
    """Deletes old keys, a bounded number at a time."""

    def __init__(self, keys: Keys, clock: Clock) -> None:
        self._keys = keys
        self._clock = clock

    async def run(self) -> None:
        """Delete for ever."""
        await repeat("keys", self.run_once, EVERY, self._clock)

    async def run_once(self) -> bool:
        """Delete one batch; True where it was full."""
        deleted = await self._keys.expire(self._clock.now(), BATCH)
        if deleted:
            log.info("idempotency_keys.expired", keys=deleted)
        return deleted == BATCH
