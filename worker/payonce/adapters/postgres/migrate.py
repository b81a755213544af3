"""The schema: plain SQL files, applied once each, in order of their names."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

import payonce
from payonce.adapters.postgres.database import connect, raise_known
from payonce.adapters.postgres.failures import FOREIGN, translate
from payonce.adapters.postgres.queries import load
from payonce.adapters.postgres.roles import arrange
from payonce.domain.errors import MigrationFailed

SQL = load("migrate")

LOCK_KEY = 0x7061796F6E6365
"""The advisory lock of everybody who migrates; the letters of "payonce"."""

LOCK_WITHIN_S = 300


@dataclass(frozen=True, slots=True)
class Migration:
    """One file: its name without the ending, its text, and the SHA-256 of that in hex."""

    name: str
    text: str
    checksum: str


def find_folder() -> Path:
    """Return the folder of the migrations: in the installed package, else in the checkout."""
    package = Path(payonce.__file__).parent
    for folder in (package / "migrations", package.parent.parent / "migrations"):
        if folder.is_dir():
            return folder
    raise MigrationFailed("*", f"no folder of migrations beside {package}")


def read_migrations(folder: Path) -> list[Migration]:
    """Return the migrations in a folder, in order of their names."""
    return [_read(path) for path in sorted(folder.glob("[0-9]*.sql"))]


async def migrate(dsn: str, folder: Path | None = None) -> list[str]:
    """Apply what is missing and return its names; several may start at once.

    Each file is a transaction; the roles are arranged at the end, each time. Raises MigrationFailed
    where a file fails or an applied one was changed, Unavailable, BadSettings.
    """
    folder = folder or find_folder()
    wanted, roles = read_migrations(folder), _read_roles(folder)
    async with _connected(dsn) as connection:
        await connection.execute(f"SET lock_timeout = '{LOCK_WITHIN_S}s'")
        await connection.execute(SQL["lock"], LOCK_KEY)
        await connection.execute(SQL["create_table"])
        applied = await _applied(connection)
        missing = _missing(wanted, applied)
        for migration in missing:
            await _apply(connection, migration)
        # A newer version knows better what its own tables need.
        if applied.keys() <= {migration.name for migration in wanted}:
            await _arrange_roles(connection, roles)
    return [migration.name for migration in missing]


async def pending(dsn: str, folder: Path | None = None) -> list[str]:
    """Return the names of migrations that were not applied yet.

    Migrations of a newer version that are there already are no obstacle. Raises MigrationFailed
    where an applied one was changed, Unavailable, BadSettings.
    """
    wanted = read_migrations(folder or find_folder())
    async with _connected(dsn) as connection:
        exists = await connection.fetchval(SQL["table_exists"])
        applied = await _applied(connection) if exists else {}
    return [migration.name for migration in _missing(wanted, applied)]


async def check_migrated(dsn: str, folder: Path | None = None) -> None:
    """Raise MigrationFailed unless the schema is what this version needs."""
    missing = await pending(dsn, folder)
    if missing:
        raise MigrationFailed(missing[0], "is not applied; run `payonce migrate`")


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    connection = await connect(dsn)
    try:
        yield connection
    except FOREIGN as error:
        raise_known(error, dsn)
        raise
    finally:
        # Ends the advisory lock too; a close that is not answered may not hold anybody up.
        connection.terminate()


async def _applied(connection: "asyncpg.Connection[asyncpg.Record]") -> dict[str, str]:
    rows = await connection.fetch(SQL["applied"])
    return {row["name"]: row["checksum"] for row in rows}


async def _apply(connection: "asyncpg.Connection[asyncpg.Record]", migration: Migration) -> None:
    try:
        async with connection.transaction():
            await connection.execute(migration.text)
            await connection.execute(SQL["note"], migration.name, migration.checksum)
    except asyncpg.PostgresError as error:
        raise translate(error) or MigrationFailed(migration.name, str(error)) from error


async def _arrange_roles(connection: "asyncpg.Connection[asyncpg.Record]", text: str) -> None:
    try:
        await arrange(connection, text)
    except asyncpg.PostgresError as error:
        raise translate(error) or MigrationFailed("roles", str(error)) from error


def _missing(wanted: Sequence[Migration], applied: Mapping[str, str]) -> list[Migration]:
    for migration in wanted:
        if applied.get(migration.name, migration.checksum) != migration.checksum:
            raise MigrationFailed(migration.name, "was changed after it had been applied")
    return [migration for migration in wanted if migration.name not in applied]


def _read_roles(folder: Path) -> str:
    return (folder / "roles.sql").read_text("utf-8")


def _read(path: Path) -> Migration:
    text = path.read_text("utf-8").replace("\r\n", "\n")
    return Migration(path.stem, text, hashlib.sha256(text.encode()).hexdigest())
