"""The order service told by a call: at once, through outages, once in its table."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aio_pika
import pytest
from aiohttp import web
from standardwebhooks import Webhook

from tests.e2e.test_retelling import listen
from tests.support.caller import url_of
from tests.support.order_service import SECRET, OrderServiceProcess, running
from tests.support.servers import Servers
from tests.support.shop import open_shop
from tests.support.town import SERVICE, Town, open_town, payments
from tests.support.waiting import eventually

MANY = 250
OPERATOR = {"PAYONCE_HTTP__OPERATORS__ANN": "token-of-ann"}
ACKNOWLEDGED_BY = "SELECT detail ->> 'by' AS by FROM timeline WHERE kind = 'order.acknowledged'"

Dsns = tuple[str, str, str]
NOTHING: Mapping[str, str] = {}


@pytest.fixture
def dsns(postgres_dsn: str, amqp_url: str, redis_url: str) -> Dsns:
    """The three servers of a town."""
    return postgres_dsn, amqp_url, redis_url


@asynccontextmanager
async def telling_town(
    folder: Path, dsns: Dsns, variables: Mapping[str, str] = NOTHING, *, events: bool = False
) -> AsyncIterator[tuple[Town, OrderServiceProcess]]:
    """Give a town that calls the example's order service, which is not running yet."""
    amqp_url = dsns[1] if events else ""
    service = OrderServiceProcess(dsns[0], folder / "order-service.log", amqp_url)
    async with open_town(folder, *dsns, **{**service.variables, **OPERATOR, **variables}) as town:
        try:
            yield town, service
        finally:
            await service.end()


async def pay(town: Town, wanted: list[dict[str, Any]]) -> None:
    """Let so many orders be paid at once."""
    town.open_charges(wanted, pays_after_s=0)
    await town.publish("payment.initiated", wanted)


async def all_acknowledged(town: Town, count: int) -> bool:
    """Say whether so many orders are booked."""
    return await town.acknowledged() == count


async def is_paid(town: Town, count: int) -> bool:
    """Say whether so many orders are paid."""
    return await town.count("SELECT count(*) FROM orders WHERE status = 'PAID'") == count


async def test_an_order_is_told_by_call_alone(tmp_path: Path, dsns: Dsns) -> None:
    """Booked, acknowledged, and its event waits for no listener any more."""
    async with telling_town(tmp_path, dsns) as (town, service):
        await service.start()
        worker = town.worker()
        await worker.start()
        await pay(town, payments(3))
        await eventually(lambda: all_acknowledged(town, 3))
        assert ["call"] * 3 == [row["by"] for row in await town.rows(ACKNOWLEDGED_BY)]
        assert ["o-p-0", "o-p-1", "o-p-2"] == sorted(await service.booked())
        await eventually(lambda: is_empty(town, "outbox"))
        assert 'payonce_notify_seconds_count{outcome="ok"} 3.0' in await worker.get_text("/metrics")


async def is_empty(town: Town, table: str) -> bool:
    """Say whether a table holds nothing."""
    return await town.count(f"SELECT count(*) FROM {table}") == 0


async def test_told_both_ways_an_order_is_booked_once(tmp_path: Path, dsns: Dsns) -> None:
    """The event and the call come at the same time."""
    async with telling_town(tmp_path, dsns, events=True) as (town, service):
        await service.start()
        await town.worker().start()
        async with await aio_pika.connect(town.amqp_url) as connection:
            heard = await listen(await connection.channel(), "witness")
            await pay(town, payments(20))
            await eventually(lambda: all_acknowledged(town, 20))
            await eventually(lambda: len(heard) == 20)
        assert sorted(one["order_id"] for one in payments(20)) == sorted(await service.booked())
        # Whatever was acknowledged by its event first needs no call any more.
        await eventually(lambda: called_or_spared(town, 20))


async def called_or_spared(town: Town, count: int) -> bool:
    """Say whether so many calls were made, or not made since the order was acknowledged before."""
    metrics = await town.workers[0].get_text("/metrics")
    found = re.findall(
        r'^payonce_notify(?:_seconds_count{outcome="ok"}|_skipped_total{reason="acknowledged"})'
        r" ([0-9.]+)$",
        metrics,
        re.MULTILINE,
    )
    return sum(map(float, found)) == count


@asynccontextmanager
async def reluctant(refusals: int) -> AsyncIterator[tuple[str, list[tuple[str, dict[str, Any]]]]]:
    """Give the address of an endpoint that refuses so often, and the calls that it verified."""
    calls: list[tuple[str, dict[str, Any]]] = []

    async def take(request: web.Request) -> web.Response:
        event = Webhook(SECRET).verify(await request.read(), dict(request.headers))
        calls.append((request.headers["webhook-id"], event))
        return web.Response(status=500 if len(calls) <= refusals else 204)

    app = web.Application()
    app.router.add_post("/paid", take)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/paid", calls
    finally:
        await runner.cleanup()


async def test_a_refused_call_comes_again_as_it_was(tmp_path: Path, dsns: Dsns) -> None:
    """The same id, the same event as the bus's, until a yes; then no more."""
    async with (
        reluctant(2) as (url, calls),
        telling_town(tmp_path, dsns, {"PAYONCE_ORDER_SERVICE__NOTIFY_URL": url}) as (town, _),
        await aio_pika.connect(town.amqp_url) as connection,
    ):
        heard = await listen(await connection.channel(), "witness")
        await town.worker().start()
        await pay(town, payments(1))
        await eventually(lambda: all_acknowledged(town, 1), 30)
        [(event_id, event)] = heard
        assert [(event_id, event)] * 3 == calls


