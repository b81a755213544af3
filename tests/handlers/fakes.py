"""What handlers are given in tests: a clock moved by hand, and a world that writes down its use."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from payonce.adapters.codec import encode_event
from payonce.adapters.memory.bus import MemoryBus
from payonce.adapters.memory.cache import MemoryCache
from payonce.adapters.rabbitmq.topology import (
    PAYMENTS,
    Binding,
    Topology,
    payonce_topology,
    work_queue,
)
from payonce.domain.errors import BadCallback, InvalidField, Unavailable
from payonce.domain.events import Event
from payonce.domain.ladder import Ladder
from payonce.domain.messages import CloseDue, NotifyDue, PollDue, RefundDue
from payonce.domain.report import GatewayReport, Outcome
from payonce.domain.watch import Terms
from payonce.handlers.close import CLOSE_WAITS_MS
from payonce.handlers.notify import NOTIFY_WAITS_MS
from payonce.ports.bus import WorkQueue
from payonce.ports.cache import Seen
from payonce.ports.gateway import (
    CallbackAnswer,
    CallbackWord,
    ChargeRef,
    CheckedCallback,
    CloseAnswer,
    CreatedCharge,
    NewCharge,
    NewRefund,
    RefundReport,
)
from tests.store.fake import FakeStore
from tests.store.making import NOW
from tests.support.documents import check_event

TERMS = Terms(
    ladder=Ladder((3_000, 10_000, 30_000, 180_000)),
    watch_for=timedelta(hours=2),
    lateness=timedelta(minutes=10),
    grace=timedelta(seconds=60),
    can_close=True,
)
PENDING = GatewayReport(Outcome.PENDING)
UNKNOWN = GatewayReport(Outcome.UNKNOWN, reason="timed out")
NOT_FOUND = GatewayReport(Outcome.NOT_FOUND, reason="not-known")
FAILED = GatewayReport(Outcome.FAILED, reason="declined")
CLOSED = GatewayReport(Outcome.CLOSED)
PAID = GatewayReport(Outcome.SUCCEEDED, "ref-1", 100, "CNY", paid_at=NOW)

STORE_CALLS = frozenset(
    {
        "register",
        "settle",
        "watch_states",
        "record_steps",
        "revive",
        "restart",
        "end_closing",
        "looked",
        "acknowledge",
        "cancel",
        "delete_events",
        "claim_events",
        "retell",
        "make_all_due",
        "unacknowledged",
    }
)


@dataclass
class Journal:
    """What was used, in order; names in `away` raise Unavailable, those in `unsure` afterwards."""

    calls: list[str] = field(default_factory=list)
    away: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)

    def enter(self, name: str) -> None:
        """Write down a use that begins."""
        self.calls.append(name)
        if name in self.away:
            raise Unavailable("test", f"{name} is away")

    def leave(self, name: str) -> None:
        """Lose the answer of a use that took effect, where that is wanted."""
        if name in self.unsure:
            raise Unavailable("test", f"the outcome of {name} is unknown")

    def of(self, *names: str) -> list[str]:
        """Return the calls of these names, in order."""
        return [one for one in self.calls if one in names]


class FakeClock:
    """Stands still until it is moved; who sleeps wakes when the time has come."""

    def __init__(self) -> None:
        self._now = NOW
        self._sleepers: list[tuple[datetime, asyncio.Future[None]]] = []
        self.slept_s: list[float] = []

    def now(self) -> datetime:
        """Return the time that was last set."""
        return self._now

    async def sleep(self, delay_s: float) -> None:
        """Return once the clock has been moved by `delay_s`."""
        self.slept_s.append(delay_s)
        future = asyncio.get_running_loop().create_future()
        self._sleepers.append((self._now + timedelta(seconds=delay_s), future))
        await future

    def move(self, seconds: float) -> None:
        """Let time pass."""
        self._now += timedelta(seconds=seconds)
        due = [one for one in self._sleepers if one[0] <= self._now]
        self._sleepers = [one for one in self._sleepers if one[0] > self._now]
        for _, future in sorted(due, key=lambda one: one[0]):
            if not future.done():
                future.set_result(None)


class WatchedStore(FakeStore):
    """The store in memory, its calls written down."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return _watched(self._journal, name, found) if name in STORE_CALLS else found


