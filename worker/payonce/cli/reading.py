"""What the commands that read have in common."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from payonce.adapters.postgres.reader import Reader
from payonce.bootstrap import open_parked, open_reader
from payonce.bootstrap.checks import migrated
from payonce.domain.errors import InvalidField, Unroutable
from payonce.settings import Settings, load_settings

MOST = 1_000


@asynccontextmanager
async def open_stories() -> AsyncIterator[Reader]:
    """Give the reader of a database that is as this version needs it. Raises MigrationFailed."""
    settings = load_settings(os.environ)
    await migrated(settings.servers.postgres_dsn)
    async with open_reader(settings) as reader:
        yield reader


async def check_declared(settings: Settings) -> None:
    """Raise Unroutable unless `payonce migrate` has been at this broker, Unavailable."""
    async with open_parked(settings) as parked:
        try:
            await parked.list(0)
        except InvalidField:
            raise Unroutable("payments", "payment.initiated") from None


def check_limit(limit: int) -> int:
    """Return a list's length, else raise InvalidField."""
    if not 1 <= limit <= MOST:
        raise InvalidField("--limit", f"{limit} is out of range", f"1 to {MOST}")
    return limit
