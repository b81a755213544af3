"""Some faults of the campaign, each in the midst of shoppers; the rest: ./dev campaign."""

import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import asyncpg
import pytest
import pytest_asyncio

from tests.campaign.faults import FAULTS, Fault
from tests.campaign.opening import open_stage
from tests.campaign.stage import Stage
from tests.campaign.trial import Pace, Trial
from tests.support.waiting import eventually

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(480)]

# A refund whose message went with its queue is swept up a minute later.
BRIEF = Pace(per_s=2.0, calm_s=2.5, hold_s=2.5, recovers_within_s=180.0)


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A folder that the database's user may pass."""
    with tempfile.TemporaryDirectory(prefix="payonce-campaign-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        yield folder


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def stage(folder: Path) -> AsyncIterator[Stage]:
    """One stage for all: it is whole again after each trial."""
    async with open_stage(folder) as opened:
        yield opened


@pytest.mark.parametrize(
    "names",
    [
        ["postgres.cut-answer"],
        ["rabbitmq.queues-deleted"],
        ["gateway.black-hole", "redis.flushed"],
        ["worker.killed", "rabbitmq.memory-alarm"],
    ],
    ids="+".join,
)
async def test_every_book_agrees_after_a_fault(stage: Stage, names: list[str]) -> None:
    """Shoppers, orders and money come out as the gateway's books say."""
    trial = Trial(stage, [FAULTS[name] for name in names], BRIEF, seed=1)

    result = await trial.run()

    assert result.objections == []
    assert result.payments > 10
    assert {link.mode.value for link in stage.links.values()} == {"pass"}


async def test_trial_sees_a_booking_that_is_gone(stage: Stage) -> None:
    """What the order service forgets after it said that it has booked it is objected to."""

    async def forget(stage: Stage) -> None:
        await eventually(lambda: trial._watcher.seen.done, what="an order is booked")
        connection = await asyncpg.connect(stage.orders.dsn)
        try:
            forgotten = await connection.execute("DELETE FROM order_service.bookings")
        finally:
            await connection.close()
        assert forgotten != "DELETE 0"

    trial = Trial(stage, [Fault("forgetful", "orders", forget)], BRIEF, seed=1)

    result = await trial.run()

    assert result.objections
    assert {one.partition(":")[0] for one in result.objections} == {"promise 6"}
