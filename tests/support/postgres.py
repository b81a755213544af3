"""A private PostgreSQL."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

import psutil

from tests.support import ports
from tests.support.process import Mark, began, end, is_gone, launch, send
from tests.support.tls import Tls
from tests.support.waiting import holds_within

OWNER = "payonce"
LOCKED = "locked"
"""The one login that needs its password."""


class Postgres:
    """One server on a port of its own; as root it runs as the user `postgres`."""

    def __init__(
        self, folder: Path, port: int, *, fast: bool = False, tls: Tls | None = None
    ) -> None:
        self.folder = folder
        self.port = port
        self.mark: Mark | None = None
        self._log = folder.with_suffix(".log")
        self._bin = find_postgres()
        self._fast = fast
        self._tls = tls

    @property
    def dsn(self) -> str:
        """The DSN of the database that is always there."""
        return self.dsn_of("postgres")

    def dsn_of(self, database: str) -> str:
        """Return the DSN of a database."""
        place = f"postgresql://{OWNER}@{ports.HOST}:{self.port}/{database}"
        if self._tls is None:
            return place
        return f"{place}?sslmode=verify-full&{self._tls.query('sslrootcert', 'sslcert', 'sslkey')}"

    def start(self) -> None:
        """Start, on the same data as before where there is some."""
        if not (self.folder / "PG_VERSION").exists():
            self._initialise()
            self._require_tls()
        options = ["-c", "max_connections=200", "-c", "shared_buffers=64MB"]
        options += ["-c", "shared_preload_libraries=pg_stat_statements"] * self._has_statements()
        options += ["-c", "fsync=off"] * self._fast
        options += ["-c", "ssl=on"] * (self._tls is not None)
        self.mark = launch(
            [
                *_as_postgres(),
                f"{self._bin}/postgres",
                *("-D", str(self.folder), "-p", str(self.port), "-h", ports.HOST, "-k", ""),
                *options,
            ],
            self._log,
        )
        self.wait_ready()

    def wait_ready(self) -> None:
        """Return once queries are answered."""
        holds_within(90, lambda: ports.is_open(self.port) or not self._runs())
        if not (ports.is_open(self.port) and self._runs()):
            raise TimeoutError(f"postgres did not start: {self._last_words()}")
        for _ in range(200):
            if self._psql("SELECT 1", check=False).returncode == 0:
                return
        raise TimeoutError("postgres does not answer queries")

    def stop(self) -> None:
        """Stop, cutting off who is connected."""
        self._end(signal.SIGINT)

    def kill(self) -> None:
        """End as by a power cut: all its processes, none of them left to hold the shared memory.

        A child that outlives its parent for a moment keeps the next start from beginning.
        """
        if self.mark:
            send(self.mark, signal.SIGSTOP)
            children = _children(self.mark)
            self._end(signal.SIGKILL)
            for child in filter(Mark.alive, children):
                _signal_one(child.pid, signal.SIGKILL)
            holds_within(20, lambda: not any(child.alive() for child in children))

    def pause(self) -> None:
        """Freeze, connections and all."""
        if self.mark:
            send(self.mark, signal.SIGSTOP)

    def resume(self) -> None:
        """Thaw."""
        if self.mark:
            send(self.mark, signal.SIGCONT)

    def fresh_database(self, name: str) -> str:
        """Create `name` anew and return its DSN."""
        self._psql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._psql(f'CREATE DATABASE "{name}"')
        return self.dsn_of(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and who uses it."""
        self._psql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', check=False)

    def _runs(self) -> bool:
        return self.mark is not None and not is_gone(self.mark)

    def _last_words(self) -> str:
        return self._log.read_text(errors="replace")[-1_000:]

    def _has_statements(self) -> bool:
        version = self._bin.parent.name
        return Path(
            f"/usr/share/postgresql/{version}/extension/pg_stat_statements.control"
        ).exists()

    def _initialise(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.folder.chmod(0o700)
        if os.getuid() == 0:
            owner = pwd.getpwnam("postgres")
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        subprocess.run(
            [
                *_as_postgres(),
                f"{self._bin}/initdb",
                *("-D", str(self.folder), "-U", OWNER, "--auth=trust", "-E", "UTF8"),
                "--locale=C.UTF-8",
            ],
            check=True,
            cwd="/",
            stdout=subprocess.DEVNULL,
        )
        rules = self.folder / "pg_hba.conf"
        rules.write_text(f"host all {LOCKED} all scram-sha-256\n{rules.read_text()}")

    def _require_tls(self) -> None:
        """Lay the files where the server looks for them, and let nobody in without TLS."""
        if self._tls is None:
            return
        files = {"root.crt": self._tls.ca, "server.crt": self._tls.certificate}
        for name, path in {**files, "server.key": self._tls.key}.items():
            copy = self.folder / name
            shutil.copyfile(path, copy)
            copy.chmod(0o600)
            shutil.chown(copy, self.folder.owner())
        (self.folder / "postgresql.auto.conf").write_text("ssl_ca_file = 'root.crt'\n")
        shown = " clientcert=verify-ca" if self._tls.client else ""
        rule = f"hostssl all all {ports.HOST}/32 trust{shown}\n"
        (self.folder / "pg_hba.conf").write_text(rule)

    def _psql(self, sql: str, *, check: bool = True) -> "subprocess.CompletedProcess[bytes]":
        return subprocess.run(
            [f"{self._bin}/psql", "-X", "-q", "-d", self.dsn, "-c", sql],
            check=check,
            capture_output=True,
        )

    def _end(self, number: int) -> None:
        if self.mark:
            if number == signal.SIGINT:
                _signal_one(self.mark.pid, number)
            end(self.mark, 0 if number == signal.SIGINT else number, 20)
            self.mark = None


def find_postgres() -> Path:
    """Return the folder of PostgreSQL's programs, else raise FileNotFoundError."""
    for folder in sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True):
        if (folder / "postgres").exists():
            return folder
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).resolve().parent
    raise FileNotFoundError("PostgreSQL is not installed: run ./dev setup")


def data_folder(wanted: Path) -> Path:
    """Return `wanted`, or a folder in the temporary one where `postgres` could not enter it."""
    if os.getuid() != 0 or all(parent.stat().st_mode & 0o001 for parent in _existing(wanted)):
        return wanted
    made = Path(tempfile.mkdtemp(prefix="payonce-postgres-"))
    made.chmod(0o711)
    return made / "data"


def _existing(folder: Path) -> list[Path]:
    return [parent for parent in folder.absolute().parents if parent.exists()]


def _as_postgres() -> list[str]:
    if os.getuid() != 0:
        return []
    return ["setpriv", "--reuid", "postgres", "--regid", "postgres", "--clear-groups"]


def _children(mark: Mark) -> list[Mark]:
    """Each leads a session of its own, or will: a signal to its parent's does not reach it."""
    if not mark.alive():
        return []
    return [Mark(one.pid, began(one.pid)) for one in psutil.Process(mark.pid).children()]


def _signal_one(pid: int, number: int) -> None:
    """Signal one process alone, not its session: a postmaster tells its children itself."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
