"""A rate: calls are let through evenly, and may book their turn a little ahead."""

SLACK_S = 0.1
"""What was not used in so many seconds may be caught up with at once."""


class Bucket:
    """Turns at a rate. Times are seconds of one clock, which may jump.

    In any stretch of T seconds there are at most `rate * (T + SLACK_S) + 1` turns.
    """

    def __init__(self, rate_per_s: float, now_s: float) -> None:
        self.rate_per_s = rate_per_s
        self._next_s = now_s

    def book(self, now_s: float, longest_s: float) -> float | None:
        """Return the seconds to wait for the turn that this books; None: longer than `longest_s`.

        Nothing is ever booked further ahead than that: what looks so is a clock that was set back.
        """
        every_s = 1 / self.rate_per_s
        self._next_s = min(max(self._next_s, now_s - SLACK_S), now_s + longest_s + every_s)
        wait_s = max(self._next_s - now_s, 0.0)
        if wait_s > longest_s:
            return None
        self._next_s += every_s
        return wait_s
