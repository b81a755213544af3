"""What happened, line by line; two runs are the same if the hashes of their traces are."""

import hashlib
from collections.abc import Callable


class Trace:
    """Keeps the lines of the story and a hash of all of them."""

    def __init__(self, now_s: Callable[[], float], *, keep: bool) -> None:
        self._now_s = now_s
        self._keep = keep
        self._hash = hashlib.sha256()
        self.lines: list[str] = []

    def note(self, who: str, what: str) -> None:
        """Write down one step; lines hold no address of memory, no time but the virtual one."""
        line = f"{self._now_s():12.3f} {who:<10} {what}"
        self._hash.update(line.encode() + b"\n")
        if self._keep:
            self.lines.append(line)

    def digest(self) -> str:
        """Return the hash of all lines so far."""
        return self._hash.hexdigest()
