"""The pause while a server is away, on a clock of the test's own."""

from datetime import UTC, datetime, timedelta

from payonce.adapters.backoff import Backoff
from payonce.adapters.consuming import CoolDown


class HandClock:
    """A clock that a sleep turns on."""

    def __init__(self) -> None:
        self.time = datetime(2026, 1, 31, tzinfo=UTC)
        self.slept: list[float] = []

    def now(self) -> datetime:
        """Return the hand's position."""
        return self.time

    async def sleep(self, delay_s: float) -> None:
        """Turn the hand."""
        self.slept.append(round(delay_s, 3))
        self.time += timedelta(seconds=delay_s)


def cool_down(clock: HandClock) -> CoolDown:
    """Return a pause without jitter, from 0.1 to 5 s."""
    return CoolDown(clock, Backoff(0.1, 5.0, draw=lambda: 1.0))


async def test_one_round_of_failures_is_one_pause() -> None:
    """Two hundred messages that fail together do not make the pause two hundred times longer."""
    pause = cool_down(HandClock())
    number = await pause.round()
    assert [0.1, *[None] * 199] == [pause.failed(number) for _ in range(200)]


async def test_pause_grows_to_its_bound() -> None:
    """Each failing round doubles the pause, up to 5 s."""
    pause = cool_down(HandClock())
    waits = [pause.failed(await pause.round()) for _ in range(8)]
    assert [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0] == waits


async def test_all_wait_for_the_same_pause() -> None:
    """What comes during a pause waits for its end."""
    clock = HandClock()
    pause = cool_down(clock)
    pause.failed(await pause.round())
    assert 1 == await pause.round()
    assert ([0.1], 1) == (clock.slept, await pause.round())


async def test_success_shortens_the_next_pause() -> None:
    """A message that fails alone among others that succeed holds them up the least time."""
    pause = cool_down(HandClock())
    for _ in range(5):
        pause.failed(await pause.round())
    number = await pause.round()
    pause.failed(number)
    pause.succeeded(number)
    assert 0.1 == pause.failed(await pause.round())
