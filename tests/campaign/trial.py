"""One trial: load, the fault in its midst, the mending, the recovery, the judgement."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass, field
from typing import Any

from payonce.adapters.rabbitmq.parked import replay
from payonce.adapters.rabbitmq.topology import UNROUTED
from payonce.domain.errors import InvalidField, Unavailable
from tests.campaign.faults import Fault
from tests.campaign.judge import Evidence, objections
from tests.campaign.load import Load
from tests.campaign.stage import Stage
from tests.campaign.watching import LOOK_EVERY_S, Watcher
from tests.campaign.witness import Witness
from tests.support.town import Worker
from tests.support.waiting import eventually

OWN_DEATHS = {"worker", "workers"}
LOSES_QUEUES = "rabbitmq.all-lost"
DELETES_QUEUES = "rabbitmq.queues-deleted"


@dataclass(frozen=True)
class Pace:
    """How hard and how long; seconds, orders a second."""

    per_s: float = 3.0
    calm_s: float = 4.0
    hold_s: float = 6.0
    recovers_within_s: float = 90.0
    ends_within_s: float = 90.0


@dataclass
class Result:
    """What came of a trial; times in seconds.

    `outage_s`: from the strike until the cause was away. `recovery_s`: from then until nothing was
    late any more; `allowed_s`: what takes longer is late. `worst_late`: orders late at the same
    time. `longest_s`: of an order, from its money to its end; `slowest`: of which kind it was.
    `application_s`: the longest time until a shopper was shown a code, with `refusals` on the way.
    `told_again`: events that came once more.
    """

    faults: list[str]
    broker: str = ""
    outage_s: float = 0.0
    recovery_s: float = 0.0
    allowed_s: float = 0.0
    worst_late: int = 0
    longest_s: float = 0.0
    slowest: str = ""
    application_s: float = 0.0
    refusals: dict[str, int] = field(default_factory=dict)
    orders: int = 0
    payments: int = 0
    refunds: int = 0
    told_again: int = 0
    objections: list[str] = field(default_factory=list)
    not_run: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return it for a file."""
        return asdict(self)


