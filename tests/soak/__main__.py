"""python -m tests.soak: an hour at steady load with a fault every minute; 0 where nothing grew."""

import argparse
import asyncio
import re
import signal
import sys
from pathlib import Path

from tests.soak.picture import draw
from tests.soak.plan import LADDER, Plan
from tests.soak.run import Story, soak
from tests.soak.strikes import FITTING

_SAMPLES_A_RUN = 360


def main() -> int:
    """Run, draw, and say what was found."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    plan = _plan(_options())
    story = asyncio.run(soak(plan))
    (plan.out / "long-run.svg").write_text(draw(story))
    verdict = _verdict(story)
    (plan.out / "verdict.txt").write_text(verdict)
    print(verdict)
    return 0 if story.ok else 1


def _verdict(story: Story) -> str:
    plan = story.plan
    told = f"{plan.seconds:g} s, {plan.rate:g} orders/s, seed {plan.seed}"
    lines = [f"{told}, {len(story.strikes)} faults, {len(story.samples)} samples"]
    lines += [f"{'ok' if one.ok else 'WRONG'}: {one.text}" for one in story.findings]
    lines += [str(one) for one in story.judgements]
    return "\n".join([*lines, "verdict: good" if story.ok else "verdict: NOT GOOD", ""])


def _plan(options: argparse.Namespace) -> Plan:
    seconds = options.minutes * 60
    return Plan(
        out=options.out,
        seconds=seconds,
        rate=options.rate,
        fault_every_s=options.fault_every,
        sample_every_s=max(seconds / _SAMPLES_A_RUN, 0.5),
        seed=options.seed,
        only=options.only,
        hold_s=options.hold,
        ladder=tuple(options.ladder.split(",")),
        expires_s=options.expires,
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60, help="how long the load lasts")
    parser.add_argument("--rate", type=float, default=12, help="orders a second")
    parser.add_argument("--fault-every", type=_seconds, default="60s", metavar="60s")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--only", choices=sorted(one.name for one in FITTING), help="the one fault that befalls"
    )
    parser.add_argument("--hold", type=_seconds, default="8s", help="how long a fault stays")
    parser.add_argument("--ladder", default=",".join(LADDER), help="waits between polls")
    parser.add_argument("--expires", type=_seconds, default="90s", help="how long one can pay")
    parser.add_argument("--out", type=Path, default=Path(".dev/soak"), metavar="FOLDER")
    return parser.parse_args()


def _seconds(text: str) -> float:
    if not re.fullmatch(r"\d+(\.\d+)?s?", text) or not float(text.rstrip("s")):
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds, such as 60s")
    return float(text.rstrip("s"))


if __name__ == "__main__":
    sys.exit(main())
