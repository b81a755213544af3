"""The order service is called at once and until it says yes, and is spared while it is away."""

import asyncio
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from payonce.domain.ladder import Ladder
from payonce.domain.messages import OrderAcknowledged
from payonce.handlers.notify import NOTIFY_WAITS_MS, drop
from payonce.ports.bus import DONE
from payonce.ports.notifier import NoticeOutcome
from payonce.reteller import Reteller
from tests.handlers.bench import Bench
from tests.handlers.telling import FAILED, OK, REFUSED, TIMEOUT, Teller
from tests.store.making import registration, success


@pytest.fixture
def teller(bench: Bench) -> Teller:
    """One worker on fakes that calls."""
    return Teller(bench)


async def test_a_settlement_puts_one_call_on_its_way_with_all_that_it_tells(teller: Teller) -> None:
    """At once; the call is made of the same event that the bus got, after one question."""
    [due] = await teller.settled()
    teller.bench.journal.calls.clear()
    assert DONE == await teller.notify.handle(due)
    assert teller.bench.bus.told == teller.service.called
    assert "trace-of-p1" == teller.service.called[0].traceparent
    assert ["unacknowledged", "acknowledge"] == teller.bench.journal.calls
    assert {"o1"} == teller.bench.store.acknowledged


async def test_a_duplicate_is_no_reason_to_call(teller: Teller) -> None:
    """Nor a failure: an order is told as paid once."""
    await teller.bench.registered(registration("p1"), registration("p2"))
    await teller.bench.heard(success("p1"))
    await teller.bench.heard(success("p2"))
    assert ["p1"] == [due.payment_id for due in teller.taken()]


async def test_without_an_address_nothing_is_put_on_the_queue(bench: Bench) -> None:
    """Told by events alone."""
    await bench.registered()
    await bench.heard(success())
    assert ([], ["payment.succeeded"]) == (bench.bus.notices, bench.told())


async def test_what_waited_for_an_address_that_is_gone_is_dropped(teller: Teller) -> None:
    """Harmlessly."""
    [due] = await teller.settled()
    assert DONE == await drop(due)


@pytest.mark.parametrize("outcome", [REFUSED, FAILED, TIMEOUT])
async def test_anything_but_a_yes_comes_again_on_the_waits(
    teller: Teller, outcome: NoticeOutcome
) -> None:
    """The same event, until the reteller's ladder takes over; the order stays unacknowledged."""
    teller.service.will_say(outcome)
    [due] = await teller.settled()
    waits, dues = [], [due]
    while dues:
        teller.bench.bus.notices.clear()
        teller.bench.clock.move(400)
        await teller.notify.handle(dues[0])
        waits += [wait_ms for wait_ms, _ in teller.bench.bus.notices]
        dues = teller.taken()
    assert list(NOTIFY_WAITS_MS) == waits
    assert {event.event_id for event in teller.bench.bus.told} == {
        event.event_id for event in teller.service.called
    }
    assert set() == teller.bench.store.acknowledged


async def test_who_acknowledged_meanwhile_is_not_called(teller: Teller) -> None:
    """One question for all of a backlog."""
    dues = await teller.settled("1", "2", "3")
    await teller.bench.store.acknowledge([OrderAcknowledged("o2", "p2")], teller.bench.clock.now())
    teller.bench.clock.move(60)
    teller.bench.journal.calls.clear()
    await asyncio.gather(*(teller.notify.handle(due) for due in dues))
    assert ["o1", "o3"] == [event.order_id for event in teller.service.called]
    assert ["unacknowledged"] == teller.bench.journal.of("unacknowledged")
    assert ["acknowledged"] == teller.skipped()


async def test_an_order_service_that_is_away_is_asked_by_one_call_at_a_time(
    teller: Teller,
) -> None:
    """The others wait their turn; nobody hammers a dead service."""
    teller.service.will_say(FAILED)
    dues = await teller.settled(*(f"{n:03}" for n in range(200)))
    for due in dues:
        await teller.notify.handle(due)
        teller.bench.clock.move(0.1)
    assert len(teller.service.called) <= 5 + 20 / 1
    assert 200 == len(teller.service.called) + len(teller.skipped())
    assert {"away"} == set(teller.skipped())
    assert 200 == len(teller.taken())


