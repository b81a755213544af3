"""The board: where every process reads how gateways are treated."""

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

Spared = Callable[[], AbstractSet[str]]
"""Returns the names of gateways that no call may go to right now."""


@dataclass(frozen=True, slots=True)
class GatewayState:
    """How one gateway is treated. `openings`: of its breaker since the last success.

    Paused: the three fields are set. `open_until` in the past: one call at a time is let through.
    """

    gateway: str
    paused_at: datetime | None = None
    paused_by: str | None = None
    paused_why: str | None = None
    open_until: datetime | None = None
    openings: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a process reads from the board: states by gateway, and how many processes ask."""

    states: Mapping[str, GatewayState]
    workers: int


@dataclass(frozen=True, slots=True)
class JournalLine:
    """One change: `paused` and `resumed` by a person, `opened` and `closed` by the breaker."""

    gateway: str
    at: datetime
    kind: str
    by: str | None
    why: str | None


class Board(Protocol):
    """Each method is one statement and may raise Unavailable. Changes are written to the journal.

    Those that return a boolean say whether anything changed.
    """

    async def read(self, worker_id: str | None, now: datetime, alive_since: datetime) -> Reading:
        """Note that this process asks gateways (None: it does not), and read the board.

        Processes that were last seen before `alive_since` do not count; this one does.
        """
        ...

    async def leave(self, worker_id: str) -> None:
        """Note that this process asks no more."""
        ...

    async def open(self, gateway: str, length: timedelta, why: str) -> bool:
        """Open a breaker that is not open; `length` begins now, by the board's own clock."""
        ...

    async def close(self, gateway: str, now: datetime) -> bool:
        """Close a breaker that is not closed, and forget its openings."""
        ...

    async def pause(self, gateway: str, by: str, why: str, now: datetime) -> bool:
        """Pause a gateway; one that is paused keeps its time and takes who and why anew."""
        ...

    async def resume(self, gateway: str, by: str, why: str | None, now: datetime) -> bool:
        """End a pause."""
        ...

    async def states(self) -> list[GatewayState]:
        """Return every gateway that was ever paused or opened, by name."""
        ...

    async def journal(self, gateways: Sequence[str], lines: int) -> list[JournalLine]:
        """Return the latest `lines` of each of these gateways, oldest first."""
        ...
