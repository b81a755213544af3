"""PayPal in a whole payonce: what is approved is captured once, or never."""

import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from gateway_mock.app import serving
from gateway_mock.books import Charge
from gateway_mock.paypal import PaypalMock
from gateway_mock.shopper import parse_script
from tests.support.caller import post, url_of
from tests.support.paypal import KEYS, variables_of
from tests.support.paypal_schema import check
from tests.support.shop import API_TOKEN, Answered, Shop, open_shop
from tests.support.town import FAST_LADDER, Town, Worker, open_town
from tests.support.waiting import eventually

NAME = "paypal"
SLOW = ["1m"]
"""On which no poll comes to its turn while a test lasts."""


@dataclass
class Stand:
    """A shop whose worker knows PayPal, and `mock` beside it."""

    town: Town
    worker: Worker
    shop: Shop
    mock: PaypalMock

    async def apply(self, gateway: str = NAME, **script: Any) -> str:
        """Apply for a payment of the one order, whose charge goes by this script."""
        self.mock.scripts["o-1"] = parse_script(script)
        answer: Answered = await self.shop.apply("o-1", gateway=gateway, currency="USD")
        assert 201 == answer.status, answer.text
        return str(answer.body["payment_id"])

    def approve(self, *payment_ids: str) -> None:
        """Let the shoppers agree, all at once."""
        for payment_id in payment_ids:
            charge = self.charge(payment_id)
            age_s = self.mock.clock() - charge.created_at
            charge.script = replace(charge.script, pays_after_s=age_s)
            self.mock.plan_callback(charge, 0.0)

    def pay_elsewhere(self) -> None:
        """Let the shoppers of the other gateway pay."""
        for charge in self.town.mock.books.charges.values():
            charge.script = parse_script({"pays_after_s": 0})

    def charge(self, payment_id: str) -> Charge:
        """Return a payment's charge."""
        return self.mock.books.charges[payment_id]

    async def settled(self) -> tuple[str, str] | None:
        """Return which payment settled the order, and by what; None: not yet."""
        rows = await self.town.rows(
            "SELECT payment_id, detail ->> 'source' FROM timeline WHERE kind = 'payment.settled'"
        )
        return (rows[0][0], rows[0][1]) if rows else None

    async def winner(self) -> str:
        """Wait until the order is paid, and return by which payment."""
        found = await eventually(self.settled, 30, "the order is paid")
        assert found is not None
        return str(found[0])

    async def status(self, payment_id: str) -> str:
        """Return how a payment stands."""
        return str((await self.shop.payment(payment_id)).body["status"])

    def ends_as(self, payment_id: str, status: str) -> "Any":
        """Return a check that a payment has come to this status."""

        async def look() -> bool:
            return await self.status(payment_id) == status

        return look

    def totals(self) -> tuple[int, int]:
        """Return what PayPal captured and what it gave back."""
        balance = self.mock.books.balance(self.mock.clock())
        return balance["captured"], balance["refunded"]


@asynccontextmanager
async def stand_of(
    place: tuple[Path, str, str, str], ladder: list[str], **changed: str
) -> AsyncIterator[Stand]:
    """Open a town whose worker has PayPal; nothing over the wire broke the official schemas."""
    mock = PaypalMock(keys=KEYS, check=check)
    async with serving(mock) as url:
        told = {"LADDER": json.dumps(ladder), "TIMEOUT_S": "2", **variables_of(mock, url)}
        env = {f"PAYONCE_GATEWAYS__{NAME.upper()}__{key}": one for key, one in told.items()}
        env["PAYONCE_HTTP__API_TOKEN"] = API_TOKEN
        env["PAYONCE_ON_SECOND_PAYMENT__POLICY"] = "allow"
        env["PAYONCE_REFUND__HOLD_ABOVE"] = json.dumps({"USD": 100_000})
        folder, dsn, amqp, redis = place
        async with open_town(folder, dsn, amqp, redis, **{**env, **changed}) as town:
            worker = town.worker()
            mock.webhook_url = url_of(worker, NAME)
            await worker.start()
            async with open_shop(worker) as [shop]:
                yield Stand(town, worker, shop, mock)
    assert [] == mock.problems


