"""Where the worker's time goes in a burst, by cProfile: shares, not absolute times."""

import pstats
import sys

from benchmarks import scenarios
from benchmarks.rig import Result, Setup
from benchmarks.scenarios import Bench

LINES = 40


async def run(bench: Bench, n: int) -> Result:
    """Profile a burst of `n` and print the functions that take most by themselves."""
    out = bench.folder / "worker.profile"
    command = (sys.executable, "-m", "cProfile", "-o", str(out), "-m", "payonce")
    result = await scenarios.burst(bench, n, Setup(command=command))
    pstats.Stats(str(out)).sort_stats("tottime").print_stats(LINES)
    return {**result, "scenario": "profile"}
