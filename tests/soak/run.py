"""A long run: steady load, a fault every minute, a sample every few seconds, then the verdict."""

import asyncio
import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from tests.campaign.faults import Fault
from tests.soak.audit import Finding, audit, unfinished
from tests.soak.judge import Judgement, judge_run
from tests.soak.plan import Plan
from tests.soak.probes import Sample, take_sample
from tests.soak.shop import Shop
from tests.soak.stage import KEPT, LATENESS, Stage, is_alive, open_stage
from tests.soak.strikes import deal

FAULT_WITHIN_S = 120.0
_LOOK_EVERY_S = 1.0

# Too long a wait here: a payment whose gateway was away at the end of its watch is asked hourly,
# and one that ended is asked after ten minutes. No money comes later than LATENESS after its end.
_LATER_LOOKS_NOW = f"""
UPDATE payments SET revive_at = now() WHERE payment_id IN (
    SELECT payment_id FROM payments
    WHERE revive_at > now() + interval '1 min' AND (
        unresolved
        OR status IN ('FAILED', 'CLOSED') AND expires_at < now() - interval '{LATENESS}'
    )
    FOR NO KEY UPDATE SKIP LOCKED
)
"""
Strike = tuple[float, str]
"""When a fault befell, in seconds since the start, and its name."""


@dataclass
class Story:
    """What happened in a run."""

    plan: Plan
    samples: list[Sample] = field(default_factory=list)
    strikes: list[Strike] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)

    @property
    def ok(self) -> bool:
        """Whether the books balance and nothing grows."""
        return all(one.ok for one in self.findings) and all(one.is_flat for one in self.judgements)


async def soak(plan: Plan) -> Story:
    """Run as planned; everything that was started is ended. Samples go to `plan.out` at once."""
    plan.out.mkdir(parents=True, exist_ok=True)
    story = Story(plan)
    async with open_stage(plan) as stage:
        shop = Shop(stage)
        loop = asyncio.get_running_loop()
        began_s = loop.time()

        def now_s() -> float:
            return round(loop.time() - began_s, 1)

        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(work(stage, story, now_s)) for work in (_watch, _strike)]
            await shop.run(began_s + plan.seconds)
            for task in beside:
                task.cancel()
        story.findings.append(await _settled(stage))
        story.findings += await audit(stage, frozenset(shop.asked))
        told = f"{shop.opened} orders: {dict(shop.answers)}; {len(shop.troubles)} left the shop"
        story.findings.append(Finding(told, not shop.troubles))
        _say("\n".join(shop.troubles))
    story.judgements = judge_run(story.samples, plan.seconds)
    return story


async def _watch(stage: Stage, story: Story, now_s: Callable[[], float]) -> None:
    """Take samples for ever, each written down at once. Raises RuntimeError where a worker died."""
    with (story.plan.out / "samples.jsonl").open("w", buffering=1) as out:
        while True:
            sample: dict[str, Any] = {"at_s": now_s(), **await take_sample(stage)}
            story.samples.append(sample)
            out.write(json.dumps(sample) + "\n")
            if not is_alive(stage.workers[KEPT]):
                raise RuntimeError(f"the worker that nobody ends has ended; see {story.plan.out}")
            await asyncio.sleep(story.plan.sample_every_s)


async def _strike(stage: Stage, story: Story, now_s: Callable[[], float]) -> None:
    """Let one fault after the other befall; the last interval of the run is left in peace."""
    plan = story.plan
    with (plan.out / "faults.jsonl").open("w", buffering=1) as out:
        for number, fault in enumerate(deal(stage.handles, plan.seed, plan.only), start=1):
            due_s = number * plan.fault_every_s
            if due_s > plan.seconds - plan.fault_every_s / 2:
                return
            await asyncio.sleep(max(due_s - now_s(), 0))
            at_s = now_s()
            story.strikes.append((at_s, fault.name))
            problem = await _befall(fault, stage)
            if problem:
                story.findings.append(
                    Finding(f"{fault.name} did not go as it should: {problem}", ok=False)
                )
            struck = {"at_s": at_s, "fault": fault.name, "took_s": round(now_s() - at_s, 1)}
            out.write(json.dumps(struck) + "\n")
            _say(f"{at_s:7.1f} s  {fault.name}, over after {struck['took_s']} s")


async def _befall(fault: Fault, stage: Stage) -> str:
    """Let a fault come, stay and go; return what went wrong with it, nothing where all is well."""
    problem = ""
    for act, stays_s in ((fault.strike, stage.plan.hold_s), (fault.mend, 0.0)):
        try:
            async with asyncio.timeout(FAULT_WITHIN_S):
                await act(stage.handles)
        except Exception as error:  # noqa: BLE001 - the next fault comes all the same
            problem = f"{problem} {type(error).__name__}: {error}".strip()[:300]
        await asyncio.sleep(stays_s)
    return problem


async def _settled(stage: Stage) -> Finding:
    """Wait until nothing waits any more."""
    loop = asyncio.get_running_loop()
    began_s, within_s = loop.time(), stage.plan.settles_within_s
    while left := await unfinished(stage):
        if loop.time() - began_s > within_s:
            text = f"{left} things were unfinished {within_s:g} s after the last order"
            return Finding(text, ok=False)
        await stage.rows(_LATER_LOOKS_NOW)
        await asyncio.sleep(_LOOK_EVERY_S)
    return Finding(
        f"all had come to its end {loop.time() - began_s:.0f} s after the last order", ok=True
    )


def _say(text: str) -> None:
    if text:
        sys.stderr.write(f"{text}\n")
