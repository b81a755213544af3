"""The pool: conflicts are retried, a server that is away is Unavailable, one that is back works."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest

from payonce.adapters.postgres.database import MAX_ATTEMPTS, Connection, Database
from payonce.adapters.postgres.failures import translate
from payonce.domain.errors import BadSettings, Unavailable
from tests.store.making import Store, facts, opened, register, registration, settle, success
from tests.support.ports import free_port
from tests.support.servers import Servers
from tests.support.waiting import eventually


@pytest.fixture
async def impatient(postgres_dsn: str) -> AsyncIterator[Database]:
    """A pool of one connection that waits for little."""
    database = Database(postgres_dsn, max_connections=1, command_timeout_s=1.0, jitter=lambda: 0)
    await database.open()
    yield database
    await database.close()


async def works(database: Database) -> bool:
    """Say whether the database answers."""
    try:
        await database.ping()
    except Unavailable:
        return False
    return True


async def test_a_server_that_is_away_at_the_start_is_survived() -> None:
    """Opening asks nobody; the first use says what is wrong, without the password."""
    database = Database(f"postgresql://user:hush@127.0.0.1:{free_port()}/x")
    await database.open()
    with pytest.raises(Unavailable, match="ConnectionRefusedError") as caught:
        await database.ping()
    assert "hush" not in str(caught.value)
    await database.close()


async def test_each_use_of_a_server_that_is_away_is_counted() -> None:
    """By the server's name, once a use, for the metrics."""
    counted: list[str] = []
    dsn = f"postgresql://127.0.0.1:{free_port()}/x"
    async with opened(Database(dsn, on_away=counted.append)) as database:
        for _ in range(2):
            with pytest.raises(Unavailable):
                await database.ping()
    assert ["postgresql"] * 2 == counted


async def test_other_failures_are_not_counted(dsn: str) -> None:
    """A mistake of ours and a statement that works say nothing against the server."""
    counted: list[str] = []
    async with opened(Database(dsn, on_away=counted.append)) as database:
        await database.ping()
        with pytest.raises(asyncpg.UndefinedTableError):
            await database.fetch("SELECT * FROM nowhere")
    assert [] == counted


async def test_a_restarted_server_is_found_again(
    servers: Servers, database: Database, postgres_store: Store
) -> None:
    """In between every use is Unavailable, afterwards everything committed is there."""
    await register(postgres_store, registration())
    servers.postgres.stop()
    try:
        with pytest.raises(Unavailable):
            await settle(postgres_store, success())
    finally:
        servers.postgres.start()
    await eventually(lambda: works(database))
    await settle(postgres_store, success())
    assert "p1" == (await facts(postgres_store, "p1"))["p1"].order.settled_by


async def test_a_connection_that_is_cut_in_mid_statement_is_unavailable(
    database: Database, dsn: str
) -> None:
    """And the next statement gets a new connection."""
    sleeping = asyncio.ensure_future(database.fetch("SELECT pg_sleep(60)"))
    other = await asyncpg.connect(dsn)
    cut = (
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE query LIKE '%pg_sleep(60)%' AND pid <> pg_backend_pid() AND state = 'active'"
    )
    await eventually(lambda: other.fetch(cut))
    with pytest.raises(Unavailable):
        await sleeping
    await other.close()
    await database.ping()


async def test_a_statement_that_takes_too_long_is_unavailable(impatient: Database) -> None:
    """Nobody waits for ever, and the connection is of use afterwards."""
    with pytest.raises(Unavailable, match="no answer in time"):
        await impatient.fetch("SELECT pg_sleep(60)")
    await eventually(lambda: works(impatient))


async def test_a_pool_without_a_free_connection_is_unavailable(impatient: Database) -> None:
    """Waiting for a connection is bounded too."""
    release = asyncio.Event()

    async def hold(_connection: Connection) -> None:
        await release.wait()

    holding = asyncio.ensure_future(impatient.transact(hold))
    await asyncio.sleep(0)
    with pytest.raises(Unavailable):
        await impatient.ping()
    release.set()
    await holding
    await impatient.ping()


