"""Every kind of gateway does the whole job: poll, callback, close race, duplicate, forgery."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from gateway_mock.app import serving
from gateway_mock.server import Mock
from gateway_mock.shopper import parse_script
from tests.support.kinds import KINDS, KindOfGateway, environment_of
from tests.support.shop import API_TOKEN, Answered, Shop, open_shop
from tests.support.town import FAST_LADDER, Town, Worker, open_town
from tests.support.waiting import eventually

SLOW_LADDER = ["1m"]
"""On which no poll comes to its turn while a test lasts."""

NAME = "real"
"""What the gateway under test is called."""


@dataclass
class Stand:
    """A shop whose worker knows two gateways: the one under test, and `mock`."""

    town: Town
    worker: Worker
    shop: Shop
    kind: KindOfGateway
    mock: Mock

    async def apply(self, gateway: str = NAME, **script: Any) -> Answered:
        """Apply for a payment of the one order; `script`: of its charges to come."""
        self.mock.scripts["o-1"] = parse_script({**self.kind.script, **script})
        return await self.shop.apply("o-1", gateway=gateway, currency=self.kind.currency)

    def pay(self, answer: Answered) -> None:
        """Let the shopper pay what was applied for."""
        self.kind.pay(self.mock, answer.body["payment_id"])

    async def settled_by(self) -> tuple[str, str] | None:
        """Return which payment settled the order, and how it was found out; None: not yet."""
        rows = await self.town.rows(
            "SELECT payment_id, detail ->> 'source' FROM timeline WHERE kind = 'payment.settled'"
        )
        return tuple(rows[0]) if rows else None


@pytest.fixture(params=sorted(KINDS))
def kind(request: pytest.FixtureRequest) -> KindOfGateway:
    """Each kind."""
    return KINDS[request.param]


Place = tuple[Path, str, str, str]


@pytest.fixture
def place(tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str) -> Place:
    """Where a town is opened."""
    return tmp_path, postgres_dsn, amqp_url, redis_url


@asynccontextmanager
async def stand_of(
    kind: KindOfGateway, place: Place, ladder: list[str], policy: str = "cancel"
) -> AsyncIterator[Stand]:
    """Open a town with a gateway of this kind beside its mock."""
    mock = kind.make()
    async with serving(mock) as url:
        env = environment_of(kind, mock, url, NAME, ladder)
        env["PAYONCE_HTTP__API_TOKEN"] = API_TOKEN
        env["PAYONCE_ON_SECOND_PAYMENT__POLICY"] = policy
        env["PAYONCE_REFUND__HOLD_ABOVE"] = json.dumps({kind.currency: 100_000})
        folder, dsn, amqp, redis = place
        async with open_town(folder, dsn, amqp, redis, **env) as town:
            worker = town.worker()
            worker._env["PAYONCE_HTTP__PUBLIC_URL"] = f"http://127.0.0.1:{worker.port}"
            kind.listen(mock, f"http://127.0.0.1:{worker.port}/v1/webhooks/{NAME}")
            await worker.start()
            async with open_shop(worker) as [shop]:
                yield Stand(town, worker, shop, kind, mock)


async def test_a_poll_finds_the_payment(kind: KindOfGateway, place: Place) -> None:
    """Where the callback is lost."""
    async with stand_of(kind, place, FAST_LADDER) as stand:
        answer = await stand.apply(callbacks="lost")
        assert (201, "PENDING") == (answer.status, answer.body["status"])
        stand.pay(answer)
        found = await eventually(stand.settled_by, 30, "the poll settles")
    assert (answer.body["payment_id"], "poll") == found


async def test_a_callback_settles(kind: KindOfGateway, place: Place) -> None:
    """Long before any poll, and a repeated one changes nothing."""
    async with stand_of(kind, place, SLOW_LADDER) as stand:
        answer = await stand.apply(callbacks="twice")
        stand.pay(answer)
        found = await eventually(stand.settled_by, 30, "the callback settles")
        # Where money is captured, that is told as well.
        wanted = 4 if kind.needs_capture else 2
        await eventually(lambda: stand.mock.callbacks.sent == wanted)
        told = "SELECT count(*) FROM timeline WHERE kind = 'payment.settled'"
        assert 1 == await stand.town.count(told)
    assert (answer.body["payment_id"], "webhook") == found


async def test_a_forged_callback_changes_nothing(kind: KindOfGateway, place: Place) -> None:
    """One byte more, and it is refused."""
    async with stand_of(kind, place, SLOW_LADDER) as stand:
        answer = await stand.apply(callbacks="lost")
        stand.pay(answer)
        charge = stand.mock.books.charges[answer.body["payment_id"]]
        letter = stand.mock.charge_letter(charge, stand.mock.clock())
        assert letter is not None
        url = f"http://127.0.0.1:{stand.worker.port}/v1/webhooks/{NAME}"
        headers = dict(letter.headers(int(stand.mock.clock())))
        async with aiohttp.ClientSession() as session:
            async with session.post(url, data=letter.content + b" ", headers=headers) as forged:
                assert 401 == forged.status
            assert 0 == await stand.town.count("SELECT count(*) FROM webhook_inbox")
            async with session.post(url, data=letter.content, headers=headers) as genuine:
                assert letter.is_taken(genuine.status, await genuine.read())
        found = await eventually(stand.settled_by, 30, "the genuine one settles")
    assert found is not None


async def test_who_was_quicker_than_the_close_has_paid(kind: KindOfGateway, place: Place) -> None:
    """The shopper pays, and then chooses another channel: there is nothing more to pay."""
    async with stand_of(kind, place, SLOW_LADDER) as stand:
        first = await stand.apply(callbacks="lost")
        stand.pay(first)
        second = await stand.apply("mock")
        if kind.needs_capture:
            # Who has only agreed was not quicker: what is closed is never captured.
            assert 201 == second.status
            assert 0 == stand.mock.books.charges[first.body["payment_id"]].captured
            return
        found = await eventually(stand.settled_by, 30, "the close finds the money")
    assert (409, "order-paid") == (second.status, second.problem)
    assert (first.body["payment_id"], "close") == found


async def test_another_channel_closes_this_one(kind: KindOfGateway, place: Place) -> None:
    """What was shown before can no longer be paid."""
    async with stand_of(kind, place, SLOW_LADDER) as stand:
        first = await stand.apply()
        second = await stand.apply("mock")
        assert 201 == second.status
        closed = "SELECT count(*) FROM timeline WHERE kind = 'payment.closed'"
        await eventually(lambda: _is_one(stand.town, closed), 30, "it is closed")
        charge = stand.mock.books.charges[first.body["payment_id"]]
        expected = "pending" if kind.needs_capture else "closed"
        assert expected == charge.status(stand.mock.clock())


async def test_what_was_paid_twice_goes_back_or_to_a_person(
    kind: KindOfGateway, place: Place
) -> None:
    """The other gateway's payment settles the order; the close of this one finds its money."""
    async with stand_of(kind, place, SLOW_LADDER, policy="allow") as stand:
        ours, other = await stand.apply(callbacks="lost"), await stand.apply("mock")
        stand.pay(ours)
        for charge in stand.town.mock.books.charges.values():
            charge.script = parse_script({"pays_after_s": 0})
        if kind.needs_capture:
            closed = "SELECT count(*) FROM timeline WHERE kind = 'payment.closed'"
            await eventually(lambda: _is_one(stand.town, closed), 30, "nothing was paid twice")
            assert 0 == stand.mock.books.charges[ours.body["payment_id"]].captured
            return
        wanted = "SUCCEEDED" if kind.can_refund else "MANUAL"
        sql = f"SELECT count(*) FROM refunds WHERE status = '{wanted}'"
        await eventually(lambda: _is_one(stand.town, sql), 30, f"the refund is {wanted}")
        back = stand.mock.books.charges[ours.body["payment_id"]].refunded
        found = await stand.settled_by()
    assert found is not None
    assert other.body["payment_id"] == found[0]
    assert (1999 if kind.can_refund else 0) == back


async def _is_one(town: Town, sql: str) -> bool:
    return await town.count(sql) == 1
