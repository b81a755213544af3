"""One run: some orders, all faults for a while, then quiet; then everything must be right."""

import asyncio
import logging
import random
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import structlog

from tests.simulation.chance import SPELLS
from tests.simulation.loop import run
from tests.simulation.promises import Broken, Promises
from tests.simulation.shop import Shop
from tests.simulation.worker import Worker
from tests.simulation.world import World

WORKERS = 2
QUIET_ORDERS = 3
ORDERS = 25
STORM_S = 3_600.0
"""How long faults strike: longer than the longest watch, so that they strike its end too."""
QUIET_S = 30 * 3_600.0
"""How long everything may take to come right: over a day, for keys that gateways forget."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended. `broken`: the promise that was broken, empty if none was."""

    seed: str
    broken: str
    digest: str
    hours: float
    fired: Counter[str] = field(default_factory=Counter)
    lines: Sequence[str] = ()


def tell(
    seed: str,
    *,
    orders: Sequence[int] = range(ORDERS),
    without: Collection[str] = (),
    keep_trace: bool = False,
) -> Outcome:
    """Run one story to its end, or to the first broken promise."""
    with _silence():
        random.seed(seed)
        return run(_Story(seed, orders, without, keep_trace=keep_trace).tell())


class _Story:
    def __init__(
        self, seed: str, orders: Sequence[int], without: Collection[str], *, keep_trace: bool
    ) -> None:
        self._seed = seed
        self._orders = list(orders)
        self._without = without
        self._keep_trace = keep_trace

    async def tell(self) -> Outcome:
        """Return how it ended."""
        loop = asyncio.get_running_loop()
        self._world = world = World(self._seed, self._without, keep_trace=self._keep_trace)
        self._workers = [Worker(world, f"worker{n}") for n in range(WORKERS)]
        self._births = WORKERS
        self._dying: set[str] = set()
        self._deaths: list[asyncio.Task[None]] = []
        shop = Shop(world, self._workers)
        promises = Promises(world, shop)
        broken: list[str] = []
        check = world.check

        def noting() -> None:
            try:
                check()
            except Broken as error:
                broken.append(str(error))
                world.check = lambda: None

        world.check = noting
        world.on_death = self._on_death
        for worker in self._workers:
            worker.start()
        storms = [loop.create_task(self._befall(kind)) for kind in SPELLS]
        shop.begin(self._orders)
        await self._pass(STORM_S, broken)
        world.chance.calm = True
        for storm in storms:
            storm.cancel()
        await self._come_right(broken, shop)
        if not broken:
            try:
                promises.at_the_end()
            except Broken as error:
                broken.append(str(error))
        broken += shop.faults() + [one for each in self._workers for one in each.faults()]
        for worker in self._workers:
            await worker.kill()
        everybody = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
        for task in everybody:
            task.cancel()
        await asyncio.gather(*everybody, return_exceptions=True)
        return Outcome(
            self._seed,
            broken[0] if broken else "",
            world.trace.digest(),
            loop.time() / 3_600,
            world.chance.fired,
            tuple(world.trace.lines),
        )

    async def _pass(self, seconds: float, broken: Sequence[str]) -> None:
        """Let time pass, unless there is nothing left to find out."""
        steps = 60
        for _ in range(steps):
            if broken:
                return
            await asyncio.sleep(seconds / steps)

    async def _come_right(self, broken: Sequence[str], shop: Shop) -> None:
        self._world.away.clear()
        for worker in self._workers:
            worker.link.paused_until_s = 0.0
            worker.link.skew = timedelta(0)
        shop.begin_quiet(range(QUIET_ORDERS))
        await self._pass(QUIET_S, broken)

    async def _befall(self, kind: str) -> None:
        """Let one kind of fault befall a server, again and again."""
        chance = self._world.chance
        while True:
            await asyncio.sleep(chance.until_next(kind))
            if chance.befalls(kind):
                self._world.trace.note("fate", kind)
                await self._strike(kind)

    async def _strike(self, kind: str) -> None:
        world, row = self._world, self._world.chance.row(f"aim of {kind}")
        index = row.randrange(len(self._workers))
        link = self._workers[index].link
        match kind:
            case "worker.killed":
                await self._replace(index)
            case "worker.paused":
                sleep_s = row.uniform(5, 90) if row.random() < 0.8 else row.uniform(300, 900)
                link.sleep(sleep_s)
            case "clock.jumped":
                link.skew = timedelta(seconds=row.uniform(-120, 120))
            case "broker.purged":
                world.purge_broker()
            case "redis.flushed":
                world.flush_redis()
            case "redis.wrong":
                world.restore_redis()
                world.snapshot_redis()
            case _:
                server = kind.partition(".")[0]
                world.away.add(server)
                await asyncio.sleep(row.uniform(1, 40))
                world.away.discard(server)

    def _on_death(self, name: str) -> None:
        """A worker dies right where it stands."""
        names = [one.link.name for one in self._workers]
        if name in names:
            index = names.index(name)
            self._workers[index].link.dead = True
            self._deaths.append(asyncio.get_running_loop().create_task(self._replace(index)))

    async def _replace(self, index: int) -> None:
        """Kill a worker; another one takes its place some seconds later."""
        old = self._workers[index]
        if old.link.name in self._dying:
            return
        self._dying.add(old.link.name)
        await old.kill()
        await asyncio.sleep(self._world.chance.row("births").uniform(0.5, 10))
        self._births += 1
        new = Worker(self._world, f"worker{self._births - 1}")
        self._workers[index] = new
        new.start()


@contextmanager
def _silence() -> Iterator[None]:
    """Let nobody log: what counts stands in the trace."""
    before = structlog.get_config()
    structlog.configure(
        wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL),
        cache_logger_on_first_use=False,
    )
    try:
        yield
    finally:
        structlog.configure(**before)
