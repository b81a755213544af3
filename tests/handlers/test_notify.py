"""The order service is called at once and until it says yes, and is spared while it is away."""

import asyncio
from collections import deque
from dataclasses import replace

import pytest
from structlog.testing import capture_logs

from payonce.domain.errors import Unavailable
from payonce.domain.events import Event
from payonce.domain.ladder import Ladder
from payonce.domain.messages import NotifyDue, OrderAcknowledged
from payonce.handlers.notify import MOST_IN_HAND, NOTIFY_WAITS_MS, Notify, drop
from payonce.handlers.settle import Settler
from payonce.ports.bus import DONE, Park
from payonce.ports.notifier import NoticeAnswer, NoticeOutcome
from payonce.reteller import Reteller
from tests.handlers.bench import Bench
from tests.store.making import registration, success
from tests.support.waiting import eventually

OK, REFUSED = NoticeOutcome.OK, NoticeOutcome.REFUSED
FAILED, TIMEOUT = NoticeOutcome.FAILED, NoticeOutcome.TIMEOUT


_WHY: dict[NoticeOutcome, tuple[int | None, str | None]] = {
    OK: (200, None),
    REFUSED: (401, None),
    FAILED: (503, None),
    TIMEOUT: (None, "no answer in time"),
}


class FakeNotifier:
    """Answers by its script, the last answer for ever; `gate` holds answers back."""

    def __init__(self) -> None:
        self.outcomes: deque[NoticeOutcome] = deque([OK])
        self.called: list[Event] = []
        self.gate = asyncio.Event()
        self.gate.set()

    def will_say(self, *outcomes: NoticeOutcome) -> None:
        """Script the outcomes."""
        self.outcomes = deque(outcomes)

    @property
    def address(self) -> str:
        """See the port."""
        return "http://orders.example/paid"

    async def notify(self, event: Event) -> NoticeAnswer:
        """See the port."""
        self.called.append(event)
        await self.gate.wait()
        outcome = self.outcomes[0] if len(self.outcomes) == 1 else self.outcomes.popleft()
        return NoticeAnswer(outcome, *_WHY[outcome])


class Teller:
    """A worker that calls, its order service, and what it has been given to do."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.service = FakeNotifier()
        self.notify = Notify(
            self.service,
            bench.store,
            bench.store,
            bench.acknowledge.note,
            bench.bus,
            bench.clock,
            bench.meter,
        )
        bench.settler = Settler(
            bench.store,
            bench.announcer,
            bench.bus,
            bench.cache,
            bench.clock,
            bench.meter,
            self.notify,
        )

    async def settled(self, *names: str) -> list[NotifyDue]:
        """Settle p1 of o1, or others, and return the calls that are due."""
        wanted = names or ("1",)
        await self.bench.registered(*(registration(f"p{n}", f"o{n}") for n in wanted))
        for name in wanted:
            await self.bench.heard(success(f"p{name}"))
        return self.taken()

    def taken(self) -> list[NotifyDue]:
        """Return what was put on the notify queue since."""
        found = [message for _, message in self.bench.bus.notices]
        self.bench.bus.notices.clear()
        return found

    def skipped(self) -> list[object]:
        """Return why calls were not made."""
        return [reason for [reason] in self.bench.meter.of("notice_skipped")]


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


async def test_the_reteller_calls_once_for_each_rung(teller: Teller) -> None:
    """By the same event; a refusal then waits for the next rung."""
    await teller.settled()
    teller.service.will_say(REFUSED)
    bench = teller.bench
    reteller = Reteller(
        bench.store, Ladder((240_000, 600_000)), bench.clock, bench.meter, teller.notify
    )
    called = []
    for _ in range(30):
        bench.clock.move(60)
        await reteller.run_once()
        for due in teller.taken():
            called.append(due)
            await teller.notify.handle(due)
    assert (3, []) == (len(called), teller.taken())
    assert 1 == len({event.event_id for event in teller.service.called})


async def test_a_lost_message_is_made_good_by_the_reteller(teller: Teller) -> None:
    """The queue was purged: Postgres knows who is not told."""
    await teller.settled()
    bench = teller.bench
    bench.clock.move(240)
    reteller = Reteller(bench.store, Ladder((240_000,)), bench.clock, bench.meter, teller.notify)
    await reteller.run_once()
    [due] = teller.taken()
    await teller.notify.handle(due)
    assert {"o1"} == bench.store.acknowledged


@pytest.mark.parametrize("listens", [True, False])
async def test_what_the_reteller_put_back_goes_out_though_its_call_was_taken(
    teller: Teller,
    listens: bool,
) -> None:
    """The broker lost its queues: the bound one is told; where none is bound, nothing stays."""
    await teller.settled()
    bench = teller.bench
    bench.bus.told.clear()
    if not listens:
        bench.bus.stop_listening()
    bench.clock.move(240)
    reteller = Reteller(bench.store, Ladder((240_000,)), bench.clock, bench.meter, teller.notify)
    await reteller.run_once()
    [due] = teller.taken()
    await teller.notify.handle(due)
    assert {"o1"} == bench.store.acknowledged
    for _ in range(2):
        await bench.relay.run_once()
        bench.clock.move(60)
    assert (["payment.succeeded"] * listens, {}) == (bench.told(), bench.store.outbox)


async def test_while_the_bus_is_away_calls_are_made_from_here(teller: Teller) -> None:
    """And the acknowledgement swallows no event: it goes out when the bus is back."""
    bench = teller.bench
    bench.journal.away = {"publish", "notify_after"}
    assert [] == await teller.settled()
    await eventually(lambda: bench.store.acknowledged == {"o1"})
    assert 1 == len(bench.store.outbox)
    bench.journal.away = set()
    bench.clock.move(6)
    await bench.relay.run_once()
    assert (["payment.succeeded"], {}) == (bench.told(), bench.store.outbox)


async def test_calls_without_the_bus_are_bounded(teller: Teller) -> None:
    """What is too much is the reteller's."""
    bench = teller.bench
    bench.journal.away = {"notify_after"}
    teller.service.gate.clear()
    await teller.settled(*(f"{n}" for n in range(MOST_IN_HAND + 20)))
    await eventually(lambda: len(teller.service.called) == MOST_IN_HAND)
    teller.service.gate.set()
    await teller.notify.drain(5)
    assert MOST_IN_HAND == len(bench.store.acknowledged)


