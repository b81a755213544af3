"""Each kind of gateway in a whole payonce: polled, called back, paid twice, closed too late."""

import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from gateway_mock.app import serving
from gateway_mock.books import Charge
from gateway_mock.server import Mock
from gateway_mock.shopper import parse_script
from payonce.settings.kinds import KINDS as CONFIGURED
from tests.support.caller import counted, post, url_of
from tests.support.kinds import KINDS, KindOfGateway
from tests.support.shop import API_TOKEN, Shop, open_shop
from tests.support.town import Town, Worker
from tests.support.waiting import eventually

NAME = "shopgate"
SLOW = json.dumps(["1m"])
AMOUNT = 1999


@dataclass(frozen=True)
class Branch:
    """One worker with a gateway of the kind, and a shop before it."""

    town: Town
    mock: Mock
    kind: KindOfGateway
    worker: Worker
    shop: Shop

    async def apply(self, **script: Any) -> str:
        """Apply for a payment of o-1 whose charge goes by this script; return its id."""
        self.mock.scripts["o-1"] = parse_script(script)
        answer = await self.shop.apply(gateway=NAME)
        assert 201 == answer.status, answer.text
        assert answer.body["qr"] or answer.body["pay_url"]
        return str(answer.body["payment_id"])

    async def is_paid_by(self, payment_id: str) -> bool:
        """Say whether o-1 is settled by this payment."""
        return bool((await self.shop.order("o-1")).body.get("settled_by") == payment_id)

    async def sources(self) -> list[str]:
        """Return where the words came from that settled."""
        rows = await self.town.rows(
            "SELECT detail ->> 'source' AS source FROM timeline WHERE kind = 'payment.settled'"
        )
        return [row["source"] for row in rows]

    async def refund_of(self, payment_id: str) -> dict[str, Any]:
        """Wait until a payment's refund has come to its end, and return it."""

        async def look() -> dict[str, Any] | None:
            rows = await self.town.rows("SELECT * FROM refunds WHERE payment_id = $1", payment_id)
            found = dict(rows[0]) if rows else None
            return found if found and found["status"] == self.kind.refund_ends else None

        found: dict[str, Any] | None = await eventually(look, 30, f"the refund of {payment_id}")
        assert found is not None
        return found

    def pay(self, payment_id: str) -> None:
        """Have the shopper pay now, also what was closed."""
        charge = self.charge(payment_id)
        charge.script = parse_script({"pays_after_s": 0, "pays_though_closed": True})
        self.mock.plan_callback(charge, 0.0)

    async def settled_by(self) -> str:
        """Wait until both payments of o-1 are known to be paid; return the one that is kept."""

        async def look() -> str | None:
            order = (await self.shop.order("o-1")).body
            all_paid = {"SUCCEEDED"} == {one["status"] for one in order["payments"]}
            return order["settled_by"] if order["status"] == "PAID" and all_paid else None

        return str(await eventually(look, 30, "both are paid"))

    def kept(self) -> int:
        """Return what the gateway captured and did not give back."""
        return int(self.mock.books.balance(self.mock.clock())["kept"])

    def charge(self, payment_id: str) -> Charge:
        """Return a payment's charge."""
        return self.mock.books.charges[payment_id]


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> KindOfGateway:
    """Each kind."""
    return KINDS[request.param]


@asynccontextmanager
async def opened(town: Town, kind: KindOfGateway, **changed: str) -> AsyncIterator[Branch]:
    """Give a branch whose worker was started with these variables."""
    mock = kind.make()
    async with serving(mock) as url:
        variables = {"PAYONCE_HTTP__API_TOKEN": API_TOKEN, **kind.environment(mock, url, NAME)}
        worker = town.worker(**{**variables, **changed})
        worker.be_reachable()
        await worker.start()
        async with open_shop(worker) as [shop]:
            yield Branch(town, mock, kind, worker, shop)


def test_every_kind_is_here() -> None:
    """No kind without its days in a whole payonce."""
    assert set(CONFIGURED) == set(KINDS)


