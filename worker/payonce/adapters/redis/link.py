"""A way to Redis that is never in the way: bounded in time, left alone while it fails."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

import structlog
from redis import asyncio as aioredis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.exceptions import TimeoutError as RedisTimeoutError

from payonce.adapters.backoff import Backoff
from payonce.domain.errors import Unavailable
from payonce.egress import tls_problem
from payonce.ports.meter import Meter

log = structlog.get_logger(__name__)

SERVER = "redis"
SOCKET_TIMEOUT_S = 0.4
MOST_ASKING = 32
"""Commands of one client at a time, hence its connections: the library has 100, and refuses what
is beyond as if Redis were away."""
PAUSE_LEAST_S, PAUSE_MOST_S = 1.0, 5.0
_CA_OPTION = "ssl_ca_certs in its URL"
_TIMEOUTS = (TimeoutError, RedisTimeoutError)

Answer = TypeVar("Answer")


class RedisLink:
    """One client. A Redis that fails is left alone for 1 s, then up to 5 s.

    Nothing is repeated: a repeated SET NX whose answer was lost would say that somebody else holds
    the key.
    """

    def __init__(self, url: str, meter: Meter, clock: Callable[[], float] = time.monotonic) -> None:
        self.client = aioredis.Redis.from_url(
            url,
            retry=Retry(NoBackoff(), 0),
            socket_timeout=SOCKET_TIMEOUT_S,
            socket_connect_timeout=SOCKET_TIMEOUT_S,
            health_check_interval=0,
        )
        self._is_tls = url.startswith("rediss:")
        self._place = url.rpartition("@")[2].removeprefix("rediss://").partition("?")[0]
        self._meter = meter
        self._clock = clock
        self._places = asyncio.Semaphore(MOST_ASKING)
        self._backoff = Backoff(PAUSE_LEAST_S, PAUSE_MOST_S)
        self._away_until = 0.0
        self._lost = False
        self._prefix = "payonce"

    def belong_to(self, installation: str) -> None:
        """Keep to the keys of one installation: a Redis may outlive the database it served."""
        self._prefix = f"payonce:{installation}"

    def key(self, kind: str, *parts: object) -> str:
        """Return the key of a thing of this kind."""
        return ":".join((self._prefix, kind, *map(str, parts)))

    def is_away(self) -> bool:
        """Say whether Redis is being left alone."""
        return self._clock() < self._away_until

    async def use(self, work: Callable[[], Awaitable[Answer]]) -> Answer | None:
        """Return what Redis answers; None, and a pause, where it does not.

        Of a crowd each waits for its turn; who waited leaves a Redis alone that failed meanwhile.
        """
        waits = self._places.locked()
        async with self._places:
            if waits and self.is_away():
                return None
            return await self._ask(work)

    async def ping(self) -> None:
        """Ask Redis whether it answers. Raises Unavailable."""
        try:
            await self.client.ping()
        except (TimeoutError, RedisError, OSError) as error:
            raise Unavailable(SERVER, self._describe(error)) from None

    async def close(self) -> None:
        """Close the connections."""
        await self.client.aclose()

    async def _ask(self, work: Callable[[], Awaitable[Answer]]) -> Answer | None:
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
        if not self.is_away():
            # Commands that fail together are one failure, not as many.
            self._away_until = self._clock() + self._backoff.next_s()
        if not self._lost:
            self._lost = True
            log.warning("redis.lost", reason=self._describe(error))

    def _describe(self, error: BaseException) -> str:
        problem = tls_problem(error, _CA_OPTION)
        if problem is None and self._is_tls and isinstance(error, _TIMEOUTS):
            # What takes no TLS may wait for the rest of a command that it took the first bytes for.
            problem = f"no answer within {SOCKET_TIMEOUT_S:g} s: is this its port for TLS?"
        if problem is not None:
            return f"{self._place}: {problem}"
        return f"{type(error).__name__} {error}"[:200].strip()
