"""A private PostgreSQL."""

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from tests.support import ports
from tests.support.process import Mark, end, launch, send

OWNER = "payonce"
LOCKED = "locked"
"""The one login that needs its password."""


class Postgres:
    """One server on a port of its own; as root it runs as the user `postgres`."""

    def __init__(self, folder: Path, port: int, *, fast: bool = False) -> None:
        self.folder = folder
        self.port = port
        self.mark: Mark | None = None
        self._bin = find_postgres()
        self._fast = fast

    @property
    def dsn(self) -> str:
        """The DSN of the database that is always there."""
        return self.dsn_of("postgres")

    def dsn_of(self, database: str) -> str:
        """Return the DSN of a database."""
        return f"postgresql://{OWNER}@{ports.HOST}:{self.port}/{database}"

    def start(self) -> None:
        """Start, on the same data as before where there is some."""
        if not (self.folder / "PG_VERSION").exists():
            self._initialise()
        options = ["-c", "max_connections=200", "-c", "shared_buffers=64MB"]
        options += ["-c", "shared_preload_libraries=pg_stat_statements"] * self._has_statements()
        options += ["-c", "fsync=off"] * self._fast
        self.mark = launch(
            [
                *_as_postgres(),
                f"{self._bin}/postgres",
                *("-D", str(self.folder), "-p", str(self.port), "-h", ports.HOST, "-k", ""),
                *options,
            ],
            self.folder.with_suffix(".log"),
        )
        self.wait_ready()

    def wait_ready(self) -> None:
        """Return once queries are answered."""
        ports.wait_open(self.port, 30, "postgres")
        for _ in range(200):
            if self._psql("SELECT 1", check=False).returncode == 0:
                return
        raise TimeoutError("postgres does not answer queries")

    def stop(self) -> None:
        """Stop, cutting off who is connected."""
        self._end(signal.SIGINT)

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

    def fresh_database(self, name: str) -> str:
        """Create `name` anew and return its DSN."""
        self._psql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        self._psql(f'CREATE DATABASE "{name}"')
        return self.dsn_of(name)

    def drop_database(self, name: str) -> None:
        """Remove a database and who uses it."""
        self._psql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)', check=False)

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


def _signal_one(pid: int, number: int) -> None:
    """Signal the postmaster alone: its children must hear of it from their parent."""
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return
