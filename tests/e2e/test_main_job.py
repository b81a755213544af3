"""From payment.initiated to an acknowledged payment.succeeded."""

import json
from pathlib import Path

from tests.support.town import Town, open_town, payments
from tests.support.waiting import eventually

REAL_LADDER = json.dumps(["3s", "10s", "30s", "3m"])


async def test_paid_order_is_told_and_acknowledged(town: Town) -> None:
    """A paid order is settled by its payment, told under one id, and acknowledged."""
    paid = payments(5)
    town.open_charges(paid, pays_after_s=0.3)
    await town.worker().start()

    async with town.order_service():
        await town.publish("payment.initiated", paid)
        await eventually(lambda: _all_acknowledged(town, 5))

    assert all(len(set(ids)) == 1 for ids in town.orders.events.values())
    assert len(town.orders.events) == 5
    await eventually(town.is_relayed)


async def test_polls_come_on_the_real_ladder(
    tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str
) -> None:
    """A payment that is paid late is asked about 3, 13 and 43 seconds after its message."""
    changed = {"PAYONCE_POLL__LADDER": REAL_LADDER}
    async with open_town(tmp_path, postgres_dsn, amqp_url, redis_url, **changed) as town:
        (late,) = payments(1)
        town.open_charges([late], pays_after_s=20)
        await town.worker().start()

        sent_s = town.mock.clock()
        await town.publish("payment.initiated", [late])
        charge = town.mock.books.charges[late["payment_id"]]
        await eventually(lambda: len(charge.queried_at) == 3, 60)

        late_s = [at - sent_s - due for at, due in zip(charge.queried_at, (3, 13, 43), strict=True)]
        # Three ways there and back: late by less than the shortest wait, whatever the machine.
        assert all(-0.1 <= one <= 2.5 for one in late_s), late_s
        await eventually(lambda: _statuses(town, ["SUCCEEDED"]))


async def test_second_success_is_a_duplicate_that_is_refunded(town: Town) -> None:
    """Of two paid payments one settles the order; the other's money goes back."""
    first, second = payments(2)
    second["order_id"] = first["order_id"]
    town.open_charges([first, second], pays_after_s=0.1)
    await town.worker().start()

    async with town.order_service():
        await town.publish("payment.initiated", [first, second])
        await eventually(lambda: _statuses(town, ["SUCCEEDED", "SUCCEEDED"]))
        await eventually(lambda: _all_acknowledged(town, 1))

    await eventually(lambda: _refunded(town))
    order = (await town.rows("SELECT settled_by, version FROM orders"))[0]
    refund = (await town.rows("SELECT payment_id, status, amount FROM refunds"))[0]
    assert {order["settled_by"], refund["payment_id"]} == {"p-0", "p-1"}
    assert (refund["status"], refund["amount"]) == ("SUCCEEDED", 1999)
    balance = town.mock.books.balance(town.mock.clock())
    assert (balance["kept"], balance["refunded"]) == (1999, 1999)
    assert len(set(town.orders.events[first["order_id"]])) == 1


async def test_same_message_thrice_is_one_payment(town: Town) -> None:
    """A repeated message changes nothing and doubles no poll."""
    (payment,) = payments(1)
    town.open_charges([payment], pays_after_queries=2)
    await town.worker().start()

    await town.publish("payment.initiated", [payment] * 3)
    await eventually(lambda: _statuses(town, ["SUCCEEDED"]))

    charge = town.mock.books.charges["p-0"]
    assert len(charge.queried_at) == 3
    assert await town.count("SELECT count(*) FROM payments") == 1


async def test_watch_ends_closed_or_unresolved(town: Town) -> None:
    """After expires_at the charge is closed; where the gateway is mute, nothing is invented."""
    silent, mute = payments(2)
    for one in (silent, mute):
        one["expires_at"] = "2026-01-01T00:00:00Z"
    town.open_charges([{**silent, "expires_at": None}])
    town.open_charges([{**mute, "expires_at": None}], faults=["500"] * 9)
    await town.worker().start()

    await town.publish("payment.initiated", [silent, mute])
    await eventually(lambda: _statuses(town, ["CLOSED", "PENDING"]))
    await eventually(lambda: _unresolved(town))

    status, out, _ = await town.payonce("unresolved", "--json")
    assert status == 0
    assert [json.loads(line)["payment_id"] for line in out.splitlines()] == ["p-1"]


async def test_cancelled_order_closes_its_payment(town: Town) -> None:
    """order.cancelled closes what is pending; nobody can pay any more."""
    (payment,) = payments(1)
    town.open_charges([payment], pays_after_s=60)
    await town.worker().start()

    await town.publish("payment.initiated", [payment])
    await eventually(lambda: _statuses(town, ["PENDING"]))
    await town.publish("order.cancelled", [{"order_id": payment["order_id"]}])
    await eventually(lambda: _statuses(town, ["CLOSED"]))

    assert (await town.rows("SELECT status FROM orders"))[0]["status"] == "CANCELLED"
    assert town.mock.books.charges["p-0"].closed_at is not None


async def test_order_service_that_fails_is_told_again(town: Town) -> None:
    """An event that the order service does not take comes back; others are not held up."""
    both = payments(2)
    town.open_charges(both, pays_after_s=0.1)
    town.orders.failing.add("o-p-0")
    await town.worker().start()

    async with town.order_service():
        await town.publish("payment.initiated", both)
        await eventually(lambda: len(town.orders.events.get("o-p-0", [])) >= 2)
        await eventually(lambda: _all_acknowledged(town, 1))
        town.orders.failing.clear()
        await eventually(lambda: _all_acknowledged(town, 2))

    assert len(set(town.orders.events["o-p-0"])) == 1


async def test_event_waits_for_its_first_listener(town: Town) -> None:
    """While nobody is bound, the success stays in the outbox and comes once somebody is."""
    (payment,) = payments(1)
    town.open_charges([payment], pays_after_s=0.1)
    await town.worker().start()
    await town.publish("payment.initiated", [payment])
    await eventually(lambda: _statuses(town, ["SUCCEEDED"]))
    assert await town.count("SELECT count(*) FROM outbox WHERE type = 'payment.succeeded'") == 1

    async with town.order_service():
        await eventually(lambda: _all_acknowledged(town, 1), 40)


async def _all_acknowledged(town: Town, count: int) -> bool:
    return await town.acknowledged() == count


async def _statuses(town: Town, wanted: list[str]) -> bool:
    rows = await town.rows("SELECT status FROM payments ORDER BY status")
    return [row["status"] for row in rows] == sorted(wanted)


async def _refunded(town: Town) -> bool:
    return await town.count("SELECT count(*) FROM refunds WHERE status = 'SUCCEEDED'") == 1


async def _unresolved(town: Town) -> bool:
    return await town.count("SELECT count(*) FROM payments WHERE unresolved") == 1
