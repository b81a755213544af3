"""Roles of least privilege: made and granted by who migrates, asked for by who checks."""

from contextlib import suppress
from dataclasses import dataclass

import asyncpg

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.queries import load, parse

SQL = load("roles")

ROLES = ("payonce_app", "payonce_reader", "payonce_migrator")

GRANTED = ROLES[:2]
"""Those that work with the tables. Who owns them is the migrator, or who migrates instead of it."""

HINT = "docs/database.md, Roles"


@dataclass(frozen=True, slots=True)
class Standing:
    """What whoever is logged in could do beside a worker's work; whether the roles have theirs."""

    login: str
    is_superuser: bool
    is_owner: bool
    may_create: bool
    granted: bool

    @property
    def excess(self) -> str | None:
        """What a worker does not need, in words; None: nothing."""
        if self.is_superuser:
            return "is a superuser"
        if self.is_owner:
            return "owns the tables"
        return "may create tables" if self.may_create else None


async def arrange(connection: "asyncpg.Connection[asyncpg.Record]", text: str) -> None:
    """Make the roles and grant what `text` (roles.sql) says, as far as this login may.

    Who may not is no obstacle to a migration: `standing` tells what is left to do.
    """
    steps = parse(text)
    await connection.execute(steps["create"])
    if await connection.fetchval(SQL["missing"], ROLES):
        return
    for name in ("hand_over", "grant"):
        with suppress(asyncpg.InsufficientPrivilegeError):
            await connection.execute(steps[name])


async def standing(database: Database) -> Standing:
    """Return how this login stands; the schema is migrated. Raises Unavailable."""
    (row,) = await database.fetch(SQL["standing"], GRANTED)
    return Standing(**dict(row))


def describe_standing(found: Standing) -> str | None:
    """Return in one line what somebody should do about the roles; None: nothing."""
    told = []
    if found.excess:
        told.append(
            f"payonce works as {found.login}, who {found.excess}; a login that is only a member of"
            " payonce_app is enough"
        )
    if not found.granted:
        told.append(f"{' and '.join(GRANTED)} are not there with their rights: see to that first")
    return f"{'; '.join(told)} ({HINT})" if told else None
