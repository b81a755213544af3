"""The loop that lives: its pace, its jitter, what it survives and what ends it."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

import pytest
import structlog
from structlog.testing import LogCapture

from payonce import looping
from payonce.domain.errors import Unavailable
from payonce.looping import repeat

EVERY = timedelta(seconds=60)


class Ended(Exception):
    """A fault of ours, which no loop survives."""


class Turns:
    """A `run_once` by script, and the clock of its loop: what happened stands in `seen`."""

    def __init__(self, *script: bool | Exception) -> None:
        self._script = list(script)
        self.seen: list[str | float] = []

    async def run_once(self) -> bool:
        """Answer by the script; after its end, fail."""
        self.seen.append("turn")
        answer = self._script.pop(0) if self._script else Ended()
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def sleep(self, delay_s: float) -> None:
        """Return at once."""
        self.seen.append(delay_s)


async def looped(turns: Turns, jitter: Callable[[], float] = lambda: 0.0) -> list[str | float]:
    """Run a loop to the end of its script."""
    with pytest.raises(Ended):
        await repeat("test", turns.run_once, EVERY, turns, jitter)
    return turns.seen


async def test_a_loop_pauses_between_turns_and_not_before_the_first() -> None:
    """The interval as configured."""
    assert ["turn", 60.0, "turn", 60.0, "turn"] == await looped(Turns(False, False))


async def test_a_loop_goes_on_at_once_while_there_is_more() -> None:
    """A backlog is worked off without pauses."""
    assert ["turn", "turn", "turn", 60.0, "turn"] == await looped(Turns(True, True, False))


async def test_an_outage_is_waited_for_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The pause comes also where there was more to do."""
    logs = LogCapture()
    monkeypatch.setattr(looping, "log", structlog.wrap_logger(None, processors=[logs]))
    turns = Turns(True, Unavailable("postgres", "away"), True)
    assert ["turn", "turn", 60.0, "turn", "turn"] == await looped(turns)
    [entry] = logs.entries
    assert ("loop.postponed", "test", "postgres is unavailable: away") == (
        entry["event"],
        entry["loop"],
        entry["reason"],
    )


async def test_any_other_error_ends_the_loop() -> None:
    """And with it the process: a fault of ours is not papered over."""
    turns = Turns(False, KeyError("x"), False)
    with pytest.raises(KeyError):
        await repeat("test", turns.run_once, EVERY, turns)
    assert 2 == turns.seen.count("turn")


@pytest.mark.parametrize(("jitter", "pause_s"), [(0.0, 60.0), (0.5, 57.0), (1.0, 54.0)])
async def test_the_pause_is_shortened_by_up_to_a_tenth(jitter: float, pause_s: float) -> None:
    """Processes that were started together drift apart."""
    assert ["turn", pause_s, "turn"] == await looped(Turns(False), lambda: jitter)


async def test_each_pause_has_its_own_jitter() -> None:
    """Drawn anew, and from chance where nothing else is given."""
    turns = Turns(*[False] * 50)
    with pytest.raises(Ended):
        await repeat("test", turns.run_once, EVERY, turns)
    pauses = {pause for pause in turns.seen if isinstance(pause, float)}
    assert len(pauses) > 10
    assert all(54 <= pause <= 60 for pause in pauses)


async def test_a_cancellation_that_became_an_error_ends_the_loop() -> None:
    """Client libraries answer a cancellation with an error of their own; the loop must not live."""
    begun = asyncio.Event()

    async def swallow() -> bool:
        try:
            begun.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise Unavailable("test", "the library gave up") from None
        return False

    task = asyncio.create_task(repeat("test", swallow, EVERY, Turns()))
    await begun.wait()
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
