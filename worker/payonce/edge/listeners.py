"""Who listens to which order. An order is read once for all of its listeners, at each change.

What is pushed is always the latest state: a listener who is slow misses what lay between, and no
queue grows. A change that was told to nobody is found by looking at the versions now and then.
"""

import asyncio
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Protocol

import structlog

from payonce.domain.errors import Unavailable
from payonce.edge.problems import Refused
from payonce.edge.views import Shown, Views
from payonce.looping import repeat
from payonce.ports.changes import Changes
from payonce.ports.clock import Clock
from payonce.ports.meter import PushMeter

log = structlog.get_logger(__name__)

MOST_LISTENERS = 10_000
"""Of one process: about 190 MB (19 KiB each were measured), and as many open files."""
MOST_OF_ORDER = 100
"""Of one order: a shopper has a few tabs and devices; whoever opens more does not shop."""

EVERY = timedelta(seconds=1)
LOOK_EACH = 10
"""Turns between two looks at all versions while changes are heard; else each turn is one."""
LOOK_AT_ONCE = 1_000
READ_AGAIN_S = 1.0
END_WITHIN_S = 1.0


class Client(Protocol):
    """Who is at the other end of a stream."""

    def is_gone(self) -> bool:
        """Say whether he has hung up."""
        ...

    def has_taken_all(self) -> bool:
        """Say whether nothing of what was sent still waits in this process."""
        ...

    def hang_up(self) -> None:
        """End the connection, whatever is still to be sent."""
        ...


class Topic:
    """An order that somebody listens to: the highest version heard of, and the states read."""

    def __init__(self, order_id: str) -> None:
        self.order_id = order_id
        self.version = -1
        self.listeners: set[Listener] = set()
        self.shown: dict[bool, Shown] = {}
        self.reading: asyncio.Task[None] | None = None

    def stale(self) -> list[bool]:
        """Return for which kinds of listeners there is something newer than what was read."""
        kinds = {one.for_shop for one in self.listeners}
        return [kind for kind in kinds if self._version_of(kind) < self.version]

    def show(self, shown: Shown, *, for_shop: bool) -> None:
        """Take a state that was read, and wake those who do not have it."""
        if shown.version > self._version_of(for_shop):
            self.shown[for_shop] = shown
        self.version = max(self.version, shown.version)
        for one in self.listeners:
            if one.for_shop is for_shop and one.sent < shown.version:
                one.wake()

    def forget_news(self) -> None:
        """Know no version that some listener was not read; 0 where none was: a look heals it."""
        kinds = {one.for_shop for one in self.listeners}
        self.version = max(0, min(map(self._version_of, kinds), default=0))

    def _version_of(self, for_shop: bool) -> int:  # noqa: FBT001 - a kind of listener
        return self.shown[for_shop].version if for_shop in self.shown else -1


class Listener:
    """One stream. `sent` is the version that it has; `is_over`: it shall end."""

    def __init__(self, topic: Topic, client: Client, *, for_shop: bool) -> None:
        self.topic = topic
        self.for_shop = for_shop
        self.client = client
        self.sent = -1
        self.is_over = False
        self._woken = asyncio.Event()

    async def wait(self, within_s: float) -> bool:
        """Return once there is something to take or to end for, at the latest after `within_s`."""
        self._woken.clear()
        if self._has_news() or self.is_over:
            return True
        try:
            async with asyncio.timeout(within_s):
                await self._woken.wait()
        except TimeoutError:
            return False
        return True

    def take(self) -> Shown | None:
        """Return the latest state, counted as sent; None where it was sent already."""
        if not self._has_news():
            return None
        shown = self.topic.shown[self.for_shop]
        self.sent = shown.version
        return shown

    def wake(self) -> None:
        """Let `wait` return."""
        self._woken.set()

    def end(self) -> None:
        """Let the stream end."""
        self.is_over = True
        self.wake()

    def _has_news(self) -> bool:
        shown = self.topic.shown.get(self.for_shop)
        return shown is not None and shown.version > self.sent


