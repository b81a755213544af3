"""Approved payments are captured where they may be; each race by its answers."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import pytest

from payonce.domain.capture import CaptureState
from payonce.domain.errors import GatewayRetryable
from payonce.domain.order import OrderStatus
from payonce.domain.payment import PaymentStatus
from payonce.domain.report import GatewayReport, Outcome
from payonce.gateways import capturing
from payonce.gateways.capturing import NOT_CAPTURED, Capturing
from payonce.gateways.gate import Ear, Gate
from payonce.gateways.guard import GuardedCapturing
from payonce.ports.board import GatewayState
from payonce.ports.gateway import ChargeRef, CloseAnswer, NewCapture, RefundOutcome
from tests.gateways.guarding import Scripted
from tests.gateways.paypal_rigs import change, end_order, keep
from tests.gateways.rigs import NEW_CHARGE, NEW_REFUND
from tests.handlers.fake_meter import FakeMeter
from tests.handlers.fakes import FakeClock
from tests.store.fake import FakeStore
from tests.store.fake_captures import FakeCaptures
from tests.store.making import NOW
from tests.support.waiting import eventually

PENDING = GatewayReport(Outcome.PENDING, "5O1", 1999, "CNY")
APPROVED = replace(PENDING, outcome=Outcome.APPROVED)
OTHER_APPROVED = replace(APPROVED, gateway_ref="5O2")
SUCCEEDED = replace(PENDING, outcome=Outcome.SUCCEEDED, paid_at=NOW)
ON_ITS_WAY = replace(PENDING, reason="capture-pending echeck")
DECLINED = GatewayReport(Outcome.FAILED, "5O1", reason="instrument_declined")
UNKNOWN = GatewayReport(Outcome.UNKNOWN, reason="timed out")
UNSENT = GatewayReport(Outcome.UNKNOWN, reason="cannot connect", spared=True)
CLOSED = GatewayReport(Outcome.CLOSED, "5O1", reason=NOT_CAPTURED)
CHARGE = ChargeRef("p-1", "5O1")
OTHER = ChargeRef("p-2", "5O2")


class Inner(Scripted):
    """Answers queries and captures by its script, the last answer for ever."""

    def __init__(self, ear: Ear) -> None:
        super().__init__(ear)
        self.reports: deque[GatewayReport] = deque([APPROVED])
        self.captures: deque[GatewayReport] = deque([SUCCEEDED])
        self.captured: list[NewCapture] = []
        self.asked: list[ChargeRef] = []
        self.during: Callable[[], None] = lambda: None

    async def query(self, charge: ChargeRef) -> GatewayReport:
        """See the port."""
        self.asked.append(charge)
        return self.reports[0] if len(self.reports) == 1 else self.reports.popleft()

    async def capture(self, capture: NewCapture) -> GatewayReport:
        """See the port."""
        self.captured.append(capture)
        self.during()
        await self.gate.wait()
        return self.captures[0] if len(self.captures) == 1 else self.captures.popleft()


@dataclass
class Town:
    """Processes that share rows and a clock, each before the same gateway."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: FakeStore = field(default_factory=FakeStore)

    def __post_init__(self) -> None:
        meter = FakeMeter()
        self.gate = Gate("mock", 0, meter, self.clock)
        self.inner = Inner(Ear(self.gate, meter))
        self.captures = FakeCaptures(self.store)
        keep(self.store, NEW_CHARGE, "5O1")
        keep(self.store, replace(NEW_CHARGE, payment_id="p-2"), "5O2")
        self.one, self.two = self.process(), self.process()

    def process(self) -> Capturing:
        """Return the gateway as a process of its own knows it."""
        return Capturing(GuardedCapturing(self.inner, self.gate), self.captures, self.clock)

    def states(self) -> dict[str, tuple[CaptureState, int]]:
        """Return what is kept of captures."""
        return {key: (one.state, one.attempt) for key, one in self.captures.captures.items()}


@pytest.fixture
def town() -> Town:
    """Two processes, two payments of one order."""
    return Town()