@pytest.fixture
def place(
    tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str
) -> tuple[Path, str, str, str]:
    """Where a town is opened."""
    return tmp_path, postgres_dsn, amqp_url, redis_url


Place = tuple[Path, str, str, str]


async def test_a_poll_captures_what_is_approved(place: Place) -> None:
    """Where the callback is lost; the money moves once and the order is paid by it."""
    async with stand_of(place, FAST_LADDER) as stand:
        payment_id = await stand.apply(callbacks="lost")
        assert "PENDING" == await stand.status(payment_id)
        stand.approve(payment_id)
        assert (payment_id, "poll") == await eventually(stand.settled)
        assert (1999, 0) == stand.totals()
        row = (await stand.town.rows("SELECT gateway_ref FROM payments"))[0]
        assert stand.charge(payment_id).gateway_ref == row["gateway_ref"]


async def test_the_callback_of_an_approval_captures(place: Place) -> None:
    """Long before any poll; repeated ones, and that of the capture, change nothing."""
    async with stand_of(place, SLOW) as stand:
        payment_id = await stand.apply(callbacks="twice")
        stand.approve(payment_id)
        assert (payment_id, "webhook") == await eventually(stand.settled)
        await eventually(lambda: stand.mock.callbacks.sent == 4)
        assert (1999, 0) == stand.totals()
        assert {payment_id: 1} == stand.mock.capture_calls


async def test_two_approved_at_the_same_moment_are_captured_once(place: Place) -> None:
    """The duplicate is prevented, not refunded: by two workers, by polls and callbacks."""
    async with stand_of(place, FAST_LADDER) as stand:
        second = stand.town.worker()
        await second.start()
        payments = [await stand.apply(callbacks="twice") for _ in range(2)]
        assert 2 == len(set(payments))
        stand.approve(*payments)
        settled = await stand.winner()
        [other] = set(payments) - {settled}
        await eventually(stand.ends_as(other, "CLOSED"), 30)
        assert (1999, 0) == stand.totals()
        assert 0 == await stand.town.count("SELECT count(*) FROM refunds")
        states = await stand.town.rows("SELECT payment_id, state FROM captures")
        assert {settled: "CLAIMED", other: "FORBIDDEN"} == {
            one["payment_id"]: one["state"] for one in states
        }


async def test_paid_elsewhere_is_never_captured(place: Place) -> None:
    """Also where the approval comes after the close."""
    async with stand_of(place, FAST_LADDER) as stand:
        ours, other = await stand.apply(), await stand.apply("mock")
        stand.pay_elsewhere()
        assert other == await stand.winner()
        await eventually(stand.ends_as(ours, "CLOSED"))
        stand.approve(ours)
        sent = "SELECT count(*) FROM webhook_inbox WHERE processed_at IS NOT NULL"
        await eventually(lambda: _counts(stand.town, sent, 1))
        assert (0, 0) == stand.totals()
        assert "CLOSED" == await stand.status(ours)
        assert 0 == await stand.town.count("SELECT count(*) FROM refunds")


async def test_another_channel_comes_before_an_approval(place: Place) -> None:
    """The shopper agrees, and then chooses another channel: only that one is paid."""
    cancel = {"PAYONCE_ON_SECOND_PAYMENT__POLICY": "cancel"}
    async with stand_of(place, SLOW) as stand:
        worker = stand.town.worker(**cancel)
        await worker.start()
        async with open_shop(worker) as [shop]:
            ours = await stand.apply(callbacks="lost")
            stand.approve(ours)
            answer = await shop.apply("o-1", gateway="mock", currency="USD")
            assert 201 == answer.status
        await eventually(stand.ends_as(ours, "CLOSED"))
        events = "SELECT detail ->> 'reason' FROM timeline WHERE kind = 'payment.closed'"
        assert [("not-captured",)] == [tuple(one) for one in await stand.town.rows(events)]
        assert (0, 0) == stand.totals()