async def test_once_it_answers_everything_is_told_again_at_once(teller: Teller) -> None:
    """Also what nobody would call about for an hour."""
    teller.service.will_say(*([TIMEOUT] * 6), OK)
    dues = await teller.settled(*(f"{n}" for n in range(7)))
    for due in dues:
        await teller.notify.handle(due)
        teller.bench.clock.move(2)
    store = teller.bench.store
    assert 1 == len(store.acknowledged)
    ladder = Ladder((240_000,))
    reteller = Reteller(store, ladder, teller.bench.clock, teller.bench.meter, teller.notify)
    teller.taken()
    await reteller.run_once()
    again = teller.taken()
    assert {*store.orders} - store.acknowledged == {due.order_id for due in again}
    for due in again:
        await teller.notify.handle(due)
    assert {*store.orders} == store.acknowledged


async def test_a_refusal_lets_calls_go_on_and_tells_nothing_again(teller: Teller) -> None:
    """A service between 503 and 500 has its backlog told by the ladder alone, until a yes."""
    bench = teller.bench
    dues = await teller.settled(*(f"{n:02}" for n in range(40)))
    for _ in range(5):
        for due, outcome in zip(dues, [FAILED] * 5 + [REFUSED] * 2, strict=False):
            teller.service.will_say(outcome)
            bench.clock.move(10)
            await teller.notify.handle(due)
    assert (35, []) == (len(teller.service.called), bench.journal.of("make_all_due"))
    teller.service.will_say(OK)
    await teller.notify.handle(dues[0])
    assert ["make_all_due"] == bench.journal.of("make_all_due")


async def test_a_service_that_flaps_has_its_backlog_told_ever_more_rarely(teller: Teller) -> None:
    """Five failures and a yes, again and again for an hour."""
    bench = teller.bench
    dues = await teller.settled(*(f"{n:03}" for n in range(130)))
    for due in dues[:120]:
        for outcome in (*[FAILED] * 5, OK):
            teller.service.will_say(outcome)
            bench.clock.move(5)
            await teller.notify.handle(due)
    assert 10 >= len(bench.journal.of("make_all_due")) >= 5


async def test_an_answer_of_any_kind_says_that_it_is_there(teller: Teller) -> None:
    """A service that refuses one order is asked about the others."""
    teller.service.will_say(*([REFUSED] * 20))
    dues = await teller.settled(*(f"{n}" for n in range(20)))
    for due in dues:
        await teller.notify.handle(due)
    assert (20, []) == (len(teller.service.called), teller.skipped())


@pytest.mark.parametrize(
    ("outcome", "status", "reason"),
    [(REFUSED, 401, None), (FAILED, 503, None), (TIMEOUT, None, "no answer in time")],
)
async def test_why_an_order_stays_unacknowledged_is_logged(
    teller: Teller, outcome: NoticeOutcome, status: int | None, reason: str | None
) -> None:
    """One line a call: which order, what the answer was, when the next call comes."""
    [due] = await teller.settled()
    teller.service.will_say(outcome)
    with capture_logs() as logs:
        await teller.notify.handle(due)
        await teller.notify.handle(replace(due, attempt=len(NOTIFY_WAITS_MS)))
    told = {"order_id": "o1", "outcome": outcome.value, "status": status, "reason": reason}
    lines = [line for line in logs if line["event"] == "order.not_notified"]
    assert [1_000, None] == [line.pop("again_in_ms") for line in lines]
    assert [{"event": "order.not_notified", "log_level": "warning", **told}] * 2 == lines


async def test_an_outage_is_two_lines_however_long_it_lasts(teller: Teller) -> None:
    """Away, with where and why; and back."""
    dues = await teller.settled(*(f"{n}" for n in range(30)))
    teller.service.will_say(*([FAILED] * 20), REFUSED, OK)
    with capture_logs() as logs:
        for due in dues:
            await teller.notify.handle(due)
            teller.bench.clock.move(6)
    lines = [line for line in logs if line["log_level"] != "debug"]
    away = {"address": "http://orders.example/paid", "outcome": "failed", "status": 503}
    refused = ["order.not_notified", "order_service.back"]
    assert (["order.not_notified"] * 5 + ["order_service.away", *refused]) == [
        line["event"] for line in lines
    ]
    assert away.items() <= lines[5].items()