async def test_what_is_approved_is_captured(town: Town) -> None:
    """One query, one capture, and the capture's word is the answer."""
    assert SUCCEEDED == await town.one.query(CHARGE)
    [capture] = town.inner.captured
    assert (CHARGE, 1) == (capture.charge, capture.attempt)
    assert {"p-1": (CaptureState.CLAIMED, 1)} == town.states()


async def test_a_pending_answer_asks_the_rows_nothing(town: Town) -> None:
    """As long as the shopper has not agreed, a poll costs Postgres nothing."""
    town.inner.reports = deque([PENDING])
    assert PENDING == await town.one.query(CHARGE)
    assert [] == town.captures.uses


async def test_an_order_that_was_paid_elsewhere_is_not_captured(town: Town) -> None:
    """The duplicate is prevented, and reported as what cannot be paid any more."""
    end_order(town.store, "o-1", OrderStatus.PAID, "p-wechat")
    assert CLOSED == await town.one.query(CHARGE)
    assert [] == town.inner.captured
    assert CLOSED == await town.two.query(CHARGE)


async def test_two_approved_payments_of_one_order_are_one_capture(town: Town) -> None:
    """The second asks again until the first has settled the order."""
    town.inner.gate.clear()
    first = asyncio.create_task(town.one.query(CHARGE))
    await eventually(lambda: town.inner.captured)
    town.inner.reports = deque([OTHER_APPROVED])
    second = await town.two.query(OTHER)
    assert (Outcome.UNKNOWN, "sibling-capture") == (second.outcome, second.reason)
    town.inner.gate.set()
    assert SUCCEEDED == await first
    end_order(town.store, "o-1", OrderStatus.PAID, "p-1")
    assert Outcome.CLOSED is (await town.two.query(OTHER)).outcome
    assert ["p-1"] == [one.charge.payment_id for one in town.inner.captured]


async def test_one_payment_is_captured_by_one_process(town: Town) -> None:
    """Another that finds it approved meanwhile asks again."""
    town.inner.gate.clear()
    first = asyncio.create_task(town.one.query(CHARGE))
    await eventually(lambda: town.inner.captured)
    twin = await town.two.query(CHARGE)
    assert (Outcome.UNKNOWN, "capture-in-hand") == (twin.outcome, twin.reason)
    town.inner.gate.set()
    assert SUCCEEDED == await first
    assert 1 == len(town.inner.captured)


async def test_a_claim_outlives_its_process(town: Town) -> None:
    """Killed before or after the call, nobody knows: another sends the same attempt again."""
    town.inner.gate.clear()
    dying = asyncio.create_task(town.one.query(CHARGE))
    await eventually(lambda: town.inner.captured)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    town.inner.gate.set()
    assert "capture-in-hand" == (await town.two.query(CHARGE)).reason
    town.clock.move(30)
    assert SUCCEEDED == await town.two.query(CHARGE)
    assert [1, 1] == [one.attempt for one in town.inner.captured]


async def test_a_capture_that_took_effect_before_the_death_is_found(town: Town) -> None:
    """The gateway says so by itself; nothing is sent again."""
    town.inner.captures = deque([UNKNOWN])
    await town.one.query(CHARGE)
    town.inner.reports = deque([SUCCEEDED])
    assert SUCCEEDED == await town.two.query(CHARGE)
    assert 1 == len(town.inner.captured)


async def test_an_ambiguous_capture_is_asked_about_at_once(town: Town) -> None:
    """It may have taken effect though its answer was lost."""
    town.inner.reports = deque([APPROVED, SUCCEEDED])
    town.inner.captures = deque([UNKNOWN])
    assert SUCCEEDED == await town.one.query(CHARGE)


async def test_an_ambiguous_capture_is_repeated_under_the_same_attempt(town: Town) -> None:
    """By whoever asks next, as long as it is still approved and allowed."""
    town.inner.captures = deque([UNKNOWN, SUCCEEDED])
    assert UNKNOWN == await town.one.query(CHARGE)
    assert SUCCEEDED == await town.two.query(CHARGE)
    assert [(1, False), (1, True)] == [(one.attempt, one.is_repeat) for one in town.inner.captured]


