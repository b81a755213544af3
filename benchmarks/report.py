"""Figures as Markdown."""

import statistics
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from benchmarks.machine import QUIET_SHARE

Result = dict[str, Any]
OURS = "payonce"


def markdown(results: Sequence[Result]) -> str:
    """Return a table for each scenario that was run."""
    tables = {
        "burst": _burst,
        "steady": _steady,
        "memory": _memory,
        "loss": _loss,
        "statements": _statements,
        "told": _told,
        "outage": _outage,
        "listeners": _listeners,
    }
    parts = []
    for name, table in tables.items():
        found = [result for result in results if result["scenario"] == name]
        if found:
            parts.append(table(found))
    return "\n\n".join(parts) + "\n"


def _burst(results: Sequence[Result]) -> str:
    groups = _groups(results, lambda one: (one.get("peer", OURS), one["n"]))
    ours = _ours_cpu_ms(groups)
    rows = []
    for (name, n), runs in sorted(groups.items(), key=lambda item: _cpu_ms(item[1])):
        base = ours.get(n) or next(iter(ours.values()), None)
        rows.append(
            (
                name,
                f"{n:,}",
                f"{_cpu_ms(runs):.2f}",
                f"{_cpu_ms(runs) / base:.1f}" if base else "",
                f"{_median(runs, 'rabbitmq'):.2f}",
                f"{_median(runs, 'postgres'):.2f}",
                _spread([one["per_s"] for one in runs]),
                _spread([one["foreign"] for one in runs], 2),
                f"{sum(one['ok'] for one in runs)}/{len(runs)}",
            )
        )
    heads = (
        *("who", "N", "worker CPU ms a payment", "times payonce", "RabbitMQ ms", "PostgreSQL ms"),
        *("payments/s", "foreign", "totals right"),
    )
    return _table("Burst", heads, rows)


def _steady(results: Sequence[Result]) -> str:
    groups = _groups(results, lambda one: one["rate"])
    rows = [
        (
            f"{rate:g}",
            *(
                f"{statistics.median(one[kind][key] for one in runs):.1f}"
                for kind in ("next_ms", "first_ms")
                for key in ("p50", "p99")
            ),
            f"{max(one['next_ms']['max'] for one in runs):.1f}",
            f"{_cpu_ms(runs):.2f}",
            _spread([one["foreign"] for one in runs], 2),
            f"{sum(one['ok'] for one in runs)}/{len(runs)}",
        )
        for rate, runs in sorted(groups.items())
    ]
    heads = (
        *("payments/s", "second poll p50 ms", "p99", "first poll p50 ms", "p99"),
        *("worst second", "worker CPU ms a payment", "foreign", "totals right"),
    )
    return _table("Lateness of polls at a steady rate", heads, rows)


def _memory(results: Sequence[Result]) -> str:
    rows = [
        (
            f"{one['n']:,}",
            f"{one['worker_after_work_mb']:.0f}",
            *(f"{one[key]['worker']:.0f}" for key in ("before_mb", "after_mb")),
            *(f"{one['grown_mb'][name]:+.0f}" for name in ("rabbitmq", "postgres", "redis")),
        )
        for one in results
    ]
    heads = (
        *("waiting", "worker after a burst", "worker before", "worker with them waiting"),
        *("RabbitMQ", "PostgreSQL", "Redis"),
    )
    return _table("Memory (PSS, MiB)", heads, rows)


def _loss(results: Sequence[Result]) -> str:
    heads = (
        *("n", "kills", "never_settled", "without_event", "told_twice", "repeats"),
        "extra_queries",
    )
    rows = [tuple(str(one[head]) for head in heads) for one in results]
    titles = (
        *("payments", "kill -9", "never settled", "without event", "orders with two event ids"),
        *("events delivered again", "extra gateway queries"),
    )
    return _table("Loss and repeats", titles, rows)


