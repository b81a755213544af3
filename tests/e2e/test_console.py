"""The operators' pages on a whole payonce: by forms, and with the counts of several processes."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support import troubles
from tests.support.operators import operating
from tests.support.town import Town, Worker, open_town, payments
from tests.support.waiting import eventually

MANY = 60


@pytest.fixture
async def town(
    tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str
) -> AsyncIterator[Town]:
    """A town with three operators."""
    async with open_town(tmp_path, postgres_dsn, amqp_url, redis_url, **troubles.ENV) as opened:
        yield opened


@pytest.fixture
async def worker(town: Town) -> Worker:
    """A worker with all roles."""
    worker = town.worker()
    await worker.start()
    return worker


async def test_two_people_let_a_held_refund_go(town: Town, worker: Worker) -> None:
    """Each by a form of his own; the same person twice is told why not."""
    refund_id = await troubles.held(town, "big", 128_000)
    approve = f"/ops/refunds/{refund_id}/approve"
    async with operating(worker) as ann, operating(worker, "bob") as bob:
        assert "needs two people" in await ann.look("/ops/refunds")
        assert "waits for a second person" in await ann.send(approve, sure="yes")
        assert "You approved it already" in await ann.look("/ops/refunds")
        assert f"ann approved {refund_id} already" in (await ann.send(approve, sure="yes")).lower()
        assert "Approved." in await bob.send(approve, sure="yes")
        await troubles.waits(town, "big-2", "SUCCEEDED")
        story = await bob.look("/ops/orders?q=" + refund_id)
        assert "ann approved refund" in story
        assert "bob approved refund" in story
        assert "1280.00 CNY succeeded" in story
    asked = await town.rows("SELECT by, action, subject FROM operator_journal ORDER BY entry_id")
    assert [(name, "approve", refund_id) for name in ("ann", "ann", "bob")] == [
        tuple(one) for one in asked
    ]


async def test_every_list_shows_what_went_wrong(town: Town, worker: Worker) -> None:
    """And its forms set it right: resolved, sent back, paused, resumed."""
    await troubles.mismatched(town, "less")
    await troubles.parked(town)
    async with operating(worker) as ann:
        assert "less-1" in await ann.look("/ops/mismatched")
        said = await ann.send("/ops/resolve/less-1", why="a short one", **{"as": "kept"})
        assert "less-1 left the list" in said
        assert "less-1" not in await ann.look("/ops/mismatched")
        await eventually(lambda: town_parked(town), 30, "two messages are parked")
        assert "not even JSON" in await ann.look("/ops/parked")
        assert "2 sent back" in await ann.send("/ops/parked/replay", queue="parked", sure="yes")
        assert "paused" in await ann.send("/ops/gateways/mock/pause", why="their works")
        assert "their works" in await ann.look("/ops/gateways")
        assert "asked again" in await ann.send("/ops/gateways/mock/resume")
        assert "less-1" in await ann.look("/ops/orders/o-less")


async def town_parked(town: Town) -> bool:
    """Say whether both messages of a town are parked."""
    _, out, _ = await town.payonce("parked", "list", "--json")
    return len(out.splitlines()) == 2


async def test_charts_hold_the_counts_of_all_processes(town: Town) -> None:
    """Exactly, once each has ended in order; whoever serves the page shows them."""
    workers = [town.worker() for _ in range(2)]
    await asyncio.gather(*(one.start() for one in workers))
    crowd = payments(MANY)
    town.open_charges(crowd, pays_after_s=0)
    await town.publish("payment.initiated", crowd)
    await eventually(lambda: all_settled(town), 40, "all are settled")
    assert [0, 0] == await asyncio.gather(*(one.end(signal.SIGTERM) for one in workers))

    sums = "SELECT kind, name, sum(count)::int FROM activity GROUP BY kind, name"
    counts = {(kind, name): count for kind, name, count in await town.rows(sums)}
    assert (MANY, MANY) == (counts["registered", "new"], counts["decided", "settled"])
    assert MANY <= sum(count for (kind, _), count in counts.items() if kind == "late")
    edge = town.worker("--only", "edge")
    await edge.start()
    async with operating(edge) as ann:
        page = await ann.look("/ops")
    assert f"by the minute: {MANY} settled" in page
    assert f"half of {sum(n for (kind, _), n in counts.items() if kind == 'late')} at most" in page


async def all_settled(town: Town) -> bool:
    """Say whether all of a crowd are paid."""
    return await town.count("SELECT count(*) FROM orders WHERE status = 'PAID'") == MANY


async def test_a_new_token_ends_the_session(town: Town, worker: Worker) -> None:
    """At the next start; others go on, since the key stays with the database."""
    async with operating(worker) as ann, operating(worker, "bob") as bob:
        await worker.end()
        changed = json.dumps({**troubles.OPERATORS, "ann": "another-token"})
        worker._env["PAYONCE_HTTP__OPERATORS"] = changed
        await worker.start()
        assert "Log out" in await bob.look("/ops")
        assert "Log out" not in await ann.look("/ops")
