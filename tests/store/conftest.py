"""The store that a test is given: in memory, on PostgreSQL, or each in turn."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from payonce.adapters.postgres.board import Board
from payonce.adapters.postgres.database import Database, connect
from payonce.adapters.postgres.migrate import migrate
from payonce.ports import board as ports
from tests.store.fake import FakeStore
from tests.store.fake_board import FakeBoard
from tests.store.making import Store, opened, store_on
from tests.support.roles import WORKER, login
from tests.support.servers import Servers
from tests.support.witness import install_witness

EMPTY = """
ALTER TABLE timeline DISABLE TRIGGER timeline_is_not_emptied;
TRUNCATE orders, payments, refunds, outbox, timeline, webhook_inbox, delay_queues,
    idempotency_keys, captures;
TRUNCATE gateways, gateway_journal, workers, activity, operator_journal;
ALTER TABLE timeline ENABLE TRIGGER timeline_is_not_emptied;
"""


@pytest.fixture(scope="session")
def migrated_dsn(servers: Servers) -> str:
    """A migrated database for all tests here that leave its schema alone.

    Each of them shows, beside its own purpose, that nothing changes without a version.
    """
    dsn = servers.postgres.fresh_database("store")
    asyncio.run(migrate(dsn))
    asyncio.run(install_witness(dsn))
    return dsn


@pytest.fixture(scope="session")
def bare_dsn(servers: Servers) -> str:
    """A migrated database with nothing else in it, for all tests that write as they please."""
    dsn = servers.postgres.fresh_database("bare")
    asyncio.run(migrate(dsn))
    return dsn


async def emptied(dsn: str, more: str = "") -> str:
    """Empty a database."""
    connection = await connect(dsn)
    await connection.execute(EMPTY + more)
    await connection.close()
    return dsn


@pytest.fixture
async def dsn(migrated_dsn: str) -> str:
    """The migrated database, emptied."""
    return await emptied(migrated_dsn, "TRUNCATE witness;")


@pytest.fixture
async def worker_dsn(dsn: str) -> str:
    """The migrated database, emptied, as a worker is let in: a member of payonce_app alone."""
    return await login(dsn, WORKER)


@pytest.fixture
async def database(worker_dsn: str) -> AsyncIterator[Database]:
    """A pool for the migrated database, with the rights of a worker."""
    async with opened(Database(worker_dsn)) as database:
        yield database


@pytest.fixture
async def owner(dsn: str) -> AsyncIterator[Database]:
    """A pool for the migrated database, for what no worker may do."""
    async with opened(Database(dsn)) as database:
        yield database


@pytest.fixture
async def own_database(postgres_dsn: str) -> AsyncIterator[Database]:
    """A migrated database whose schema the test may change."""
    await migrate(postgres_dsn)
    async with opened(Database(postgres_dsn)) as database:
        yield database


@pytest.fixture
def postgres_store(database: Database) -> Store:
    """The store on PostgreSQL."""
    return store_on(database)


@pytest.fixture(params=["fake", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each store in turn: what one does, the other does."""
    if request.param == "fake":
        fake = FakeStore()
        return Store(fake, fake, fake, fake, fake, fake, fake)
    found = request.getfixturevalue("postgres_store")
    assert isinstance(found, Store)
    return found


@pytest.fixture(params=["fake", "postgres"])
def board(request: pytest.FixtureRequest) -> ports.Board:
    """Each board in turn."""
    if request.param == "fake":
        return FakeBoard()
    return Board(request.getfixturevalue("database"))
