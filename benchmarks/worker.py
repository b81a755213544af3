"""payonce itself, as a user would start it: by its commands and PAYONCE_* variables."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import aiohttp

from benchmarks.machine import tree

ROOT = Path(__file__).resolve().parents[1]
READY_WITHIN_S = 30.0
STOP_WITHIN_S = 30.0
PAYONCE = (sys.executable, "-m", "payonce")


class Worker:
    """One `payonce run`; `command` stands before its arguments, a profiler for example."""

    def __init__(
        self, environment: Mapping[str, str], log: Path, command: Sequence[str] = PAYONCE
    ) -> None:
        self._environment = {
            **{name: value for name, value in os.environ.items() if not _is_ours(name)},
            "PYTHONPATH": os.pathsep.join((str(ROOT / "worker"), str(ROOT))),
            **environment,
        }
        self._log = log
        self._command = command
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id while it runs."""
        if self._process is None:
            raise RuntimeError("the worker does not run")
        return self._process.pid

    def migrate(self) -> None:
        """Bring database and broker up to date."""
        with self._log.open("ab") as out:
            subprocess.run(
                [*PAYONCE, "migrate"], env=self._environment, cwd=ROOT, stdout=out, check=True
            )

    def start(self, *arguments: str) -> None:
        """Begin to run."""
        with self._log.open("ab") as out:
            self._process = subprocess.Popen(
                [*self._command, "run", *arguments],
                env=self._environment,
                cwd=ROOT,
                stdout=out,
                stderr=out,
            )

    async def ready(self) -> None:
        """Return once /readyz says yes."""
        url = f"http://127.0.0.1:{self._environment['PAYONCE_HTTP__PORT']}/readyz"
        async with aiohttp.ClientSession() as session, asyncio.timeout(READY_WITHIN_S):
            while not await _answers(session, url):
                if self._process is None or self._process.poll() is not None:
                    raise RuntimeError(f"the worker ended at its start; see {self._log}")
                await asyncio.sleep(0.1)

    def signal(self, number: int) -> None:
        """Send a signal to the worker and all below it."""
        for process in tree(self.pid):
            process.send_signal(number)

    def kill(self) -> None:
        """End without a good-bye."""
        if self._process is not None:
            self.signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    async def stop(self) -> None:
        """End by SIGTERM, by force where that takes too long."""
        if self._process is None:
            return
        self.signal(signal.SIGCONT)
        self._process.terminate()
        try:
            await asyncio.to_thread(self._process.wait, STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self.kill()
        self._process = None


def _is_ours(name: str) -> bool:
    return name.startswith("PAYONCE_")


async def _answers(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(url) as answer:
            return answer.status == 200
    except aiohttp.ClientError:
        return False