async def test_a_server_that_is_read_only_is_unavailable(impatient: Database) -> None:
    """So is a standby to which the old name still leads; its connections are let go."""
    await impatient.fetch("CREATE TABLE t (n integer)")
    await impatient.fetch("SET default_transaction_read_only = on")
    with pytest.raises(Unavailable, match="read-only"):
        await impatient.fetch("INSERT INTO t VALUES (1)")
    await impatient.fetch("INSERT INTO t VALUES (1)")


async def test_a_deadlock_is_retried(impatient: Database) -> None:
    """The work is run again in a new transaction, a bounded number of times."""
    calls = []

    async def fail(connection: Connection) -> str:
        calls.append(await connection.fetchval("SELECT pg_current_xact_id()::text"))
        if len(calls) < 3:
            await connection.execute(
                "DO $$ BEGIN RAISE EXCEPTION 'crossed' USING ERRCODE = '40P01'; END $$"
            )
        return "done"

    assert "done" == await impatient.transact(fail)
    assert 3 == len(set(calls))


async def test_a_conflict_without_end_is_unavailable(impatient: Database) -> None:
    """So the work is kept and comes again."""
    calls = []

    async def fail(connection: Connection) -> None:
        calls.append(1)
        await connection.execute(
            "DO $$ BEGIN RAISE EXCEPTION 'crossed' USING ERRCODE = '40001'; END $$"
        )

    with pytest.raises(Unavailable, match="conflict"):
        await impatient.transact(fail)
    assert MAX_ATTEMPTS == len(calls)


async def test_a_changed_table_under_a_prepared_statement_is_survived(
    impatient: Database, postgres_dsn: str
) -> None:
    """A migration may run while workers do."""
    await impatient.fetch("CREATE TABLE t (n integer)")

    async def read(connection: Connection) -> int:
        return len(await connection.fetch("SELECT * FROM t"))

    assert 0 == await impatient.transact(read)
    other = await asyncpg.connect(postgres_dsn)
    await other.execute("ALTER TABLE t ADD COLUMN m integer; INSERT INTO t VALUES (1, 2)")
    await other.close()
    assert 1 == await impatient.transact(read)


async def test_a_mistake_of_ours_is_not_called_unavailable(database: Database) -> None:
    """Else it would be retried for ever."""
    with pytest.raises(asyncpg.UndefinedTableError):
        await database.fetch("SELECT * FROM nowhere")
    with pytest.raises(asyncpg.DataError):
        await database.fetch("SELECT $1::integer", "one")


async def test_a_closed_pool_is_unavailable(database: Database) -> None:
    """Closing twice is fine."""
    await database.close()
    await database.close()
    with pytest.raises(Unavailable, match="closed"):
        await database.ping()


async def test_a_dsn_that_is_none_is_a_bad_setting() -> None:
    """Retrying it would never help."""
    database = Database("nonsense://user:hush@host/x")
    await database.open()
    with pytest.raises(BadSettings) as caught:
        await database.ping()
    assert "hush" not in str(caught.value)
    await database.close()


async def test_the_session_is_named(database: Database) -> None:
    """An operator sees whose connections these are."""
    [row] = await database.fetch("SELECT current_setting('application_name') AS name")
    assert "payonce" == row["name"]


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.CannotConnectNowError("starting up"),
        asyncpg.AdminShutdownError("stopping"),
        asyncpg.TooManyConnectionsError("full"),
        asyncpg.DiskFullError("full"),
        asyncpg.InvalidPasswordError("no"),
        asyncpg.InvalidCatalogNameError("no such database"),
        asyncpg.ConnectionDoesNotExistError("gone"),
        asyncpg.InterfaceError("connection is closed"),
        asyncpg.LockNotAvailableError("busy"),
        ConnectionRefusedError("refused"),
        TimeoutError(),
    ],
)
def test_every_way_to_be_away_is_unavailable(error: Exception) -> None:
    """Translated once, here."""
    assert isinstance(translate(error), Unavailable)


@pytest.mark.parametrize(
    "error", [asyncpg.UniqueViolationError("twice"), asyncpg.PostgresSyntaxError("what")]
)
def test_other_errors_are_left_alone(error: Exception) -> None:
    """They are bugs or for the caller to know."""
    assert translate(error) is None
