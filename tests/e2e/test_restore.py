"""A backup of an hour ago is put back, and no order is paid twice, and none looks unpaid."""

import asyncio
import subprocess
from pathlib import Path
from typing import Any

from redis import asyncio as aioredis

from tests.support.postgres import find_postgres
from tests.support.servers import Servers
from tests.support.town import Town, payments
from tests.support.waiting import eventually

PRICE = 1999


async def test_what_happened_after_the_backup_comes_out_the_same_again(
    town: Town, servers: Servers, tmp_path: Path
) -> None:
    """Winners, ids of events and refunds follow from what they are about, not from when."""
    before, watched, once, twice, second = payments(5)
    second["order_id"] = twice["order_id"]
    later = [once, twice, second]
    town.open_charges([before, *later], pays_after_s=0.1)
    town.open_charges([watched])
    worker = town.worker()
    await worker.start()

    async with town.order_service():
        await town.publish("payment.initiated", [before, watched])
        await eventually(lambda: _acknowledged(town, 1), 30)
        await eventually(lambda: _is_watched(town, watched["payment_id"]), 30)
        await asyncio.to_thread(_back_up, town, tmp_path)
        town.mock.pay(town.mock.books.charges[watched["payment_id"]])
        await town.publish("payment.initiated", later)
        await eventually(lambda: _is_over(town), 30)
        assert await worker.end() == 0
        winners, told = await _winners(town), _ids(town)
        (loser,) = {one["payment_id"] for one in (twice, second)} - set(winners.values())

        await asyncio.to_thread(_restore, town, servers, tmp_path)
        await _forget(town)
        assert (0, 1) == (await _count_refunds(town), len(await _winners(town)))
        await town.worker().start()
        await town.publish("payment.initiated", later)
        await eventually(lambda: _acknowledged(town, 4), 30)
        await eventually(lambda: _is_listed(town, loser), 30)

    assert (winners, told) == (await _winners(town), _ids(town))
    balance = town.mock.books.balance(town.mock.clock())
    assert (balance["captured"], balance["kept"]) == (5 * PRICE, 4 * PRICE)
    assert [1] == [len(one.refunds) for one in town.mock.books.charges.values() if one.refunds]


def _back_up(town: Town, folder: Path) -> None:
    _run("pg_dump", "-Fc", "-f", str(folder / "backup"), town.owner_dsn)


def _restore(town: Town, servers: Servers, folder: Path) -> None:
    servers.postgres.fresh_database(town.owner_dsn.rpartition("/")[2])
    _run("pg_restore", "--exit-on-error", "-d", town.owner_dsn, str(folder / "backup"))


def _run(program: str, *arguments: str) -> None:
    subprocess.run([f"{find_postgres()}/{program}", *arguments], check=True, capture_output=True)


async def _forget(town: Town) -> None:
    """Empty Redis: what it remembers is of after the backup."""
    async with aioredis.from_url(town.env["PAYONCE_REDIS_URL"]) as client:
        assert await client.flushdb()


async def _is_watched(town: Town, payment_id: str) -> bool:
    sql = "SELECT status FROM payments WHERE payment_id = $1"
    return [row["status"] for row in await town.rows(sql, payment_id)] == ["PENDING"]


async def _is_over(town: Town) -> bool:
    return (
        await _acknowledged(town, 4)
        and await _settled(town, 5)
        and await town.count("SELECT count(*) FROM refunds WHERE status = 'SUCCEEDED'") == 1
    )


async def _acknowledged(town: Town, count: int) -> bool:
    return await town.acknowledged() == count


async def _settled(town: Town, count: int) -> bool:
    return await town.count("SELECT count(*) FROM payments WHERE status = 'SUCCEEDED'") == count


async def _is_listed(town: Town, payment_id: str) -> bool:
    """Say whether a payment whose money went back before the database knew waits for a person."""
    listed = await town.rows(
        "SELECT payment_id, mismatched FROM payments WHERE mismatched IS NOT NULL"
    )
    return [(payment_id, "already-refunded")] == [tuple(row) for row in listed]


async def _count_refunds(town: Town) -> int:
    return await town.count("SELECT count(*) FROM refunds")


async def _winners(town: Town) -> dict[str, str]:
    rows: list[Any] = await town.rows(
        "SELECT order_id, settled_by FROM orders WHERE settled_by IS NOT NULL"
    )
    return {row["order_id"]: row["settled_by"] for row in rows}


def _ids(town: Town) -> dict[str, set[str]]:
    return {order_id: set(ids) for order_id, ids in town.orders.events.items()}
