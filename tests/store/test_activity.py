"""The sums of all processes, and the journal of operators, on PostgreSQL."""

import asyncio
from collections.abc import Mapping

import asyncpg
import pytest

from payonce.adapters.postgres.activity import FORGOTTEN_AT_ONCE, Activity
from payonce.adapters.postgres.database import Database, connect
from payonce.adapters.postgres.journal import OperatorJournal
from payonce.ports.activity import Counted, Key
from tests.store.making import NOW, later, opened

SETTLED: Key = ("decided", "mock", "settled", "poll")
FAILED: Key = ("decided", "other", "failed", "poll")
OLD = later(-3 * 86_400)


@pytest.fixture
def activity(database: Database) -> Activity:
    """Empty sums."""
    return Activity(database)


async def add(activity: Activity, seconds: float, counts: Mapping[Key, int]) -> None:
    """Add counts at some time after NOW."""
    await activity.add(later(seconds), counts, OLD)


async def test_counts_of_a_minute_are_one_sum(activity: Activity) -> None:
    """By the minute over all gateways, and by the gateway over all minutes."""
    await add(activity, 1, {SETTLED: 2, FAILED: 1})
    await add(activity, 59, {SETTLED: 3})
    await add(activity, 60, {SETTLED: 10})
    assert [
        Counted(NOW, "decided", None, "failed", "poll", 1),
        Counted(NOW, "decided", None, "settled", "poll", 5),
        Counted(later(60), "decided", None, "settled", "poll", 10),
        Counted(None, "decided", "mock", "settled", "poll", 15),
        Counted(None, "decided", "other", "failed", "poll", 1),
    ] == await activity.since(later(30))


async def test_what_is_older_is_not_read(activity: Activity) -> None:
    """Minutes before the one that is asked from."""
    await add(activity, -60, {SETTLED: 1})
    assert [] == await activity.since(NOW)


async def test_processes_add_at_the_same_time(dsn: str) -> None:
    """Nothing is lost, whatever the order in which each counted."""
    forth = {("decided", "mock", f"v{number}", "poll"): 1 for number in range(50)}
    back = dict(reversed(forth.items()))
    async with opened(Database(dsn)) as one, opened(Database(dsn)) as other:
        pairs = [(Activity(one), forth), (Activity(other), back)]
        await asyncio.gather(*(add(*((sums, 1.0, counts))) for sums, counts in pairs * 20))
        rows = await Activity(one).since(NOW)
    assert {40} == {row.count for row in rows if row.minute}
    assert 50 == len([row for row in rows if row.minute])


async def test_old_minutes_are_forgotten_some_at_a_time(
    activity: Activity, database: Database
) -> None:
    """In the statement that adds; never what is younger than two days."""
    many = {("decided", "mock", f"v{number}", "poll"): 1 for number in range(700)}
    await add(activity, 0, many)
    await activity.add(later(86_400), {SETTLED: 1}, NOW)
    assert 701 == await count(database)
    await activity.add(later(3 * 86_400), {SETTLED: 1}, later(86_400))
    assert 702 - FORGOTTEN_AT_ONCE == await count(database)
    await activity.add(later(3 * 86_400), {SETTLED: 1}, later(86_400))
    assert 2 == await count(database)


async def count(database: Database) -> int:
    """Return how many sums there are."""
    return int((await database.fetch("SELECT count(*) FROM activity"))[0][0])


async def test_a_sum_is_updated_where_it_stands(activity: Activity, database: Database) -> None:
    """Without a new entry in the index: most updates are heap-only."""
    for _ in range(20):
        await add(activity, 1, {SETTLED: 1})
    hot = "SELECT pg_stat_get_xact_tuples_hot_updated('activity'::regclass)"
    async with opened(Database(database._dsn, max_connections=1)) as single:

        async def work(connection: object) -> int:
            assert isinstance(connection, asyncpg.pool.PoolConnectionProxy)
            await connection.execute("UPDATE activity SET count = count + 1")
            return int(await connection.fetchval(hot))

        assert 1 == await single.transact(work)


async def test_operators_are_remembered(database: Database, dsn: str) -> None:
    """The latest first; nobody rewrites it."""
    journal = OperatorJournal(database)
    await journal.note(NOW, "ann", "pause", "mock", "works")
    await journal.note(later(1), "bob", "replay", "parked: all")
    assert [("bob", "replay", "parked: all", None), ("ann", "pause", "mock", "works")] == [
        (one["by"], one["action"], one["subject"], one["why"]) for one in await journal.latest(10)
    ]
    assert 1 == len(await journal.latest(1))
    await journal.note(later(2), "ann", "replay", "parked: \0\n")
    assert "parked: \ufffd\ufffd" == (await journal.latest(1))[0]["subject"]
    connection = await connect(dsn)
    try:
        for statement in ("UPDATE operator_journal SET by = 'eve'", "DELETE FROM operator_journal"):
            with pytest.raises(asyncpg.CheckViolationError):
                await connection.execute(statement)
    finally:
        await connection.close()
