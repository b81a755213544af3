"""What could not be noted while a request lasted, because the database was away."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime

import structlog

from payonce.adapters.backoff import Backoff
from payonce.domain.errors import Unavailable
from payonce.ports.clock import Clock

log = structlog.get_logger(__name__)

MOST_LEFT = 10_000
LEAST_PAUSE_S, MOST_PAUSE_S = 0.5, 5.0

Note = Callable[[], Awaitable[None]]
"""Notes something; done twice, it is as done once. May raise Unavailable."""


class Leftovers:
    """Notes behind the requests what is left, one after the other, once the database takes it.

    What comes when MOST_LEFT wait, or whose time passes first, is not noted.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left: deque[tuple[Note, datetime]] = deque()
        self._working: asyncio.Task[None] | None = None

    def add(self, note: Note, until: datetime) -> None:
        """Leave something that matters no more from `until` on."""
        if len(self._left) >= MOST_LEFT:
            return
        self._left.append((note, until))
        if self._working is None or self._working.done():
            self._working = asyncio.ensure_future(self._work())

    async def _work(self) -> None:
        pause = Backoff(LEAST_PAUSE_S, MOST_PAUSE_S)
        while self._left:
            await self._clock.sleep(pause.next_s())
            try:
                await self._note_all()
            except Unavailable as error:
                log.debug("leftovers.wait", left=len(self._left), reason=str(error))

    async def _note_all(self) -> None:
        while self._left:
            left = note, until = self._left.popleft()
            if self._clock.now() >= until:
                continue
            try:
                await note()
            except Unavailable:
                self._left.appendleft(left)
                raise
