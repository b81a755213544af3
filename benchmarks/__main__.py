"""python -m benchmarks WHAT.

burst, steady, memory, loss, statements, told, outage, listeners, micro, profile, all.
"""

import argparse
import asyncio
import json
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from benchmarks import listeners, micro, profiling, scenarios, told
from benchmarks.peers import PEERS, Peers, find_peers
from benchmarks.report import markdown, warning
from benchmarks.rig import Result
from benchmarks.scenarios import Bench
from benchmarks.servers import open_servers
from benchmarks.worker import ROOT

FOLDER = ROOT / ".dev/bench"
PEERS_N = 2_000
RATES = (100.0, 300.0)


@dataclass(frozen=True)
class Sizes:
    """How much of each scenario."""

    burst: int
    seconds: float
    waiting: int
    loss_rate: float
    statements: int
    down_s: float
    listeners: int
    reps: int


FULL = Sizes(
    burst=10_000,
    seconds=20,
    waiting=100_000,
    loss_rate=150,
    statements=1_000,
    down_s=120,
    listeners=5_000,
    reps=3,
)
QUICK = Sizes(
    burst=2_000,
    seconds=5,
    waiting=5_000,
    loss_rate=60,
    statements=200,
    down_s=10,
    listeners=500,
    reps=1,
)
TOLD_RATE = 100.0


def main() -> int:
    """Measure what was asked for; 0 where all totals were right."""
    options = _options()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    wants_peers = options.peers and options.what in {"all", "burst"}
    folder = find_peers(ROOT, os.environ.get("PAYONCE_PEERS_DIR"))
    peers = Peers(folder, FOLDER) if folder and wants_peers else None
    if wants_peers and peers is None:
        print("benchmarks: the peers are not here (PAYONCE_PEERS_DIR)", file=sys.stderr)
    if peers:
        peers.prepare()
    with open_servers(FOLDER, folder if peers else None) as servers:
        results = []
        for result in _run(options, Bench(servers, FOLDER), peers):
            print(json.dumps(result), flush=True)
            results.append(result)
    _write(results, options.out)
    return 0 if all(one.get("ok", True) for one in results) else 1


def _run(options: argparse.Namespace, bench: Bench, peers: Peers | None) -> Iterator[Result]:
    sizes = QUICK if options.quick else FULL
    sizes = Sizes(**{**vars(sizes), **({"reps": options.reps} if options.reps else {})})
    match options.what:
        case "micro":
            yield from micro.run(bench)
        case "profile":
            yield asyncio.run(profiling.run(bench, options.n or sizes.burst))
        case "burst":
            yield from _bursts(bench, peers, options.n or sizes.burst, sizes.reps)
        case "all":
            yield from _bursts(bench, peers, options.n or sizes.burst, sizes.reps)
            yield from _others(
                bench,
                sizes,
                ("steady", "memory", "loss", "statements", "told", "outage", "listeners"),
            )
        case name:
            yield from _others(bench, sizes, (name,))


def _bursts(bench: Bench, peers: Peers | None, n: int, reps: int) -> Iterator[Result]:
    """Run ours and the peers by turns, so that a change of the machine meets all of them."""
    for _ in range(reps):
        yield asyncio.run(scenarios.burst(bench, n))
        if peers is None:
            continue
        if n != PEERS_N:
            yield asyncio.run(scenarios.burst(bench, PEERS_N))
        for name in PEERS:
            bench.quiet()
            out = bench.folder / "peer.jsonl"
            yield peers.burst(name, PEERS_N, bench.servers.environment, out)


def _others(bench: Bench, sizes: Sizes, names: tuple[str, ...]) -> Iterator[Result]:
    for name in names:
        match name:
            case "steady":
                for rate in RATES:
                    yield asyncio.run(scenarios.steady(bench, rate, sizes.seconds))
            case "memory":
                yield asyncio.run(scenarios.memory(bench, sizes.waiting))
            case "loss":
                yield asyncio.run(scenarios.loss(bench, sizes.loss_rate, 20))
            case "told":
                for way in ("callback", "poll"):
                    yield asyncio.run(told.told(bench, way, TOLD_RATE, sizes.seconds))
            case "outage":
                yield asyncio.run(told.outage(bench, TOLD_RATE, sizes.down_s))
            case "listeners":
                yield asyncio.run(listeners.listeners(bench, sizes.listeners))
            case _:
                yield asyncio.run(scenarios.statements(bench, sizes.statements))


def _write(results: list[Result], out: Path | None) -> None:
    text = markdown(results)
    print(f"\n{text}\n{warning(results)}")
    if out:
        out.write_text(text)
        lines = "".join(json.dumps(result) + "\n" for result in results)
        out.with_suffix(".jsonl").write_text(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = (
        *("all", "burst", "steady", "memory", "loss", "statements", "told", "outage"),
        *("listeners", "micro", "profile"),
    )
    parser.add_argument("what", nargs="?", default="all", choices=names)
    parser.add_argument("--peers", action="store_true", help="the peers' bursts too, by turns")
    parser.add_argument("--quick", action="store_true", help="small numbers: does it work at all?")
    parser.add_argument("--n", type=int, help="payments of a burst")
    parser.add_argument("--reps", type=int, help="how often bursts are repeated")
    parser.add_argument("--out", type=Path, help="a Markdown file; lines of JSON beside it")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
