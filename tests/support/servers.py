"""Private PostgreSQL, RabbitMQ and Redis; also a program: up, down, env, status.

Standard library only, so that ./dev can call it with any Python 3.11.
"""

import argparse
import json
import os
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tests.support import ports, rabbitmq
from tests.support.postgres import Postgres, data_folder
from tests.support.process import Mark
from tests.support.rabbitmq import RabbitMQ
from tests.support.redis import Redis
from tests.support.tls import Tls

VARIABLES = ("PAYONCE_POSTGRES_DSN", "PAYONCE_AMQP_URL", "PAYONCE_REDIS_URL")
GAVE = "DEV_GAVE"
"""Holds the three values that `env` printed, so that a shell that took them is known by it."""


class Servers:
    """The three servers, their data below one folder."""

    def __init__(
        self,
        folder: Path,
        *,
        fast: bool = False,
        management: bool = True,
        tls: Tls | None = None,
    ) -> None:
        self.folder = folder
        self.state = folder / "servers.json"
        known = self._read()
        chosen = known.get("ports") or _choose_ports()
        place = Path(known.get("postgres_folder") or data_folder(folder / "postgres"))
        self._ports = chosen
        self.postgres = Postgres(place, chosen["postgres"], fast=fast, tls=tls)
        self.rabbitmq = RabbitMQ(
            folder / "rabbitmq", chosen["rabbitmq"], management=management, tls=tls
        )
        self.redis = Redis(folder / "redis", chosen["redis"], tls=tls)
        self._adopt(known.get("marks", {}))

    @property
    def running(self) -> bool:
        """Whether all three run."""
        marks = (self.postgres.mark, self.rabbitmq.mark, self.redis.mark)
        return all(mark is not None and mark.alive() for mark in marks)

    def start(self) -> None:
        """Start what does not run, all at the same time."""
        self.folder.mkdir(parents=True, exist_ok=True)
        wanted: list[Postgres | RabbitMQ | Redis] = [self.postgres, self.rabbitmq, self.redis]
        stopped = [one for one in wanted if one.mark is None or not one.mark.alive()]
        try:
            with ThreadPoolExecutor() as pool:
                list(pool.map(lambda server: server.start(), stopped))
        finally:
            self._write()

    def stop(self) -> None:
        """Stop all three and forget their data."""
        with ThreadPoolExecutor() as pool:
            servers = [self.postgres, self.rabbitmq, self.redis]
            list(pool.map(lambda server: server.stop(), servers))
        for folder in (self.postgres.folder, self.rabbitmq.folder, self.redis.folder):
            shutil.rmtree(folder, ignore_errors=True)
        if self.postgres.folder.parent != self.folder:
            shutil.rmtree(self.postgres.folder.parent, ignore_errors=True)
        self.state.unlink(missing_ok=True)

    def urls(self) -> dict[str, str]:
        """Return the environment that points payonce at these servers."""
        values = (self.postgres.dsn, self.rabbitmq.url, self.redis.url)
        return dict(zip(VARIABLES, values, strict=True))

    def _read(self) -> dict[str, Any]:
        try:
            known: dict[str, Any] = json.loads(self.state.read_text())
        except (OSError, ValueError):
            return {}
        return known

    def _write(self) -> None:
        marks = {
            "postgres": self.postgres.mark,
            "rabbitmq": self.rabbitmq.mark,
            "epmd": self.rabbitmq.epmd,
            "redis": self.redis.mark,
        }
        known = {
            "ports": self._ports,
            "postgres_folder": str(self.postgres.folder),
            "marks": {name: mark.as_json() for name, mark in marks.items() if mark},
        }
        draft = self.state.with_suffix(".new")
        draft.write_text(json.dumps(known, indent=1))
        draft.replace(self.state)

    def _adopt(self, marks: dict[str, dict[str, Any]]) -> None:
        def mark(name: str) -> Mark | None:
            found = Mark(**marks[name]) if name in marks else None
            return found if found and found.alive() else None

        self.postgres.mark = mark("postgres")
        self.rabbitmq.mark = mark("rabbitmq")
        self.rabbitmq.epmd = mark("epmd")
        self.redis.mark = mark("redis")


def given_urls() -> dict[str, str] | None:
    """Return the servers that somebody chose by the environment, None unless it names all three.

    What `env` printed earlier is no choice: it may name servers that are gone.
    """
    given = {name: os.environ.get(name, "") for name in VARIABLES}
    chosen = os.environ.get(GAVE) != _joined(given)
    return given if all(given.values()) and chosen else None


def _joined(urls: dict[str, str]) -> str:
    return ",".join(urls[name] for name in VARIABLES)


def _choose_ports() -> dict[str, Any]:
    return {
        "postgres": ports.free_port(),
        "redis": ports.free_port(),
        "rabbitmq": rabbitmq.chosen_ports(),
    }


def _main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("command", choices=["up", "down", "env", "status"])
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    given = given_urls()
    # Down ends what up began here, whatever servers the environment names by now.
    if given and arguments.command != "down":
        _print_env(given)
        return 0
    try:
        servers = Servers(arguments.folder.absolute())
    except FileNotFoundError as error:
        print(error, file=sys.stderr)
        return 1
    return _obey(arguments.command, servers)


def _obey(command: str, servers: Servers) -> int:
    if command == "down":
        servers.stop()
        return 0
    if command == "up":
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
        try:
            servers.start()
        except BaseException:
            servers.stop()
            raise
    if not servers.running:
        print("the servers are down: run ./dev up", file=sys.stderr)
        return 1
    urls = servers.urls()
    _print_env({**urls, GAVE: _joined(urls)})
    return 0


def _print_env(urls: dict[str, str]) -> None:
    for name, value in urls.items():
        print(f"export {name}={value}")


if __name__ == "__main__":
    sys.exit(_main())
