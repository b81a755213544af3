"""What goes wrong tells no secret either: refused passwords, crashes, tracebacks."""

import signal
from pathlib import Path

import pytest

from tests.e2e.test_secrecy import SECRETS, lock, locked
from tests.support.canaries import Canaries
from tests.support.postgres import LOCKED
from tests.support.roles import login
from tests.support.servers import Servers
from tests.support.town import Town
from tests.support.waiting import eventually

# Raises what a careless library might, with everything in its message and in the locals of a frame.
_SABOTAGE = """
import asyncio
import os
from payonce.settings import load_settings

async def fail(*_arguments):
    settings = load_settings(os.environ)
    dsn, token = settings.servers.postgres_dsn, settings.http.api_token
    raise RuntimeError(
        f"{settings!r} {dsn} {settings.servers.amqp_url} Bearer {token.reveal()}"
        f" {settings.order_service.secret.reveal()}"
    )
"""
RUN = _SABOTAGE + "import payonce.bootstrap.run as run\nrun.prepare = fail\n"
SHOW = _SABOTAGE + "import payonce.cli.show as show\nshow.execute = fail\n"

TOLD = {
    "PAYONCE_HTTP__API_TOKEN": SECRETS["api token"],
    "PAYONCE_ORDER_SERVICE__SECRET": SECRETS["order service"],
    "PAYONCE_LOG_LEVEL": "debug",
}


def heard(content: bytes | str) -> set[str]:
    """Return the secrets that stand in what a process said."""
    return Canaries(SECRETS).found_in(content)


@pytest.fixture
async def wrong(town: Town, servers: Servers) -> dict[str, str]:
    """The variables of somebody whose passwords all three servers refuse."""
    vhost = town.amqp_url.rpartition("/")[2]
    await lock(servers, town.owner_dsn, vhost)
    await login(town.owner_dsn, LOCKED, SECRETS["password"])
    return TOLD | locked(servers, town.owner_dsn, vhost, SECRETS["wrong password"])


@pytest.mark.parametrize("command", ["check", "migrate", "unresolved"])
async def test_a_refused_password_is_not_told(
    town: Town, wrong: dict[str, str], command: str
) -> None:
    """The server that refuses it is."""
    status, out, err = await town.payonce(command, **wrong)
    assert (1, set()) == (status, heard(out + err))
    assert "password authentication failed" in out + err


async def test_a_worker_that_is_let_in_nowhere_does_not_say_with_what(
    town: Town, wrong: dict[str, str]
) -> None:
    """It waits, says for which server, and ends when it is told to."""
    worker = town.worker(**wrong)
    await worker.start(ready=False)
    await eventually(lambda: "daemon.waiting" in worker.log.read_text(), 30, "it waits")
    await eventually(lambda: '"rabbitmq' in worker.log.read_text(), 30, "RabbitMQ refused it")
    assert "password authentication failed" in await worker.get_text("/readyz")
    assert 0 == await worker.end(signal.SIGTERM)
    assert set() == heard(worker.log.read_bytes())


async def test_a_crash_tells_no_secret(town: Town, tmp_path: Path) -> None:
    """Neither by its message nor by a frame's locals: the worker's log, a command's traceback."""
    for name, text in (("run", RUN), ("show", SHOW)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "sitecustomize.py").write_text(text)
    password = town.env["PAYONCE_POSTGRES_DSN"].rpartition("@")[0].rpartition(":")[2]
    worker = town.worker(**TOLD, PYTHONPATH=str(tmp_path / "run"))
    await worker.start(ready=False)
    assert worker.process is not None
    assert 1 == await worker.process.wait()
    _, out, err = await town.payonce("show", "o-1", **TOLD, PYTHONPATH=str(tmp_path / "show"))
    for said in (worker.log.read_text(), err):
        assert "RuntimeError" in said
        assert "Bearer ***" in said
        assert (set(), False) == (heard(said), password in said)
    assert ("", True) == (out, err.startswith("Traceback"))
