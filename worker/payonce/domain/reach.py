"""Whether a service that is called can be reached. Pure; time is given in seconds of one clock."""

FAILURES = 5
SHORTEST_S, LONGEST_S = 1.0, 5.0


class Reach:
    """After some failures in a row the service is away: one call at a time asks how it stands."""

    def __init__(self) -> None:
        self._failures = 0
        self._pause_s = 0.0
        self._next_s = 0.0

    @property
    def is_away(self) -> bool:
        """Say whether it is taken to be away."""
        return self._failures >= FAILURES

    def may_call(self, now_s: float) -> bool:
        """Say whether a call may go now; while it is away that is a trial, which defers the next.

        A trial that is never heard of again is followed by another all the same, and a clock that
        was put back defers nothing.
        """
        if not self.is_away:
            return True
        if 0 < self._next_s - now_s <= LONGEST_S:
            return False
        self._next_s = now_s + LONGEST_S
        return True

    def failed(self, now_s: float) -> None:
        """Note a call without an answer."""
        self._failures += 1
        if self.is_away:
            self._pause_s = min(max(self._pause_s * 2, SHORTEST_S), LONGEST_S)
            self._next_s = now_s + self._pause_s

    def answered(self) -> bool:
        """Note an answer; True where the service was away until now."""
        was_away = self.is_away
        self._failures, self._pause_s = 0, 0.0
        return was_away
