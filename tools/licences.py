"""Prints the licences of a bill of materials, as a table; fails at one that nobody has judged."""

import argparse
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from packaging.utils import canonicalize_name

ALLOWED = {
    "Apache-2.0": "payonce's own",
    "BSD-2-Clause": "keep the notice",
    "BSD-3-Clause": "keep the notice",
    "MIT": "keep the notice",
    "MIT-0": "asks for nothing",
    "MPL-2.0": "changes of its own files stay open; payonce changes none",
    "PSF-2.0": "keep the notice",
    "Python-2.0": "keep the notice",
}
"""Licences beside which payonce may be handed on under Apache-2.0, and what each asks for."""
TROVE = {
    "Apache Software License": "Apache-2.0",
    "MIT License": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
}
"""What the classifiers mean that mean one licence."""
READ = {"jinja2": "BSD-3-Clause", "segno": "BSD-3-Clause"}
"""What the licence's text says where a package declares no more than "BSD"."""


def licence(component: dict[str, Any]) -> str:
    """Return all licences that a component declares, as an SPDX expression."""
    declared = [_declared(component["name"], one) for one in component.get("licenses", [])]
    return " AND ".join(dict.fromkeys(declared)) or "none declared"


def licences(bom: dict[str, Any]) -> dict[str, str]:
    """Return the licence of each component of a bill of materials, by name, in order."""
    named = {canonicalize_name(one["name"]): licence(one) for one in bom["components"]}
    return dict(sorted(named.items()))


def unjudged(expression: str) -> list[str]:
    """Return the licences of an expression that are not among the allowed ones."""
    parts = [one.strip("() ") for one in re.split(r" (?:AND|OR|WITH) ", expression)]
    return [one for one in parts if one not in ALLOWED]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 where a licence is not among the allowed ones."""
    parser = argparse.ArgumentParser(prog="python -m tools.licences", description=__doc__)
    parser.add_argument("sbom", type=Path, help="a bill of materials, CycloneDX in JSON")
    bom = json.loads(parser.parse_args(arguments).sbom.read_text(encoding="utf-8"))
    found = licences(bom)
    print("| package | licence |\n| --- | --- |")
    for name, expression in found.items():
        print(f"| `{name}` | {expression} |")
    unknown = {name: one for name, one in found.items() if unjudged(one)}
    for name, expression in unknown.items():
        print(f"licences: nobody has judged {expression}, of {name}", file=sys.stderr)
    return int(bool(unknown))


def _declared(name: str, one: dict[str, Any]) -> str:
    if "expression" in one:
        return str(one["expression"])
    told = str(one["license"].get("id") or one["license"]["name"])
    _, classified, last = told.rpartition(" :: ")
    if not classified:
        return told
    return READ.get(name.lower()) or TROVE.get(last, last)


if __name__ == "__main__":
    sys.exit(main())
