"""python -m tests.campaign: strike real servers under load, and judge what became of the money."""

import argparse
import asyncio
import json
import logging
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tests.campaign.choice import Choice, alone, chosen, name_of, pairs
from tests.campaign.opening import open_stage
from tests.campaign.rabbitmq4 import RabbitMQ4, unpack
from tests.campaign.stage import Stage
from tests.campaign.table import rendered
from tests.campaign.trial import Pace, Result, Trial
from tests.support.rabbitmq import RabbitMQ

TRIALS_A_STAGE = 8
"""Then servers and workers are new ones: books and tables stay small, and a trial quick."""
FULL = Pace()
QUICK = Pace(calm_s=3.0, hold_s=5.0)


class Campaign:
    """Goes through its choices until they or the time are over."""

    def __init__(self, broker: str, pace: Pace, seed: int, out: Path | None) -> None:
        self.results: list[Result] = []
        self._broker = broker
        self._pace = pace
        self._seed = seed
        self._out = out
        self._until = 0.0

    async def run(self, choices: Sequence[Choice], minutes: float) -> None:
        """Try each; what there was no time for is noted as not run."""
        self._until = time.monotonic() + minutes * 60
        rest = list(choices)
        while rest and time.monotonic() < self._until:
            with tempfile.TemporaryDirectory(prefix="payonce-campaign-") as name:
                folder = _opened_to_postgres(name)
                async with open_stage(folder, BROKERS[self._broker]) as stage:
                    rest = await self._play(stage, rest)
                self._keep(folder)
        for choice in rest:
            self._note(_not_run(choice, "the time was over"))

    async def _play(self, stage: Stage, rest: list[Choice]) -> list[Choice]:
        """Try some on one stage, until one of them breaks it; return what is left."""
        for _ in range(TRIALS_A_STAGE):
            if not rest or time.monotonic() > self._until:
                break
            choice = rest.pop(0)
            hindrance = next(filter(None, (fault.hindrance(stage) for fault in choice)), "")
            if hindrance:
                self._note(_not_run(choice, hindrance))
                continue
            result = await Trial(stage, choice, self._pace, self._seed).run()
            self._note(result)
            if result.objections:
                break
        return rest

    def _note(self, result: Result) -> None:
        result.broker = self._broker
        self.results.append(result)
        if self._out is not None:
            listed = [one.as_json() for one in self.results]
            self._out.write_text(json.dumps(listed, indent=1) + "\n")
        print(_line(result), flush=True)
        for objection in result.objections[:20]:
            print(f"    {objection}", flush=True)

    def _keep(self, folder: Path) -> None:
        """Keep the logs of a stage on which something was objected to."""
        if not self.results or not self.results[-1].objections:
            return
        kept = Path(tempfile.mkdtemp(prefix="payonce-campaign-logs-"))
        for log in folder.glob("*.log"):
            shutil.copy(log, kept)
        print(f"    its logs: {kept}", flush=True)


def _opened_to_postgres(name: str) -> Path:
    folder = Path(name)
    folder.chmod(0o711)
    return folder


def _not_run(choice: Choice, why: str) -> Result:
    return Result([fault.name for fault in choice], not_run=why)


def _line(result: Result) -> str:
    name = "+".join(result.faults)
    if result.not_run:
        return f"{name:44} not run: {result.not_run}"
    verdict = "holds" if not result.objections else f"{len(result.objections)} OBJECTIONS"
    return (
        f"{name:44} {verdict}; out {result.outage_s:.1f} s, recovered in {result.recovery_s:.1f} s,"
        f" {result.payments} payments, slowest {result.longest_s:.1f} s ({result.slowest}),"
        f" code {result.application_s:.1f} s"
    )


BROKERS: dict[str, type[RabbitMQ]] = {"3": RabbitMQ, "4": RabbitMQ4}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev campaign", description=__doc__)
    parser.add_argument("--only", nargs="+", metavar="NAME", default=[], help="these; * is allowed")
    parser.add_argument("--pairs", action="store_true", help="pairs of faults too")
    parser.add_argument("--quick", action="store_true", help="a few faults, about five minutes")
    parser.add_argument("--seed", type=int, default=1, help="of the order, and of the shoppers")
    parser.add_argument("--rate", type=float, default=FULL.per_s, help="orders a second")
    parser.add_argument("--minutes", type=float, default=45.0, help="begin nothing after so long")
    parser.add_argument("--broker", choices=sorted(BROKERS), default="3", help="RabbitMQ's version")
    parser.add_argument("--out", type=Path, metavar="FILE", help="write the results as JSON")
    parser.add_argument("--list", action="store_true", help="name the faults")
    parser.add_argument(
        "--table", nargs="+", type=Path, metavar="FILE", help="print results as Markdown"
    )
    return parser


async def _run(campaign: Campaign, choices: Sequence[Choice], minutes: float) -> None:
    task = asyncio.ensure_future(campaign.run(choices, minutes))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task


def main() -> int:
    """Return 0 where nothing was objected to, 1 where something was, 2 for a wrong call."""
    arguments = _parser().parse_args()
    # That the broker is away is what this is about: our own clients need not say so.
    for name in ("aio_pika", "aiormq"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if arguments.list:
        print("\n".join(name_of(choice) for choice in [*alone(), *pairs()]))
        return 0
    if arguments.table:
        print(rendered(json.loads(file.read_text()) for file in arguments.table))
        return 0
    try:
        choices = chosen(
            arguments.only, arguments.seed, quick=arguments.quick, with_pairs=arguments.pairs
        )
    except ValueError as error:
        print(f"campaign: {error}", file=sys.stderr)
        return 2
    if arguments.broker == "4":
        unpack()
    pace = replace(QUICK if arguments.quick else FULL, per_s=arguments.rate)
    campaign = Campaign(arguments.broker, pace, arguments.seed, arguments.out)
    try:
        asyncio.run(_run(campaign, choices, arguments.minutes))
    except (KeyboardInterrupt, asyncio.CancelledError):
        print("campaign: interrupted", file=sys.stderr)
        return 1
    return 1 if any(result.objections for result in campaign.results) else 0


if __name__ == "__main__":
    sys.exit(main())
