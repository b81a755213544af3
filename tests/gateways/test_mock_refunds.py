"""The mock misbehaves about refunds as scripted, and its books do not lie."""

from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gateway_mock.app import serving
from gateway_mock.server import Mock

CHARGE = {"payment_id": "p-1", "order_id": "o-1", "amount": 100, "currency": "CNY"}
REFUND = {"refund_id": "rf-1", "payment_id": "p-1", "amount": 100, "reason": "order-paid"}


class Counter:
    """Where one asks the mock."""

    def __init__(self, mock: Mock, url: str, session: aiohttp.ClientSession) -> None:
        self._headers = {"Authorization": f"Bearer {mock.secret}"}
        self._url = url
        self._session = session

    async def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Return status and answer; 0 where the answer was cut off."""
        call = self._session.request(method, self._url + path, json=body, headers=self._headers)
        try:
            async with call as answer:
                return answer.status, await answer.json()
        except aiohttp.ClientError:
            return 0, None

    async def paid(self, **script: Any) -> None:
        """Open a charge that is paid at once."""
        charge = {**CHARGE, "script": {"pays_after_s": 0, **script}}
        assert 201 == (await self.ask("POST", "/control/charges", [charge]))[0]

    async def books(self) -> tuple[int, int, int]:
        """Return what was captured and refunded, and the number of refunds."""
        _, books = await self.ask("GET", "/control/books")
        balance = books["balance"]
        refunds = sum(len(charge["refunds"]) for charge in books["charges"])
        return balance["captured"], balance["refunded"], refunds


@pytest.fixture
async def counter() -> AsyncIterator[Counter]:
    """A mock that is served."""
    mock = Mock()
    async with serving(mock) as url, aiohttp.ClientSession() as session:
        yield Counter(mock, url, session)


@pytest.mark.parametrize(
    ("fault", "status", "refunded"),
    [("cut", 0, 100), ("500", 500, 100), ("refused", 422, 0), ("unheard", 500, 0), ("503", 503, 0)],
)
async def test_a_fault_has_its_effect_in_the_books(
    counter: Counter, fault: str, status: int, refunded: int
) -> None:
    """Once; the same id again is the same refund."""
    await counter.paid(refund_faults=[fault])
    assert status == (await counter.ask("POST", "/refunds", REFUND))[0]
    assert (100, refunded, refunded // 100) == await counter.books()
    assert (await counter.ask("POST", "/refunds", REFUND))[0] == (200 if refunded else 201)
    assert (100, 100, 1) == await counter.books()


async def test_a_forgotten_refund_is_made_again(counter: Counter) -> None:
    """The books show both."""
    await counter.paid()
    await counter.ask("POST", "/refunds", REFUND)
    await counter.ask("POST", "/control/refunds/rf-1/forget")
    assert 404 == (await counter.ask("GET", "/refunds/rf-1"))[0]
    assert 201 == (await counter.ask("POST", "/refunds", REFUND))[0]
    assert (100, 200, 2) == await counter.books()


@pytest.mark.parametrize(("act", "status"), [("succeed", "succeeded"), ("fail", "failed")])
async def test_a_pending_refund_comes_to_its_end(counter: Counter, act: str, status: str) -> None:
    """By hand."""
    await counter.paid(refunds="pending")
    await counter.ask("POST", "/refunds", REFUND)
    await counter.ask("POST", f"/control/refunds/rf-1/{act}")
    assert status == (await counter.ask("GET", "/refunds/rf-1"))[1]["status"]


async def test_a_pending_refund_turns_by_its_script(counter: Counter) -> None:
    """As soon as it is asked about after its time."""
    await counter.paid(refunds="pending", refunds_turn="failed")
    await counter.ask("POST", "/refunds", REFUND)
    assert "failed" == (await counter.ask("GET", "/refunds/rf-1"))[1]["status"]
    assert (100, 0, 1) == await counter.books()


async def test_a_close_may_lie(counter: Counter) -> None:
    """It says closed, and the shopper pays afterwards."""
    await counter.ask("POST", "/control/charges", [{**CHARGE, "script": {"closes": "lies"}}])
    assert (200, {"status": "closed"}) == await counter.ask("POST", "/charges/p-1/close")
    assert "pending" == (await counter.ask("GET", "/charges/p-1"))[1]["status"]
    await counter.ask("POST", "/control/charges/p-1/pay")
    assert (100, 0, 0) == await counter.books()


@pytest.mark.parametrize("script", [{"refund_faults": ["boom"]}, {"refunds_turn": "pending"}])
async def test_a_wrong_script_is_refused_by_name(counter: Counter, script: dict[str, Any]) -> None:
    """With what is known."""
    status, answer = await counter.ask("POST", "/control/scripts", {"p-1": script})
    [name] = script
    assert (422, True) == (status, answer["detail"].startswith(f"{name}: known are"))