class Trial:
    """`faults` strike one after the other and are mended together."""

    def __init__(self, stage: Stage, faults: Sequence[Fault], pace: Pace, seed: int) -> None:
        self._stage = stage
        self._faults = faults
        self._pace = pace
        names = "+".join(fault.name for fault in faults)
        self.result = Result([fault.name for fault in faults])
        prefix = f"{int(time.time() * 1000) % 10**8:08d}-"
        self._load = Load(stage, prefix, pace.per_s, seed)
        self._watcher = Watcher(stage, prefix)
        self._witness = Witness(stage.rabbitmq.url_of(stage.vhost))
        self._logs = [Log(worker) for worker in stage.workers]
        self._names = names

    async def run(self) -> Result:
        """Return what came of it; whatever breaks is an objection."""
        try:
            async with _beside(self._watcher.run(), self._witness.run()):
                await self._load.start()
                try:
                    await self._play()
                finally:
                    await self._load.close()
        except Exception as error:  # noqa: BLE001 - a campaign goes on to its next trial
            self.result.objections.append(f"the trial broke: {type(error).__name__}: {error}")
        return self.result

    async def _play(self) -> None:
        pace, loop = self._pace, asyncio.get_running_loop()
        pids = [_pid(worker) for worker in self._stage.workers]
        await asyncio.sleep(pace.calm_s)
        self._watcher.learn()
        struck_at = loop.time()
        await self._strike()
        mended_at = loop.time()
        self.result.outage_s = mended_at - struck_at
        await self._recover(mended_at)
        if DELETES_QUEUES in self.result.faults:
            await eventually(self._is_replayed, pace.recovers_within_s)
        await self._load.stop(pace.ends_within_s)
        with suppress(AssertionError):
            # What is not over by then is named by the judge.
            await eventually(self._is_over, pace.ends_within_s)
        await self._judge(pids)

    async def _strike(self) -> None:
        for fault in self._faults:
            async with asyncio.timeout(60):
                await fault.strike(self._stage)
        if any(fault.lasts for fault in self._faults):
            await asyncio.sleep(self._pace.hold_s)
        # Together: a worker is ready only where the server is back that it needs.
        async with asyncio.timeout(120):
            await asyncio.gather(*(fault.mend(self._stage) for fault in self._faults))

    async def _recover(self, mended_at: float) -> None:
        """Wait until nothing is late, and has not been for as long as an order may take."""
        loop, seen = asyncio.get_running_loop(), self._watcher.seen
        until = mended_at + self._pace.recovers_within_s
        quiet_since, quiet_s = loop.time(), self._watcher.allowed_s + 2 * LOOK_EVERY_S
        while loop.time() < min(until, quiet_since + quiet_s):
            await asyncio.sleep(LOOK_EVERY_S)
            self._load.send_again(seen.registered)
            if seen.late and seen.late[-1][1]:
                quiet_since = loop.time()
        late = [at for at, count in seen.late if count and at > mended_at]
        self.result.recovery_s = max(late, default=mended_at) - mended_at
        if quiet_since + quiet_s > until:
            self.result.objections.append("it had not recovered when the time was over")

    async def _is_replayed(self) -> bool:
        """Do what an operator does then: what came due for a queue that was gone lies aside."""
        url = self._stage.rabbitmq.url_of(self._stage.vhost)
        try:
            return not (await replay(url, lambda _: True, UNROUTED)).left
        except (InvalidField, Unavailable):
            return False

    async def _is_over(self) -> bool:
        self._load.send_again(self._watcher.seen.registered)
        missing = self._load.told.asked.keys() - self._watcher.seen.registered
        return not missing and await self._watcher.open() == 0

    async def _evidence(self) -> Evidence:
        lost = any(fault.name == LOSES_QUEUES for fault in self._faults)
        ids = None if lost else self._witness.ids
        return await self._watcher.evidence(frozenset(self._load.told.asked), ids)

    async def _agrees(self) -> bool:
        agrees = not objections(await self._evidence())
        await asyncio.sleep(0 if agrees else LOOK_EVERY_S)
        return agrees

    async def _judge(self, pids: Sequence[int | None]) -> None:
        told, seen, result = self._load.told, self._watcher.seen, self.result
        # A gateway may still be calling back about late money, at waits of its own.
        with suppress(AssertionError):
            await eventually(self._agrees, self._pace.ends_within_s)
        evidence = await self._evidence()
        result.objections += objections(evidence) + told.odd
        for log in self._logs:
            result.objections += log.complaints()
        for worker, pid in zip(self._stage.workers, pids, strict=True):
            result.objections += await self._health(worker, pid)
        result.orders, result.payments = len(evidence.orders), len(evidence.payments)
        result.refunds = len(evidence.refunds)
        result.told_again = sum(len(ids) - 1 for ids in self._witness.ids.values())
        result.worst_late = max((count for _, count in seen.late), default=0)
        result.allowed_s = self._watcher.allowed_s
        result.longest_s, slowest = seen.slowest()
        result.slowest = self._load.kind_of(slowest) if slowest else ""
        result.application_s = told.longest_s
        result.refusals = dict(told.refusals)

    async def _health(self, worker: Worker, pid: int | None) -> list[str]:
        name = worker.log.stem
        try:
            await eventually(worker.is_ready, 30)
        except AssertionError:
            return [f"{name} is not ready"]
        own = any(fault.target in OWN_DEATHS for fault in self._faults)
        if not own and _pid(worker) != pid:
            return [f"{name} was started again"]
        return []


def _pid(worker: Worker) -> int | None:
    return worker.process.pid if worker.process else None


class Log:
    """What a worker logs during a trial."""

    def __init__(self, worker: Worker) -> None:
        self._path = worker.log
        self._begin = self._path.stat().st_size if self._path.exists() else 0

    def complaints(self) -> list[str]:
        """Return the lines that no outage excuses: tracebacks, errors, what is not JSON."""
        with self._path.open("rb") as file:
            file.seek(self._begin)
            lines = file.read().decode(errors="replace").splitlines()
        return [f"{self._path.stem}: {line[:300]}" for line in lines if _is_bad(line)]


def _is_bad(line: str) -> bool:
    if "Traceback" in line:
        return True
    try:
        entry = json.loads(line)
    except ValueError:
        return bool(line.strip())
    return entry.get("level") in {"error", "critical"}


@asynccontextmanager
async def _beside(*work: Any) -> AsyncIterator[None]:
    """Let work run in the background, and end it."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
