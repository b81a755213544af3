"""Takes a defence out of a copy of the code, and runs its tests there."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from tests.attacks.defence import Defence
from tests.attacks.every import ROOT
from tests.support.servers import GAVE, Servers

COPIED = (
    *("compose.yaml", "config", "Dockerfile", "docs", "examples", "gateway_mock", "migrations"),
    *("pyproject.toml", "requirements", "tools", "tests", "worker", "README.md", "LICENSE"),
)
LONGEST_S = 240.0
FAILED = 1
"""pytest's exit status where tests ran, and some failed."""


@dataclass(frozen=True)
class Run:
    """How a run of tests ended: pytest's status, None where it took too long, and what it said."""

    status: int | None
    said: str


class Lane:
    """A copy of the code, with servers of its own, for one run after another."""

    def __init__(self, folder: Path) -> None:
        self._code = folder / "code"
        self._folder = folder
        self._servers = Servers(folder / "servers", fast=True)

    def open(self) -> None:
        """Copy the code and start the servers."""
        self._code.mkdir()
        for name in COPIED:
            source, copy = ROOT / name, self._code / name
            if source.is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.pyc", "*.png")
                shutil.copytree(source, copy, ignore=ignored)
            elif source.exists():
                shutil.copy(source, copy)
        self._folder.chmod(0o711)
        self._servers.start()

    def close(self) -> None:
        """Stop the servers and forget everything."""
        self._servers.stop()
        shutil.rmtree(self._folder, ignore_errors=True)

    def without(self, one: Defence, tests: Sequence[str]) -> Run:
        """Run tests without a defence, which is put back then."""
        path = self._code / one.file
        text = path.read_text(encoding="utf-8")
        if text.count(one.old) != 1:
            return Run(None, f"{one.file} holds its text {text.count(one.old)} times")
        path.write_text(text.replace(one.old, one.new), encoding="utf-8")
        try:
            return self.run(tests)
        finally:
            path.write_text(text, encoding="utf-8")

    def run(self, tests: Sequence[str]) -> Run:
        """Run tests as they are; a run that hangs ends with all that it started."""
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider"]
        process = subprocess.Popen(
            [*command, "--timeout", "90", *tests],
            cwd=self._code,
            env=self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        try:
            said, _ = process.communicate(timeout=LONGEST_S)
        except subprocess.TimeoutExpired:
            return Run(None, f"took longer than {LONGEST_S:g} s")
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        return Run(process.returncode, said)

    def _environment(self) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if "PAYONCE" not in name}
        kept.pop(GAVE, None)
        paths = os.pathsep.join((str(self._code / "worker"), str(self._code)))
        return {**kept, **self._servers.urls(), "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}


@contextmanager
def opened_lanes(count: int) -> Iterator[list[Lane]]:
    """Give so many lanes."""
    folder = Path(mkdtemp(prefix="payonce-defences-"))
    lanes: list[Lane] = []
    try:
        for number in range(count):
            (folder / str(number)).mkdir()
            lanes.append(Lane(folder / str(number)))
            lanes[-1].open()
        folder.chmod(0o711)
        yield lanes
    finally:
        for lane in lanes:
            lane.close()
        shutil.rmtree(folder, ignore_errors=True)
