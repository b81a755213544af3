"""./dev defences: remove each defence of docs/security.md, and see every test of it fail."""

import argparse
import queue
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.attacks.defence import Defence
from tests.attacks.every import BEGIN, DEFENCES, END, PAGE, shown_table, table
from tests.attacks.removing import FAILED, Lane, Run, opened_lanes

LANES = 2


def main() -> int:
    """Return 1 where a removal went unnoticed, or a test fails as it is."""
    arguments = _parse()
    if arguments.write:
        page = PAGE.read_text(encoding="utf-8")
        whole = f"{BEGIN}{shown_table(page)}{END}"
        PAGE.write_text(page.replace(whole, f"{BEGIN}{table()}{END}"), encoding="utf-8")
        return 0
    wanted = [one for one in DEFENCES if arguments.only in f"{one.attack} {one.file}"]
    began = time.monotonic()
    with opened_lanes(LANES) as lanes:
        problems = _check_as_it_is(lanes[0], wanted) if arguments.sound else []
        problems += _remove_all(lanes, wanted)
    minutes = (time.monotonic() - began) / 60
    print(f"{len(wanted)} defences, {len(problems)} problems, {minutes:.1f} minutes")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


def _check_as_it_is(lane: Lane, wanted: Sequence[Defence]) -> list[str]:
    tests = sorted({name for one in wanted for name in one.tests})
    for start in range(0, len(tests), 20):
        run = lane.run(tests[start : start + 20])
        if run.status != 0:
            return [f"a test does not pass as it is:\n{run.said[-2_000:]}"]
    return []


def _remove_all(lanes: Sequence[Lane], wanted: Sequence[Defence]) -> list[str]:
    free: queue.Queue[Lane] = queue.Queue()
    for lane in lanes:
        free.put(lane)

    def work(one: Defence) -> str:
        lane = free.get()
        try:
            return _remove(lane, one)
        finally:
            free.put(lane)

    with ThreadPoolExecutor(len(lanes)) as pool:
        return [problem for problem in pool.map(work, wanted) if problem]


def _remove(lane: Lane, one: Defence) -> str:
    """Return what is wrong with a defence; empty: every test of it fails without it."""
    for name in one.tests:
        run = lane.without(one, [name])
        good = _is_noticed(run)
        print(f"{'noticed' if good else 'UNNOTICED':<10} {one.attack}: {name}", flush=True)
        if not good:
            return f"{one.attack} ({one.file}): {name}\n{run.said[-800:]}"
    return ""


def _is_noticed(run: Run) -> bool:
    """Say whether tests ran and failed, which an error of the copy is not."""
    return run.status == FAILED and " failed" in run.said


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./dev defences", description=__doc__)
    parser.add_argument(
        "--only", default="", metavar="TEXT", help="those whose attack or file holds it"
    )
    parser.add_argument("--write", action="store_true", help="only write the table of the page")
    parser.add_argument(
        "--sound", action="store_true", help="run all tests once as they are before"
    )
    return parser.parse_args()


sys.exit(main())
