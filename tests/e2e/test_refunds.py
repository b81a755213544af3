"""What was paid twice goes back once, under the rules, or waits for people: the books tell."""

import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aio_pika
import pytest

from gateway_mock.shopper import parse_script
from tests.e2e.refunding import (
    AMOUNT,
    OPERATORS,
    ask,
    balance,
    kinds,
    pair,
    pay_twice,
    problem,
    settled,
    stands,
)
from tests.support.town import Town, open_town
from tests.support.waiting import eventually


@pytest.fixture
async def town(
    tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str
) -> AsyncIterator[Town]:
    """A town with three operators."""
    operators = {"PAYONCE_HTTP__OPERATORS": json.dumps(OPERATORS)}
    async with open_town(tmp_path, postgres_dsn, amqp_url, redis_url, **operators) as opened:
        yield opened


async def test_a_duplicate_is_refunded_by_itself(town: Town) -> None:
    """Captured is kept plus refunded, with Redis dead throughout."""
    await town.worker(PAYONCE_REDIS_URL="redis://127.0.0.1:1/0").start()
    await pay_twice(town, "a")
    refund = await stands(town, "a", "SUCCEEDED")
    assert (2 * AMOUNT, AMOUNT, AMOUNT) == balance(town, "a")
    assert (1, AMOUNT, "order-paid") == (refund["attempts"], refund["amount"], refund["reason"])
    assert ["refund.submitted", "refund.succeeded"] == await kinds(town, "a")
    status, out, _ = await town.payonce("show", "o-a")
    assert (0, True) == (status, "refund.succeeded" in out)


async def test_a_late_payment_of_a_cancelled_order_is_refunded(town: Town) -> None:
    """There is no winner to look at."""
    await town.worker().start()
    _, late = pair("a")
    await town.publish("order.cancelled", [{"order_id": "o-a"}])
    await eventually(lambda: town.count("SELECT count(*) FROM orders"))
    town.open_charges([late], pays_after_s=0, pays_though_closed=True)
    await town.publish("payment.initiated", [late])
    assert "order-cancelled" == (await stands(town, "a", "SUCCEEDED"))["reason"]
    assert (AMOUNT, AMOUNT, 0) == balance(town, "a")


HELD = {
    "kill-switch": {"PAYONCE_REFUND__AUTO": "false"},
    "gateway-kill-switch": {"PAYONCE_GATEWAYS__MOCK__REFUND_AUTO": "false"},
    "currency-not-listed": {"PAYONCE_REFUND__HOLD_ABOVE": '{"USD": 5}'},
    "over-limit": {"PAYONCE_REFUND__HOLD_ABOVE": json.dumps({"CNY": AMOUNT - 1})},
    "max-per-order": {"PAYONCE_REFUND__MAX_PER_ORDER": "0"},
    "max-per-hour": {"PAYONCE_REFUND__MAX_PER_HOUR": "0"},
    "gateway-max-per-hour": {"PAYONCE_GATEWAYS__MOCK__REFUND_MAX_PER_HOUR": "0"},
}


async def test_each_rule_of_the_configuration_holds_until_somebody_approves(town: Town) -> None:
    """By its name, in the list; then the money goes back."""
    for name, changed in HELD.items():
        worker = town.worker(**changed)
        await worker.start()
        await pay_twice(town, name)
        await stands(town, name, "HELD", name)
        assert (2 * AMOUNT, 0, 2 * AMOUNT) == balance(town, name)
        assert 0 == await worker.end()
    status, out, _ = await town.payonce("refunds", "list", "--json")
    listed = {row["rule"]: row["refund_id"] for row in map(json.loads, out.splitlines())}
    assert (0, set(HELD)) == (status, set(listed))
    await town.worker().start()
    for name, refund in listed.items():
        status, _, err = await town.payonce("refunds", "approve", refund, "--by", "ann")
        assert (0, "") == (status, err)
        await stands(town, name, "SUCCEEDED")
        assert (2 * AMOUNT, AMOUNT, AMOUNT) == balance(town, name)


async def test_operators_decide_over_http(town: Town) -> None:
    """Two of them about a large amount, by their tokens; every refusal has a name."""
    limits = {
        "PAYONCE_REFUND__HOLD_ABOVE": '{"CNY": 1000}',
        "PAYONCE_REFUND__TWO_PEOPLE_ABOVE": '{"CNY": 5000}',
    }
    worker = town.worker(**limits)
    await worker.start()
    await pay_twice(town, "large", amount=6000)
    await pay_twice(town, "small")
    large = (await stands(town, "large", "HELD", "over-limit"))["refund_id"]
    small = (await stands(town, "small", "HELD", "over-limit"))["refund_id"]
    listed = await ask(worker, "ann", "GET", "/v1/ops/refunds")
    assert {large, small} == {one["refund_id"] for one in listed[1]["items"]}
    assert (401, "unauthorized") == problem(await ask(worker, "x", "GET", "/v1/ops/refunds"))
    approve = f"/v1/ops/refunds/{large}/approve"
    status, first = await ask(worker, "ann", "POST", approve)
    assert (200, "HELD", "second-approval") == (status, first["status"], first["rule"])
    assert (409, "own-approval") == problem(await ask(worker, "ann", "POST", approve))
    assert 0 == balance(town, "large")[1]
    assert 200 == (await ask(worker, "bob", "POST", approve))[0]
    await stands(town, "large", "SUCCEEDED")
    assert (12_000, 6000, 6000) == balance(town, "large")
    assert (409, "not-held") == problem(await ask(worker, "bob", "POST", approve))
    reject = f"/v1/ops/refunds/{small}/reject"
    assert (422, "invalid") == problem(await ask(worker, "ann", "POST", reject, why=""))
    status, rejected = await ask(worker, "ann", "POST", reject, why="a voucher instead")
    assert (200, "REJECTED", "ann") == (status, rejected["status"], rejected["rejected_by"])
    assert 0 == balance(town, "small")[1]
    unknown = await ask(worker, "ann", "POST", "/v1/ops/refunds/rf-0/approve")
    assert (404, "not-found") == problem(unknown)


