"""A capture that is sent again, before a server whose first answer got lost."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from payonce.domain.capture import CaptureState
from payonce.domain.report import GatewayReport, Outcome
from payonce.gateways.capturing import Capturing
from payonce.gateways.paypal import PaypalGateway
from payonce.ports.gateway import ChargeRef, CloseAnswer
from tests.gateways.paypal_rigs import keep
from tests.gateways.rigs import answer, asking
from tests.gateways.test_paypal_hostile import CREDENTIALS, TOKEN, USD, order
from tests.handlers.fakes import FakeClock
from tests.store.fake import FakeStore
from tests.store.fake_captures import FakeCaptures

CHARGE, SIBLING = ChargeRef("p-1", "5O1"), ChargeRef("p-2", "5O2")
SIBLING_ORDER = order(
    id="5O2",
    status="APPROVED",
    purchase_units=[
        {"amount": {"currency_code": "USD", "value": "19.99"}, "custom_id": "p-2"},
    ],
)


def refused(issue: str) -> dict[str, Any]:
    """Return a refusal that names its reason."""
    return {"name": "UNPROCESSABLE_ENTITY", "details": [{"issue": issue}]}


class Story:
    """The first capture is cut off on its way; `second` is what its repeat is answered."""

    def __init__(self, second: bytes) -> None:
        self.second = second
        self.captures: list[str] = []

    async def serve(self, request: Any, writer: asyncio.StreamWriter) -> None:
        """Answer as PayPal would while the first capture is still under way there."""
        if "oauth2" in request.line:
            writer.write(TOKEN)
        elif request.line.startswith("GET"):
            of_sibling = "5O2" in request.line
            writer.write(answer(SIBLING_ORDER if of_sibling else order(status="APPROVED")))
        else:
            self.captures.append(request.headers["paypal-request-id"])
            if len(self.captures) > 1:
                writer.write(self.second)


async def after_a_repeat(second: bytes) -> tuple[CaptureState, GatewayReport, CloseAnswer]:
    """Return the claim, what a sibling's approval comes to, and what a close is answered."""
    store, clock, story = FakeStore(), FakeClock(), Story(second)
    keep(store, USD, "5O1")
    keep(store, replace(USD, payment_id="p-2"), "5O2")
    captures = FakeCaptures(store)
    async with asking(story.serve, credentials=CREDENTIALS) as (bare, _):
        assert isinstance(bare, PaypalGateway)
        gateway = Capturing(bare, captures, clock)
        assert Outcome.UNKNOWN is (await gateway.query(CHARGE)).outcome
        await gateway.query(CHARGE)
        assert {"capture-p-1-1"} == set(story.captures)
        state = captures.captures["p-1"].state
        return state, await gateway.query(SIBLING), await gateway.close(CHARGE)


@pytest.mark.parametrize(
    "second",
    [
        answer({}, 429),
        answer({}, 429, {"Retry-After": "1"}),
        answer({}, 503, {"Retry-After": "1"}),
        answer({}, 401),
        answer({"name": "NOT_AUTHORIZED"}, 403),
        answer(b"<html>", 403),
        answer(b"<html>", 404),
        answer(b"<html>", 422),
    ],
)
async def test_a_repeat_that_is_not_let_in_ends_nothing(second: bytes) -> None:
    """The first call may still take the money: no sibling is captured, and no close is true."""
    state, sibling, closed = await after_a_repeat(second)
    assert (CaptureState.CLAIMED, CloseAnswer.UNKNOWN) == (state, closed)
    assert (Outcome.UNKNOWN, "sibling-capture") == (sibling.outcome, sibling.reason)


@pytest.mark.parametrize("issue", ["ORDER_NOT_APPROVED", "INSTRUMENT_DECLINED"])
async def test_a_repeat_that_is_weighed_ends_the_attempt(issue: str) -> None:
    """What was sent under the same key is over: the order may be paid by another."""
    state, _, closed = await after_a_repeat(answer(refused(issue), 422))
    assert (CaptureState.FREE, CloseAnswer.CLOSED) == (state, closed)
