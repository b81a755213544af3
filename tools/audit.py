"""Asks about every pinned package: is there an advisory on it, and was it withdrawn?

Exit status 0: all were asked about, and nothing is known against them. 1: something is. 3: not all
could be asked about, and nothing is known against the others.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FILES = ("run", "dev", "build", "sbom")
"""The lists of pins, by name; the longest, dev, holds those of run too."""


@dataclass(frozen=True)
class Findings:
    """What is known against the pins, and what could not be asked about; each a line."""

    against: list[str] = field(default_factory=list)
    unasked: list[str] = field(default_factory=list)

    def __add__(self, other: "Findings") -> "Findings":
        """Return both."""
        return Findings(self.against + other.against, self.unasked + other.unasked)

    @property
    def status(self) -> int:
        """Return the exit status that says it."""
        return 1 if self.against else 3 if self.unasked else 0


def advisories(answer: str, said: str) -> Findings:
    """Return what pip-audit found, from its JSON; what it skipped was not asked about.

    It exits with 0 where the database knows none of the packages, as where that is out of reach.
    """
    try:
        packages = json.loads(answer)["dependencies"]
    except ValueError:
        last = said.strip().splitlines()[-1:] or ["pip-audit said nothing"]
        return Findings(unasked=[f"advisories: {last[0]}"])
    skipped = [one["skip_reason"] for one in packages if "skip_reason" in one]
    told = f"advisories: no answer about {len(skipped)} of {len(packages)} pins: {skipped[:1]}"
    return Findings(list(_known_against(packages)), [told] if skipped else [])


def withdrawn(report: str, said: str) -> Findings:
    """Return the yanked releases in pip's report of what it would install."""
    try:
        packages = json.loads(report)["install"]
    except ValueError:
        last = said.strip().splitlines()[-1:] or ["pip said nothing"]
        return Findings(unasked=[f"index: {last[0]}"])
    yanked = [one["metadata"] for one in packages if one["is_yanked"]]
    return Findings([f"yanked: {one['name']} {one['version']}" for one in yanked])


def ask_database(files: Sequence[Path], arguments: Sequence[str]) -> Findings:
    """Ask the public advisories about the pins of the files; arguments go to pip-audit."""
    listed = [word for path in files for word in ("-r", str(path))]
    options = ["--require-hashes", "--disable-pip", "--progress-spinner", "off", "-f", "json"]
    return advisories(*_run("pip_audit", *options, *listed, *arguments))


def ask_index(path: Path) -> Findings:
    """Ask the package index whether a pin of the file was withdrawn; nothing is installed."""
    options = ["--dry-run", "--ignore-installed", "--no-deps", "--require-hashes"]
    return withdrawn(*_run("pip", "install", *options, "-q", "--report", "-", "-r", str(path)))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what is known; return the exit status."""
    given = sys.argv[1:] if arguments is None else arguments
    files = [Path("requirements", f"{name}.txt") for name in FILES]
    findings = ask_database(files, given)
    for path in files[1:]:
        findings += ask_index(path)
    for line in findings.against + findings.unasked:
        print(line, file=sys.stderr)
    print(
        f"audit: {len(findings.against)} known against the pins,"
        f" {len(findings.unasked)} questions without a whole answer"
    )
    return findings.status


def _run(module: str, *arguments: str) -> tuple[str, str]:
    command = [sys.executable, "-m", module, *arguments]
    ended = subprocess.run(command, check=False, capture_output=True, text=True)
    return ended.stdout, ended.stderr


def _known_against(packages: Sequence[dict[str, Any]]) -> Iterator[str]:
    for one in packages:
        for known in one.get("vulns", ()):
            mended = ", ".join(known["fix_versions"]) or "no release yet"
            yield f"advisory: {one['name']} {one['version']}: {known['id']}, mended in {mended}"


if __name__ == "__main__":
    sys.exit(main())
