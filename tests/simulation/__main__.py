"""python -m tests.simulation: stories by seed, until one breaks a promise or the time is over."""

import argparse
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count

from tests.simulation.chance import KINDS
from tests.simulation.mutants import MUTANTS
from tests.simulation.planting import planted
from tests.simulation.shrinking import shrunk
from tests.simulation.story import Outcome, tell

LEAST_RUNS = 40
"""So many stories at least before every kind of fault is expected to have struck."""


def main() -> int:
    """Run it; 1 where a promise broke, a mutant lived, or a kind of fault never struck."""
    arguments = _parser().parse_args()
    if arguments.story is not None:
        return _show(arguments.story, arguments.orders)
    if arguments.mutants:
        return _mutants(arguments.seed, arguments.within)
    return _run(arguments.seed, arguments.seconds, arguments.runs)


def _run(seed: str, seconds: float, runs: int | None) -> int:
    """Tell stories for so long, or so many."""
    until, fired, hours, told = time.monotonic() + seconds, Counter[str](), 0.0, 0
    for name in _seeds(seed):
        if (runs is None and time.monotonic() >= until) or told == runs:
            break
        outcome = tell(name)
        told, hours = told + 1, hours + outcome.hours
        fired += outcome.fired
        if outcome.broken:
            return _explain(outcome)
        if told % 25 == 0:
            print(f"{told} stories, {hours:,.0f} simulated hours, no promise broken", flush=True)
    missing = sorted(KINDS - fired.keys())
    print(f"{told} stories from seed {seed}, {hours:,.0f} simulated hours, no promise broken")
    for kind in sorted(fired):
        print(f"  {kind:<24} {fired[kind]:>8,}")
    if missing and told >= LEAST_RUNS:
        print(f"never struck: {', '.join(missing)}: this run proves nothing of them")
        return 1
    return 0


def _mutants(seed: str, within: int) -> int:
    """Plant every bug; return 1 where one lives through so many stories."""
    survivors = 0
    for name, mutant in MUTANTS.items():
        found = None
        with planted(mutant):
            for number, one in zip(range(1, within + 1), _seeds(seed), strict=False):
                outcome = tell(one)
                if outcome.broken:
                    found = (number, outcome.broken)
                    break
        survivors += found is None
        words = f"found by seed {found[0]}: {found[1]}" if found else "SURVIVED"
        print(f"{name:<26} {words}", flush=True)
    print(f"{len(MUTANTS) - survivors} of {len(MUTANTS)} found within {within} seeds")
    return 1 if survivors else 0


def _explain(outcome: Outcome) -> int:
    """Shrink what broke, and print the short story and how to see it again."""
    print(f"seed {outcome.seed} broke promise {outcome.broken}")
    short = shrunk(outcome)
    orders = ",".join(str(one) for one in short.orders)
    print(f"the same with orders {orders} alone, without {len(short.without)} kinds of faults:\n")
    for line in short.lines:
        print(f"  {line}")
    print(f"\nsee it again: ./dev simulate --story {outcome.seed}")
    return 1


def _show(seed: str, orders: str | None) -> int:
    """Tell one story line by line."""
    wanted = [int(one) for one in orders.split(",")] if orders else None
    outcome = (
        tell(seed, keep_trace=True)
        if wanted is None
        else tell(seed, orders=wanted, keep_trace=True)
    )
    for line in outcome.lines:
        print(line)
    print(outcome.broken or "no promise broken", outcome.digest)
    return 1 if outcome.broken else 0


def _seeds(first: str) -> Iterator[str]:
    return (f"{first}.{number}" for number in count())


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev simulate", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="how long; default: 60")
    parser.add_argument("--runs", type=int, help="so many stories, however long they take")
    parser.add_argument("--seed", default="1", help="the first of the seeds; default: 1")
    parser.add_argument("--mutants", action="store_true", help="plant every bug, and find it")
    parser.add_argument("--within", type=int, default=40, help="stories for each bug; default: 40")
    parser.add_argument("--story", metavar="SEED", help="tell one story, line by line")
    parser.add_argument("--orders", metavar="N,N", help="with --story: these orders alone")
    return parser


if __name__ == "__main__":
    sys.exit(main())
