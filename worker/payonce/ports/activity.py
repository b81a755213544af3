"""What happened lately, counted for the charts of the operators' page."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

Key = tuple[str, str, str, str]
"""Kind, gateway, name and source of what is counted; a plain tuple, since it is made often."""

LATENESS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 15, 60)
"""Upper bounds of the classes of lateness, in seconds; one more class is above them all."""


class Kind(StrEnum):
    """What is counted, and what `name` says of it."""

    REGISTERED = "registered"
    """A payment was registered, or applied for; `name`: what became of that."""

    DECIDED = "decided"
    """A decision about a payment; `name`: the verdict, `source`: where the report came from."""

    LATE = "late"
    """A poll came to its turn; `name`: the number of its class of lateness."""


@dataclass(frozen=True, slots=True)
class Counted:
    """A sum: of one minute and all gateways, or (`minute` None) of one gateway and all minutes."""

    minute: datetime | None
    kind: str
    gateway: str | None
    name: str
    source: str
    count: int


class Activity(Protocol):
    """Sums of all processes, by the minute. Every method may raise Unavailable."""

    async def add(self, now: datetime, counts: Mapping[Key, int], forget_before: datetime) -> None:
        """Add to the sums of this minute; forget some of the minutes before `forget_before`."""
        ...

    async def since(self, start: datetime) -> Sequence[Counted]:
        """Return the sums from the minute of `start` on."""
        ...
