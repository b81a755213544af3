"""The handlers of refunds on fakes, and a gateway that keeps books of what it sent back."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from payonce.domain.errors import GatewayRefused, GatewayRetryable
from payonce.domain.ids import refund_id
from payonce.domain.ladder import Ladder
from payonce.domain.messages import RefundDue
from payonce.domain.refund import Refund, RefundStatus
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.domain.risk import GatewayPolicy, Policy
from payonce.domain.times import to_ms
from payonce.handlers.refund import Refunder
from payonce.handlers.refund_desk import RefundDesk
from payonce.handlers.refund_sweep import RefundSweep
from payonce.ports.gateway import ChargeRef, NewRefund
from tests.handlers.bench import EVERY_S, Bench
from tests.handlers.fakes import FakeGateway, Journal, _watched
from tests.store.fake_refunds import FakeRefunds
from tests.store.making import registration, success

LADDER = Ladder((5_000, 30_000))
GRACE = timedelta(seconds=15)
RF = refund_id("p2")
POLICY = Policy(
    auto=True,
    hold_above={"CNY": 1_000},
    two_people_above={"CNY": 5_000},
    max_per_order=3,
    max_per_hour=100,
    gateways={"mock": GatewayPolicy()},
)
REFUSED = GatewayRefused("mock", "http-422", "no such card")
LATER = GatewayRetryable("mock", "http-429", 20.0)
LOST = RefundReport(RefundOutcome.UNKNOWN, "timed out")
UNHEARD = RefundReport(RefundOutcome.UNKNOWN, "unheard")
SUCCEEDED, FAILED, PENDING = (
    RefundReport(RefundOutcome.SUCCEEDED),
    RefundReport(RefundOutcome.FAILED, "account closed"),
    RefundReport(RefundOutcome.PENDING),
)
DAY_S = 86_400


class RefundGateway(FakeGateway):
    """Sends money back once for an id that it remembers; `answers` script what its caller hears."""

    def __init__(self, journal: Journal) -> None:
        super().__init__(journal)
        self.charges = {
            f"p{n}": GatewayReport(Outcome.SUCCEEDED, f"g{n}", 100, "CNY") for n in (1, 2)
        }
        self.moves: list[NewRefund] = []
        self.status: dict[str, RefundReport] = {}
        self.becomes = RefundReport(RefundOutcome.SUCCEEDED)
        self.answers: deque[RefundReport | Exception | None] = deque()
        self.query_answers: deque[RefundReport] = deque()
        self.while_refunding: Callable[[], None] = lambda: None

    async def query(self, charge: ChargeRef) -> GatewayReport:
        """Tell how a charge stands."""
        self._journal.enter("query")
        return self.charges[charge.payment_id]

    async def refund(self, refund: NewRefund) -> RefundReport:
        """Act, unless the next answer says that nothing was heard; then answer."""
        self._journal.enter("refund")
        self.while_refunding()
        answer = self.answers.popleft() if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer != UNHEARD and refund.refund_id not in self.status:
            self.moves.append(refund)
            self.status[refund.refund_id] = self.becomes
            charge = self.charges[refund.payment_id]
            refunded = charge.refunded + refund.amount
            self.charges[refund.payment_id] = replace(charge, refunded=refunded)
        return answer or self.status[refund.refund_id]

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """Tell what is remembered of a refund."""
        self._journal.enter("query_refund")
        if self.query_answers:
            return self.query_answers.popleft()
        return self.status.get(refund_id, RefundReport(RefundOutcome.NOT_FOUND))

    def forget(self) -> None:
        """Know nothing any more of what was sent back, but for the charges."""
        self.status.clear()


@dataclass
class RefundBench:
    """One worker: its handlers of refunds, and the fakes that they were given."""

    bench: Bench
    gateway: RefundGateway
    refunds: FakeRefunds
    policy: Policy = POLICY

    @property
    def refunder(self) -> Refunder:
        """Return another process's handler, so to speak: nothing is kept between messages."""
        bench = self.bench
        return Refunder(
            self.refunds,
            bench.announcer,
            bench.bus,
            bench.gateways,
            self.policy,
            LADDER,
            GRACE,
            bench.clock,
            bench.meter,
        )

    @property
    def desk(self) -> RefundDesk:
        """Return what takes an operator's word."""
        bench = self.bench
        return RefundDesk(
            self.refunds, bench.announcer, bench.bus, self.policy, bench.clock, bench.meter
        )

    @property
    def sweep(self) -> RefundSweep:
        """Return the net under the refunds."""
        bench, every = self.bench, timedelta(seconds=EVERY_S)
        return RefundSweep(self.refunds, bench.bus, bench.gateways, every, bench.clock)

    def refund(self, refund: str = RF) -> Refund:
        """Return a refund as the store holds it."""
        return next(one for one in self.bench.store.refunds if one.refund_id == refund)

    def change(self, **changes: Any) -> None:
        """Change the refund behind the handlers' backs."""
        self.bench.store.refunds = [replace(self.refund(), **changes)]

    def due(self, step: int | None = None) -> RefundDue:
        """Return a look at the refund that is due now."""
        looks = self.refund().looks if step is None else step
        return RefundDue(RF, "p2", "o1", "mock", to_ms(self.bench.clock.now()), looks)

    async def look(self) -> None:
        """Let the next look at the refund be due."""
        await self.refunder.handle(self.due())

    def stands(self) -> tuple[RefundStatus, str | None]:
        """Return the refund's status and what holds it."""
        return self.refund().status, self.refund().rule

    def kinds(self) -> list[str]:
        """Return what the timeline tells of refunds, in order."""
        kinds = [entry.kind for entry in self.bench.store.entries]
        return [kind for kind in kinds if kind.startswith("refund.")]

    def waits(self) -> list[int]:
        """Return the waits of the looks that were scheduled, in ms."""
        return [wait_ms for wait_ms, _ in self.bench.bus.refunds]


@asynccontextmanager
async def opened_refunds() -> AsyncIterator[RefundBench]:
    """Return a bench where p1 settled o1, and p2 was paid too."""
    bench = Bench()
    bench.bus.listen("payment.*", "refund.*")
    gateway = RefundGateway(bench.journal)
    bench.gateway, bench.gateways["mock"] = gateway, gateway
    await bench.registered(registration("p1", ref="g1"), registration("p2", ref="g2"))
    await bench.heard(success("p1", ref="g1"))
    await bench.heard(success("p2", ref="g2"))
    bench.journal.calls.clear()
    bench.bus.refunds.clear()
    bench.bus.told.clear()
    refunds = FakeRefunds(bench.store, bench.clock)
    for name in ("find", "change", "change_payment", "overdue"):
        setattr(refunds, name, _watched(bench.journal, f"refunds.{name}", getattr(refunds, name)))
    yield RefundBench(bench, gateway, refunds)
    await bench.bus.close()
