"""A breaker: a gateway that fails again and again is spared for a while. Pure; time is given."""

from datetime import timedelta

FAILURES = 10
WITHIN_S = 60.0
TRIAL_S = 20.0
"""A trial call that was heard nothing of by then is given up, and another one let through."""
SHORTEST = timedelta(seconds=10)
LONGEST = timedelta(minutes=5)


def open_for(openings: int) -> timedelta:
    """Return how long the breaker opens that was opened `openings` times since the last success."""
    return min(SHORTEST * (1 << min(openings, 10)), LONGEST)


class Breaker:
    """Closed: every call goes. Open: none. Half-open, when the time is over: one at a time.

    Times are seconds of one clock. Answers that come while it is open are of calls from before, and
    tell nothing new.
    """

    def __init__(self) -> None:
        self.open_until_s: float | None = None
        self._failures = 0
        self._first_s = 0.0
        self._trial_until_s = 0.0

    def spare_s(self, now_s: float) -> float:
        """Return for how long no call may go; 0.0: one may."""
        if self.open_until_s is None:
            return 0.0
        return max(self.open_until_s - now_s, self._trial_until_s - now_s, 0.0)

    def let_through(self, now_s: float) -> None:
        """Note that a call goes; in half-open it is the trial, and the next one waits for it."""
        if self.open_until_s is not None:
            self._trial_until_s = now_s + TRIAL_S

    @property
    def is_calm(self) -> bool:
        """Say whether one more answer would change nothing."""
        return not self._failures and self.open_until_s is None

    def is_open(self, now_s: float) -> bool:
        """Say whether no call may go, not even a trial."""
        return self.open_until_s is not None and now_s < self.open_until_s

    def note_failure(self, now_s: float) -> bool:
        """Note a failed call; True where the breaker shall open, or open again."""
        if self.open_until_s is not None:
            return now_s >= self.open_until_s
        if not self._failures or now_s - self._first_s > WITHIN_S:
            self._failures, self._first_s = 0, now_s
        self._failures += 1
        return self._failures >= FAILURES

    def note_answer(self, now_s: float) -> bool:
        """Note a call that was answered; True where the breaker shall close."""
        self._failures = 0
        return self.open_until_s is not None and now_s >= self.open_until_s

    def move(self, open_until_s: float | None) -> None:
        """Open until a time, or close."""
        if open_until_s != self.open_until_s:
            self.open_until_s = open_until_s
            self._failures = 0
            self._trial_until_s = 0.0
