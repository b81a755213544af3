"""What becomes of one delivery, whatever bus it came from."""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta

import structlog

from payonce.adapters.backoff import Backoff
from payonce.domain.errors import InvalidField, Unavailable
from payonce.ports.bus import Delivery, Fate, Park, Receiver
from payonce.ports.clock import Clock

log = structlog.get_logger(__name__)

COOL_DOWN_LEAST_S, COOL_DOWN_MOST_S = 0.1, 5.0
TRIES = 3
LONGEST_REASON = 500


class CoolDown:
    """One pause for everything that a consumer has in hand, while a server is away.

    Attempts between two pauses are one round: however many of them fail, the next pause begins
    once, and grows only if none of them succeeded. After it all try again, not one of them for all:
    what fails may be that one message, and it shall hold up no other.
    """

    def __init__(self, clock: Clock, backoff: Backoff | None = None) -> None:
        self._clock = clock
        self._backoff = backoff or Backoff(COOL_DOWN_LEAST_S, COOL_DOWN_MOST_S)
        self._until: datetime | None = None
        self._round = 0

    async def round(self) -> int:
        """Return the number of the round that an attempt belongs to, after the pause before it."""
        number = self._round
        if self._until is not None:
            rest_s = (self._until - self._clock.now()).total_seconds()
            if rest_s > 0:
                await self._clock.sleep(rest_s)
            if number == self._round:
                self._until = None
        return number

    def failed(self, number: int) -> float | None:
        """Begin a pause and return its length in seconds; None where this round's has begun."""
        if number != self._round:
            return None
        self._round += 1
        wait_s = self._backoff.next_s()
        self._until = self._clock.now() + timedelta(seconds=wait_s)
        return wait_s

    def succeeded(self, number: int) -> None:
        """Note that the server answered an attempt of this round."""
        if self._round and number >= self._round - 1:
            self._backoff.reset()


class Desk:
    """Calls the receiver until a delivery's fate is known."""

    def __init__(self, queue: str, receiver: Receiver, clock: Clock) -> None:
        self._queue = queue
        self._receiver = receiver
        self._clock = clock
        self.cool_down = CoolDown(clock)

    async def fate_of(self, delivery: Delivery, is_wanted: Callable[[], bool]) -> Fate | None:
        """Return what becomes of `delivery`; None once it is not wanted any more.

        Unavailable: wait, call again, as often as it takes. InvalidField: park. Anything else that
        is raised is a fault of ours: three tries, then park.
        """
        failures = 0
        while True:
            number = await self.cool_down.round()
            if not is_wanted():
                return None
            try:
                fate = await self._receiver(delivery)
            except Unavailable as error:
                self.pause(error, number)
            except InvalidField as error:
                return Park(str(error)[:LONGEST_REASON])
            except (Exception, asyncio.CancelledError) as error:
                if _is_cancelled(error):
                    raise
                failures += 1
                if (park := await self._on_fault(delivery, error, failures)) is not None:
                    return park
            else:
                self.cool_down.succeeded(number)
                return fate

    def pause(self, error: Unavailable, number: int) -> None:
        """Begin a cool-down, unless others that failed at the same time have begun it."""
        wait_s = self.cool_down.failed(number)
        if wait_s is not None:
            log.warning(
                "consumer.paused", queue=self._queue, reason=str(error), for_s=round(wait_s, 2)
            )

    async def _on_fault(
        self, delivery: Delivery, error: BaseException, failures: int
    ) -> Park | None:
        log.error(
            "message.failed",
            queue=self._queue,
            message_id=delivery.message_id,
            tries=failures,
            exc_info=error,
        )
        if failures >= TRIES:
            return Park(f"error: {type(error).__name__}: {error}"[:LONGEST_REASON])
        await self._clock.sleep(COOL_DOWN_LEAST_S * 2**failures)
        return None


def _is_cancelled(error: BaseException) -> bool:
    """Say whether we are being cancelled, or the receiver merely awaited something that was."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and (task is None or task.cancelling() > 0)
