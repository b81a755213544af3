"""The last hour as people look at it: what payments came to, how late polls were, who told."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from payonce.domain.decide import Verdict
from payonce.domain.report import Source
from payonce.edge.console.charts import Bar, Chart, layered, shares, stacked
from payonce.ports.activity import LATENESS_S, Counted, Kind

MINUTE = timedelta(minutes=1)
MINUTES = 60

_LOOK = {
    Verdict.SETTLED: "settled",
    Verdict.DUPLICATED: "duplicated",
    Verdict.FAILED: "failed",
    Verdict.CLOSED: "closed",
    Verdict.UNRESOLVED: "unresolved",
    Verdict.MISMATCHED: "mismatched",
    Verdict.REVERSED: "reversed",
}
OUTCOMES = tuple(_LOOK.values())
SOURCES = tuple(one.value for one in Source)
_NEW = frozenset({"new", "applied"})
"""A payment comes by a message or by an application; its message is then one of the same."""

_PAID = frozenset({Verdict.SETTLED.value, Verdict.DUPLICATED.value})


@dataclass(slots=True)
class GatewayHour:
    """One gateway within the hour."""

    gateway: str
    registered: int = 0
    outcomes: dict[str, int] = field(default_factory=dict)
    late: dict[int, int] = field(default_factory=dict)

    @property
    def polls(self) -> int:
        """How many polls came to their turn."""
        return sum(self.late.values())

    @property
    def p50(self) -> str:
        """How late half of them were at most."""
        return _upper(self.late, 0.5)

    @property
    def p99(self) -> str:
        """How late all but one in a hundred were at most."""
        return _upper(self.late, 0.99)


@dataclass(frozen=True, slots=True)
class Hour:
    """What the dashboard draws of the last hour."""

    outcomes: Chart
    lateness: Chart
    sources: dict[str, int]
    source_bars: tuple[Bar, ...]
    gateways: tuple[GatewayHour, ...]

    def percent(self, source: str) -> int:
        """Return the share of a source among what was paid."""
        whole = sum(self.sources.values())
        return round(100 * self.sources.get(source, 0) / whole) if whole else 0


def hour_of(counted: Iterable[Counted], now: datetime) -> Hour:
    """Return the hour up to `now`, from sums by the minute and sums by the gateway."""
    rows = list(counted)
    start = now.replace(second=0, microsecond=0) - (MINUTES - 1) * MINUTE
    minutes = [start + number * MINUTE for number in range(MINUTES)]
    by_minute = [one for one in rows if one.minute is not None]
    gateways = _gateways(one for one in rows if one.minute is None)
    sources = _sources(by_minute)
    return Hour(
        _outcomes(by_minute, minutes),
        _lateness(by_minute, minutes, gateways),
        sources,
        shares(sources),
        gateways,
    )


def _outcomes(rows: Sequence[Counted], minutes: Sequence[datetime]) -> Chart:
    sums: dict[datetime, dict[str, float]] = {minute: {} for minute in minutes}
    whole: dict[str, int] = {}
    for one in rows:
        if one.kind == Kind.DECIDED and one.name in OUTCOMES and one.minute in sums:
            parts = sums[one.minute]
            parts[one.name] = parts.get(one.name, 0) + one.count
            whole[one.name] = whole.get(one.name, 0) + one.count
    told = ", ".join(f"{whole[name]} {name}" for name in OUTCOMES if name in whole)
    summary = f"Payments decided in the last hour, by the minute: {told or 'none'}."
    return stacked([(_label(minute), sums[minute]) for minute in minutes], OUTCOMES, summary)


def _lateness(
    rows: Sequence[Counted], minutes: Sequence[datetime], gateways: Sequence[GatewayHour]
) -> Chart:
    late: dict[datetime, dict[int, int]] = {minute: {} for minute in minutes}
    for one in rows:
        if one.kind == Kind.LATE and one.minute in late:
            _add(late[one.minute], one)
    columns = [
        (
            _label(minute),
            {"p99": _upper_ms(found, 0.99), "p50": _upper_ms(found, 0.5)} if found else {},
        )
        for minute, found in late.items()
    ]
    whole: dict[int, int] = {}
    for gateway in gateways:
        for number, count in gateway.late.items():
            whole[number] = whole.get(number, 0) + count
    summary = (
        f"How late polls were in the last hour: half of {sum(whole.values())} at most "
        f"{_upper(whole, 0.5)}, 99 % at most {_upper(whole, 0.99)}."
    )
    return layered(columns, ("p99", "p50"), "ms", summary)


def _sources(rows: Sequence[Counted]) -> dict[str, int]:
    """Return how many payments were known to be paid by each way; ways that told nothing too."""
    found = dict.fromkeys(SOURCES, 0)
    for one in rows:
        if one.kind == Kind.DECIDED and one.name in _PAID and one.source in found:
            found[one.source] += one.count
    return found


def _gateways(rows: Iterable[Counted]) -> tuple[GatewayHour, ...]:
    found: dict[str, GatewayHour] = {}
    for one in rows:
        hour = found.setdefault(one.gateway or "", GatewayHour(one.gateway or ""))
        if one.kind == Kind.REGISTERED and one.name in _NEW:
            hour.registered += one.count
        elif one.kind == Kind.DECIDED:
            hour.outcomes[one.name] = hour.outcomes.get(one.name, 0) + one.count
        elif one.kind == Kind.LATE:
            _add(hour.late, one)
    return tuple(found[name] for name in sorted(found))


def _add(late: dict[int, int], one: Counted) -> None:
    number = int(one.name)
    late[number] = late.get(number, 0) + one.count


def _upper_ms(late: dict[int, int], share: float) -> float:
    """Return the upper bound in ms of the class in which this share of polls is reached."""
    wanted, seen = share * sum(late.values()), 0
    for number in sorted(late):
        seen += late[number]
        if seen >= wanted and number < len(LATENESS_S):
            return LATENESS_S[number] * 1000
    return LATENESS_S[-1] * 2000


def _upper(late: dict[int, int], share: float) -> str:
    if not late:
        return "-"
    upper_ms = _upper_ms(late, share)
    if upper_ms > LATENESS_S[-1] * 1000:
        return f"over {LATENESS_S[-1]:g} s"
    return f"{upper_ms:g} ms" if upper_ms < 1000 else f"{upper_ms / 1000:g} s"


def _label(minute: datetime) -> str:
    return f"{minute:%H:%M}"
