"""Is a curve flat? The rule, the same for every curve, and what it is applied to.

The first part of a run is warming up: caches fill, tables come to the length of their retention.
What follows is put into buckets, of each of which the median counts, so that an outage of seconds
is no growth. Two things are looked at: how far the median of the last third lies above that of the
first, and how far the line through the buckets (Theil and Sen: the median of the slopes of all
pairs) rises. The curve grows where the first is more than its allowance, which also finds what rose
once and stayed; and where the line is, and half of the allowance was taken, which finds the slow.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import median

from tests.soak.probes import PASSING, Sample

Point = tuple[float, float]
"""Seconds since the start, and the value."""

WARM_UP = 0.35
BUCKETS = 40
LEAST_BUCKETS = 8


@dataclass(frozen=True, slots=True)
class Curve:
    """One thing that must not grow. It may rise by `share` of its median, and by `least` at all."""

    name: str
    title: str
    share: float
    least: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """What was found of one curve, in its own unit, over the time judged."""

    name: str
    level: float
    rise: float
    trend: float
    allowed: float
    is_flat: bool

    def __str__(self) -> str:
        word = "flat" if self.is_flat else "GROWS"
        return (
            f"{word}: {self.name}: median {self.level:g}, rise {self.rise:+g}, "
            f"trend {self.trend:+g}, allowed +{self.allowed:.3g}"
        )


def judge(curve: Curve, points: Sequence[Point]) -> Judgement | None:
    """Judge a curve whose warm-up is over; None where there is too little of it."""
    buckets = _buckets(points)
    if len(buckets) < LEAST_BUCKETS:
        return None
    level = median(value for _, value in buckets)
    allowed = max(curve.share * level, curve.least)
    span_s = buckets[-1][0] - buckets[0][0]
    trend = _slope(buckets) * span_s
    third = len(buckets) // 3
    rise = _level(buckets[-third:]) - _level(buckets[:third])
    grows = rise > allowed or (trend > allowed and rise > allowed / 2)
    return Judgement(
        curve.name, round(level, 3), round(rise, 3), round(trend, 3), allowed, not grows
    )


def _buckets(points: Sequence[Point]) -> list[Point]:
    """Return the median time and value of each bucket of neighbouring points."""
    size = max(len(points) // BUCKETS, 1)
    groups = [points[start : start + size] for start in range(0, len(points), size)]
    return [(median(at for at, _ in group), median(of for _, of in group)) for group in groups]


def _slope(points: Sequence[Point]) -> float:
    pairs = combinations(points, 2)
    return median((b - a) / (later - at) for (at, a), (later, b) in pairs if later > at)


def _level(points: Iterable[Point]) -> float:
    return median(value for _, value in points)


CURVES = (
    *(
        curve
        for who in ("kept", "struck")
        for curve in (
            Curve(f"{who}.pss_mb", f"memory of worker {who}, MiB", 0.06, 2.0),
            Curve(f"{who}.files", f"open files of worker {who}", 0.1, 5),
            Curve(f"{who}.threads", f"threads of worker {who}", 0.1, 2),
            Curve(f"{who}.tasks", f"tasks of worker {who}", 0.15, 15),
        )
    ),
    Curve("count.connections", "connections to PostgreSQL", 0.1, 4),
    Curve("broker.connections", "connections to RabbitMQ", 0.1, 1),
    Curve("broker.channels", "channels at RabbitMQ", 0.1, 3),
    Curve("broker.queues", "queues at RabbitMQ", 0.0, 0.5),
    Curve("redis.clients", "connections to Redis", 0.2, 5),
    Curve("queue.work", "messages in work queues", 0.2, 20),
    Curve("queue.unacked", "messages in hand", 0.2, 20),
    Curve("queue.delay", "messages in delay queues", 0.15, 30),
    Curve("count.in_flight", "payments in flight", 0.15, 30),
    Curve("count.overdue", "payments overdue by 20 s", 0.2, 10),
    Curve("count.unacknowledged", "paid orders not acknowledged", 0.2, 10),
    *(Curve(f"count.{name}", f"rows of {name}", 0.1, 20) for name in PASSING),
    *(Curve(f"bytes.{name}", f"bytes of {name}", 0.15, 262_144) for name in PASSING),
    Curve("bytes_a_payment", "bytes of the books a payment", 0.03, 20),
    Curve("redis.keys", "keys in Redis", 0.1, 100),
    Curve("redis.memory_mb", "memory of Redis, MiB", 0.1, 1.0),
    Curve("redis.endless_keys", "keys in Redis that never expire", 0.0, 0.0),
    Curve("queue.aside", "messages put aside", 0.0, 0.0),
)


def judge_run(samples: Sequence[Sample], seconds: float) -> list[Judgement]:
    """Judge every curve of a run under load of so many seconds, each life of a process apart."""
    found = []
    for curve in CURVES:
        for points in _lives(curve.name, samples, seconds):
            judgement = judge(curve, points)
            if judgement is not None:
                found.append(judgement)
    return found


def points_of(name: str, samples: Iterable[Sample]) -> list[Point]:
    """Return the points of one curve; samples without it leave a gap."""
    return [(float(one["at_s"]), float(one[name])) for one in samples if name in one]


def _lives(name: str, samples: Sequence[Sample], seconds: float) -> Iterable[list[Point]]:
    """Yield the points after the warm-up; of each life of a worker, or of Redis, as long as that.

    What was started anew, or emptied, warms up anew.
    """
    warm_s, pid = WARM_UP * seconds, f"{name.partition('.')[0]}.pid"
    lives: dict[float | str, list[Sample]] = {}
    for sample in samples:
        lives.setdefault(sample.get(pid, ""), []).append(sample)
    for life in lives.values():
        began_s = float(life[0]["at_s"])
        points = points_of(name, life)
        yield [(at_s, value) for at_s, value in points if warm_s <= at_s - began_s]


def levels(judgements: Iterable[Judgement]) -> Mapping[str, bool]:
    """Return which curves are flat, a curve of many lives only where all are."""
    found: dict[str, bool] = {}
    for one in judgements:
        found[one.name] = found.get(one.name, True) and one.is_flat
    return found
