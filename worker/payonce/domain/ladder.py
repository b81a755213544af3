"""The ladder: the waits between two queries of one payment."""

from dataclasses import dataclass

from payonce.domain.errors import InvalidField

UNRECORDED_STEPS = 5
"""Waits that Postgres hears nothing of: polls 1 to 4 are free, the fifth records itself."""

SHORTEST_WAIT_MS = 10
LONGEST_WAIT_MS = 24 * 3_600_000


@dataclass(frozen=True, slots=True)
class Ladder:
    """Waits in milliseconds; the last one repeats, so that steps are numbered without end."""

    waits_ms: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.waits_ms:
            raise InvalidField("ladder", "is empty", "at least one wait")
        for wait_ms in self.waits_ms:
            if not SHORTEST_WAIT_MS <= wait_ms <= LONGEST_WAIT_MS:
                raise InvalidField("ladder", f"{wait_ms} ms is out of range", "10ms to 24h")

    def wait_ms(self, step: int) -> int:
        """Return the wait before poll `step`, counted from 0."""
        return self.waits_ms[min(step, len(self.waits_ms) - 1)]

    def wait_covering_ms(self, step: int, at_least_ms: int) -> int:
        """Return the wait before poll `step`, or the shortest one that spares the gateway."""
        wait_ms = self.wait_ms(step)
        longer = [wait for wait in self.waits_ms if wait >= at_least_ms]
        return wait_ms if wait_ms >= at_least_ms else min(longer, default=max(self.waits_ms))

    def unrecorded_ms(self) -> int:
        """Return how long a live watch can stay silent towards Postgres after registration."""
        return sum(self.wait_ms(step) for step in range(UNRECORDED_STEPS))


def is_recorded(step: int) -> bool:
    """Say whether a poll of this step, counted from 0, tells Postgres that the watch lives."""
    return step >= UNRECORDED_STEPS - 1
