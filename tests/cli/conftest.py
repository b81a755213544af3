"""Commands called in this process: their status, their output, their errors."""

import asyncio
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
import structlog

from payonce.__main__ import main
from payonce.adapters import logs
from payonce.bootstrap import migrate
from payonce.settings import load_settings
from tests.support.roles import WORKER, login
from tests.support.servers import Servers

NOWHERE = {
    "PAYONCE_POSTGRES_DSN": "postgresql://u:hunter2@127.0.0.1:1/x",
    "PAYONCE_AMQP_URL": "amqp://u:hunter2@127.0.0.1:1/",
    "PAYONCE_REDIS_URL": "redis://:hunter2@127.0.0.1:1/0",
}


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    status: int | str | None
    out: str
    err: str


Payonce = Callable[..., Ended]


@pytest.fixture(autouse=True)
def own_logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Keep the commands from setting up the logs of the whole test run."""
    monkeypatch.setattr(logs, "configure_logs", lambda _: None)
    wrapper = structlog.make_filtering_bound_logger(50)
    structlog.configure(wrapper_class=wrapper, cache_logger_on_first_use=False)
    yield
    structlog.reset_defaults()


@pytest.fixture
def payonce(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Payonce:
    """A way to call a command with some variables; no server is reachable without them."""
    for name in [one for one in os.environ if one.startswith("PAYONCE_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "80")

    def call(*arguments: str, **changed: str) -> Ended:
        for name, value in {**NOWHERE, **changed}.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        try:
            status: Any = main(arguments)
        except SystemExit as error:
            status = error.code
        told = capsys.readouterr()
        return Ended(status, told.out, told.err)

    return call


@pytest.fixture(scope="session")
def owner_dsn(servers: Servers) -> str:
    """The database of all tests here, for who may do anything."""
    return servers.postgres.fresh_database("cli")


@pytest.fixture(scope="session")
def town(servers: Servers, owner_dsn: str) -> dict[str, str]:
    """The variables of a worker: a migrated database and broker that all tests here share."""
    variables = {
        "PAYONCE_POSTGRES_DSN": owner_dsn,
        "PAYONCE_AMQP_URL": servers.rabbitmq.fresh_vhost("cli"),
        "PAYONCE_REDIS_URL": servers.redis.url,
    }
    asyncio.run(migrate(load_settings(variables)))
    return {**variables, "PAYONCE_POSTGRES_DSN": asyncio.run(login(owner_dsn, WORKER))}


@pytest.fixture
def here(payonce: Payonce, town: dict[str, str]) -> Payonce:
    """A way to call a command on those servers."""

    def call(*arguments: str, **changed: str) -> Ended:
        return payonce(*arguments, **{**town, **changed})

    return call