@pytest.mark.parametrize("events", [False, True])
async def test_an_outage_loses_and_doubles_nothing(
    tmp_path: Path, dsns: Dsns, events: bool
) -> None:
    """Hundreds are paid while the order service is down; soon after its return all are booked."""
    ladder = {"PAYONCE_ORDER_SERVICE__LADDER": '["20s"]'}
    async with telling_town(tmp_path, dsns, ladder, events=events) as (town, service):
        if events:
            async with running(service):
                pass  # its queue is there
        await town.worker().start()
        await pay(town, payments(MANY))
        await eventually(lambda: is_paid(town, MANY), 120)
        assert 0 == await town.acknowledged()
        async with running(service):
            await eventually(lambda: all_acknowledged(town, MANY), 45)
            booked = await service.booked()
        assert (MANY, MANY) == (len(booked), len(set(booked)))


async def test_a_purged_queue_is_made_good(tmp_path: Path, dsns: Dsns) -> None:
    """Postgres knows who is not told; no call was made before."""
    ladder = {"PAYONCE_ORDER_SERVICE__LADDER": '["1s"]', "PAYONCE_POLL__LADDER": '["1m"]'}
    [payment] = payments(1)
    async with telling_town(tmp_path, dsns, ladder) as (town, service):
        await service.start()
        edge = town.worker("--only", "edge")
        await edge.start()
        # Known, though nobody consumes: a worker registers it and is gone.
        registrar = town.worker()
        await registrar.start()
        await town.publish("payment.initiated", [payment])
        await eventually(lambda: exists(town, "payments"))
        await registrar.end()
        town.open_charges([{**payment, "notify_url": url_of(edge)}], pays_after_s=0)
        async with await aio_pika.connect(town.amqp_url) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue("payonce.notify", ensure=False)
            await eventually(lambda: is_paid(town, 1))
            await eventually(lambda: purged(queue))
        assert [] == await service.booked()
        await town.worker().start()
        await eventually(lambda: all_acknowledged(town, 1), 30)
        assert ["o-p-0"] == await service.booked()


async def exists(town: Town, table: str) -> bool:
    """Say whether a table holds something."""
    return await town.count(f"SELECT count(*) FROM {table}") > 0


async def purged(queue: aio_pika.abc.AbstractQueue) -> bool:
    """Purge a queue and say whether anything was in it."""
    return bool((await queue.purge()).message_count)


async def test_an_order_is_acknowledged_by_call_while_the_bus_is_away(
    tmp_path: Path, dsns: Dsns, mortal: Servers
) -> None:
    """A callback settles it; and once the bus is back, the bound queue gets its event."""
    [payment] = payments(1)
    slow = {"PAYONCE_POLL__LADDER": '["1m"]'}
    async with telling_town(tmp_path, dsns, slow) as (town, service):
        await service.start()
        worker = town.worker()
        await worker.start()
        async with town.order_service():
            pass  # a queue is bound, and nobody consumes
        await town.publish("payment.initiated", [payment])
        await eventually(lambda: exists(town, "payments"))
        await asyncio.to_thread(mortal.rabbitmq.kill)
        town.open_charges([{**payment, "notify_url": url_of(worker)}], pays_after_s=0)
        await eventually(lambda: all_acknowledged(town, 1), 30)
        assert ["o-p-0"] == await service.booked()
        assert 1 == await town.count("SELECT count(*) FROM outbox WHERE NOT retold")
        await asyncio.to_thread(mortal.rabbitmq.start)
        await eventually(lambda: is_empty(town, "outbox"), 60)
        async with await aio_pika.connect(town.amqp_url) as connection:
            channel = await connection.channel()
            queue = await channel.get_queue(f"{SERVICE}.payment-succeeded", ensure=False)
            message = await queue.get(no_ack=True)
        assert b'"o-p-0"' in message.body


async def test_operators_have_orders_told_again_within_seconds(tmp_path: Path, dsns: Dsns) -> None:
    """By the command and over HTTP; the ladder alone would take minutes."""
    async with (
        reluctant(10**6) as (url, calls),
        telling_town(tmp_path, dsns, {"PAYONCE_ORDER_SERVICE__NOTIFY_URL": url}) as (town, _),
    ):
        worker = town.worker()
        await worker.start()
        await pay(town, payments(2))
        await eventually(lambda: len({event_id for event_id, _ in calls}) == 2)

        def called(order_id: str) -> int:
            return sum(event["subject"] == order_id for _, event in calls)

        await eventually(lambda: called("o-p-0") >= 3 and called("o-p-1") >= 3)
        before = called("o-p-0")
        assert (0, "o-p-0 is told again now\n", "") == await town.payonce(
            "notify", "o-p-0", "--by", "ann"
        )
        await eventually(lambda: called("o-p-0") > before, 15)
        before = called("o-p-1")
        async with open_shop(worker) as [shop]:
            path = "/v1/ops/unacknowledged/notify"
            answer = await shop.ask("POST", path, "token-of-ann", json={"all": True})
        assert (202, {"orders": 2}) == (answer.status, answer.body)
        await eventually(lambda: called("o-p-1") > before, 15)
        asked = "SELECT detail ->> 'by' AS by FROM timeline WHERE kind = 'order.notify_asked'"
        assert ["ann"] * 3 == [row["by"] for row in await town.rows(asked)]
