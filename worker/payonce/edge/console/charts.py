"""Small charts, drawn here: where each bar stands, in the units of an SVG's view box."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log1p

WIDTH = 360
HEIGHT = 84
GAP = 1.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle; `look` names its colour, `tip` says what it stands for."""

    x: float
    y: float
    width: float
    height: float
    look: str
    tip: str


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars in a view box, the top of the scale, and in one sentence what is to be seen."""

    bars: tuple[Bar, ...]
    top: str
    summary: str


def stacked(
    columns: Sequence[tuple[str, Mapping[str, float]]], looks: Sequence[str], summary: str
) -> Chart:
    """Return columns of parts, one on top of the other in the order of `looks`."""
    top = max((sum(parts.values()) for _, parts in columns), default=0) or 1
    width = WIDTH / max(len(columns), 1)
    bars: list[Bar] = []
    for number, (label, parts) in enumerate(columns):
        floor = float(HEIGHT)
        for look in looks:
            value = parts.get(look, 0)
            if not value:
                continue
            height = max(value / top * HEIGHT, 1.0)
            floor -= height
            bars.append(
                Bar(
                    round(number * width, 2),
                    round(max(floor, 0.0), 2),
                    round(width - GAP, 2),
                    round(height, 2),
                    look,
                    f"{label}: {value:g} {look}",
                )
            )
    return Chart(tuple(bars), f"{top:g} a minute", summary)


def layered(
    columns: Sequence[tuple[str, Mapping[str, float]]],
    looks: Sequence[str],
    unit: str,
    summary: str,
) -> Chart:
    """Return columns of which each look is drawn from the floor, the later before the earlier.

    Heights are logarithmic: one bad minute must not flatten an hour.
    """
    top = max((value for _, parts in columns for value in parts.values()), default=0) or 1
    width = WIDTH / max(len(columns), 1)
    bars = []
    for number, (label, parts) in enumerate(columns):
        for look in looks:
            if look not in parts:
                continue
            value = parts[look]
            height = max(log1p(value) / log1p(top) * HEIGHT, 1.0)
            place = (number * width, HEIGHT - height, width - GAP, height)
            x, y, across, down = (round(one, 2) for one in place)
            bars.append(Bar(x, y, across, down, look, f"{label}: {look} {value:g} {unit}"))
    return Chart(tuple(bars), f"{top:g} {unit}, logarithmic", summary)


def shares(parts: Mapping[str, int]) -> tuple[Bar, ...]:
    """Return one row of parts beside each other that fill the width, in order."""
    whole = sum(parts.values())
    bars: list[Bar] = []
    x = 0.0
    for look, count in parts.items():
        width = count / whole * WIDTH if whole else 0.0
        if width:
            bars.append(Bar(round(x, 2), 0.0, round(width, 2), 14.0, look, f"{count} by {look}"))
        x += width
    return tuple(bars)
