"""Growing waits with jitter, so that many who failed together do not come back together."""

import random
from collections.abc import Callable


class Backoff:
    """Waits that double from `least_s` to `most_s`; each is drawn from its upper half."""

    def __init__(
        self, least_s: float, most_s: float, draw: Callable[[], float] = random.random
    ) -> None:
        self._least_s = least_s
        self._most_s = most_s
        self._draw = draw
        self._next_s = least_s

    def next_s(self) -> float:
        """Return the next wait, in seconds, never under `least_s` nor over `most_s`."""
        wait_s = self._next_s
        self._next_s = min(self._next_s * 2, self._most_s)
        return max(self._least_s, wait_s * (0.5 + self._draw() / 2))

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._next_s = self._least_s
