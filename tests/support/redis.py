"""A private Redis."""

import shutil
import signal
import socket
from pathlib import Path

from tests.support import ports
from tests.support.process import Mark, end, launch, send
from tests.support.tls import Tls


class Redis:
    """One server on a port of its own, without any persistence."""

    def __init__(self, folder: Path, port: int, *, tls: Tls | None = None) -> None:
        self.folder = folder
        self.port = port
        self.mark: Mark | None = None
        self._tls = tls
        self._program = find_redis()

    @property
    def url(self) -> str:
        """The URL of database 0."""
        place = f"{ports.HOST}:{self.port}/0"
        if self._tls is None:
            return f"redis://{place}"
        options = self._tls.query("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
        return f"rediss://{place}?{options}"

    def start(self) -> None:
        """Start, empty."""
        self.folder.mkdir(parents=True, exist_ok=True)
        command = [
            self._program,
            *("--bind", ports.HOST, "--dir", str(self.folder)),
            *self._listening(),
            *("--save", "", "--appendonly", "no"),
        ]
        self.mark = launch(command, self.folder / "out.log")
        ports.wait_open(self.port, 20, "redis")

    def stop(self) -> None:
        """Stop."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """End as by a power cut."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze, connections and all."""
        if self.mark:
            send(self.mark, signal.SIGSTOP)

    def resume(self) -> None:
        """Thaw."""
        if self.mark:
            send(self.mark, signal.SIGCONT)

    def flush(self) -> None:
        """Forget everything."""
        with self._connect() as connection:
            connection.sendall(b"FLUSHALL\r\n")
            connection.recv(64)

    def _connect(self) -> socket.socket:
        connection = socket.create_connection((ports.HOST, self.port), 5)
        if self._tls is None:
            return connection
        return self._tls.context().wrap_socket(connection, server_hostname=ports.HOST)

    def _listening(self) -> list[str]:
        if self._tls is None:
            return ["--port", str(self.port)]
        return [
            *("--port", "0", "--tls-port", str(self.port)),
            *("--tls-cert-file", str(self._tls.certificate), "--tls-key-file", str(self._tls.key)),
            *("--tls-ca-cert-file", str(self._tls.ca)),
            *("--tls-auth-clients", "yes" if self._tls.client else "no"),
        ]

    def _end(self, number: int) -> None:
        if self.mark:
            end(self.mark, number, 10)
            self.mark = None


def find_redis() -> str:
    """Return the path of redis-server, else raise FileNotFoundError."""
    found = shutil.which("redis-server")
    if found is None:
        raise FileNotFoundError("Redis is not installed: run ./dev setup")
    return found