async def test_people_ask_for_refunds_over_http(town: Town) -> None:
    """Eve asks, Ann approves; the winner and too much are refused by name."""
    worker = town.worker(PAYONCE_REFUND__AUTO="false")
    await worker.start()
    await pay_twice(town, "a")
    held = (await stands(town, "a", "HELD", "kill-switch"))["refund_id"]
    path = "/v1/ops/refunds"
    refused: dict[str, dict[str, Any]] = {
        "winner": {"payment_id": "a-1", "why": "x"},
        "refund-exists": {"payment_id": "a-2", "why": "x"},
    }
    for name, body in refused.items():
        assert (409, name) == problem(await ask(worker, "eve", "POST", path, **body))
    assert 200 == (await ask(worker, "ann", "POST", f"{path}/{held}/reject", why="later"))[0]
    above: dict[str, Any] = {"payment_id": "a-2", "amount": AMOUNT + 1, "why": "x"}
    assert (409, "above-captured") == problem(await ask(worker, "eve", "POST", path, **above))
    half: dict[str, Any] = {"payment_id": "a-2", "amount": 500, "why": "half of it"}
    status, asked = await ask(worker, "eve", "POST", path, **half)
    assert (201, "HELD", "asked-by-person") == (status, asked["status"], asked["rule"])
    assert held != asked["refund_id"]
    approve = f"{path}/{asked['refund_id']}/approve"
    assert (409, "own-request") == problem(await ask(worker, "eve", "POST", approve))
    assert 200 == (await ask(worker, "ann", "POST", approve))[0]
    await stands(town, "a", "SUCCEEDED")
    assert (2 * AMOUNT, 500, 2 * AMOUNT - 500) == balance(town, "a")


async def test_an_answer_that_is_cut_off_moves_money_once(town: Town) -> None:
    """Also one that never comes, and a 500 after the deed; what was never heard is repeated."""
    await town.worker().start()
    faults = {"cut": 1, "timeout": 1, "500": 1, "unheard": 2, "503": 2}
    for fault, attempts in faults.items():
        await pay_twice(town, fault, refund_faults=[fault])
        refund = await stands(town, fault, "SUCCEEDED")
        assert (2 * AMOUNT, AMOUNT, AMOUNT) == balance(town, fault)
        assert attempts == refund["attempts"]
        assert 1 == len(town.mock.books.charges[f"{fault}-2"].refunds)


async def test_a_worker_that_is_killed_while_it_sends_moves_money_once(town: Town) -> None:
    """The next one asks what became of it."""
    worker = town.worker(PAYONCE_GATEWAYS__MOCK__TIMEOUT_S="30")
    await worker.start()
    await pay_twice(town, "a", refund_faults=["timeout"])
    await stands(town, "a", "SUBMITTED")
    await eventually(lambda: town.mock.books.refunds)
    await worker.end(signal.SIGKILL)
    await town.worker().start()
    assert 1 == (await stands(town, "a", "SUCCEEDED"))["attempts"]
    assert (2 * AMOUNT, AMOUNT, AMOUNT) == balance(town, "a")


async def test_a_lost_timer_is_found_by_the_sweep(town: Town) -> None:
    """The broker's queues are purged while a refund is pending."""
    await town.worker().start()
    await pay_twice(town, "a", refunds="pending", refunds_turn="succeeded", refunds_turn_after_s=8)
    await stands(town, "a", "SUBMITTED")
    async with await aio_pika.connect(town.amqp_url) as connection:
        channel = await connection.channel()
        names = [f"payonce.delay.refund.{wait_ms}" for wait_ms in (200, 400, 800, 2000)]

        async def purge() -> bool:
            queues = [await channel.get_queue(name, ensure=False) for name in names]
            return any([(await one.purge()).message_count for one in queues])

        await eventually(purge)
    await stands(town, "a", "SUCCEEDED")
    assert (2 * AMOUNT, AMOUNT, AMOUNT) == balance(town, "a")


