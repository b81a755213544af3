"""The table of docs/reliability.md, from the results of campaigns."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tests.campaign.choice import alone, name_of, pairs

Row = Mapping[str, Any]
_HEAD = (
    "| fault | RabbitMQ | away | shown a code within | done within | recovered in | lost |",
    "| --- | --- | --- | --- | --- | --- | --- |",
)


def rendered(campaigns: Iterable[Sequence[Row]]) -> str:
    """Return one row a fault, of the latest trial, in the order in which the faults are listed."""
    order = [name_of(choice) for choice in [*alone(), *pairs()]]
    latest = {_key(row): row for results in campaigns for row in results}
    rows = sorted(latest.values(), key=lambda row: (order.index(_key(row)[0]), row["broker"]))
    return "\n".join([*_HEAD, *map(_line, rows)])


def _key(row: Row) -> tuple[str, str]:
    return "+".join(row["faults"]), row["broker"]


def _line(row: Row) -> str:
    name = " and ".join(f"`{fault}`" for fault in row["faults"])
    if row["not_run"]:
        return f"| {name} | {row['broker']} | | | | | not run: {row['not_run']} |"
    away = _seconds(row["outage_s"]) if row["outage_s"] >= 0.5 else "a moment"
    done = _seconds(row["longest_s"]) + (f" ({row['slowest']})" if row["worst_late"] else "")
    code = _seconds(max(row["application_s"], 1.0))
    cells = [name, row["broker"], away, code, done, _recovery(row), _lost(row)]
    return f"| {' | '.join(cells)} |"


def _seconds(duration_s: float) -> str:
    return f"{duration_s:.0f} s"


def _recovery(row: Row) -> str:
    return f"{row['recovery_s']:.0f} s" if row["worst_late"] else "nothing was late"


def _lost(row: Row) -> str:
    return f"**{len(row['objections'])} objections**" if row["objections"] else "nothing"