async def test_money_that_was_on_its_way_goes_back(place: Place) -> None:
    """An eCheck arrives after the order was paid elsewhere: the only duplicate that there is."""
    async with stand_of(place, FAST_LADDER) as stand:
        ours = await stand.apply(
            captures="pending", captures_turn="completed", captures_turn_after_s=12.0
        )
        other = await stand.apply("mock")
        stand.approve(ours)
        await eventually(lambda: stand.mock.capture_calls)
        stand.pay_elsewhere()
        assert other == await stand.winner()
        refunded = "SELECT count(*) FROM refunds WHERE status = 'SUCCEEDED'"
        await eventually(lambda: _counts(stand.town, refunded, 1), 60)
        assert (1999, 1999) == stand.totals()
        assert "SUCCEEDED" == await stand.status(ours)


async def test_a_declined_shopper_may_agree_again(place: Place) -> None:
    """The payment has failed so far; the next approval pays the order."""
    async with stand_of(place, SLOW) as stand:
        payment_id = await stand.apply(capture_faults=["declined"])
        stand.approve(payment_id)
        await eventually(stand.ends_as(payment_id, "FAILED"))
        assert (0, 0) == stand.totals()
        stand.approve(payment_id)
        assert payment_id == await stand.winner()
        assert (1999, 0) == stand.totals()


@pytest.mark.parametrize("fault", ["timeout", "timeout-after"])
async def test_a_worker_that_dies_while_it_captures_loses_nothing(place: Place, fault: str) -> None:
    """Killed before the money moved or after: another worker finds out, and it moves once."""
    async with stand_of(place, FAST_LADDER, PAYONCE_GATEWAYS__PAYPAL__TIMEOUT_S="30") as stand:
        payment_id = await stand.apply(callbacks="lost", capture_faults=[fault])
        stand.approve(payment_id)
        await eventually(lambda: stand.mock.capture_calls)
        await stand.worker.end(signal.SIGKILL)
        claimed = "SELECT count(*) FROM captures WHERE state = 'CLAIMED'"
        assert 1 == await stand.town.count(claimed)
        # Half a minute passes.
        await stand.town.rows("UPDATE captures SET held_until = claimed_at")
        heir = stand.town.worker()
        await heir.start()
        assert payment_id == await stand.winner()
        assert (1999, 0) == stand.totals()


async def test_a_forged_callback_changes_nothing(place: Place) -> None:
    """Another byte, a missing header, five minutes old: refused, and nothing is kept."""
    async with stand_of(place, SLOW) as stand:
        payment_id = await stand.apply(callbacks="lost")
        stand.approve(payment_id)
        charge = stand.charge(payment_id)
        letter = stand.mock.charge_letter(charge, stand.mock.clock())
        assert letter is not None
        now_s, content = int(stand.mock.clock()), letter.content
        good = dict(letter.headers(now_s))
        url = url_of(stand.worker, NAME)
        evil = {"PAYPAL-CERT-URL": "https://evil.example/v1/notifications/certs/CERT-1"}
        for body, headers in (
            (content + b" ", good),
            (content, {}),
            (content, good | evil),
            (content, dict(letter.headers(now_s - 310))),
        ):
            assert 401 == (await post(url, body, headers))[0]
        assert 0 == await stand.town.count("SELECT count(*) FROM webhook_inbox")
        assert (0, 0) == stand.totals()
        assert 200 == (await post(url, content, good))[0]
        assert payment_id == await stand.winner()


async def test_the_command_check_asks_paypal_for_a_token(place: Place) -> None:
    """Which tells whether the credentials are right, and changes nothing."""
    async with stand_of(place, SLOW) as stand:
        status, out, err = await stand.town.payonce("check", "--online")
        assert 0 == status, out + err
        wrong = {"PAYONCE_GATEWAYS__PAYPAL__CLIENT_SECRET": "not-the-right-secret"}
        status, out, _ = await stand.town.payonce("check", "--online", **wrong)
        assert 1 == status
        assert "http-401" in out


async def _counts(town: Town, sql: str, wanted: int) -> bool:
    return await town.count(sql) == wanted