def _watched(journal: Journal, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
    async def watched(*arguments: Any, **named: Any) -> Any:
        journal.enter(name)
        result = await call(*arguments, **named)
        journal.leave(name)
        return result

    return watched


class WatchedBus(MemoryBus):
    """The bus in memory; what it confirmed is kept, each wait with its message."""

    def __init__(self, clock: FakeClock, journal: Journal) -> None:
        waits = {
            WorkQueue.POLL: TERMS.ladder.waits_ms,
            WorkQueue.CLOSE: CLOSE_WAITS_MS,
            WorkQueue.REFUND: (5_000, 30_000),
            WorkQueue.NOTIFY: NOTIFY_WAITS_MS,
        }
        super().__init__(clock, payonce_topology(waits))
        self._journal = journal
        self.polls: list[tuple[int, PollDue]] = []
        self.closes: list[tuple[int, CloseDue]] = []
        self.refunds: list[tuple[int, RefundDue]] = []
        self.notices: list[tuple[int, NotifyDue]] = []
        self.told: list[Event] = []

    async def poll_after(self, wait_ms: int, message: PollDue) -> None:
        """See the port."""
        self._journal.enter("poll_after")
        await super().poll_after(wait_ms, message)
        self.polls.append((wait_ms, message))

    async def close_after(self, wait_ms: int, message: CloseDue) -> None:
        """See the port."""
        self._journal.enter("close_after")
        await super().close_after(wait_ms, message)
        self.closes.append((wait_ms, message))

    async def refund_after(self, wait_ms: int, message: RefundDue) -> None:
        """See the port."""
        self._journal.enter("refund_after")
        await super().refund_after(wait_ms, message)
        self.refunds.append((wait_ms, message))

    async def notify_after(self, wait_ms: int, message: NotifyDue) -> None:
        """See the port."""
        self._journal.enter("notify_after")
        await super().notify_after(wait_ms, message)
        self.notices.append((wait_ms, message))

    async def publish(self, event: Event) -> None:
        """See the port."""
        check_event(encode_event(event))
        self._journal.enter("publish")
        await super().publish(event)
        self.told.append(event)

    def listen(self, *patterns: str) -> None:
        """Bind a foreign queue for events."""
        bindings = tuple(Binding(PAYMENTS, "books", one) for one in patterns)
        self.declare(Topology((), (work_queue("books"),), bindings))

    def stop_listening(self) -> None:
        """Unbind the foreign queue."""
        self._bindings = {one for one in self._bindings if one.queue != "books"}


class FakeCallbacks:
    """Writes down whose callbacks were taken up."""

    def __init__(self) -> None:
        self.taken: list[str] = []

    async def take_up(self, payment_id: str) -> None:
        """See the port."""
        self.taken.append(payment_id)


class WatchedCache(MemoryCache):
    """The cache in memory, its calls written down."""

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._journal = journal

    async def seen(self, payment_id: str, epoch: int, step: int) -> Seen:
        """See the port."""
        self._journal.enter("seen")
        return await super().seen(payment_id, epoch, step)

    async def mark_step(self, payment_id: str, epoch: int, step: int) -> None:
        """See the port."""
        self._journal.enter("mark_step")
        await super().mark_step(payment_id, epoch, step)

    async def remember_succeeded(
        self, payment_id: str, order_id: str, version: int, paid_by: str | None
    ) -> None:
        """See the port."""
        self._journal.enter("remember_succeeded")
        await super().remember_succeeded(payment_id, order_id, version, paid_by)

    async def paid_by(self, order_id: str) -> str | None:
        """See the port."""
        self._journal.enter("paid_by")
        return await super().paid_by(order_id)


class FakeGateway:
    """Answers by its script, the last answer for ever; `gate` holds answers back."""

    name = "mock"

    def __init__(self, journal: Journal) -> None:
        self._journal = journal
        self.terms = TERMS
        self.reports: deque[GatewayReport] = deque([PENDING])
        self.closes: deque[CloseAnswer] = deque([CloseAnswer.CLOSED])
        self.asked: list[ChargeRef] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.while_asked: Callable[[], None] = lambda: None
        self.words: dict[bytes, CallbackWord] = {}

    def will_say(self, *reports: GatewayReport) -> None:
        """Script the answers of queries."""
        self.reports = deque(reports)

    def will_close(self, *answers: CloseAnswer) -> None:
        """Script the answers of closes."""
        self.closes = deque(answers)

    async def query(self, charge: ChargeRef) -> GatewayReport:
        """Answer by the script."""
        self._journal.enter("query")
        self.asked.append(charge)
        self.while_asked()
        await self.gate.wait()
        return self.reports[0] if len(self.reports) == 1 else self.reports.popleft()

    async def close(self, charge: ChargeRef) -> CloseAnswer:
        """Answer by the script."""
        del charge  # one script for all charges
        self._journal.enter("close")
        return self.closes[0] if len(self.closes) == 1 else self.closes.popleft()

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """No handler of this suite creates charges."""
        raise NotImplementedError(charge)

    async def refund(self, refund: NewRefund) -> RefundReport:
        """No handler of this suite refunds."""
        raise NotImplementedError(refund)

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """No handler of this suite asks about refunds."""
        raise NotImplementedError(refund_id, charge)

    @property
    def callback_answer(self) -> CallbackAnswer:
        """Say what a callback is answered that was taken."""
        return CallbackAnswer(200, b"taken", "text/plain")

    async def check_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> CheckedCallback:
        """Take what has an id and is not marked as forged."""
        del body, now  # signatures are the adapters' business
        if "forged" in headers or "id" not in headers:
            raise BadCallback("bad-signature", "the header says so")
        return CheckedCallback(headers["id"], {"id": headers["id"]})

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackWord:
        """Return the word that was planned for this body."""
        del headers  # the body says it all
        if body not in self.words:
            raise InvalidField("body", "was not planned", "a planned one")
        return self.words[body]