async def test_an_ambiguous_capture_is_not_repeated_where_the_order_is_paid(town: Town) -> None:
    """It is watched until it cannot take effect any more, then forbidden."""
    town.inner.captures = deque([UNKNOWN])
    await town.one.query(CHARGE)
    end_order(town.store, "o-1", OrderStatus.PAID, "p-2")
    assert "capture-outstanding" == (await town.two.query(CHARGE)).reason
    town.clock.move(600)
    assert CLOSED == await town.two.query(CHARGE)
    assert 1 == len(town.inner.captured)


async def test_money_on_its_way_is_pending_and_keeps_the_claim(town: Town) -> None:
    """Its sibling waits, and a close does not overtake it."""
    town.inner.captures = deque([ON_ITS_WAY])
    assert ON_ITS_WAY == await town.one.query(CHARGE)
    assert CloseAnswer.UNKNOWN is await town.one.close(CHARGE)
    town.clock.move(86_400)
    town.inner.reports = deque([OTHER_APPROVED])
    assert "sibling-capture" == (await town.two.query(OTHER)).reason


async def test_a_decline_is_a_failure_that_may_be_approved_again(town: Town) -> None:
    """The next approval is captured under a key of its own."""
    town.inner.captures = deque([DECLINED, SUCCEEDED])
    assert DECLINED == await town.one.query(CHARGE)
    assert {"p-1": (CaptureState.FREE, 1)} == town.states()
    change(town.store, "p-1", status=PaymentStatus.FAILED)
    assert SUCCEEDED == await town.two.query(CHARGE)
    assert [1, 2] == [one.attempt for one in town.inner.captured]


async def test_what_was_not_taken_yet_is_pending(town: Town) -> None:
    """The shopper has something left to do, or the gateway has no time: asked again."""
    town.inner.captures = deque(
        [replace(APPROVED, reason="payer_action_required", retry_after_s=3.0)]
    )
    report = await town.one.query(CHARGE)
    assert (Outcome.PENDING, "payer_action_required", 3.0) == (
        report.outcome,
        report.reason,
        report.retry_after_s,
    )
    assert {"p-1": (CaptureState.FREE, 1)} == town.states()


async def test_what_was_not_sent_frees_its_claim(town: Town) -> None:
    """The same attempt is made by the next, and a close does not wait for it."""
    town.inner.captures = deque([UNSENT])
    assert UNSENT == await town.one.query(CHARGE)
    assert {"p-1": (CaptureState.FREE, 0)} == town.states()
    assert CloseAnswer.CLOSED is await town.one.close(CHARGE)


async def test_what_was_not_sent_frees_nobody_elses_claim(town: Town) -> None:
    """The process before may have sent it."""
    town.inner.captures = deque([UNKNOWN, UNSENT])
    await town.one.query(CHARGE)
    assert UNSENT == await town.two.query(CHARGE)
    assert {"p-1": (CaptureState.CLAIMED, 1)} == town.states()


async def test_a_paused_gateway_is_not_captured_at(town: Town) -> None:
    """The gate counts captures like all calls; what it spares is free again."""
    town.inner.during = lambda: None
    town.inner.reports = deque([APPROVED])
    report = await town.inner.query(CHARGE)
    town.gate.learn(GatewayState("mock", NOW, "ann", "works"), 1)
    spared = await town.one._on_approved(CHARGE, report)
    assert (Outcome.UNKNOWN, "paused", True) == (spared.outcome, spared.reason, spared.spared)
    assert {"p-1": (CaptureState.FREE, 0)} == town.states()
    assert [] == town.inner.captured


async def test_who_slept_since_the_claim_does_not_send(town: Town) -> None:
    """The adapter asks directly before the call whether it may still leave."""
    asked: list[bool] = []

    def during() -> None:
        [capture] = town.inner.captured
        asked.append(capture.may_leave())
        town.clock.move(11)
        asked.append(capture.may_leave())

    town.inner.during = during
    await town.one.query(CHARGE)
    assert [True, False] == asked


