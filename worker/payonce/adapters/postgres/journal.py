"""Who asked for what: the journal of operators."""

from datetime import datetime

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.queries import load
from payonce.domain.times import format_time

SQL = load("journal")


class OperatorJournal:
    """Notes and lists what operators asked for. Every method may raise Unavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(
        self, now: datetime, by: str, action: str, subject: str, why: str | None = None
    ) -> None:
        """Note that an operator asks for something, before it is done."""
        told = (by, action, _line(subject), None if why is None else _line(why))
        await self._database.fetch(SQL["note"], now, *told)

    async def latest(self, limit: int) -> list[dict[str, str | None]]:
        """Return the latest entries, the latest first."""
        rows = await self._database.fetch(SQL["latest"], limit)
        return [
            {
                "at": format_time(row["at"]),
                "by": row["by"],
                "action": row["action"],
                "subject": row["subject"],
                "why": row["why"],
            }
            for row in rows
        ]


def _line(text: str) -> str:
    """Return one printable line that any database takes: people and programs write anything."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text)
