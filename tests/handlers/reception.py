"""A reception on fakes: callbacks come in, and one can look at what became of them."""

from datetime import timedelta
from typing import Any

from payonce.domain.report import GatewayReport, Outcome
from payonce.handlers.callback import Callback
from payonce.inbox import Reception, Retention
from payonce.ports.gateway import (
    CallbackAnswer,
    CallbackWord,
    ChargeWord,
    RefundOutcome,
    RefundReport,
    RefundWord,
)
from tests.handlers.bench import Bench
from tests.handlers.fakes import PAID, Journal, _watched
from tests.store.fake import FakeStore
from tests.store.fake_inbox import FakeInbox, Row

KEEP_FOR = timedelta(days=30)
INBOX_CALLS = frozenset({"keep", "claim", "claim_of", "finish", "put_off", "find_payment"})
PAID_WORD = ChargeWord("p1", PAID, authoritative=True)
HINT = ChargeWord("p1", GatewayReport(Outcome.FAILED))
REFUND = RefundWord("p1", "rf-1", RefundReport(RefundOutcome.SUCCEEDED))


class WatchedInbox(FakeInbox):
    """The inbox in memory, its calls written down."""

    def __init__(self, store: FakeStore, journal: Journal) -> None:
        super().__init__(store)
        self._journal = journal

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        return _watched(self._journal, name, found) if name in INBOX_CALLS else found


class FakeRefundWords:
    """Knows the refunds that it was told are ours, and keeps what it heard of them."""

    def __init__(self) -> None:
        self.ours: set[str] = set()
        self.told: list[tuple[str, str, RefundReport]] = []

    async def heard(self, refund_id: str, payment_id: str, report: RefundReport) -> bool:
        """See the port."""
        if refund_id not in self.ours:
            return False
        self.told.append((refund_id, payment_id, report))
        return True


class Door:
    """The reception of one worker, and the fakes behind it."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.inbox = WatchedInbox(bench.store, bench.journal)
        self.refunds = FakeRefundWords()
        self.handler = Callback(
            self.inbox,
            bench.store,
            bench.settler,
            bench.bus,
            bench.cache,
            bench.gateways,
            self.refunds,
            bench.clock,
        )
        self.reception = Reception(
            self.inbox, self.handler, bench.gateways, bench.clock, bench.meter
        )
        self.retention = Retention(self.inbox, KEEP_FOR, bench.clock)

    async def knock(
        self, word: CallbackWord | None = PAID_WORD, event_id: str = "e1", gateway: str = "mock"
    ) -> CallbackAnswer | None:
        """Let a gateway call back; None: with a body that means nothing."""
        body = b"nonsense" if word is None else repr(word).encode()
        if word is not None:
            self.bench.gateway.words[body] = word
        return await self.reception.receive(gateway, {"id": event_id}, body)

    async def sweep(self, after_s: float) -> bool:
        """Let time pass, then sweep once."""
        self.bench.clock.move(after_s)
        return await self.reception.run_once()

    def row(self, inbox_id: int = 1) -> Row:
        """Return a callback as the inbox holds it."""
        return self.inbox.rows[inbox_id]

    def results(self) -> list[object]:
        """Return what became of each try, in order."""
        return [result for _, result in self.bench.meter.of("callback_processed")]

    def outcomes(self) -> list[object]:
        """Return what was said at the door, in order."""
        return [outcome for _, outcome in self.bench.meter.of("callback_received")]
