"""Which waits are declared, which are on their way out."""

from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.delay_queues import DelayQueues, RetiredWait
from tests.store.making import later

SHORT, LONG = ("poll", 3000), ("poll", 180_000)


async def test_a_wait_that_leaves_the_ladder_is_retired_until_it_is_forgotten(
    database: Database,
) -> None:
    """The time of retirement stays."""
    queues = DelayQueues(database)
    assert [] == await queues.sync([SHORT, LONG, SHORT], later(0))
    retired = [RetiredWait(*LONG, later(1))]
    assert retired == await queues.sync([SHORT], later(1))
    assert retired == await queues.sync([SHORT], later(2))
    await queues.forget([LONG, SHORT])
    assert [] == await queues.retired()
    assert [RetiredWait(*SHORT, later(3))] == await queues.sync([], later(3))


async def test_a_wait_that_comes_back_is_retired_no_more(database: Database) -> None:
    """Its queue is declared again."""
    queues = DelayQueues(database)
    await queues.sync([SHORT, LONG], later(0))
    await queues.sync([SHORT], later(1))
    assert [] == await queues.sync([SHORT, LONG], later(2))
    assert [] == await queues.retired()
