"""An order to close a payment: what counts is the query afterwards."""

from dataclasses import replace

import pytest

from payonce.domain.errors import Unavailable
from payonce.domain.payment import PaymentStatus
from payonce.domain.report import GatewayReport
from payonce.handlers.close import CLOSE_WAITS_MS
from payonce.ports.bus import DONE, Park
from payonce.ports.gateway import CloseAnswer
from tests.handlers.bench import Bench, close_due
from tests.handlers.fakes import CLOSED, FAILED, NOT_FOUND, PAID, PENDING, TERMS, UNKNOWN


@pytest.mark.parametrize("answer", list(CloseAnswer))
@pytest.mark.parametrize(
    ("report", "status", "told"),
    [
        (CLOSED, PaymentStatus.CLOSED, "payment.closed"),
        (FAILED, PaymentStatus.FAILED, "payment.failed"),
        (PAID, PaymentStatus.SUCCEEDED, "payment.succeeded"),
    ],
)
async def test_the_query_after_the_close_is_believed_whatever_the_close_was_answered(
    bench: Bench, answer: CloseAnswer, report: GatewayReport, status: PaymentStatus, told: str
) -> None:
    """A gateway was seen closing a wrong number, and the shopper paid afterwards."""
    await bench.registered()
    bench.gateway.will_close(answer)
    bench.gateway.will_say(report)
    assert DONE == await bench.close.handle(close_due())
    assert ["close", "query"] == bench.journal.of("close", "query")
    assert (status, [told], []) == (bench.payment().status, bench.told(), bench.bus.closes)
    assert "close" == bench.store.entries[-1].detail["source"]


@pytest.mark.parametrize("report", [PENDING, UNKNOWN, NOT_FOUND])
@pytest.mark.parametrize("answer", [CloseAnswer.CLOSED, CloseAnswer.UNKNOWN])
async def test_without_a_definite_word_the_close_is_repeated(
    bench: Bench, answer: CloseAnswer, report: GatewayReport
) -> None:
    """Nothing is concluded from the close's own answer."""
    await bench.registered()
    bench.gateway.will_close(answer)
    bench.gateway.will_say(report)
    assert DONE == await bench.close.handle(close_due())
    assert [(3_000, close_due(attempt=1))] == bench.bus.closes
    assert PaymentStatus.PENDING is bench.payment().status


async def test_a_close_is_tried_four_times(bench: Bench) -> None:
    """After its three waits the payment's own watch goes on alone."""
    await bench.registered()
    message = close_due()
    for _ in CLOSE_WAITS_MS:
        await bench.close.handle(message)
        message = bench.bus.closes[-1][1]
    assert DONE == await bench.close.handle(message)
    assert [(3_000, 1), (10_000, 2), (30_000, 3)] == [
        (wait, one.attempt) for wait, one in bench.bus.closes
    ]


@pytest.mark.parametrize("can_close", [False, True])
async def test_a_gateway_that_cannot_close_is_asked_once(bench: Bench, can_close: bool) -> None:
    """By its terms, or by its own word: closing is not tried again."""
    await bench.registered()
    bench.gateway.terms = replace(TERMS, can_close=can_close)
    bench.gateway.will_close(CloseAnswer.CANNOT_CLOSE)
    assert DONE == await bench.close.handle(close_due())
    assert (can_close, ["query"]) == (
        "close" in bench.journal.calls,
        bench.journal.of("query"),
    )
    assert [] == bench.bus.closes


async def test_an_unknown_gateway_is_parked(bench: Bench) -> None:
    """With its name."""
    assert Park("unknown-gateway: gone") == await bench.close.handle(close_due(gateway="gone"))


@pytest.mark.parametrize(("away", "report"), [("close_after", PENDING), ("settle", CLOSED)])
async def test_an_absent_server_keeps_the_message_in_hand(
    bench: Bench, away: str, report: GatewayReport
) -> None:
    """A close that could not be repeated or settled is done again from the start."""
    await bench.registered()
    bench.gateway.will_say(report)
    bench.journal.away = {away}
    with pytest.raises(Unavailable):
        await bench.close.handle(close_due())
    bench.journal.away = set()
    assert DONE == await bench.close.handle(close_due())
    assert ["close", "query"] * 2 == bench.journal.of("close", "query")


async def test_a_gateway_that_cannot_close_is_owed_no_close(bench: Bench) -> None:
    """The row forgets the reason, so that the sweeper does not begin anew."""
    await bench.registered()
    bench.change("p1", closing="order-paid")
    bench.gateway.will_close(CloseAnswer.CANNOT_CLOSE)
    await bench.close.handle(close_due())
    assert bench.payment().closing is None
    assert "payment.close_refused" == bench.store.entries[-1].kind


async def test_an_unknown_close_stays_owed(bench: Bench) -> None:
    """After the last try the sweeper begins anew."""
    await bench.registered()
    bench.change("p1", closing="order-paid")
    bench.gateway.will_close(CloseAnswer.UNKNOWN)
    bench.gateway.will_say(UNKNOWN)
    await bench.close.handle(close_due(attempt=3))
    assert ("order-paid", []) == (bench.payment().closing, bench.bus.closes)
