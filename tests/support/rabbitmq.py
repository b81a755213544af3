"""A private RabbitMQ, with its own port mapper, node name and management API."""

import base64
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import urllib.request
from pathlib import Path

from tests.support import ports
from tests.support.process import Mark, end, launch, send
from tests.support.tls import Tls
from tests.support.waiting import holds_within

_USER = base64.b64encode(b"guest:guest").decode()


class RabbitMQ:
    """One broker on ports of its own; restarted, it keeps its data and ports."""

    def __init__(
        self,
        folder: Path,
        chosen: "dict[str, int]",
        *,
        management: bool = True,
        tls: Tls | None = None,
    ) -> None:
        self.folder = folder
        self.ports = chosen
        self.port = chosen["amqp"]
        self.mark: Mark | None = None
        self.epmd: Mark | None = None
        self._bin = find_rabbitmq()
        self._management = management
        self._tls = tls

    @property
    def url(self) -> str:
        """The URL of the default virtual host."""
        return self.url_of("%2F")

    @property
    def management_url(self) -> str:
        """The URL of the management API."""
        scheme = "https" if self._tls else "http"
        return f"{scheme}://guest:guest@{ports.HOST}:{self.ports['management']}"

    def url_of(self, vhost: str) -> str:
        """Return the URL of a virtual host."""
        place = f"guest:guest@{ports.HOST}:{self.port}/{vhost}"
        if self._tls is None:
            return f"amqp://{place}"
        return f"amqps://{place}?{self._tls.query('cafile', 'certfile', 'keyfile')}"

    def start(self) -> None:
        """Start, on the same data as before where there is some."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Begin to start."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._write_configuration()
        log = self.folder / "out.log"
        if self.epmd is None or not self.epmd.alive():
            epmd = [_find_epmd(), "-port", str(self.ports["epmd"]), "-address", ports.HOST]
            self.epmd = launch(epmd, log)
            ports.wait_open(self.ports["epmd"], 10, "epmd")
        command = self._command("rabbitmq-server")
        self.mark = launch(command, log, self._environment(), str(self.folder))

    def wait_ready(self, timeout_s: float = 90) -> None:
        """Return once the broker speaks AMQP and, where it is on, the management API answers."""
        if not holds_within(timeout_s, lambda: self._is_dead() or self._is_ready()):
            raise TimeoutError(f"rabbitmq did not start; see {self.folder}/out.log")
        if self._is_dead():
            raise TimeoutError(f"rabbitmq ended as it started; see {self.folder}/out.log")

    def stop(self) -> None:
        """Stop the broker and its port mapper."""
        self._end(signal.SIGTERM)
        if self.epmd:
            end(self.epmd, signal.SIGKILL, 5)
            self.epmd = None

    def kill(self) -> None:
        """End as by a power cut; `start` brings it back."""
        self._end(signal.SIGKILL)

    def pause(self) -> None:
        """Freeze, connections and all."""
        if self.mark:
            send(self.mark, signal.SIGSTOP)

    def resume(self) -> None:
        """Thaw."""
        if self.mark:
            send(self.mark, signal.SIGCONT)

    def fresh_vhost(self, name: str) -> str:
        """Create a virtual host anew and return its URL."""
        self.api("DELETE", f"/api/vhosts/{name}", missing_ok=True)
        self.api("PUT", f"/api/vhosts/{name}")
        self.api(
            "PUT",
            f"/api/permissions/{name}/guest",
            {"configure": ".*", "write": ".*", "read": ".*"},
        )
        return self.url_of(name)

    def delete_vhost(self, name: str) -> None:
        """Remove a virtual host and all in it."""
        self.api("DELETE", f"/api/vhosts/{name}", missing_ok=True)

    def api(
        self, method: str, path: str, body: object = None, *, missing_ok: bool = False
    ) -> object:
        """Call the management API and return its JSON answer."""
        request = urllib.request.Request(
            f"{'https' if self._tls else 'http'}://{ports.HOST}:{self.ports['management']}{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Basic {_USER}", "Content-Type": "application/json"},
        )
        try:
            with urllib.request.urlopen(request, timeout=30, context=self._context()) as answer:
                content = answer.read()
        except urllib.error.HTTPError as error:
            error.close()
            if missing_ok and error.code == 404:
                return None
            raise
        return json.loads(content) if content else None

    def ctl(self, *arguments: str) -> str:
        """Run rabbitmqctl and return what it printed."""
        return subprocess.run(
            self._command("rabbitmqctl", "-q", *arguments),
            env=self._environment(),
            cwd=self.folder,
            check=True,
            capture_output=True,
            text=True,
        ).stdout

    def _command(self, program: str, *arguments: str) -> list[str]:
        """Return how one of RabbitMQ's programs is run."""
        return [f"{self._bin}/{program}", *arguments]

    def _is_dead(self) -> bool:
        return self.mark is None or not self.mark.alive()

    def _is_ready(self) -> bool:
        return _speaks_amqp(self.port, self._context()) and self._management_answers()

    def _management_answers(self) -> bool:
        if not self._management:
            return True
        try:
            self.api("GET", "/api/overview")
        except OSError:
            return False
        return True

    def _write_configuration(self) -> None:
        plugins = "[rabbitmq_management].\n" if self._management else "[].\n"
        (self.folder / "enabled_plugins").write_text(plugins)
        lines = ["log.file.level = warning", "disk_free_limit.absolute = 50MB"]
        if self._tls:
            lines += ["listeners.tcp = none", f"listeners.ssl.1 = {ports.HOST}:{self.port}"]
            lines += _ssl_lines("ssl_options", self._tls)
        if self._management:
            kind = "ssl" if self._tls else "tcp"
            lines += [
                f"management.{kind}.port = {self.ports['management']}",
                f"management.{kind}.ip = {ports.HOST}",
            ]
            lines += _ssl_lines("management.ssl", self._tls) if self._tls else []
        (self.folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        (self.folder / "advanced.config").write_text("[].\n")

    def _context(self) -> ssl.SSLContext | None:
        return self._tls.context() if self._tls else None

    def _environment(self) -> dict[str, str]:
        home = self.folder
        return {
            **os.environ,
            "HOME": str(home),
            "LC_ALL": "C.UTF-8",
            "RABBITMQ_NODENAME": f"payonce{self.port}@localhost",
            **({} if self._tls else {"RABBITMQ_NODE_PORT": str(self.port)}),
            "RABBITMQ_NODE_IP_ADDRESS": ports.HOST,
            "RABBITMQ_DIST_PORT": str(self.ports["dist"]),
            "ERL_EPMD_PORT": str(self.ports["epmd"]),
            "ERL_EPMD_ADDRESS": ports.HOST,
            "RABBITMQ_MNESIA_BASE": str(home / "data"),
            "RABBITMQ_LOG_BASE": str(home / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(home / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(home / "rabbitmq.conf"),
            "RABBITMQ_ADVANCED_CONFIG_FILE": str(home / "advanced.config"),
            "RABBITMQ_CONF_ENV_FILE": str(home / "rabbitmq-env.conf"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }

    def _end(self, number: int) -> None:
        if self.mark:
            end(self.mark, number, 30)
            self.mark = None


def find_rabbitmq() -> Path:
    """Return the folder of RabbitMQ's programs, else raise FileNotFoundError."""
    for folder in (Path("/usr/lib/rabbitmq/bin"), Path("/opt/rabbitmq/sbin")):
        if (folder / "rabbitmq-server").exists():
            return folder
    on_path = shutil.which("rabbitmq-server")
    if on_path:
        return Path(on_path).resolve().parent
    raise FileNotFoundError("RabbitMQ is not installed: run ./dev setup")


def chosen_ports() -> dict[str, int]:
    """Return four free ports: amqp, dist, epmd, management."""
    return {name: ports.free_port() for name in ("amqp", "dist", "epmd", "management")}


def _find_epmd() -> str:
    found = shutil.which("epmd")
    if found is None:
        raise FileNotFoundError("epmd is not installed: run ./dev setup")
    return found


def _ssl_lines(prefix: str, tls: Tls) -> list[str]:
    """Return the lines of a listener with TLS; it wants a certificate of clients that have one."""
    lines = [
        f"{prefix}.cacertfile = {tls.ca}",
        f"{prefix}.certfile = {tls.certificate}",
        f"{prefix}.keyfile = {tls.key}",
    ]
    if tls.client and prefix == "ssl_options":
        lines += [f"{prefix}.verify = verify_peer", f"{prefix}.fail_if_no_peer_cert = true"]
    return lines


def _speaks_amqp(port: int, context: ssl.SSLContext | None) -> bool:
    try:
        with socket.create_connection((ports.HOST, port), 2) as plain:
            if context is None:
                return _answers_amqp(plain)
            with context.wrap_socket(plain, server_hostname=ports.HOST) as connection:
                return _answers_amqp(connection)
    except OSError:
        return False


def _answers_amqp(connection: socket.socket) -> bool:
    connection.sendall(b"AMQP\x00\x00\x09\x01")
    return connection.recv(1) == b"\x01"
