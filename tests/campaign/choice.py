"""Which faults a campaign goes through, alone and in pairs."""

import random
from collections.abc import Sequence
from fnmatch import fnmatchcase

from tests.campaign.faults import FAULTS, Fault

Choice = tuple[Fault, ...]

QUICK = (
    "worker.killed",
    "postgres.killed",
    "rabbitmq.killed",
    "redis.paused",
    "gateway.paused",
    "postgres.cut-answer",
    "rabbitmq.queues-deleted",
    "clock.+10m",
)
_KILLED = ("rabbitmq", "postgres", "worker", "gateway", "orders")
_CUT_OFF = ("rabbitmq", "postgres", "redis", "gateway")
_TOGETHER = (
    ("worker.killed", "postgres.cut-answer"),
    ("worker.killed", "gateway.cut-answer"),
    ("workers.killed", "rabbitmq.all-lost"),
    ("rabbitmq.queues-purged", "redis.flushed"),
    ("postgres.disk-full", "rabbitmq.disk-alarm"),
    ("clock.+10m", "worker.killed"),
)
"""What is meant to hide each other's traces: whoever remembers dies while the answer is lost."""


def alone() -> list[Choice]:
    """Return every fault by itself."""
    return [(fault,) for fault in FAULTS.values()]


def pairs() -> list[Choice]:
    """Return who is killed while another is behind a black hole, and some that are chosen."""
    crossed = [
        (f"{killed}.killed", f"{cut_off}.black-hole")
        for killed in _KILLED
        for cut_off in _CUT_OFF
        if killed != cut_off
    ]
    return [(FAULTS[first], FAULTS[second]) for first, second in [*crossed, *_TOGETHER]]


def named(patterns: Sequence[str]) -> list[Choice]:
    """Return the faults whose names match, pairs by "one+other". Raises ValueError."""
    known = {name_of(choice): choice for choice in [*alone(), *pairs()]}
    found: list[Choice] = []
    for pattern in patterns:
        matching = [choice for name, choice in known.items() if fnmatchcase(name, pattern)]
        if not matching:
            raise ValueError(f"no fault is called {pattern}; --list names them")
        found += matching
    return found


def chosen(only: Sequence[str], seed: int, *, quick: bool, with_pairs: bool) -> list[Choice]:
    """Return what is to be gone through, in an order that follows from the seed."""
    if only:
        return named(only)
    choices = [(FAULTS[name],) for name in QUICK] if quick else alone()
    choices += pairs() if with_pairs else []
    random.Random(seed).shuffle(choices)
    return choices


def name_of(choice: Choice) -> str:
    """Return the names of what strikes together."""
    return "+".join(fault.name for fault in choice)
