"""The stage of the campaign: handles of everything that can be struck."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.campaign.proxy import Link
from tests.support.order_service import ROOT, OrderServiceProcess
from tests.support.ports import HOST, free_port, is_open
from tests.support.postgres import Postgres
from tests.support.rabbitmq import RabbitMQ
from tests.support.redis import Redis
from tests.support.town import Worker
from tests.support.waiting import eventually

LINKS = ("postgres", "rabbitmq", "redis", "gateway", "orders", "callbacks")
"""From the workers to each of them; "callbacks" from the gateway to the workers."""


class Program:
    """One Python program of ours, which can be killed, paused and started again."""

    def __init__(self, log: Path, port: int, *command: str) -> None:
        self.port = port
        self._log = log
        self._command = command
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it and wait until its port is open."""
        with self._log.open("ab") as out:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, *self._command), cwd=ROOT, stdout=out, stderr=out
            )
        await eventually(lambda: is_open(self.port), 30, f"port {self.port} is open")

    def send(self, number: signal.Signals) -> None:
        """Signal it, where it runs."""
        if self.process is not None and self.process.returncode is None:
            self.process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Signal it and wait for its end."""
        self.send(number)
        if self.process is not None:
            await asyncio.wait_for(self.process.wait(), 30)


class Gateway:
    """The gateway mock in two processes: the front, where it is called, and the books behind it.

    The books are in memory, and a gateway's are not lost when one of its servers dies: so what is
    killed is the front, with all calls in hand; what they asked for may have been done. What is
    paused is both.
    """

    def __init__(self, folder: Path) -> None:
        books, front = free_port(), free_port()
        self.books = Program(
            folder / "gateway.log", books, "-m", "gateway_mock", "--port", str(books)
        )
        self.front = Program(
            folder / "front.log",
            front,
            *("-m", "tests.campaign.proxy", str(front), str(books)),
        )

    @property
    def books_url(self) -> str:
        """Where the books and the control API are reached, past the front."""
        return f"http://{HOST}:{self.books.port}"

    async def start(self) -> None:
        """Start both."""
        await self.books.start()
        await self.front.start()

    async def end(self) -> None:
        """End both."""
        self.resume()
        await self.front.end()
        await self.books.end()

    async def kill(self) -> None:
        """End the front as by a power cut."""
        await self.front.end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze both."""
        self.front.send(signal.SIGSTOP)
        self.books.send(signal.SIGSTOP)

    def resume(self) -> None:
        """Thaw both."""
        self.front.send(signal.SIGCONT)
        self.books.send(signal.SIGCONT)


class Clock:
    """The clock of one worker, which can be set while it runs: by libfaketime, from a file."""

    def __init__(self, file: Path, library: str) -> None:
        self._file = file
        self._library = library
        self.set(0)

    @classmethod
    def found(cls, file: Path) -> "Clock | None":
        """Return a clock, None where libfaketime is not installed."""
        places = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
        return next((cls(file, str(place)) for place in places), None)

    @property
    def variables(self) -> Mapping[str, str]:
        """The environment of the process whose clock it is; monotonic clocks stay as they are."""
        return {
            "LD_PRELOAD": self._library,
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, offset_s: int) -> None:
        """Let it be off by so many seconds, a second from now at the latest."""
        draft = self._file.with_suffix(".new")
        draft.write_text(f"{offset_s:+d}")
        draft.replace(self._file)


class SmallDisk:
    """A tmpfs for the database's files, which can be filled up. Only root can mount it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._ballast = folder / "ballast"

    async def mount(self, size_mb: int) -> str:
        """Mount it and return nothing, else why that is not possible."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if os.getuid() != 0 or shutil.which("mount") is None:
            return "only root can mount a tmpfs"
        options = f"size={size_mb}m,mode=0711"
        return await _failure("mount", "-t", "tmpfs", "-o", options, "tmpfs", str(self.folder))

    async def unmount(self) -> None:
        """Take it away."""
        await _failure("umount", "--lazy", str(self.folder))

    def fill(self) -> None:
        """Leave no page free."""
        free = shutil.disk_usage(self.folder).free
        with self._ballast.open("ab") as file:
            os.posix_fallocate(file.fileno(), 0, free)

    def free(self) -> None:
        """Give the space back."""
        self._ballast.unlink(missing_ok=True)


async def _failure(*command: str) -> str:
    """Run a command; return what it complained of, nothing where it succeeded."""
    process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
    _, complaint = await process.communicate()
    return "" if process.returncode == 0 else complaint.decode().strip()


@dataclass
class Stage:
    """Everything that can be struck; whoever runs something else than the campaign builds its own.

    `links`: by the names of LINKS, as many as there are. `vhost`: of payonce, on the broker. `dsn`:
    of payonce's database, past every proxy.
    `clock`: of the last worker; `disk`: below the database. None: there is no such thing.
    """

    postgres: Postgres
    rabbitmq: RabbitMQ
    redis: Redis
    gateway: Gateway
    orders: OrderServiceProcess
    workers: list[Worker]
    links: dict[str, Link] = field(default_factory=dict)
    vhost: str = "%2F"
    dsn: str = ""
    clock: Clock | None = None
    disk: SmallDisk | None = None
