"""From a story that broke a promise to a short one that a person can read."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.simulation.chance import KINDS
from tests.simulation.story import ORDERS, Outcome, tell

LONGEST = 200
TOLD_OFTEN = 2


@dataclass(frozen=True)
class Short:
    """What is left: the orders, the kinds of faults taken out, and the last lines of the story."""

    orders: tuple[int, ...]
    without: frozenset[str]
    broken: str
    lines: tuple[str, ...]


Retell = Callable[..., Outcome]


def shrunk(outcome: Outcome, retell: Retell = tell) -> Short:
    """Take out every order and every kind of fault without which a promise still breaks."""
    orders = _orders_left(outcome.seed, retell)
    without: set[str] = set()
    for kind in sorted(KINDS):
        wanted = without | {kind}
        if retell(outcome.seed, orders=orders, without=wanted).broken:
            without = wanted
    last = retell(outcome.seed, orders=orders, without=without, keep_trace=True)
    return Short(tuple(orders), frozenset(without), last.broken, _told(last.lines))


def _orders_left(seed: str, retell: Retell) -> list[int]:
    """Halve first, then take them out one by one."""
    left = list(range(ORDERS))
    size = len(left) // 2
    while size:
        for start in range(0, len(left), size):
            fewer = left[:start] + left[start + size :]
            if fewer and retell(seed, orders=fewer).broken:
                left = fewer
                break
        else:
            size //= 2
    return left


def _told(lines: Sequence[str]) -> tuple[str, ...]:
    """Return the lines that tell something: what was told twice already is left out."""
    counts: Counter[str] = Counter()
    told = []
    for line in lines:
        words = line.split(maxsplit=2)[-1]
        counts[words] += 1
        if counts[words] <= TOLD_OFTEN:
            told.append(line)
    return tuple(told[:LONGEST])