class Listeners:
    """All streams of this process."""

    def __init__(self, views: Views, changes: Changes, clock: Clock, meter: PushMeter) -> None:
        self._views = views
        self._changes = changes
        self._clock = clock
        self._meter = meter
        self._topics: dict[str, Topic] = {}
        self._count = 0
        self._was_heard = False
        self._losses = 0
        self._turns = 0
        self._nobody = asyncio.Event()
        self._nobody.set()
        self.is_ending = False
        changes.subscribe(self._take_news)

    @contextmanager
    def joined(self, order_id: str, client: Client, *, for_shop: bool) -> Iterator[Listener]:
        """Give a listener while its stream is open. Raises Refused where there are too many."""
        topic = self._topics.get(order_id) or Topic(order_id)
        if self._count >= MOST_LISTENERS or len(topic.listeners) >= MOST_OF_ORDER:
            raise Refused(503, "too-many-listeners", "no more can listen; ask now and then instead")
        self._topics[order_id] = topic
        listener = Listener(topic, client, for_shop=for_shop)
        topic.listeners.add(listener)
        self._count_one(+1)
        try:
            yield listener
        finally:
            topic.listeners.discard(listener)
            self._count_one(-1)
            if not topic.listeners:
                self._topics.pop(order_id, None)

    async def begin(self, listener: Listener, last_sent: int | None) -> bool:
        """Read where the order stands; False: there is no such order. Raises Unavailable.

        The state is news to the listener unless `last_sent` is its version, or beyond it.
        """
        topic = listener.topic
        shown = await self._views.order(topic.order_id, for_shop=listener.for_shop)
        if shown is None:
            return False
        if last_sent is not None and last_sent >= shown.version:
            listener.sent = shown.version
        topic.show(shown, for_shop=listener.for_shop)
        self._refresh(topic)
        return True

    async def run(self) -> None:
        """Look for changes that nobody told of, for ever."""
        await repeat("listeners", self.run_once, EVERY, self._clock)

    async def run_once(self) -> bool:
        """Wake streams whose clients have gone; look at all versions where it is time to.

        Raises Unavailable: the next turn looks again.
        """
        for one in self._all():
            if one.client.is_gone():
                one.end()
        was_heard, self._was_heard = self._was_heard, self._changes.is_heard()
        losses, self._losses = self._losses, self._changes.losses()
        is_deaf = not (was_heard and self._was_heard) or losses != self._losses
        self._turns = LOOK_EACH if is_deaf else self._turns + 1
        if self._turns < LOOK_EACH:
            return False
        await self._look()
        self._turns = 0
        return False

    async def drain(self) -> None:
        """End all streams, and from now on every stream at its beginning.

        Those whose clients do not take what is still to be sent are cut off.
        """
        self.is_ending = True
        for one in self._all():
            one.end()
        try:
            async with asyncio.timeout(END_WITHIN_S):
                await self._nobody.wait()
        except TimeoutError:
            log.warning("streams.cut_off", streams=self._count)
            for one in self._all():
                one.client.hang_up()

    def _all(self) -> list[Listener]:
        return [one for topic in self._topics.values() for one in topic.listeners]

    async def _look(self) -> None:
        order_ids = list(self._topics)
        for first in range(0, len(order_ids), LOOK_AT_ONCE):
            found = await self._views.versions(order_ids[first : first + LOOK_AT_ONCE])
            missed = {
                key: version for key, version in found.items() if self._is_missed(key, version)
            }
            if missed:
                self._meter.pushes_healed(len(missed))
                log.info("pushes.healed", orders=len(missed))
                self._take_news(missed)

    def _is_missed(self, order_id: str, version: int) -> bool:
        """Say whether a version is news to listeners who know where their order stood."""
        topic = self._topics.get(order_id)
        return topic is not None and version > topic.version > -1

    def _take_news(self, versions: Mapping[str, int]) -> None:
        """Have what somebody here listens to read and pushed."""
        for order_id, version in versions.items():
            topic = self._topics.get(order_id)
            if topic is not None and version > topic.version:
                topic.version = version
                self._refresh(topic)

    def _refresh(self, topic: Topic) -> None:
        if topic.reading is None and topic.stale():
            topic.reading = asyncio.create_task(self._read(topic))

    async def _read(self, topic: Topic) -> None:
        """Read until everybody's state is the latest; a database that is away is asked again."""
        try:
            while stale := topic.stale():
                wanted = topic.version
                try:
                    for kind in stale:
                        await self._read_one(topic, wanted, for_shop=kind)
                except Unavailable as error:
                    log.info("push.postponed", order_id=topic.order_id, reason=str(error))
                    await self._clock.sleep(READ_AGAIN_S)
        except Exception:
            # As if nothing had been heard: the next look at all versions tries again.
            log.exception("push.failed", order_id=topic.order_id)
            topic.forget_news()
        finally:
            topic.reading = None

    async def _read_one(self, topic: Topic, wanted: int, *, for_shop: bool) -> None:
        shown = await self._views.order(topic.order_id, for_shop=for_shop)
        found = -1 if shown is None else shown.version
        if found < wanted == topic.version:
            # Whoever told of it was wrong: PostgreSQL is the truth.
            topic.version = found
        if shown is not None:
            topic.show(shown, for_shop=for_shop)

    def _count_one(self, step: int) -> None:
        self._count += step
        if self._count:
            self._nobody.clear()
        else:
            self._nobody.set()
