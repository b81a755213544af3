"""ports.changes.Changes by Redis pub/sub: one channel of the installation, many changes at once."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import msgspec
import structlog
from redis.exceptions import RedisError

from payonce.adapters.backoff import Backoff
from payonce.adapters.redis.link import RedisLink
from payonce.ports.changes import OnChange
from payonce.ports.meter import Meter

log = structlog.get_logger(__name__)

GATHER_S = 0.003
"""How long changes gather into one message."""
MOST_AT_ONCE = 1_000
MOST_WAITING = 10_000
"""Changes that wait for Redis; further ones are dropped: who listens looks, too."""
ASK_AGAIN_S = 0.25
CLOSE_WITHIN_S = 0.5

PING_EVERY_S = 0.5
DEAF_AFTER_S = 1.5
"""A Redis that says nothing for so long, though it was pinged, is not heard any more."""
PAUSE_LEAST_S, PAUSE_MOST_S = 0.5, 5.0


class _Message(msgspec.Struct, array_like=True):
    """Which process tells, and the orders with their versions."""

    sender: str
    versions: dict[str, int]


_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder(_Message)


class RedisChanges:
    """Publishes what this process changed and hears what the others did."""

    def __init__(self, url: str, meter: Meter, clock: Callable[[], float] = time.monotonic) -> None:
        self._link = RedisLink(url, meter, clock)
        self._clock = clock
        self._sender = uuid4().hex
        self._listeners: list[OnChange] = []
        self._waiting: dict[str, int] = {}
        self._sending: asyncio.Task[None] | None = None
        self._heard_at: float | None = None
        self._losses = 0

    def belong_to(self, installation: str) -> None:
        """Keep to the channel of one installation."""
        self._link.belong_to(installation)

    def spread(self, versions: Mapping[str, int]) -> None:
        """Tell this process's listeners at once, the others' with the next message."""
        self._tell(versions)
        for order_id, version in versions.items():
            before = self._waiting.get(order_id)
            if before is None and len(self._waiting) >= MOST_WAITING:
                continue
            self._waiting[order_id] = version if before is None else max(before, version)
        if self._sending is None or self._sending.done():
            self._sending = asyncio.get_running_loop().create_task(self._send())

    def subscribe(self, listener: OnChange) -> None:
        """Have `listener` told of every change from now on."""
        self._listeners.append(listener)

    def is_heard(self) -> bool:
        """Say whether Redis has been heard within the last 1.5 s."""
        return self._heard_at is not None and self._clock() - self._heard_at < DEAF_AFTER_S

    def losses(self) -> int:
        """Return how often Redis was heard no more."""
        return self._losses

    async def run(self) -> None:
        """Hear the other processes, for ever."""
        backoff = Backoff(PAUSE_LEAST_S, PAUSE_MOST_S)
        while True:
            try:
                await self._hear(backoff)
            except (TimeoutError, RedisError, OSError) as error:
                if self._heard_at is not None:
                    self._losses += 1
                    log.warning("changes.lost", reason=f"{type(error).__name__} {error}"[:200])
                self._heard_at = None
            await asyncio.sleep(backoff.next_s())

    async def close(self) -> None:
        """Send what waits, within 0.5 s, and close the connections."""
        if self._sending is not None:
            await asyncio.wait([self._sending], timeout=CLOSE_WITHIN_S)
            self._sending.cancel()
        await self._link.close()

    def _tell(self, versions: Mapping[str, int]) -> None:
        for listener in self._listeners:
            listener(versions)

    async def _send(self) -> None:
        """Publish until nothing waits; while Redis is away it goes on waiting, each order once."""
        await asyncio.sleep(GATHER_S)
        while self._waiting:
            if self._link.is_away():
                await asyncio.sleep(ASK_AGAIN_S)
                continue
            taken = {key: self._waiting.pop(key) for key in list(self._waiting)[:MOST_AT_ONCE]}
            if not await self._publish(taken):
                for order_id, version in taken.items():
                    self._waiting[order_id] = max(version, self._waiting.get(order_id, version))

    async def _publish(self, versions: dict[str, int]) -> bool:
        body = _encoder.encode(_Message(self._sender, versions))
        channel = self._link.key("changes")
        return await self._link.use(lambda: self._link.client.publish(channel, body)) is not None

    async def _hear(self, backoff: Backoff) -> None:
        async with self._link.client.pubsub() as pubsub:
            await pubsub.subscribe(self._link.key("changes"))
            since = self._clock()
            while True:
                message = await pubsub.get_message(timeout=PING_EVERY_S)
                now = self._clock()
                if message is not None:
                    if self._heard_at is None:
                        log.info("changes.heard")
                        backoff.reset()
                    since = self._heard_at = now
                    self._take(message)
                elif now - since > DEAF_AFTER_S:
                    raise TimeoutError("it says nothing")
                else:
                    await pubsub.ping()

    def _take(self, message: dict[str, Any]) -> None:
        """Tell of what another process published; what nobody understands is left alone."""
        if message["type"] != "message":
            return
        try:
            heard = _decoder.decode(message["data"])
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            log.warning("changes.not_understood", reason=f"{type(error).__name__}: {error}"[:200])
            return
        if heard.sender != self._sender:
            self._tell(heard.versions)