async def test_a_winner_that_was_reversed_holds_the_duplicate(town: Town) -> None:
    """It may be all that pays the order."""
    await town.worker().start()
    first, second = pair("a")
    town.open_charges([first], pays_after_s=0)
    await town.publish("payment.initiated", [first])
    await eventually(lambda: settled(town, "o-a"))
    town.mock.books.refund("outside", "a-1", AMOUNT, "outside", town.mock.clock())
    town.open_charges([second], pays_after_s=0, pays_though_closed=True)
    await town.publish("payment.initiated", [second])
    await stands(town, "a", "HELD", "winner-reversed")
    assert (2 * AMOUNT, AMOUNT, AMOUNT) == balance(town, "a")


async def test_money_that_went_back_by_hand_holds(town: Town) -> None:
    """A person paid the duplicate back at the gateway before payonce came to it."""
    off = town.worker(PAYONCE_REFUND__AUTO="false")
    await off.start()
    await pay_twice(town, "a")
    refund = (await stands(town, "a", "HELD", "kill-switch"))["refund_id"]
    await off.end()
    town.mock.books.refund("outside", "a-2", AMOUNT, "outside", town.mock.clock())
    await town.worker().start()
    await town.payonce("refunds", "approve", refund, "--by", "ann")
    await stands(town, "a", "HELD", "already-refunded")
    resolve = ("resolve", refund, "--as", "refunded-elsewhere", "--by", "ann", "--why", "by hand")
    assert 0 == (await town.payonce(*resolve))[0]
    await stands(town, "a", "SUCCEEDED")
    assert (2 * AMOUNT, AMOUNT, AMOUNT) == balance(town, "a")


async def test_a_forgotten_key_moves_no_money_twice(town: Town) -> None:
    """The gateway forgets the refund and its id: a repeat would be a second refund."""
    await town.worker(PAYONCE_GATEWAYS__MOCK__REFUND_KEY_WINDOW="50ms").start()
    await pay_twice(town, "a", refund_faults=["cut"], refunds_forgotten_after_s=0)
    await stands(town, "a", "HELD", "key-forgotten")
    assert (2 * AMOUNT, AMOUNT, AMOUNT) == balance(town, "a")


async def test_a_pending_refund_that_fails_may_be_asked_for_again(town: Town) -> None:
    """Under a new id, by two people."""
    await town.worker().start()
    await pay_twice(town, "a", refunds="pending", refunds_turn="failed", refunds_turn_after_s=0.5)
    failed = await stands(town, "a", "FAILED")
    town.mock.books.charges["a-2"].script = parse_script({"pays_after_s": 0})
    request = ("refunds", "request", "a-2", "--by", "eve", "--why", "it failed")
    status, out, _ = await town.payonce(*request)
    asked = json.loads(out)
    assert (0, "HELD") == (status, asked["status"])
    assert failed["refund_id"] != asked["refund_id"]
    status, _, err = await town.payonce("refunds", "approve", asked["refund_id"], "--by", "eve")
    assert (1, True) == (status, err.startswith("payonce: own-request: "))
    assert 0 == (await town.payonce("refunds", "approve", asked["refund_id"], "--by", "ann"))[0]
    await stands(town, "a", "SUCCEEDED")
    assert (2 * AMOUNT, AMOUNT, AMOUNT) == balance(town, "a")


async def test_a_refused_refund_has_failed_in_the_gateway_s_words(town: Town) -> None:
    """And is listed until somebody takes care of it."""
    await town.worker().start()
    await pay_twice(town, "a", refund_faults=["refused"])
    failed = await stands(town, "a", "FAILED")
    assert "refunds of this charge are refused" in failed["last_answer"]
    assert 1 == len((await town.payonce("refunds", "list", "--json"))[1].splitlines())
    done = ("--as", "refunded-elsewhere", "--by", "ann", "--why", "by bank transfer")
    assert 0 == (await town.payonce("resolve", failed["refund_id"], *done))[0]
    assert "no refund waits for a person\n" == (await town.payonce("refunds", "list"))[1]


async def test_a_gateway_that_cannot_refund_leaves_it_to_a_person(town: Town) -> None:
    """MANUAL, until somebody says that it was paid back, or kept."""
    worker = town.worker(PAYONCE_GATEWAYS__MOCK__CAN_REFUND="false")
    await worker.start()
    await pay_twice(town, "a")
    await pay_twice(town, "b")
    paid_back = (await stands(town, "a", "MANUAL"))["refund_id"]
    kept = (await stands(town, "b", "MANUAL"))["refund_id"]
    path, body = f"/v1/ops/resolve/{paid_back}", {"as": "refunded-elsewhere", "why": "in cash"}
    status, resolved = await ask(worker, "ann", "POST", path, **body)
    assert (200, "SUCCEEDED", "ann") == (status, resolved["status"], resolved["resolved_by"])
    word = ("--as", "kept", "--by", "ann", "--why", "they bought more")
    assert 0 == (await town.payonce("resolve", kept, *word))[0]
    await stands(town, "b", "REJECTED")
    assert (4 * AMOUNT, 0) == (
        balance(town, "a")[0] + balance(town, "b")[0],
        balance(town, "a")[1] + balance(town, "b")[1],
    )
    assert "" == (await town.payonce("refunds", "list", "--json"))[1]
