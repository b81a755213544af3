"""The dashboard: what is in flight, what waits for whom, how the last hour went."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from aiohttp import web

from payonce.domain.errors import PayonceError
from payonce.edge.console.door import Door
from payonce.edge.console.hours import MINUTE, MINUTES, hour_of
from payonce.edge.console.ports import Flight, Rules, Sources, View
from payonce.edge.console.sessions import Session
from payonce.edge.console.shelf import COST_SHARE, Shelf
from payonce.ports.clock import Clock
from payonce.ports.store import Backlog

Result = TypeVar("Result")

MOST_IN_FLIGHT = 100_000
"""Counting stops here: the page says "at least" then."""

QUEUES_KEPT_S = 10.0
JOURNAL_LINES = 8
FOR_PEOPLE = (".parked", "payonce.unrouted")


@dataclass(frozen=True, slots=True)
class Rungs:
    """What is in flight through one gateway: a count for each rung of its ladder."""

    gateway: str
    names: tuple[str, ...]
    counts: tuple[int, ...]
    created: int
    closing: int

    @property
    def whole(self) -> int:
        """All of them."""
        return sum(self.counts)


class Dashboard:
    """Reads what the page shows, shared by all viewers."""

    def __init__(
        self, door: Door, sources: Sources, rules: Rules, shelf: Shelf, clock: Clock
    ) -> None:
        self._door = door
        self._sources = sources
        self._rules = rules
        self._shelf = shelf
        self._clock = clock
        self._bounds = bounds_of(rules.waits_ms)

    async def page(self, request: web.Request, session: Session) -> web.Response:
        """Show the dashboard."""
        sources, now = self._sources, self._clock.now()
        flights = await self._read("in-flight", self._in_flight)
        backlog = await self._read("backlog", sources.waiting.backlog)
        refunds = await self._read("refunds", sources.counts.refunds_waiting)
        counted = await self._read("hour", self._last_hour)
        journal = await self._read("journal", self._journal)
        depths, problem = await self._queues()
        return await self._door.show(
            request,
            session,
            "ops/dashboard.html",
            now=now,
            rungs=rungs_of(flights, self._bounds, self._rules.waits_ms),
            is_cut=sum(one.payments for one in flights) >= MOST_IN_FLIGHT,
            waiting=_waiting(backlog, refunds, depths),
            backlog=backlog,
            hour=hour_of(counted, now),
            gateways=await self._read("gateways", sources.gateways.list),
            queues=_shown_queues(depths),
            queues_problem=problem,
            journal=journal,
        )

    async def _read(self, key: str, read: Callable[[], Awaitable[Result]]) -> Result:
        return await self._shelf.get(key, read, share=COST_SHARE)

    async def _in_flight(self) -> Sequence[Flight]:
        return await self._sources.counts.in_flight(self._bounds, MOST_IN_FLIGHT)

    async def _last_hour(self) -> Sequence[Any]:
        return await self._sources.hours.since(self._clock.now() - (MINUTES - 1) * MINUTE)

    async def _journal(self) -> Sequence[View]:
        return await self._sources.journal.latest(JOURNAL_LINES)

    async def _queues(self) -> tuple[Mapping[str, tuple[int, int | None]], str]:
        """Return the queues, or why they are not known: without the broker the rest is shown."""
        try:
            return await self._shelf.get(
                "queues", self._sources.depths, QUEUES_KEPT_S, share=COST_SHARE
            ), ""
        except PayonceError as error:
            return {}, str(error)


def bounds_of(waits_ms: Mapping[str, Sequence[int]]) -> tuple[timedelta, ...]:
    """Return the ages at which a payment of any gateway goes on to its next rung, in order."""
    ends = {end for waits in waits_ms.values() for end in _ends(waits)}
    return tuple(timedelta(milliseconds=end) for end in sorted(ends)) or (timedelta(0),)


def _ends(waits: Sequence[int]) -> list[int]:
    """Return when each rung ends, in ms since receipt; the last one repeats and has no end."""
    return [sum(waits[: number + 1]) for number in range(len(waits) - 1)]


def rungs_of(
    flights: Sequence[Flight],
    bounds: Sequence[timedelta],
    waits_ms: Mapping[str, Sequence[int]],
) -> list[Rungs]:
    """Return a line for each gateway: how many payments stand on each rung of its ladder."""
    lines = []
    for gateway in sorted(waits_ms.keys() | {one.gateway for one in flights}):
        waits, own = waits_ms.get(gateway, (1,)), [f for f in flights if f.gateway == gateway]
        ends = _ends(waits)
        counts = [0] * len(waits)
        for one in own:
            # All of a class lie between two neighbouring bounds, hence on one rung.
            youngest = bounds[one.bound - 1] if one.bound else timedelta(0)
            rung = sum(timedelta(milliseconds=end) <= youngest for end in ends)
            counts[rung] += one.payments
        names = tuple(_wait_name(wait) for wait in waits)
        created, closing = sum(one.created for one in own), sum(one.closing for one in own)
        lines.append(Rungs(gateway, names, tuple(counts), created, closing))
    return lines


def _wait_name(wait_ms: int) -> str:
    if wait_ms < 1_000:
        return f"{wait_ms} ms"
    if wait_ms < 60_000 or wait_ms % 60_000:
        return f"{wait_ms / 1000:g} s"
    return f"{wait_ms // 60_000} min"


@dataclass(frozen=True, slots=True)
class Tile:
    """One list for people: how long it is, and since when its oldest entry waits."""

    name: str
    path: str
    count: int | None
    oldest_at: datetime | None
    note: str


def _waiting(
    backlog: Backlog, refunds: Mapping[str, int], depths: Mapping[str, tuple[int, int | None]]
) -> list[Tile]:
    parked = [count for name, (count, _) in depths.items() if name.endswith(FOR_PEOPLE)]
    kinds = ", ".join(f"{count} {status}" for status, count in sorted(refunds.items()))
    held_at = backlog.refunds_held_oldest_at or backlog.refunds_manual_oldest_at
    return [
        Tile("Refunds", "/ops/refunds", sum(refunds.values()), held_at, kinds),
        Tile("Unresolved", "/ops/unresolved", backlog.unresolved, backlog.unresolved_oldest_at, ""),
        Tile("Mismatched", "/ops/mismatched", backlog.mismatched, backlog.mismatched_oldest_at, ""),
        Tile(
            "Unacknowledged",
            "/ops/unacknowledged",
            backlog.unacknowledged,
            backlog.unacknowledged_oldest_at,
            "",
        ),
        Tile("Parked", "/ops/parked", sum(parked) if depths else None, None, ""),
        Tile(
            "Callbacks",
            "/ops/webhooks?which=unprocessed",
            backlog.callbacks,
            backlog.callbacks_oldest_at,
            "",
        ),
    ]


def _shown_queues(
    depths: Mapping[str, tuple[int, int | None]],
) -> list[tuple[str, int, int | None]]:
    """Return the queues, those that hold something first."""
    rows = [(name, count, stuck) for name, (count, stuck) in depths.items()]
    return sorted(rows, key=lambda row: (not row[1], row[0]))
