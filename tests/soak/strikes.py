"""Which of the campaign's faults befall a long run, and in which order."""

import random
from collections.abc import Iterator

from tests.campaign.faults import FAULTS, Fault
from tests.campaign.stage import Stage

_NOT = ("workers", "clock")
"""One worker has to live as long as the run; a clock that jumps moves what is kept for a time."""
_NEVER = ("rabbitmq.queues-deleted",)
"""It leaves messages for a person to look at, as it has to."""


FITTING = [one for one in FAULTS.values() if one.target not in _NOT and one.name not in _NEVER]
"""The faults that leave one worker alive, and nothing to a person."""


def fitting(stage: Stage, only: str | None = None) -> list[Fault]:
    """Return those that this stage can show; `only`: by this name."""
    return [one for one in FITTING if only in {None, one.name} and not one.hindrance(stage)]


def deal(stage: Stage, seed: int, only: str | None = None) -> Iterator[Fault]:
    """Yield faults without end: each of them once, in an order by chance, then all again."""
    chance, faults = random.Random(f"faults {seed}"), fitting(stage, only)
    if not faults:
        raise ValueError(f"{only} cannot be shown on this machine")
    while True:
        yield from chance.sample(faults, len(faults))
