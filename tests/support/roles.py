"""Logins with the rights of one role each, on the tests' own server."""

from urllib.parse import urlsplit

import asyncpg

from tests.support.postgres import LOCKED

WORKER = "test_worker"
SUPPORT = "test_support"
MIGRATOR = "test_migrator"

LOGINS = {
    WORKER: "payonce_app",
    SUPPORT: "payonce_reader",
    MIGRATOR: "payonce_migrator",
    LOCKED: "payonce_app",
}

# Roles are the whole server's, so another test may have made them.
_CREATE = """
DO $$
BEGIN
    CREATE ROLE {login} LOGIN PASSWORD {password} IN ROLE {role};
EXCEPTION WHEN duplicate_object OR unique_violation THEN
    NULL;
END
$$;
"""


async def login(dsn: str, name: str, password: str = "") -> str:
    """Return the DSN of a login that is a member of its role alone; the database is migrated."""
    quoted = f"'{password}'" if password else "NULL"
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(_CREATE.format(login=name, role=LOGINS[name], password=quoted))
    finally:
        await connection.close()
    return dsn_of(dsn, name, password)


def dsn_of(dsn: str, name: str, password: str = "") -> str:
    """Return a DSN with another user."""
    parts = urlsplit(dsn)
    host = parts.netloc.rpartition("@")[2]
    user = f"{name}:{password}" if password else name
    return parts._replace(netloc=f"{user}@{host}").geturl()
