"""People end what payonce cannot: mismatched money, watches without a word."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.e2e.refunding import (
    AMOUNT,
    OPERATORS,
    ask,
    balance,
    pair,
    problem,
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


async def test_mismatched_and_unresolved_payments_are_resolved(town: Town) -> None:
    """Each leaves its list; what was captured goes back as it was captured."""
    worker = town.worker()
    await worker.start()
    (_, wrong), (_, mute) = pair("wrong"), pair("mute")
    mute["expires_at"] = "2026-01-01T00:00:00Z"
    town.open_charges([wrong], pays_after_s=0, reports_amount=1500)
    town.open_charges([{**mute, "expires_at": None}], faults=["500"] * 9)
    await town.publish("payment.initiated", [wrong, mute])
    await eventually(lambda: _listed(town, "mismatched", "wrong-2"))
    await eventually(lambda: _listed(town, "unresolved", "mute-2"))
    word = ("--by", "eve", "--why", "the shopper called")
    status, _, err = await town.payonce("resolve", "mute-2", "--as", "refund", *word)
    assert (1, True) == (status, err.startswith("payonce: nothing-captured: "))
    status, out, _ = await town.payonce("resolve", "mute-2", "--as", "kept", *word)
    assert (0, "kept") == (status, json.loads(out)["resolved_as"])
    status, out, _ = await town.payonce("resolve", "wrong-2", "--as", "refund", *word)
    refund = json.loads(out)
    assert (0, "HELD", 1500) == (status, refund["status"], refund["amount"])
    for name in ("mismatched", "unresolved"):
        assert "" == (await town.payonce(name, "--json"))[1]
    approve = f"/v1/ops/refunds/{refund['refund_id']}/approve"
    assert 200 == (await ask(worker, "ann", "POST", approve))[0]
    await stands(town, "wrong", "SUCCEEDED")
    assert (AMOUNT, 1500, AMOUNT - 1500) == balance(town, "wrong")


async def test_money_of_an_unknown_currency_is_shown_and_left_to_a_person(town: Town) -> None:
    """No refund of it is sent; one that was asked for earlier is shown."""
    worker = town.worker()
    await worker.start()
    _, odd = pair("odd")
    town.open_charges([odd], pays_after_s=0, reports_currency="ABC")
    await town.publish("payment.initiated", [odd])
    await eventually(lambda: _listed(town, "mismatched", "odd-2"))
    path = "/v1/ops/resolve/odd-2"
    refund = {"as": "refund", "why": "x"}
    assert (409, "unknown-currency") == problem(await ask(worker, "ann", "POST", path, **refund))
    await town.rows(_ASKED_FOR)
    status, out, _ = await town.payonce("refunds", "list")
    assert (0, True) == (status, "1999 ABC (minor units)" in out)
    assert 0 == (await town.payonce("show", "o-odd"))[0]
    assert 0 == (await town.payonce("mismatched"))[0]
    elsewhere = {"as": "refunded-elsewhere", "why": "by bank transfer"}
    assert 200 == (await ask(worker, "ann", "POST", path, **elsewhere))[0]


_ASKED_FOR = """
WITH ordered AS (UPDATE orders SET version = version + 1 WHERE order_id = 'o-odd')
INSERT INTO refunds
    (refund_id, payment_id, order_id, gateway, amount, currency, status, reason, rule, requested_by)
VALUES
    ('rf-odd', 'odd-2', 'o-odd', 'mock', 1999, 'ABC', 'HELD', 'asked', 'asked-by-person', 'eve')
"""


async def _listed(town: Town, name: str, payment_id: str) -> bool:
    out = (await town.payonce(name, "--json"))[1]
    return payment_id in [json.loads(line)["payment_id"] for line in out.splitlines()]
