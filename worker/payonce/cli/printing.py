"""Output that a person or a program reads."""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from payonce.domain.money import Money

LONGEST_CELL = 80
_STEERING = re.compile("[\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Controls, ends of lines, and marks that turn the order of what is shown."""

Row = Mapping[str, Any]


def print_json(rows: Iterable[Row]) -> None:
    """Print one JSON object a line."""
    for row in rows:
        text = json.dumps(row, ensure_ascii=False, default=str)
        # JSON lets these stand as they are; a terminal or a reader of lines would obey them.
        print(_STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", text))


def print_table(rows: Sequence[Row], columns: Sequence[str], nothing: str) -> None:
    """Print columns side by side; `nothing` where there are no rows."""
    if not rows:
        print(nothing)
        return
    cells = [[_cell(row.get(name)) for name in columns] for row in rows]
    widths = [max(len(name), *(len(line[n]) for line in cells)) for n, name in enumerate(columns)]
    for line in ([name.upper() for name in columns], *cells):
        print(
            "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        )


def money_of(row: Row) -> str:
    """Return a row's amount and currency as people write them; "-" where there is no amount."""
    if row.get("amount") is None or row.get("currency") is None:
        return "-"
    return str(Money(row["amount"], row["currency"]))


def shown(text: str) -> str:
    """Return text that moves no cursor and colours nothing, whoever wrote it."""
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = shown(str(value))
    return text if len(text) <= LONGEST_CELL else f"{text[: LONGEST_CELL - 3]}..."
