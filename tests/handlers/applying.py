"""An edge's applications on fakes: two gateways that create charges by script."""

from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

from payonce.adapters.memory.lock import MemoryLocks
from payonce.domain.application import Application, Policy
from payonce.domain.claim import Refusal
from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable
from payonce.domain.report import GatewayReport, Outcome
from payonce.handlers.apply import Apply, ApplyRules, Denied, Result, Shown, Unsure
from payonce.ports.gateway import CreatedCharge, NewCharge
from payonce.ports.lock import LockOutcome, NoLock, OrderLock
from tests.handlers.bench import Bench, opened_bench
from tests.handlers.fakes import NOT_FOUND, FakeGateway, Journal
from tests.store.applying import FakeApplications
from tests.store.making import EXPIRES
from tests.support.waiting import eventually

BUDGET_S = 10.0

Problem = GatewayAmbiguous | GatewayRefused | GatewayRetryable

AMBIGUOUS = GatewayAmbiguous("mock", "timed out")
RETRYABLE = GatewayRetryable("mock", "http-429", 1.0)
REFUSED = GatewayRefused("mock", "http-422", "no such currency here")
PAUSED = GatewayRetryable("mock", "paused")


async def checkout_url(payment_id: str, order_id: str) -> str:
    """Return the address of a payment's page."""
    return f"https://pay.example/checkout/{payment_id}?token={order_id}"


class ChargingGateway(FakeGateway):
    """Creates charges; `problems` stand in the way of the first ones, in order."""

    def __init__(self, journal: Journal, name: str) -> None:
        super().__init__(journal)
        self.name = name
        self.problems: deque[Problem] = deque()
        self.created: list[NewCharge] = []
        self.report: Callable[[NewCharge], GatewayReport] = self._pending
        self.while_created: Callable[[], None] = lambda: None
        self.will_say(NOT_FOUND)

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """Create by the script."""
        self._journal.enter("create")
        self.created.append(charge)
        self.while_created()
        await self.gate.wait()
        if self.problems:
            raise self.problems.popleft()
        link = f"https://{self.name}/{charge.payment_id}"
        return CreatedCharge(self.report(charge), link, link)

    def keys(self) -> list[str]:
        """Return the keys of all creates, in order."""
        return [charge.payment_id for charge in self.created]

    def _pending(self, charge: NewCharge) -> GatewayReport:
        ref = f"ref-{charge.payment_id}"
        return GatewayReport(Outcome.PENDING, ref, charge.amount, charge.currency)


class NoRedis:
    """Locks of a Redis that is away."""

    async def take(self, order_id: str, hold_s: float, wait_s: float) -> OrderLock:
        """Let everybody go on without."""
        del order_id, hold_s, wait_s  # nobody is asked
        return NoLock(LockOutcome.AWAY)


class Counter:
    """A bench with an edge: one shop's counter."""

    def __init__(self, bench: Bench, policy: Policy = Policy.CANCEL) -> None:
        self.bench = bench
        self.mock = ChargingGateway(bench.journal, "mock")
        self.other = ChargingGateway(bench.journal, "other")
        bench.gateways |= {"mock": self.mock, "other": self.other}
        self.applications = FakeApplications(bench.store)
        self.paused: set[str] = set()
        self.locks: MemoryLocks | NoRedis = MemoryLocks()
        self.apply = self.edge(policy)
        self._names = iter(range(1, 1_000))

    def edge(self, policy: Policy = Policy.CANCEL) -> Apply:
        """Return the applications of one more process."""
        bench = self.bench
        budgets_s = {"mock": BUDGET_S, "other": BUDGET_S}
        rules = ApplyRules(policy, "https://pay.example", checkout_url, budgets_s)
        return Apply(
            self.applications,
            bench.settler,
            bench.close.handle,
            bench.announcer,
            self.locks,
            bench.cache,
            bench.gateways,
            rules,
            bench.clock,
            bench.meter,
            lambda: frozenset(self.paused),
        )

    def application(self, **changed: Any) -> Application:
        """Return an application that comes now."""
        payment_id, now = f"a{next(self._names)}", self.bench.clock.now()
        plain = Application(payment_id, "o1", "mock", 100, "CNY", EXPIRES, now)
        return replace(plain, **changed)

    async def applied(self, **changed: Any) -> Result:
        """Apply and return what came of it."""
        return await self.apply.apply(self.application(**changed))

    async def later(self, seconds: float = 5.0, **changed: Any) -> Result:
        """Apply after a while."""
        self.bench.clock.move(seconds)
        return await self.applied(**changed)

    async def until_asleep(self, times: int = 1) -> None:
        """Return once somebody has gone to sleep so many times."""
        await eventually(lambda: len(self.bench.clock.slept_s) >= times, what="somebody sleeps")

    async def until_creating(self) -> None:
        """Return once the gateway is being asked to create a charge."""
        await eventually(lambda: self.mock.created, what="a charge is being created")

    def kinds(self) -> list[str]:
        """Return the timeline's kinds."""
        return [entry.kind for entry in self.bench.store.entries]


def payment_of(result: Result) -> str:
    """Return the payment that was answered with."""
    assert isinstance(result, Shown | Unsure), result
    return result.applied.payment.payment_id


@asynccontextmanager
async def opened_counter(policy: Policy = Policy.CANCEL) -> AsyncIterator[Counter]:
    """Give a counter whose events have a listener."""
    async with opened_bench() as bench:
        yield Counter(bench, policy)


def paid(amount: int = 100) -> GatewayReport:
    """Return the word that a charge was paid."""
    return GatewayReport(Outcome.SUCCEEDED, None, amount, "CNY")


def refusal(result: Result) -> Refusal:
    """Return why nothing was shown."""
    assert isinstance(result, Denied), result
    return result.refusal
