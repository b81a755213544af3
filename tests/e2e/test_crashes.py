"""Everything dies in mid-run, and every order is paid once all the same."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from redis import asyncio as aioredis

from tests.support.crowd import Crowd, audit, unfinished
from tests.support.servers import Servers
from tests.support.town import Town, open_town, payments
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(600)

CROWD = 2_000
WITHIN_S = 300
Blow = Callable[[Town, Servers], Awaitable[None]]


async def kill_worker(town: Town, _: Servers) -> None:
    """Kill the worker, start another."""
    await town.workers[-1].end(signal.SIGKILL)
    await town.worker().start()


async def kill_rabbitmq(_: Town, servers: Servers) -> None:
    """Kill the broker, start it again."""
    await asyncio.to_thread(servers.rabbitmq.kill)
    await asyncio.to_thread(servers.rabbitmq.start)


async def kill_postgres(_: Town, servers: Servers) -> None:
    """Kill the database, start it again."""
    await asyncio.to_thread(servers.postgres.kill)
    await asyncio.to_thread(servers.postgres.start)


async def restart_postgres(_: Town, servers: Servers) -> None:
    """Stop the database in order, start it again."""
    await asyncio.to_thread(servers.postgres.stop)
    await asyncio.to_thread(servers.postgres.start)


async def kill_redis(_: Town, servers: Servers) -> None:
    """Kill Redis, and leave it dead."""
    await asyncio.to_thread(servers.redis.kill)


async def flush_redis(town: Town, _: Servers) -> None:
    """Empty Redis three times."""
    async with aioredis.from_url(town.env["PAYONCE_REDIS_URL"]) as client:
        for _turn in range(3):
            assert await client.flushall()
            await eventually(partial(_went_on, town, len(town.orders.events)), 30)


async def purge_delays(town: Town, _: Servers) -> None:
    """Take every waiting timer off the broker."""
    purged = 0
    async with await aio_pika.connect(town.amqp_url) as connection:
        channel = await connection.channel()
        for wait_ms in (200, 400, 800, 2000):
            queue = await channel.get_queue(f"payonce.delay.poll.{wait_ms}", ensure=False)
            purged += (await queue.purge()).message_count or 0
    assert purged > 0


@pytest.mark.parametrize(
    "blow",
    [
        kill_worker,
        kill_rabbitmq,
        kill_postgres,
        restart_postgres,
        kill_redis,
        flush_redis,
        purge_delays,
    ],
)
async def test_death_in_mid_run_loses_and_doubles_nothing(
    town: Town, mortal: Servers, blow: Blow
) -> None:
    """Two thousand payments come out as the gateway's books say, whatever dies meanwhile."""
    crowd = Crowd.of(CROWD)
    await town.worker().start()

    async with town.order_service(), shopping(crowd.shop(town)) as done:
        await eventually(lambda: len(town.orders.events) > CROWD / 20, 90)
        await blow(town, mortal)
        await done
        await eventually(lambda: _is_over(town), WITHIN_S, "every payment has its outcome")

    totals = await audit(town, crowd)
    sys.stdout.write(f"{totals}\n")
    assert totals["payments"] == CROWD
    assert totals["paid"] == CROWD * 7 / 10
    # The rest of the second payments were closed before they were paid.
    assert 0 < totals["duplicates"] <= CROWD / 10
    assert totals["refunded"] == totals["captured"] - totals["kept"]
    await eventually(town.is_relayed)
    assert (await town.payonce("parked", "list", "--json"))[1] == ""


async def test_two_workers_share_the_work_and_the_death_of_one(town: Town, mortal: Servers) -> None:
    """What one worker held in hand, the other takes up at once."""
    crowd = Crowd.of(500)
    first, second = town.worker(), town.worker()
    await asyncio.gather(first.start(), second.start())

    async with town.order_service(), shopping(crowd.shop(town)) as done:
        await eventually(lambda: len(town.orders.events) > 50, 90)
        await first.end(signal.SIGKILL)
        await done
        await eventually(lambda: _is_over(town), WITHIN_S, "every payment has its outcome")

    assert (await audit(town, crowd))["payments"] == 500


async def test_changed_ladder_loses_no_wait(
    tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str
) -> None:
    """What waits on the old ladder comes due; what is new waits on the new one only."""
    old = {"PAYONCE_POLL__LADDER": json.dumps(["3s", "4s"])}
    async with open_town(tmp_path, postgres_dsn, amqp_url, redis_url, **old) as town:
        waiting, fresh = payments(2)
        town.open_charges([waiting, fresh], pays_after_s=0.1)
        first = town.worker()
        await first.start()
        await town.publish("payment.initiated", [waiting])
        await eventually(lambda: _waits(town, 1))
        assert await first.end() == 0

        new = {"PAYONCE_POLL__LADDER": json.dumps(["300ms", "1s"])}
        await town.worker(**new).start()
        await eventually(lambda: _is_unbound(town, "payonce.delay.poll.3000"))
        await town.publish("payment.initiated", [fresh])
        await eventually(lambda: _succeeded(town, {"p-1"}))
        await eventually(lambda: _succeeded(town, {"p-0", "p-1"}))
        assert [len(town.mock.books.charges[name].queried_at) for name in ("p-0", "p-1")] == [1, 1]


@asynccontextmanager
async def shopping(shop: Coroutine[Any, Any, None]) -> AsyncIterator["asyncio.Task[None]"]:
    """Let the crowd shop in the background."""
    task = asyncio.create_task(shop)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def _went_on(town: Town, before: int) -> bool:
    return len(town.orders.events) > before + 20


async def _is_over(town: Town) -> bool:
    return await unfinished(town) == 0


async def _waits(town: Town, count: int) -> bool:
    return await town.count("SELECT count(*) FROM payments") == count


async def _succeeded(town: Town, wanted: set[str]) -> bool:
    rows = await town.rows("SELECT payment_id FROM payments WHERE status = 'SUCCEEDED'")
    return wanted <= {row["payment_id"] for row in rows}


async def _is_unbound(town: Town, queue: str) -> bool:
    """Say whether a wait's key leads nowhere any more: a message to it comes back."""
    _, wait_ms = queue.rsplit(".", 1)
    async with await aio_pika.connect(town.amqp_url) as connection:
        channel = await connection.channel(publisher_confirms=True, on_return_raises=True)
        exchange = await channel.get_exchange("payonce.delay", ensure=False)
        try:
            await exchange.publish(aio_pika.Message(b"probe"), routing_key=f"{wait_ms}.poll")
        except aio_pika.exceptions.DeliveryError:
            return True
    return False
