"""A process that we started, and only such a one, is signalled and ended."""

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from tests.support.waiting import holds_within


@dataclass(frozen=True)
class Mark:
    """A process for certain: its id and when it began, so that a reused id is not taken for it."""

    pid: int
    began: str

    def alive(self) -> bool:
        """Say whether this very process still runs."""
        return self.began == began(self.pid)

    def as_json(self) -> dict[str, object]:
        """Return the mark for a state file."""
        return asdict(self)


def began(pid: int) -> str:
    """Return when a process began, in clock ticks since boot; empty where there is none."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    fields = stat.rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]


def launch(
    command: Sequence[str], log: Path, env: Mapping[str, str] | None = None, cwd: str = "/"
) -> Mark:
    """Start `command` in a session of its own, its output appended to `log`."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as out:
        process = subprocess.Popen(
            command,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    # The handle is let go on purpose: the process outlives us, its mark is what is kept.
    process.returncode = 0
    return Mark(process.pid, began(process.pid))


def send(mark: Mark, number: int) -> None:
    """Signal the whole session of a process that we started."""
    if mark.alive():
        os.killpg(mark.pid, number)


def end(mark: Mark, number: int, timeout_s: float) -> None:
    """Signal a process and wait for its end; SIGKILL after `timeout_s`."""
    send(mark, number)
    while not holds_within(timeout_s, lambda: is_gone(mark)):
        send(mark, signal.SIGKILL)


def is_gone(mark: Mark) -> bool:
    """Say whether a process has ended, and take leave of it where it was our child."""
    with suppress(ChildProcessError):
        os.waitpid(mark.pid, os.WNOHANG)
    return not mark.alive()
