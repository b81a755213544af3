"""The curves of a run as one SVG: small multiples over one time, the faults as ticks in each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import pairwise

from tests.soak.judge import WARM_UP, points_of
from tests.soak.probes import PASSING, Sample
from tests.soak.run import Story, Strike

WIDTH, COLUMNS = 1_080, 3
PLOT_W, PLOT_H = 312, 92
CELL_W, CELL_H = 354, 164
LEFT, TOP = 36, 64
HEAD = 30
MEBI = 1 / 2**20
GAP = 4
"""A line is broken where more samples than this are missing."""

STYLE = """
svg { background: #ffffff; color: #1f2328; font: 12px system-ui, sans-serif; }
text { fill: currentColor; } .small { font-size: 10.5px; opacity: .75; }
.title { font-weight: 600; }
.axis { stroke: currentColor; opacity: .35; } .grid { stroke: currentColor; opacity: .12; }
.fault { stroke: currentColor; opacity: .28; } .warm { fill: currentColor; opacity: .06; }
polyline { fill: none; stroke-width: 1.6; stroke-linejoin: round; }
.c0 { stroke: #0969da; } .c1 { stroke: #bc4c00; } .c2 { stroke: #1a7f37; } .c3 { stroke: #8250df; }
text.c0 { fill: #0969da; } text.c1 { fill: #bc4c00; } text.c2 { fill: #1a7f37; }
text.c3 { fill: #8250df; } text[class^=c] { stroke: none; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; color: #e6edf3; }
  .c0 { stroke: #4493f8; } .c1 { stroke: #f0883e; } .c2 { stroke: #3fb950; }
  .c3 { stroke: #ab7df8; }
  text.c0 { fill: #4493f8; } text.c1 { fill: #f0883e; } text.c2 { fill: #3fb950; }
  text.c3 { fill: #ab7df8; }
}
"""


@dataclass(frozen=True, slots=True)
class Panel:
    """One small picture: curves by their label, and a factor for the numbers beside the axis."""

    title: str
    curves: dict[str, str] = field(default_factory=dict)
    factor: float = 1.0


PANELS = (
    Panel(
        "Memory of a worker, MiB (PSS)", {"never ended": "kept.pss_mb", "struck": "struck.pss_mb"}
    ),
    Panel("Open files of a worker", {"never ended": "kept.files", "struck": "struck.files"}),
    Panel("Tasks of a worker", {"never ended": "kept.tasks", "struck": "struck.tasks"}),
    Panel(
        "Connections",
        {
            "PostgreSQL": "count.connections",
            "RabbitMQ": "broker.connections",
            "its channels": "broker.channels",
            "Redis": "redis.clients",
        },
    ),
    Panel(
        "Messages in queues",
        {"delay": "queue.delay", "work": "queue.work", "in hand": "queue.unacked"},
    ),
    Panel(
        "What waits",
        {
            "in flight": "count.in_flight",
            "overdue": "count.overdue",
            "unacknowledged": "count.unacknowledged",
            "outbox": "count.outbox",
        },
    ),
    Panel(
        "Rows that go again",
        {"callbacks": "count.webhook_inbox", "Idempotency-Keys": "count.idempotency_keys"},
    ),
    Panel("Bytes of them, MiB", {name: f"bytes.{name}" for name in PASSING[:3]}, MEBI),
    Panel("Books: bytes a payment", {"orders, payments, refunds, timeline": "bytes_a_payment"}),
    Panel("Keys in Redis", {"all": "redis.keys", "without an end": "redis.endless_keys"}),
    Panel("Memory of Redis, MiB", {"used": "redis.memory_mb"}),
    Panel(
        "Memory of the servers, MiB",
        {"PostgreSQL": "postgres.pss_mb", "RabbitMQ": "rabbitmq.pss_mb"},
    ),
)


def draw(story: Story) -> str:
    """Return the picture of a run."""
    rows = -(-len(PANELS) // COLUMNS)
    height = HEAD + rows * CELL_H + TOP
    plan = story.plan
    told = (
        f"{plan.rate:g} orders/s for {plan.seconds / 60:g} min, two workers, "
        f"{len(story.strikes)} faults (ticks); shaded: warming up, not judged"
    )
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(told)}</title><style>{STYLE}</style>",
        f'<text x="{LEFT}" y="24" class="title">{escape(told)}</text>',
    ]
    for number, panel in enumerate(PANELS):
        x = LEFT + number % COLUMNS * CELL_W
        y = HEAD + TOP - 20 + number // COLUMNS * CELL_H
        lines += [f'<g transform="translate({x},{y})">', *_panel(panel, story), "</g>"]
    return "\n".join([*lines, "</svg>", ""])


def _panel(panel: Panel, story: Story) -> Iterator[str]:
    end_s = story.plan.seconds
    samples = [one for one in story.samples if float(one["at_s"]) <= end_s]
    top = _round_up(_most(panel, samples))
    yield f'<text y="-22" class="title">{escape(panel.title)}</text>'
    yield from _labels(panel)
    yield f'<rect class="warm" width="{WARM_UP * PLOT_W:.0f}" height="{PLOT_H}"/>'
    for share in (0.0, 0.5, 1.0):
        at = PLOT_H * (1 - share)
        yield f'<line class="grid" x2="{PLOT_W}" y1="{at:.1f}" y2="{at:.1f}"/>'
        yield _text(-4, at + 4, _short(share * top), "end")
    yield from _ticks(story.strikes, end_s)
    for number, name in enumerate(panel.curves.values()):
        for line in _lines(name, samples, panel.factor, end_s, top):
            yield f'<polyline class="c{number}" points="{line}"/>'
    for minute in _minutes(end_s):
        x = minute * 60 / end_s * PLOT_W
        yield _text(x, PLOT_H + 15, f"{minute:g}", "middle")


def _labels(panel: Panel) -> Iterator[str]:
    """Yield the names of the curves side by side, each in its colour."""
    x = 0.0
    for number, label in enumerate(panel.curves):
        yield f'<text x="{x:.0f}" y="-7" class="c{number}">{escape(label)}</text>'
        x += 7.0 * len(label) + 12


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="small" text-anchor="{anchor}">{text}</text>'


def _ticks(strikes: Sequence[Strike], end_s: float) -> Iterator[str]:
    for at_s, fault in strikes:
        x = at_s / end_s * PLOT_W
        yield (
            f'<line class="fault" x1="{x:.1f}" x2="{x:.1f}" y1="{PLOT_H - 5}" y2="{PLOT_H}">'
            f"<title>{escape(fault)}</title></line>"
        )


def _lines(
    name: str, samples: Sequence[Sample], factor: float, end_s: float, top: float
) -> Iterator[str]:
    """Yield the pieces of a curve: it is broken where nothing was measured."""
    points = points_of(name, samples)
    pieces: list[list[str]] = [[]]
    for (before_s, _), (at_s, value) in pairwise([(-1e9, 0.0), *points]):
        if at_s - before_s > GAP * end_s / max(len(samples), 1):
            pieces.append([])
        x, y = at_s / end_s * PLOT_W, PLOT_H * (1 - value * factor / top)
        pieces[-1].append(f"{x:.1f},{y:.1f}")
    yield from (" ".join(piece) for piece in pieces if len(piece) > 1)


def _most(panel: Panel, samples: Sequence[Sample]) -> float:
    found = [value for name in panel.curves.values() for _, value in points_of(name, samples)]
    return max(found, default=0.0) * panel.factor


def _round_up(value: float) -> float:
    """Return the next number of the kind 1, 2, 4, 5, 8 or 10 times a power of ten."""
    power = 1e-3
    while True:
        for step in (1, 2, 4, 5, 8):
            if value <= step * power:
                return step * power
        power *= 10


def _short(value: float) -> str:
    return f"{value / 1_000:g}k" if value >= 10_000 else f"{value:g}"


def _minutes(end_s: float) -> list[float]:
    """Return where the time axis is labelled: at quarters."""
    return [round(end_s / 60 * quarter / 4, 2) for quarter in range(5)]
