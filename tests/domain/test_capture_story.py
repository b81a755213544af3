"""Captures through any story of processes that poll, sleep, die, and of requests that come late."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from payonce.domain.capture import (
    CAPTURE_SENT_WITHIN,
    OUTSTANDING_FOR,
    Capture,
    CaptureCase,
    CaptureState,
    Claimed,
    Forbidden,
    Sibling,
    decide_capture,
    decide_close,
)
from payonce.domain.decide import Facts
from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import Payment, PaymentStatus
from payonce.domain.report import GatewayReport, Outcome

START = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
EXPIRES = START + timedelta(days=1)
IDS = ("p1", "p2")
ids = st.sampled_from(IDS)
fates = st.sampled_from(["taken", "declined", "lost", "slow", "dead"])
waits_s = st.sampled_from([1, 31, 601])


@dataclass(frozen=True)
class Sending:
    """A capture in a process's hands, or on the wire since `at`."""

    claimed: Claimed
    at: datetime


class CaptureStory(RuleBasedStateMachine):
    """One order, two payments, any number of processes; PayPal as it keeps its keys."""

    def __init__(self) -> None:
        super().__init__()
        self.now = START
        self.order = Order("o1", OrderStatus.OPEN, 100, "USD", None, 0)
        self.payments = {
            one: Payment(one, "o1", "pp", 100, "USD", PaymentStatus.PENDING, one, EXPIRES)
            for one in IDS
        }
        self.captures: dict[str, Capture] = {}
        self.approved = {"p1"}
        self.captured: set[str] = set()
        self.closed: set[str] = set()
        self.keys: dict[tuple[str, int], bool] = {}
        self.in_hand: list[Sending] = []
        self.on_the_wire: list[Sending] = []

    @rule(payment_id=ids)
    def approve(self, payment_id: str) -> None:
        """The shopper agrees."""
        self.approved.add(payment_id)

    @rule(wait_s=waits_s)
    def wait(self, wait_s: int) -> None:
        """Time passes; what is on the wire for too long is lost for good."""
        self.now += timedelta(seconds=wait_s)
        oldest = self.now - OUTSTANDING_FOR
        self.on_the_wire = [one for one in self.on_the_wire if one.at > oldest]

    @rule(payment_id=ids, fate=fates)
    def poll(self, payment_id: str, fate: str) -> None:
        """A process asks, and captures what it may."""
        if payment_id in self.captured:
            self._settle(payment_id)
            return
        if payment_id not in self.approved:
            return
        report = GatewayReport(Outcome.APPROVED, payment_id, 100, "USD")
        decided = decide_capture(self._case(payment_id), report, self.now)
        if isinstance(decided, Forbidden):
            self._forbid(decided)
        elif isinstance(decided, Claimed):
            self.captures[payment_id] = decided.capture
            self._send(Sending(decided, self.now), fate)

    @precondition(lambda self: self.in_hand)
    @rule(fate=fates)
    def wake(self, fate: str) -> None:
        """A process that slept goes on, if it still may."""
        sending = self.in_hand.pop(0)
        if self.now <= sending.claimed.capture.claimed_at + CAPTURE_SENT_WITHIN:
            self._send(replace(sending, at=self.now), fate)
        elif sending.claimed.is_first:
            self._free(sending.claimed.capture, is_sent=False)

    @precondition(lambda self: self.on_the_wire)
    @rule()
    def arrive(self) -> None:
        """A request comes late."""
        self._take(self.on_the_wire.pop(0).claimed.capture, declines=False)

    @rule(payment_id=ids)
    def close(self, payment_id: str) -> None:
        """Somebody wants it closed."""
        decided = decide_close(self._case(payment_id), self.now)
        if isinstance(decided, Forbidden):
            self._forbid(decided)

    @precondition(lambda self: self.order.status is OrderStatus.OPEN)
    @rule()
    def cancel(self) -> None:
        """The shop cancels the order."""
        self.order = replace(self.order, status=OrderStatus.CANCELLED)

    @invariant()
    def no_order_is_paid_twice(self) -> None:
        """Whatever happens: nothing is left to refund."""
        assert len(self.captured) <= 1

    @invariant()
    def what_was_closed_is_not_paid(self) -> None:
        """The word CLOSED was true."""
        assert not self.closed & self.captured

    def _send(self, sending: Sending, fate: str) -> None:
        capture = sending.claimed.capture
        match fate:
            case "slow":
                self.in_hand.append(sending)
            case "lost":
                self.on_the_wire.append(sending)
            case "taken" | "declined":
                if not self._take(capture, declines=fate == "declined"):
                    self._free(capture, is_sent=True)

    def _take(self, capture: Capture, *, declines: bool) -> bool:
        """Return what the gateway makes of a key: the same answer, however often."""
        key = (capture.payment_id, capture.attempt)
        taken = self.keys.setdefault(key, not declines)
        if taken:
            self.captured.add(capture.payment_id)
        return taken

    def _free(self, capture: Capture, *, is_sent: bool) -> None:
        own = self.captures[capture.payment_id]
        same = own.state is CaptureState.CLAIMED and own.attempt == capture.attempt
        if same and (is_sent or own.claimed_at == capture.claimed_at):
            attempt = own.attempt if is_sent else own.attempt - 1
            freed = replace(own, state=CaptureState.FREE, attempt=attempt)
            self.captures[capture.payment_id] = freed

    def _forbid(self, forbidden: Forbidden) -> None:
        self.captures[forbidden.capture.payment_id] = forbidden.capture
        self.closed.add(forbidden.capture.payment_id)

    def _settle(self, payment_id: str) -> None:
        if self.order.status is OrderStatus.OPEN:
            self.order = replace(self.order, status=OrderStatus.PAID, settled_by=payment_id)
        done = replace(self.payments[payment_id], status=PaymentStatus.SUCCEEDED)
        self.payments[payment_id] = done

    def _case(self, payment_id: str) -> CaptureCase:
        siblings = [
            Sibling(self.payments[key], one)
            for key, one in self.captures.items()
            if key != payment_id
        ]
        facts = Facts(self.order, self.payments[payment_id])
        return CaptureCase(facts, self.captures.get(payment_id), siblings)


TestCaptureStory = CaptureStory.TestCase
TestCaptureStory.settings = settings(max_examples=500, stateful_step_count=20, deadline=None)
