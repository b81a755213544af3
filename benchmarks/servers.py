"""The servers that everything in one run shares: the peers' where they are there, else our own."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support import ports
from tests.support.servers import Servers as OwnServers

VHOST = "payonce-bench"
_PEERS_PORTS = 8


@dataclass(frozen=True)
class Servers:
    """PostgreSQL, RabbitMQ and Redis, ours alone; `environment` is what the peers are told."""

    postgres_dsn: str
    redis_url: str
    pids: Mapping[str, int]
    fresh_vhost: Callable[[], str]
    environment: Mapping[str, str]


@contextmanager
def open_servers(folder: Path, peers: Path | None) -> Iterator[Servers]:
    """Start servers with their data below `folder`; stop them at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    with _of_peers(folder, peers) if peers else _own(folder) as servers:
        yield servers


@contextmanager
def _own(folder: Path) -> Iterator[Servers]:
    servers = OwnServers(folder / "servers", management=False)
    broker = servers.rabbitmq

    def fresh_vhost() -> str:
        if VHOST in broker.ctl("list_vhosts", "--no-table-headers").split():
            broker.ctl("delete_vhost", VHOST)
        broker.ctl("add_vhost", VHOST)
        broker.ctl("set_permissions", "-p", VHOST, "guest", ".*", ".*", ".*")
        return broker.url_of(VHOST)

    try:
        servers.start()
        marks = {
            "postgres": servers.postgres.mark,
            "rabbitmq": broker.mark,
            "redis": servers.redis.mark,
        }
        pids = {name: mark.pid for name, mark in marks.items() if mark}
        yield Servers(servers.postgres.dsn, servers.redis.url, pids, fresh_vhost, {})
    finally:
        servers.stop()


@contextmanager
def _of_peers(folder: Path, peers: Path) -> Iterator[Servers]:
    data = folder / "peers-servers"
    environment = {
        **os.environ,
        "BENCH_DIR": str(data),
        "BENCH_PORT_BASE": str(_free_ports()),
        "PYTHONDONTWRITEBYTECODE": "1",
    }

    def run(*arguments: str) -> str:
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=peers, env=environment, check=True, capture_output=True, text=True
        ).stdout

    def fresh_vhost() -> str:
        return run("-c", f"import servers; print(servers.fresh_vhost('{VHOST}'))").strip()

    lines = _start(run)
    try:
        urls = dict(line.removeprefix("export ").split("=", 1) for line in lines)
        known = json.loads((data / "servers.json").read_text())
        pids = {name: known[name] for name in ("postgres", "rabbitmq", "redis")}
        yield Servers(urls["PG_DSN"], urls["REDIS_URL"], pids, fresh_vhost, environment)
    finally:
        run("servers.py", "stop")


def _start(run: Callable[..., str]) -> list[str]:
    """Start the peers' servers; whatever was begun by a start that failed is ended again."""
    before = {child.pid for child in psutil.Process().children(recursive=True)}
    try:
        return run("servers.py", "start").splitlines()
    except subprocess.CalledProcessError as error:
        for child in psutil.Process().children(recursive=True):
            if child.pid not in before:
                child.kill()
        raise RuntimeError(f"the peers' servers did not start: {error.stderr[-500:]}") from error


def _free_ports() -> int:
    """Return the first of some neighbouring ports that are free."""
    for base in range(21_000, 29_000, 50):
        if not any(ports.is_open(base + n) for n in range(_PEERS_PORTS)):
            return base
    raise RuntimeError("no free ports")
