"""Whether a service that is called can be reached. Pure; time is given in seconds of one clock."""

FAILURES = 5
SHORTEST_S, LONGEST_S = 1.0, 5.0
FIRST_CATCH_UP_S, LAST_CATCH_UP_S = 30.0, 600.0
WELL_AFTER = 100


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


class CatchUp:
    """When all that waits is told again: at the first yes after an outage, ever more rarely.

    An outage soon after another doubles the wait between two such times, until the service has
    said yes so often in a row that it is well again. A refusal is an answer, and no yes.
    """

    def __init__(self) -> None:
        self._is_owed = False
        self._yeses = 0
        self._last_s = 0.0
        self._wait_s = 0.0

    def went_away(self) -> None:
        """Note an outage."""
        self._is_owed = True

    def said_no(self) -> None:
        """Note a call that was not taken, for whatever reason."""
        self._yeses = 0

    def said_yes(self, now_s: float) -> bool:
        """Note a yes; True where all that waits is to be told again now."""
        self._yeses += 1
        if self._yeses >= WELL_AFTER:
            self._wait_s = min(self._wait_s, FIRST_CATCH_UP_S)
        if not self._is_owed or 0 <= now_s - self._last_s < self._wait_s:
            return False
        self._is_owed = False
        self._last_s = now_s
        self._wait_s = min(self._wait_s * 2, LAST_CATCH_UP_S) or FIRST_CATCH_UP_S
        return True
