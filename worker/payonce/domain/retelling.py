"""When a paid order that is not acknowledged is told again."""

from datetime import datetime, timedelta

from payonce.domain.ladder import Ladder

_MS = timedelta(milliseconds=1)


def next_telling(settled_at: datetime, now: datetime, ladder: Ladder) -> datetime:
    """Return the first time after `now` on the ladder that was put up at the settlement.

    It follows from the settlement alone, so that no restart, outage or second process moves it.
    """
    elapsed_ms = (now - settled_at) // _MS
    due_ms = 0
    for wait_ms in ladder.waits_ms:
        due_ms += wait_ms
        if due_ms > elapsed_ms:
            return settled_at + due_ms * _MS
    last_ms = ladder.waits_ms[-1]
    repeats = (elapsed_ms - due_ms) // last_ms + 1
    return settled_at + (due_ms + repeats * last_ms) * _MS
