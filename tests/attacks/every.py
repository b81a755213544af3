"""All defences, and the table of docs/security.md that is made of them."""

from pathlib import Path

from tests.attacks import by_callback, by_gateway, by_insider, by_message, by_request, by_supply
from tests.attacks.defence import Defence

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "security.md"
BEGIN, END = "<!-- defences -->\n", "<!-- /defences -->\n"

GROUPS = {
    "Somebody who posts callbacks": by_callback.DEFENCES,
    "A gateway that lies, or somebody in its place": by_gateway.DEFENCES,
    "A stranger on the network, a shopper": by_request.DEFENCES,
    "Somebody on the bus, or in Redis": by_message.DEFENCES,
    "Somebody inside": by_insider.DEFENCES,
    "Who reads along, or changes what payonce is made of": by_supply.DEFENCES,
}
DEFENCES: list[Defence] = [one for group in GROUPS.values() for one in group]


def table() -> str:
    """Return the table of the page."""
    lines = ["| attack | defence | test |", "| --- | --- | --- |"]
    for title, group in GROUPS.items():
        lines.append(f"| **{title}** | | |")
        lines += [_row(one) for one in group]
    return "\n".join(lines) + "\n"


def _row(one: Defence) -> str:
    file = one.file.removeprefix("worker/payonce/")
    tests = ", ".join(_test(name) for name in one.tests)
    return f"| {one.attack} | `{file}` | {tests} |"


def _test(name: str) -> str:
    path, _, function = name.partition("::")
    return f"`{path.removeprefix('tests/')}` {function.removeprefix('test_').replace('_', ' ')}"


def shown_table(page: str) -> str:
    """Return the table that stands in the page."""
    return page.partition(BEGIN)[2].partition(END)[0]