def _told(results: Sequence[Result]) -> str:
    heads = (
        *("by", "payments/s", "paid p50 ms", "p99", "settled p50 ms", "p99"),
        *("foreign", "totals right"),
    )
    figures = ("paid_p50_ms", "paid_p99_ms", "settled_p50_ms", "settled_p99_ms")
    rows = [
        (
            *(one["way"], f"{one['rate']:g}", *(f"{one[key]:,.0f}" for key in figures)),
            *(f"{one['foreign']:.2f}", str(one["ok"])),
        )
        for one in results
    ]
    return _table("From paid, and from settled, to acknowledged by the order service", heads, rows)


def _outage(results: Sequence[Result]) -> str:
    heads = (
        *("payments/s", "down s", "paid", "unacknowledged at its return"),
        *("all told after s", "acknowledged", "booked twice", "events delivered again"),
        "foreign",
    )
    keys = (
        *("rate", "down_s", "n", "waiting"),
        *("behind_s", "acknowledged", "booked_twice", "events_again", "foreign"),
    )
    rows = [tuple(f"{one[key]:g}" for key in keys) for one in results]
    return _table("The order service is away", heads, rows)


def _statements(results: Sequence[Result]) -> str:
    parts = []
    for one in results:
        phases = ("registering", "during_four_waits", "settling")
        rows = [
            (phase.replace("_", " "), f"`{text}`", str(count), f"{count / one['n']:.3f}")
            for phase in phases
            for text, count in sorted(one[phase].items(), key=lambda item: -item[1])
        ] or [("", "none", "0", "0")]
        title = f"Statements for {one['n']:,} payments ({one['per_payment']:.3f} each)"
        parts.append(_table(title, ("when", "statement", "ran", "a payment"), rows))
    return "\n\n".join(parts)


def _listeners(results: Sequence[Result]) -> str:
    rows = [
        (
            f"{one['n']:,}",
            f"{one['opened_per_s']:,}",
            f"{one['kb_each']:.1f}",
            f"{one['worker_mb']:.0f}",
            f"{one['idle_cpu_percent']:.1f} %",
            *(f"{one['pushed_ms'][key]:.1f}" for key in ("p50", "p99", "max")),
            _spread([one["foreign"]], 2),
        )
        for one in results
    ]
    heads = (
        *("listeners", "opened/s", "KiB each", "worker MiB", "worker CPU while idle"),
        *("changed to pushed p50 ms", "p99", "worst", "foreign"),
    )
    return _table("Listeners", heads, rows)


def _table(title: str, heads: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    heads = list(heads)
    lines = ["| " + " | ".join(row) + " |" for row in (heads, ["---"] * len(heads), *rows)]
    return "\n".join((f"### {title}", "", *lines))


def _groups(results: Sequence[Result], key: Callable[[Result], Any]) -> dict[Any, list[Result]]:
    groups: dict[Any, list[Result]] = {}
    for result in results:
        groups.setdefault(key(result), []).append(result)
    return groups


def _ours_cpu_ms(groups: dict[Any, list[Result]]) -> dict[int, float]:
    return {n: _cpu_ms(runs) for (name, n), runs in groups.items() if name == OURS}


def _cpu_ms(runs: Sequence[Result]) -> float:
    return _median(runs, "worker")


def _median(runs: Sequence[Result], name: str) -> float:
    found: float = statistics.median(one["cpu_ms"][name] for one in runs)
    return found


def _spread(values: Sequence[float], digits: int = 0) -> str:
    low, middle, high = min(values), statistics.median(values), max(values)
    text = f"{middle:,.{digits}f}"
    return text if low == high else f"{text} ({low:,.{digits}f}-{high:,.{digits}f})"


def warning(results: Sequence[Result]) -> str:
    """Return a word of caution where other programs ran at the same time; empty: none did."""
    loud = [one for one in results if one.get("foreign", 0) > QUIET_SHARE]
    if not loud:
        return ""
    return (
        f"{len(loud)} of {len(results)} runs shared the machine with other programs: their "
        "payments/s and lateness compare with nothing; CPU a payment still does, to about 15 %."
    )
