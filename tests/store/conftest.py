"""The store that a test is given: in memory, on PostgreSQL, or each in turn."""

from collections.abc import AsyncIterator

import pytest

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.ledger import Ledger
from payonce.adapters.postgres.migrate import migrate
from payonce.adapters.postgres.orders import Orders
from payonce.adapters.postgres.outbox import Outbox
from payonce.adapters.postgres.overview import Overview
from payonce.adapters.postgres.registrar import Registrar
from payonce.adapters.postgres.watches import Watches
from tests.store.fake import FakeStore
from tests.store.making import Store


@pytest.fixture
async def database(postgres_dsn: str) -> AsyncIterator[Database]:
    """A migrated database with nothing in it."""
    await migrate(postgres_dsn)
    database = Database(postgres_dsn)
    await database.open()
    yield database
    await database.close()


@pytest.fixture
def postgres_store(database: Database) -> Store:
    """The store on PostgreSQL."""
    return Store(
        Registrar(database),
        Ledger(database),
        Watches(database),
        Orders(database),
        Outbox(database),
        Overview(database),
    )


@pytest.fixture(params=["fake", "postgres"])
def store(request: pytest.FixtureRequest) -> Store:
    """Each store in turn: what one does, the other does."""
    if request.param == "fake":
        fake = FakeStore()
        return Store(fake, fake, fake, fake, fake, fake)
    found = request.getfixturevalue("postgres_store")
    assert isinstance(found, Store)
    return found