async def test_a_poll_settles(town: Town, kind: KindOfGateway) -> None:
    """Callbacks get lost; the order service hears all the same."""
    async with town.order_service(), opened(town, kind) as branch:
        payment_id = await branch.apply(pays_after_s=0.3, callbacks="lost")
        await eventually(lambda: branch.is_paid_by(payment_id), 20)
        await eventually(lambda: "o-1" in town.orders.events)
        assert ["poll"] == await branch.sources()
        row = (await town.rows("SELECT status, gateway_ref FROM payments"))[0]
    assert ("SUCCEEDED", branch.charge(payment_id).gateway_ref) == tuple(row)


async def test_a_callback_settles(town: Town, kind: KindOfGateway) -> None:
    """No poll comes to its turn meanwhile; a doubled callback is one."""
    async with opened(town, kind, PAYONCE_POLL__LADDER=SLOW) as branch:
        payment_id = await branch.apply(pays_after_s=0.3, callbacks="twice")
        await eventually(lambda: branch.is_paid_by(payment_id), 20)
        assert ["webhook"] == await branch.sources()
        await eventually(lambda: branch.mock.callbacks.sent == 2)
        assert 1 == await town.count("SELECT count(*) FROM webhook_inbox")


async def test_what_was_paid_twice_goes_back_once(town: Town, kind: KindOfGateway) -> None:
    """Or ends as MANUAL where the gateway cannot: the books tell."""
    allow = {"PAYONCE_ON_SECOND_PAYMENT__POLICY": "allow"}
    async with opened(town, kind, **allow) as branch:
        payments = {await branch.apply(), await branch.apply()}
        assert 2 == len(payments)
        for payment_id in payments:
            branch.pay(payment_id)
        settled = await branch.settled_by()
        (other,) = payments - {settled}
        refund = await branch.refund_of(other)
        assert (AMOUNT, "order-paid") == (refund["amount"], refund["reason"])
        await eventually(lambda: branch.kept() == _kept(branch))
    assert 0 == branch.charge(settled).refunded


def _kept(branch: Branch) -> int:
    return AMOUNT if branch.kind.refund_ends == "SUCCEEDED" else 2 * AMOUNT


async def test_a_close_that_lies_costs_nobody_money(town: Town, kind: KindOfGateway) -> None:
    """The earlier code is closed, is paid all the same, and the later one too: one is kept."""
    async with opened(town, kind) as branch:
        first = await branch.apply(closes="lies", callbacks="lost")
        second = await branch.apply()
        assert first != second
        for payment_id in (first, second):
            branch.pay(payment_id)
        settled = await branch.settled_by()
        (other,) = {first, second} - {settled}
        await branch.refund_of(other)
        await eventually(lambda: branch.kept() == _kept(branch))
    assert 0 == branch.charge(settled).refunded


async def test_a_callback_that_is_forged_changes_nothing(town: Town, kind: KindOfGateway) -> None:
    """Another byte, no signature, or too old: refused, and nothing is kept."""
    async with opened(town, kind, PAYONCE_POLL__LADDER=SLOW) as branch:
        payment_id = await branch.apply()
        charge = branch.charge(payment_id)
        charge.paid_at = time.time()
        letter = branch.mock.charge_letter(charge, time.time())
        assert letter is not None
        now = int(time.time())
        good, content = dict(letter.headers(now)), letter.content
        forged: list[tuple[bytes, dict[str, str]]] = [
            (content + b" ", good),
            (content.replace(b"1", b"2", 1), good),
            (content, {}),
            (content, dict.fromkeys(good, "")),
        ]
        if kind.ages:
            forged += [(content, dict(letter.headers(now + off_s))) for off_s in (-310, 310)]
        for body, headers in forged:
            status, _ = await post(url_of(branch.worker, NAME), body, headers)
            assert 401 == status
        assert 0 == await town.count("SELECT count(*) FROM webhook_inbox")
        assert [] == await branch.sources()
        good_status, _ = await post(url_of(branch.worker, NAME), content, dict(letter.headers(now)))
        assert 200 == good_status
        await eventually(lambda: branch.is_paid_by(payment_id), 20)
        accepted = f'payonce_callbacks_total{{gateway="{NAME}",outcome="accepted"}}'
        assert 1 == await counted(branch.worker, accepted)
