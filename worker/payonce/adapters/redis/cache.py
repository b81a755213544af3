"""ports.cache.Cache on Redis: batched, bounded in time, never in the way."""

import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

import structlog
from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from payonce.adapters.backoff import Backoff
from payonce.batching import Batcher
from payonce.domain.errors import Unavailable
from payonce.ports.cache import Seen
from payonce.ports.meter import Meter

log = structlog.get_logger(__name__)

SERVER = "redis"
SOCKET_TIMEOUT_S = 0.4
PAUSE_LEAST_S, PAUSE_MOST_S = 1.0, 5.0
SUCCEEDED_TTL_S = 24 * 3_600
_STEP_MARGIN_S = 600
_DONE = b"1"

_RAISE_VERSION = """
local known = tonumber(redis.call('GET', KEYS[1]) or '-1')
if tonumber(ARGV[1]) > known then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2]) end
"""


@dataclass(frozen=True, slots=True)
class _Success:
    """A committed success and its order's version."""

    payment_id: str
    version: int


class RedisCache:
    """Remembers steps and successes. `longest_wait_ms`: how long a step can matter at most.

    A Redis that fails is left alone for 1 s, then up to 5 s, so that it costs the polls nothing.
    """

    def __init__(
        self,
        url: str,
        meter: Meter,
        longest_wait_ms: int,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._client = aioredis.Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=SOCKET_TIMEOUT_S,
            health_check_interval=0,
        )
        self._meter = meter
        self._clock = clock
        self._step_ttl_s = longest_wait_ms // 1000 + _STEP_MARGIN_S
        self._backoff = Backoff(PAUSE_LEAST_S, PAUSE_MOST_S)
        self._away_until = 0.0
        self._lost = False
        self._lookups: Batcher[tuple[str, str], Seen] = Batcher(self._look_up, max_wait_s=0.001)
        self._marks: Batcher[str, None] = Batcher(self._mark, max_wait_s=0.001)
        self._successes: Batcher[_Success, None] = Batcher(self._remember, max_wait_s=0.001)

    async def seen(self, payment_id: str, epoch: int, step: int) -> Seen:
        """Return what is remembered of this poll."""
        if self._is_away():
            return Seen()
        return await self._lookups.submit((step_key(payment_id, epoch, step), key_of(payment_id)))

    async def mark_step(self, payment_id: str, epoch: int, step: int) -> None:
        """Remember that the poll after this one is scheduled."""
        if not self._is_away():
            await self._marks.submit(step_key(payment_id, epoch, step))

    async def remember_succeeded(self, payment_id: str, order_id: str, version: int) -> None:
        """Remember a committed success; a lower order version never replaces a higher."""
        del order_id  # the status routes will look up by order; polls look up by payment
        if not self._is_away():
            await self._successes.submit(_Success(payment_id, version))

    async def ping(self) -> None:
        """Ask Redis whether it answers. Raises Unavailable."""
        try:
            await self._client.ping()
        except (TimeoutError, RedisError, OSError) as error:
            raise Unavailable(SERVER, _describe(error)) from None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _look_up(self, keys: Sequence[tuple[str, str]]) -> list[Seen]:
        found = await self._use(lambda: self._client.mget([key for pair in keys for key in pair]))
        if found is None:
            return [Seen()] * len(keys)
        return [
            Seen(found[2 * n] is not None, found[2 * n + 1] is not None) for n in range(len(keys))
        ]

    async def _mark(self, keys: Sequence[str]) -> list[None]:
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.set(key, _DONE, ex=self._step_ttl_s)
        await self._use(pipeline.execute)
        return [None] * len(keys)

    async def _remember(self, successes: Sequence[_Success]) -> list[None]:
        pipeline = self._client.pipeline(transaction=False)
        for one in successes:
            pipeline.eval(_RAISE_VERSION, 1, key_of(one.payment_id), one.version, SUCCEEDED_TTL_S)
        await self._use(pipeline.execute)
        return [None] * len(successes)

    async def _use(self, work: Callable[[], Awaitable[list[Any]]]) -> list[Any] | None:
        """Return what Redis answers; None, and a pause, where it does not."""
        try:
            answer = await work()
        except (TimeoutError, RedisError, OSError) as error:
            self._on_failure(error)
            return None
        if self._lost:
            self._lost = False
            self._backoff.reset()
            log.info("redis.restored")
        return answer

    def _on_failure(self, error: Exception) -> None:
        self._meter.server_away(SERVER)
        self._away_until = self._clock() + self._backoff.next_s()
        if not self._lost:
            self._lost = True
            log.warning("redis.lost", reason=_describe(error))

    def _is_away(self) -> bool:
        return self._clock() < self._away_until


def step_key(payment_id: str, epoch: int, step: int) -> str:
    """Return the key of a step that was done."""
    return f"payonce:step:{payment_id}:{epoch}:{step}"


def key_of(payment_id: str) -> str:
    """Return the key of a payment that succeeded; its value is the order's version."""
    return f"payonce:succeeded:{payment_id}"


def _describe(error: BaseException) -> str:
    return f"{type(error).__name__} {error}"[:200].strip()
