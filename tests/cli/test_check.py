"""payonce check: it finds what `run` would refuse, and knows what payonce can do without."""

import asyncio
import json
import socket
from functools import partial
from typing import Any

import pytest

from tests.cli.conftest import NOWHERE, Ended, Payonce
from tests.support.roles import SUPPORT, login

REDIS = NOWHERE["PAYONCE_REDIS_URL"]


def rows(ended: Ended) -> dict[str, dict[str, Any]]:
    """Return what --json told, by name."""
    return {one["name"]: one for one in map(json.loads, ended.out.splitlines())}


def test_all_is_well(here: Payonce) -> None:
    """Each thing that was checked has a line; a server's says who might read along."""
    ended = here("check")

    assert (0, "") == (ended.status, ended.err)
    near = "within this machine or a private network"
    by_chance = "encrypted only if the server offers it, its certificate not verified"
    assert [
        f"ok     postgresql  {by_chance}, {near}",
        f"ok     rabbitmq    in plain text, {near}",
        f"ok     redis       in plain text, {near}",
        "ok     gateways",
    ] == ended.out.splitlines()


def test_a_login_that_may_too_much_is_noted(here: Payonce, owner_dsn: str) -> None:
    """In a line that says what is enough; payonce works all the same."""
    ended = here("check", PAYONCE_POSTGRES_DSN=owner_dsn)

    assert 0 == ended.status
    [line] = [one for one in ended.out.splitlines() if "database login" in one]
    assert line.startswith("note   database login  payonce works as payonce, who is a superuser; a")
    assert line.endswith("only a member of payonce_app is enough (docs/database.md, Roles)")


@pytest.fixture
def looking(here: Payonce, owner_dsn: str) -> Payonce:
    """A way to call a command as somebody who may look at the database alone."""
    return partial(here, PAYONCE_POSTGRES_DSN=asyncio.run(login(owner_dsn, SUPPORT)))


def test_a_login_that_may_too_little_is_told(looking: Payonce) -> None:
    """Who looks cannot do a worker's work; the line names what was denied."""
    ended = looking("refunds", "request", "p-1", "--by", "ann", "--why", "x")

    assert (1, "") == (ended.status, ended.out)
    assert "permission denied for table" in ended.err
    assert 1 == len(ended.err.splitlines())


@pytest.mark.parametrize(
    "command",
    [
        ("unresolved",),
        ("mismatched",),
        ("unacknowledged",),
        ("refunds", "list"),
        ("gateways", "list"),
        ("show", "o-none"),
    ],
)
def test_who_may_look_reads_the_lists(looking: Payonce, command: tuple[str, ...]) -> None:
    """Support staff need no more than payonce_reader."""
    ended = looking(*command)

    assert "permission denied" not in ended.out + ended.err
    assert (1 if "show" in command else 0) == ended.status


def test_redis_that_is_away_is_a_warning(here: Payonce) -> None:
    """The worker works without it, so check ends well; the line says what that means."""
    ended = here("check", PAYONCE_REDIS_URL=REDIS)

    assert 0 == ended.status
    (line,) = [one for one in ended.out.splitlines() if "redis" in one]
    assert line.startswith("warn   redis       away: payonce works on, slower (ConnectionError")
    assert line.endswith("; start it, or set PAYONCE_REDIS_URL")
    assert "hunter2" not in line


def test_json_tells_what_is_required(here: Payonce) -> None:
    """A program can tell a warning from a fault."""
    told = rows(here("check", "--json", PAYONCE_REDIS_URL=REDIS))

    assert {"name", "ok", "detail", "required", "warning"} == set(told["redis"])
    assert {"postgresql": True, "rabbitmq": True, "redis": False, "gateways": True} == {
        name: one["required"] for name, one in told.items()
    }
    assert ["redis"] == [name for name, one in told.items() if not one["ok"]]


def test_servers_that_are_away_are_faults(payonce: Payonce) -> None:
    """What only the database can tell is left out while it is away."""
    ended = payonce("check", "--json")

    assert 1 == ended.status
    assert {"postgresql": False, "rabbitmq": False, "redis": False} == {
        name: one["ok"] for name, one in rows(ended).items()
    }


def test_unmigrated_database_is_a_fault(here: Payonce, postgres_dsn: str) -> None:
    """Its tables are not asked for what they hold."""
    ended = here("check", "--json", PAYONCE_POSTGRES_DSN=postgres_dsn)

    assert 1 == ended.status
    assert "payonce migrate" in rows(ended)["postgresql"]["detail"]
    assert "gateways" not in rows(ended)


@pytest.mark.parametrize("command", ["check", "run"])
def test_kind_that_does_not_exist_is_refused(payonce: Payonce, command: str) -> None:
    """`check` and `run` end with the same line, before any server is asked."""
    ended = payonce(command, PAYONCE_GATEWAYS__MOCK__KIND="carrier-pigeon")

    assert (2, "") == (ended.status, ended.out)
    assert ended.err.startswith("payonce: configuration: gateways.mock.kind: 'carrier-pigeon' is ")
    assert "; allowed: http" in ended.err


def test_an_order_service_that_takes_no_connection_is_noted(here: Payonce) -> None:
    """Asked only with --online, and never posted to; payonce works on without it."""
    key = "whsec_" + "a2V5" * 8
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        url = f"http://127.0.0.1:{port}/paid?key=hidden"
        called = {
            "PAYONCE_ORDER_SERVICE__NOTIFY_URL": url,
            "PAYONCE_ORDER_SERVICE__SECRET": key,
        }
        found = rows(here("check", "--online", "--json", **called))["order service"]
        assert (True, False, "accepts connections; nothing was posted") == (
            found["ok"],
            found["warning"],
            found["detail"],
        )
        with server.accept()[0] as connection:
            assert b"" == connection.recv(1)
        assert "order service" not in rows(here("check", "--json", **called))
    found = rows(here("check", "--online", "--json", **called))["order service"]
    assert (True, True) == (found["ok"], found["warning"])
    assert "127.0.0.1 takes no connection: ConnectionRefusedError" in found["detail"]
    assert "hidden" not in found["detail"]
    tls = called | {"PAYONCE_ORDER_SERVICE__NOTIFY_URL": "https://order-service.invalid/"}
    found = rows(here("check", "--online", "--json", **tls))["order service"]
    assert "order-service.invalid takes no connection" in found["detail"]


def test_calls_that_go_unsigned_are_warned_of(here: Payonce) -> None:
    """An order service that is called without a secret cannot tell our calls from anybody's."""
    ended = here("check", "--json", PAYONCE_ORDER_SERVICE__NOTIFY_URL="http://127.0.0.1:1/paid")

    assert 0 == ended.status
    told = rows(ended)["order service"]
    assert (True, True) == (told["ok"], told["warning"])
    assert "order_service.secret is empty" in told["detail"]
