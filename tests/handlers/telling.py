"""An order service that is called, on fakes."""

import asyncio
from collections import deque

from payonce.domain.events import Event
from payonce.domain.messages import NotifyDue
from payonce.handlers.notify import Notify
from payonce.handlers.settle import Settler
from payonce.ports.notifier import NoticeAnswer, NoticeOutcome
from tests.handlers.bench import Bench
from tests.store.making import registration, success

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
