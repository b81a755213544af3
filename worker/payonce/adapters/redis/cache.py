"""ports.cache.Cache on Redis: batched, bounded in time, never in the way, and never just believed.

A success that is remembered would end polls and deny applications, so it carries a proof by a key
that lies in PostgreSQL: what somebody else wrote into Redis is nothing that was seen.
"""

import hmac
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from payonce.adapters.redis.link import RedisLink
from payonce.batching import Batcher
from payonce.ports.cache import Seen
from payonce.ports.meter import Meter

_STEP_MARGIN_S = 600
_DONE = b"1"

# Values begin with the order's version; a lower one never replaces a higher.
_RAISE_VERSION = """
for n, key in ipairs(KEYS) do
    local known = tonumber(string.match(redis.call('GET', key) or '', '^%d+') or '-1')
    if tonumber(ARGV[1]) > known then
        redis.call('SET', key, ARGV[2 + n], 'EX', ARGV[2])
    end
end
"""


@dataclass(frozen=True, slots=True)
class _Success:
    """A committed success, its order's version, and the payment that paid the order."""

    payment_id: str
    order_id: str
    version: int
    paid_by: str | None


class RedisCache:
    """Remembers steps and successes, each for a time.

    `longest_wait_ms`: how long a step can matter at most; `keep_successes`: and a success.
    """

    def __init__(
        self,
        url: str,
        meter: Meter,
        longest_wait_ms: int,
        keep_successes: timedelta,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._link = RedisLink(url, meter, clock)
        self._client = self._link.client
        self._proving = secrets.token_bytes(32)
        self._step_ttl_s = longest_wait_ms // 1000 + _STEP_MARGIN_S
        self._success_ttl_s = round(keep_successes.total_seconds())
        self._lookups: Batcher[tuple[str, str], Seen] = Batcher(self._look_up, max_wait_s=0.001)
        self._marks: Batcher[str, None] = Batcher(self._mark, max_wait_s=0.001)
        self._successes: Batcher[_Success, None] = Batcher(self._remember, max_wait_s=0.001)

    async def seen(self, payment_id: str, epoch: int, step: int) -> Seen:
        """Return what is remembered of this poll."""
        if self._link.is_away():
            return Seen()
        step_key = self._link.key("step", payment_id, epoch, step)
        return await self._lookups.submit((step_key, self._link.key("succeeded", payment_id)))

    async def mark_step(self, payment_id: str, epoch: int, step: int) -> None:
        """Remember that the poll after this one is scheduled."""
        if not self._link.is_away():
            await self._marks.submit(self._link.key("step", payment_id, epoch, step))

    async def remember_succeeded(
        self, payment_id: str, order_id: str, version: int, paid_by: str | None
    ) -> None:
        """Remember a committed success, and by which payment its order is paid, in one call."""
        if not self._link.is_away():
            await self._successes.submit(_Success(payment_id, order_id, version, paid_by))

    async def paid_by(self, order_id: str) -> str | None:
        """Return the payment that an order is known to be paid by."""
        if self._link.is_away():
            return None
        key = self._link.key("paid", order_id)
        found = await self._link.use(lambda: self._client.get(key))
        return self._proven(key, found) or None

    def belong_to(self, installation: str) -> None:
        """Keep to the keys of one installation."""
        self._link.belong_to(installation)

    def prove_by(self, key: bytes) -> None:
        """Believe what was written with this key; without it, what this object wrote itself."""
        self._proving = key

    async def ping(self) -> None:
        """Ask Redis whether it answers. Raises Unavailable."""
        await self._link.ping()

    async def close(self) -> None:
        """Close the connections."""
        await self._link.close()

    async def _look_up(self, keys: Sequence[tuple[str, str]]) -> list[Seen]:
        wanted = [key for pair in keys for key in pair]
        found = await self._link.use(lambda: self._client.mget(wanted))
        if found is None:
            return [Seen()] * len(keys)
        return [
            Seen(found[2 * n] is not None, self._proven(key, found[2 * n + 1]) is not None)
            for n, (_, key) in enumerate(keys)
        ]

    async def _mark(self, keys: Sequence[str]) -> list[None]:
        pipeline = self._client.pipeline(transaction=False)
        for key in keys:
            pipeline.set(key, _DONE, ex=self._step_ttl_s)
        await self._link.use(pipeline.execute)
        return [None] * len(keys)

    async def _remember(self, successes: Sequence[_Success]) -> list[None]:
        pipeline = self._client.pipeline(transaction=False)
        for one in successes:
            told = {self._link.key("succeeded", one.payment_id): ""}
            if one.paid_by:
                told[self._link.key("paid", one.order_id)] = one.paid_by
            values = (self._value(key, one.version, text) for key, text in told.items())
            pipeline.eval(
                _RAISE_VERSION, len(told), *told, one.version, self._success_ttl_s, *values
            )
        await self._link.use(pipeline.execute)
        return [None] * len(successes)

    def _value(self, key: str, version: int, text: str) -> str:
        """Return what is kept: the order's version, a text, and the proof that both are ours."""
        return f"{version} {text} {self._proof(key, version, text)}"

    def _proven(self, key: str, found: object) -> str | None:
        """Return the text that is kept under a key; None: there is none, or it is not by us."""
        if not isinstance(found, bytes) or not found.isascii():
            return None
        told, _, proof = found.decode().rpartition(" ")
        version, _, text = told.partition(" ")
        is_ours = hmac.compare_digest(proof, self._proof(key, version, text))
        return text if is_ours else None

    def _proof(self, key: str, version: int | str, text: str) -> str:
        return hmac.digest(self._proving, f"{key} {version} {text}".encode(), "sha256").hex()
