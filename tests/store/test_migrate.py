"""The schema's files: applied once, in order, by whoever comes first."""

import asyncio
from pathlib import Path

import pytest

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.migrate import (
    check_migrated,
    find_folder,
    migrate,
    pending,
    read_migrations,
)
from payonce.domain.errors import BadSettings, MigrationFailed, Unavailable
from tests.support.ports import free_port

FIRST = "CREATE TABLE one (n integer);"
SECOND = "CREATE TABLE two (n integer); INSERT INTO one VALUES (2);"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two migrations and a file that is none."""
    (tmp_path / "0001_one.sql").write_text(FIRST)
    (tmp_path / "0002_two.sql").write_text(SECOND)
    (tmp_path / "README.md").write_text("not SQL")
    steps = ("create", "hand_over", "grant")
    (tmp_path / "roles.sql").write_text("".join(f"-- name: {one}\nSELECT 1;\n" for one in steps))
    return tmp_path


async def rows_of(dsn: str, statement: str) -> list[object]:
    """Return the first column of what a statement finds."""
    database = Database(dsn)
    await database.open()
    try:
        return [row[0] for row in await database.fetch(statement)]
    finally:
        await database.close()


async def test_migrations_are_applied_in_order_and_once(postgres_dsn: str, folder: Path) -> None:
    """The second run finds nothing to do."""
    assert ["0001_one", "0002_two"] == await pending(postgres_dsn, folder)
    assert ["0001_one", "0002_two"] == await migrate(postgres_dsn, folder)
    assert [] == await migrate(postgres_dsn, folder)
    assert [] == await pending(postgres_dsn, folder)
    assert [2] == await rows_of(postgres_dsn, "SELECT n FROM one")


async def test_a_new_file_is_applied_alone(postgres_dsn: str, folder: Path) -> None:
    """What was there before stays as it is."""
    await migrate(postgres_dsn, folder)
    (folder / "0003_three.sql").write_text("INSERT INTO one VALUES (3);")
    with pytest.raises(MigrationFailed, match="0003_three: is not applied"):
        await check_migrated(postgres_dsn, folder)
    assert ["0003_three"] == await migrate(postgres_dsn, folder)
    await check_migrated(postgres_dsn, folder)


async def test_several_may_start_at_once(postgres_dsn: str, folder: Path) -> None:
    """One applies, the others wait and find it done."""
    results = await asyncio.gather(*(migrate(postgres_dsn, folder) for _ in range(8)))
    assert [[]] * 7 + [["0001_one", "0002_two"]] == sorted(results)
    assert [2] == await rows_of(postgres_dsn, "SELECT n FROM one")


async def test_a_changed_file_is_named(postgres_dsn: str, folder: Path) -> None:
    """An applied file is never edited; line ends do not count."""
    await migrate(postgres_dsn, folder)
    (folder / "0002_two.sql").write_bytes(b"-- new\r\n")
    for act in (migrate, pending, check_migrated):
        with pytest.raises(MigrationFailed, match="0002_two: was changed"):
            await act(postgres_dsn, folder)


async def test_a_file_that_fails_leaves_nothing_of_itself(postgres_dsn: str, folder: Path) -> None:
    """Each file is a transaction; those before it stay."""
    (folder / "0002_two.sql").write_text("CREATE TABLE two (n integer); SELECT 1 / 0;")
    with pytest.raises(MigrationFailed, match="0002_two: division by zero"):
        await migrate(postgres_dsn, folder)
    assert ["0002_two"] == await pending(postgres_dsn, folder)
    assert [None] == await rows_of(postgres_dsn, "SELECT to_regclass('two')")


async def test_a_newer_schema_is_no_obstacle(postgres_dsn: str, folder: Path) -> None:
    """While a new version is rolled out, the old one goes on."""
    await migrate(postgres_dsn, folder)
    (folder / "0002_two.sql").unlink()
    await check_migrated(postgres_dsn, folder)


async def test_an_unreachable_server_is_named() -> None:
    """And a DSN that is none is a bad setting; the password is in neither."""
    dsn = f"postgresql://user:hush@127.0.0.1:{free_port()}/x"
    with pytest.raises(Unavailable, match="postgresql is unavailable") as away:
        await migrate(dsn)
    with pytest.raises(BadSettings, match="PAYONCE_POSTGRES_DSN") as bad:
        await migrate("nonsense://user:hush@host/x")
    assert "hush" not in str(away.value) + str(bad.value)


def test_the_files_are_numbered_without_gaps() -> None:
    """Two branches that add the same number collide here."""
    numbers = [int(one.name.split("_")[0]) for one in read_migrations(find_folder())]
    assert list(range(1, len(numbers) + 1)) == numbers
