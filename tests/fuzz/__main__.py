"""./dev fuzz: hostile bytes for as many minutes as somebody likes."""

import argparse
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.fuzz.every import every_target
from tests.fuzz.running import run_seeded, silence
from tests.fuzz.targets import Target

EXAMPLES = 300
FOLDER = Path(".dev/fuzz")


def main() -> int:
    """Run rounds over all targets until the time is up; 1 where one of them does not hold."""
    arguments = _parse()
    counted: Counter[str] = Counter()
    failed: set[str] = set()
    until = time.monotonic() + arguments.minutes * 60
    wanted = [one for one in every_target() if one.name.startswith(arguments.only)]
    number = 0
    with silence():
        while time.monotonic() < until and set(failed) < {one.name for one in wanted}:
            number += 1
            for one in wanted:
                if one.name not in failed and not _holds(one, arguments.seed, number, counted):
                    failed.add(one.name)
    for name, count in sorted(counted.items()):
        print(f"{count:>9,}  {name}{'  BROKEN' if name in failed else ''}")
    print(f"{counted.total():>9,}  examples of {len(wanted)} targets in {number} rounds")
    return 1 if failed else 0


def _holds(one: Target, seed: str, number: int, counted: Counter[str]) -> bool:
    try:
        run_seeded(one, EXAMPLES, f"{seed}.{number}", FOLDER, counted)
    except Exception:  # noqa: BLE001 - whatever it is, it is told, and the others go on
        traceback.print_exc(file=sys.stdout)
        print(f"again: ./dev fuzz --only {one.name} --seed {seed} --minutes 1\n", flush=True)
        return False
    return True


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev fuzz", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="how long; else 5")
    parser.add_argument("--seed", default="1", help="other ones are other examples; else 1")
    parser.add_argument("--only", default="", metavar="NAME", help="targets whose names begin so")
    return parser.parse_args()


sys.exit(main())
