"""A bounded pool of connections that survives the server, and one way to run a transaction."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from payonce.adapters.postgres.failures import CONFLICTS, FOREIGN, SERVER, is_demoted, translate
from payonce.domain.errors import Unavailable
from payonce.ports.changes import OnChange
from payonce.ports.meter import OnAway

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record] | asyncpg.Connection[asyncpg.Record]"
Result = TypeVar("Result")

CONNECT_WITHIN_S = 5.0
CLOSE_WITHIN_S = 5.0
MAX_ATTEMPTS = 8
FIRST_PAUSE_S = 0.005

SESSION = {
    "application_name": "payonce",
    "timezone": "UTC",
    # Every statement looks up few rows by an index. A plan that was prepared while the tables were
    # small would read them whole, and would be kept while they grow.
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
}


class Database:
    """PostgreSQL at `dsn`. Connections are made when they are needed, and again when they broke."""

    def __init__(  # noqa: PLR0913 - each with a default but the first
        self,
        dsn: str,
        *,
        max_connections: int = 10,
        command_timeout_s: float = 10.0,
        jitter: Callable[[], float] = random.random,
        on_away: OnAway | None = None,
        on_change: OnChange | None = None,
    ) -> None:
        self._dsn = dsn
        self._max_connections = max_connections
        self._command_timeout_s = command_timeout_s
        self._jitter = jitter
        self._on_away = on_away
        self._on_change = on_change
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Make the pool, without asking the server: it may be away. Raises BadSettings."""
        try:
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=0,
                max_size=self._max_connections,
                timeout=CONNECT_WITHIN_S,
                command_timeout=self._command_timeout_s,
                server_settings=SESSION,
                reset=_keep_session,
            )
        except FOREIGN as error:
            raise_known(error, self._dsn)
            raise

    async def close(self) -> None:
        """Close every connection, those in use within 5 s."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        try:
            await asyncio.wait_for(pool.close(), CLOSE_WITHIN_S)
        except FOREIGN:
            pool.terminate()

    async def ping(self) -> None:
        """Ask the server whether it answers. Raises Unavailable."""
        await self.fetch("SELECT 1")

    async def fetch(self, statement: str, *arguments: Any) -> list[asyncpg.Record]:
        """Return the rows of one statement, a transaction of its own. Raises Unavailable."""

        async def once(connection: Connection) -> list[asyncpg.Record]:
            return await connection.fetch(statement, *arguments)

        return await self._repeat(once)

    async def transact(
        self, work: Callable[[Connection], Awaitable[Result]], *, snapshot: bool = False
    ) -> Result:
        """Return what `work` returns, committed; run again after a deadlock or the like.

        `snapshot`: read only, every statement sees the same. Raises Unavailable, also where nobody
        knows whether the commit was done.
        """

        async def once(connection: Connection) -> Result:
            async with connection.transaction(
                isolation="repeatable_read" if snapshot else "read_committed", readonly=snapshot
            ):
                return await work(connection)

        return await self._repeat(once)

    def orders_changed(self, versions: Mapping[str, int]) -> None:
        """Tell whoever shows orders that these were brought to these versions, committed."""
        if versions and self._on_change is not None:
            self._on_change(versions)

    async def _repeat(self, once: Callable[[Connection], Awaitable[Result]]) -> Result:
        conflict: Exception | None = None
        for attempt in range(MAX_ATTEMPTS):
            try:
                return await self._use_connection(once)
            except CONFLICTS as error:
                conflict = error
            except FOREIGN as error:
                await self._forget_demoted(error)
                self._raise_counted(error)
                raise
            await asyncio.sleep(FIRST_PAUSE_S * 2**attempt * self._jitter())
        raise Unavailable(SERVER, f"{MAX_ATTEMPTS} attempts met a conflict") from conflict

    async def _use_connection(self, once: Callable[[Connection], Awaitable[Result]]) -> Result:
        if self._pool is None:
            raise Unavailable(SERVER, "the pool is closed")
        async with self._pool.acquire(timeout=self._command_timeout_s) as connection:
            return await once(connection)

    def _raise_counted(self, error: Exception) -> None:
        """Raise what payonce calls a foreign error, counted where the server is away."""
        try:
            raise_known(error, self._dsn)
        except Unavailable:
            if self._on_away is not None:
                self._on_away(SERVER)
            raise

    async def _forget_demoted(self, error: Exception) -> None:
        """Drop connections to a server that became a standby: the next may find the primary."""
        if is_demoted(error) and self._pool is not None:
            await self._pool.expire_connections()


async def connect(dsn: str) -> "asyncpg.Connection[asyncpg.Record]":
    """Return one connection for long work, such as a migration. Raises Unavailable, BadSettings."""
    try:
        return await asyncpg.connect(
            dsn, timeout=CONNECT_WITHIN_S, server_settings={"application_name": "payonce"}
        )
    except FOREIGN as error:
        raise_known(error, dsn)
        raise


def raise_known(error: Exception, dsn: str) -> None:
    """Raise what payonce calls a foreign error, without the DSN's password; return on a bug."""
    known = translate(error, dsn)
    if known is not None:
        raise known from error


async def _keep_session(_connection: object) -> None:
    """Leave a connection as it is: nothing here changes its session, and a reset costs a trip."""