async def test_a_close_needs_no_call(town: Town) -> None:
    """It forbids; the query after it says so whatever the gateway thinks of the approval."""
    town.inner.reports = deque([PENDING])
    assert CloseAnswer.CLOSED is await town.one.close(CHARGE)
    assert [] == town.inner.asked
    assert CLOSED == await town.one.query(CHARGE)
    town.inner.reports = deque([APPROVED])
    for process in (town.one, town.two):
        assert CLOSED == await process.query(CHARGE)
    assert [] == town.inner.captured


async def test_a_close_in_another_process_says_the_same(town: Town) -> None:
    """A process that died between close and query is followed by one that closes again."""
    town.inner.reports = deque([PENDING])
    await town.one.close(CHARGE)
    assert CloseAnswer.CLOSED is await town.two.close(CHARGE)
    assert CLOSED == await town.two.query(CHARGE)


async def test_a_closed_payment_without_an_order_is_closed(town: Town) -> None:
    """Nobody was ever shown a link."""
    change(town.store, "p-1", gateway_ref=None)
    town.inner.reports = deque([GatewayReport(Outcome.NOT_FOUND, reason="no-paypal-id")])
    await town.one.close(ChargeRef("p-1"))
    assert Outcome.CLOSED is (await town.one.query(ChargeRef("p-1"))).outcome


async def test_money_that_came_though_forbidden_is_told(town: Town) -> None:
    """What happened past us is not hidden by what we decided."""
    await town.one.close(CHARGE)
    town.inner.reports = deque([SUCCEEDED])
    assert SUCCEEDED == await town.one.query(CHARGE)


async def test_unknown_stays_unknown_though_forbidden(town: Town) -> None:
    """No answer is no word."""
    await town.one.close(CHARGE)
    town.inner.reports = deque([UNKNOWN])
    assert UNKNOWN == await town.one.query(CHARGE)


async def test_a_payment_that_is_not_registered_is_not_captured(town: Town) -> None:
    """Nobody knows yet whose money it would be."""
    report = await town.one.query(ChargeRef("p-9", "5O9"))
    assert (Outcome.UNKNOWN, "not-registered") == (report.outcome, report.reason)
    assert CloseAnswer.NOT_FOUND is await town.one.close(ChargeRef("p-9", "5O9"))
    assert [] == town.inner.captured


async def test_without_rows_nothing_is_captured(town: Town) -> None:
    """Postgres is away: asked again, never guessed."""
    town.captures.away = True
    report = await town.one.query(CHARGE)
    assert (Outcome.UNKNOWN, "postgresql-unavailable") == (report.outcome, report.reason)
    assert CloseAnswer.UNKNOWN is await town.one.close(CHARGE)
    assert [] == town.inner.captured
    unnamed = ChargeRef("p-1")
    assert RefundOutcome.UNKNOWN is (await town.one.query_refund("rf-1", unnamed)).outcome
    with pytest.raises(GatewayRetryable):
        await town.one.refund(NEW_REFUND)


async def test_a_message_without_the_gateways_id_asks_by_the_row_s(town: Town) -> None:
    """It may have been written before the id was stored."""
    assert SUCCEEDED == await town.one.query(ChargeRef("p-1"))
    assert [CHARGE] == town.inner.asked


async def test_only_so_many_are_remembered(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rows know all of them; a process only the latest."""
    monkeypatch.setattr(capturing, "REMEMBERED", 1)
    town.inner.reports = deque([PENDING])
    await town.one.close(CHARGE)
    await town.one.close(OTHER)
    assert Outcome.CLOSED is (await town.one.query(OTHER)).outcome
    assert Outcome.PENDING is (await town.one.query(CHARGE)).outcome
    assert CloseAnswer.CLOSED is await town.one.close(CHARGE)
    assert Outcome.CLOSED is (await town.one.query(CHARGE)).outcome