async def test_a_drain_ends_what_does_not_end_by_itself(teller: Teller) -> None:
    """A call that hangs holds up no shutdown."""
    teller.bench.journal.away = {"notify_after"}
    teller.service.gate.clear()
    await teller.settled()
    await eventually(lambda: teller.service.called)
    await teller.notify.drain(0)
    await eventually(lambda: not teller.notify._in_hand)
    assert set() == teller.bench.store.acknowledged


async def test_an_absent_store_keeps_a_late_call_in_hand(teller: Teller) -> None:
    """Unavailable reaches the consumer, and nobody is called blindly."""
    [due] = await teller.settled()
    teller.bench.clock.move(60)
    teller.bench.journal.away = {"unacknowledged"}
    with pytest.raises(Unavailable):
        await teller.notify.handle(due)
    assert [] == teller.service.called


async def test_an_absent_bus_leaves_a_refused_call_to_the_reteller(teller: Teller) -> None:
    """It is not repeated again and again meanwhile."""
    [due] = await teller.settled()
    teller.service.will_say(REFUSED)
    teller.bench.journal.away = {"notify_after"}
    assert DONE == await teller.notify.handle(due)
    assert 1 == len(teller.service.called)


async def test_a_call_about_another_payment_is_parked(teller: Teller) -> None:
    """A person looks at who put it there; the order service hears nothing of it."""
    [due] = await teller.settled()
    forged = replace(due, payment_id="p9")
    assert Park("not-the-winner") == await teller.notify.handle(forged)
    assert [] == teller.service.called


@pytest.mark.parametrize("attempt", [0, 2])
async def test_a_forged_message_makes_no_call_about_an_unpaid_order(
    teller: Teller, attempt: int
) -> None:
    """Nor about one that nobody knows: payonce signs what its database says, and no more."""
    await teller.bench.registered(registration("p1"))
    for order_id in ("o1", "o9"):
        assert DONE == await teller.notify.handle(NotifyDue(order_id, "p1", attempt))
    assert ([], set()) == (teller.service.called, teller.bench.store.acknowledged)


async def test_calls_are_counted_by_outcome(teller: Teller) -> None:
    """With their duration."""
    dues = await teller.settled("1", "2", "3", "4")
    teller.service.will_say(OK, REFUSED, FAILED, TIMEOUT)
    for due in dues:
        await teller.notify.handle(due)
    assert [OK, REFUSED, FAILED, TIMEOUT] == [
        outcome for outcome, _ in teller.bench.meter.of("order_notified")
    ]


async def test_how_it_was_acknowledged_stands_in_the_timeline(teller: Teller) -> None:
    """By call, so that a person can tell the two ways apart."""
    [due] = await teller.settled()
    await teller.notify.handle(due)
    assert {"by": "call"} == teller.bench.store.entries[-1].detail
