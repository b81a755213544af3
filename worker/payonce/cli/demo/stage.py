"""The demo's processes: the gateway mock and the worker, started and ended by us."""

import asyncio
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp

from payonce.domain.errors import PayonceError

READY_WITHIN_S = 30.0
END_WITHIN_S = 28.0
WORDS = 300
EXAMPLE = "examples.order_service"


class DemoFailed(PayonceError):
    """The demo cannot go on; its text says why."""


class Program:
    """One child process; its output goes to a file that is shown when it fails."""

    def __init__(self, name: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        self.name = name
        self._command = command
        self._env = env
        self._process: asyncio.subprocess.Process | None = None
        self.log = Path(tempfile.gettempdir()) / f"payonce-demo-{os.getpid()}-{name}.log"

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, its output appended to its log."""
        with self.log.open("ab") as out:
            self._process = await asyncio.create_subprocess_exec(
                *self._command,
                env=dict(self._env),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )

    async def kill(self) -> None:
        """End it as by a power cut."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> None:
        """Ask it to end; make it end where it does not."""
        await self._end(signal.SIGTERM)

    async def _end(self, number: int) -> None:
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.send_signal(number)
        try:
            await asyncio.wait_for(process.wait(), END_WITHIN_S)
        except TimeoutError:
            process.kill()
            await process.wait()


class Mock:
    """The gateway mock's control API."""

    def __init__(self, url: str, session: aiohttp.ClientSession) -> None:
        self.url = url
        self._session = session

    async def open_charges(self, charges: Sequence[Mapping[str, Any]]) -> None:
        """Open charges with their scripts, as a shop does that speaks to the gateway itself."""
        await self._call("POST", "/control/charges", list(charges))

    async def plan(self, scripts: Mapping[str, Any]) -> None:
        """Plan the scripts of charges that are still to come, by payment or by order."""
        await self._call("POST", "/control/scripts", dict(scripts))

    async def books(self) -> dict[str, Any]:
        """Return the balance and one row a charge."""
        found: dict[str, Any] = await self._call("GET", "/control/books")
        return found

    async def queries(self, payment_id: str) -> dict[str, Any]:
        """Return when a charge was created and asked about, in ms since 1970."""
        found: dict[str, Any] = await self._call("GET", f"/control/queries/{payment_id}")
        return found

    async def _call(self, method: str, path: str, body: object = None) -> Any:
        async with self._session.request(method, self.url + path, json=body) as answer:
            return await content_of(answer)


async def content_of(answer: aiohttp.ClientResponse) -> Any:
    """Return the JSON of an answer. Raises DemoFailed where it is an error, with what it says."""
    if not answer.ok:
        words = (await answer.text(errors="replace"))[:WORDS]
        raise DemoFailed(f"{answer.method} {answer.url} was answered with {answer.status}: {words}")
    return await answer.json()


def free_port() -> int:
    """Return a port of loopback that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def mock_program(
    port: int, env: Mapping[str, str], *arguments: str, name: str = "gateway"
) -> Program:
    """Return a gateway mock on `port`."""
    command = [sys.executable, "-m", "gateway_mock", "--port", str(port), *arguments]
    return Program(name, command, env)


def worker_program(env: Mapping[str, str]) -> Program:
    """Return the worker, configured by `env`."""
    return Program("worker", [sys.executable, "-m", "payonce", "run"], env)


def find_example() -> bool:
    """Say whether the order service of the examples is here; an installed package is without it."""
    try:
        return all(find_spec(one) for one in (f"{EXAMPLE}.books", "standardwebhooks"))
    except ModuleNotFoundError:
        return False


def order_service_program(env: Mapping[str, str]) -> Program:
    """Return the order service of the examples."""
    return Program("order-service", [sys.executable, "-m", EXAMPLE], env)


async def wait_ready(session: aiohttp.ClientSession, url: str, program: Program) -> None:
    """Return once `url` answers 200. Raises DemoFailed with the program's last words."""
    for _ in range(int(READY_WITHIN_S / 0.1)):
        try:
            async with session.get(url) as answer:
                if answer.status == 200:
                    return
        except aiohttp.ClientError:
            pass
        if not program.alive:
            break
        await asyncio.sleep(0.1)
    words = program.log.read_text(errors="replace").splitlines()[-5:]
    raise DemoFailed("\n".join([f"the {program.name} did not get ready:", *words]))
