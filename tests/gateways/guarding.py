"""What the tests of guarded gateways stand on: processes that share a board, a scripted gateway."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from payonce.domain.errors import BadCallback, GatewayAmbiguous, GatewayRetryable, InvalidField
from payonce.domain.report import GatewayReport, Outcome
from payonce.gateways.gate import Ear, Gate
from payonce.gateways.guard import Guarded
from payonce.gateways.keeper import Keeper
from payonce.ports.gateway import (
    CallbackAnswer,
    CallbackWord,
    ChargeRef,
    CheckedCallback,
    CloseAnswer,
    CreatedCharge,
    NewCharge,
    NewRefund,
    RefundOutcome,
    RefundReport,
)
from tests.gateways.rigs import NEW_CHARGE, NEW_REFUND
from tests.handlers.fake_meter import FakeMeter
from tests.handlers.fakes import PENDING, TERMS, UNKNOWN, FakeClock
from tests.store.fake_board import FakeBoard

CHARGE = ChargeRef("p1")
DELAYED = replace(UNKNOWN, reason="http-429", retry_after_s=30.0)


class Scripted:
    """A gateway that does what `mood` says: answers, fails, is busy or hangs; it tells its ear."""

    name = "mock"
    terms = TERMS

    def __init__(self, ear: Ear) -> None:
        self._ear = ear
        self.mood = "2xx"
        self.calls: list[str] = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def query(self, charge: ChargeRef) -> GatewayReport:
        """See the port."""
        await self._asked("query")
        return {"2xx": PENDING, "4xx": PENDING, "busy": DELAYED}.get(self.mood, UNKNOWN)

    async def close(self, charge: ChargeRef) -> CloseAnswer:
        """See the port."""
        await self._asked("close")
        return CloseAnswer.CLOSED if self.mood == "2xx" else CloseAnswer.UNKNOWN

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """See the port."""
        await self._asked("create")
        self._refuse()
        return CreatedCharge(PENDING, None, None)

    async def refund(self, refund: NewRefund) -> RefundReport:
        """See the port."""
        await self._asked("refund")
        self._refuse()
        return RefundReport(RefundOutcome.PENDING)

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """See the port."""
        await self._asked("query_refund")
        return RefundReport(RefundOutcome.PENDING)

    @property
    def callback_answer(self) -> CallbackAnswer:
        """See the port."""
        return CallbackAnswer(200, b"ok", "text/plain")

    async def check_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> CheckedCallback:
        """See the port."""
        raise BadCallback("bad-signature", f"{len(headers)} headers, {len(body)} bytes, {now}")

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackWord:
        """See the port."""
        raise InvalidField("body", f"{len(headers)} headers, {len(body)} bytes", "nothing")

    async def _asked(self, call: str) -> None:
        self.calls.append(call)
        await self.gate.wait()
        self._ear.gateway_asked(self.name, call, self.mood, 0.0)

    def _refuse(self) -> None:
        if self.mood == "busy":
            raise GatewayRetryable(self.name, "http-429", 30.0)
        if self.mood != "2xx":
            raise GatewayAmbiguous(self.name, self.mood)


@dataclass
class Process:
    """One process: its gateway behind its gate, kept by its keeper."""

    clock: FakeClock
    board: FakeBoard
    rate_per_s: float = 0.0
    meter: FakeMeter = field(default_factory=FakeMeter)

    def __post_init__(self) -> None:
        self.gate = Gate("mock", self.rate_per_s, self.meter, self.clock)
        self.bare = Scripted(Ear(self.gate, self.meter))
        self.gateway = Guarded(self.bare, self.gate)
        self.keeper = Keeper(self.board, {"mock": self.gate}, str(uuid4()), self.clock, self.meter)
        self.keeper._asks = True

    async def ask(self, times: int = 1) -> list[str]:
        """Ask so often, one after another; return why not, `asked` where it was."""
        reports = [await self.gateway.query(CHARGE) for _ in range(times)]
        return [one.reason if one.spared else "asked" for one in reports]

    def share_per_s(self) -> float:
        """Return this process's share of the rate."""
        assert self.gate._bucket is not None
        return self.gate._bucket.rate_per_s

    async def keep(self) -> None:
        """Let the keeper do its turn."""
        await self.keeper.run_once()


@dataclass
class Town:
    """Two processes that share a board and a clock."""

    rate_per_s: float = 0.0

    def __post_init__(self) -> None:
        self.clock = FakeClock()
        self.board = FakeBoard(now=self.clock.now)
        self.one = Process(self.clock, self.board, self.rate_per_s)
        self.two = Process(self.clock, self.board, self.rate_per_s)

    async def keep(self) -> None:
        """Let both keepers do their turns, twice, so that each has heard of the other."""
        for process in (self.one, self.two, self.one, self.two):
            await process.keep()

    def later(self, seconds: float) -> Any:
        """Return the time in so many seconds."""
        return self.clock.now() + timedelta(seconds=seconds)


async def use_all(process: Process) -> dict[str, object]:
    """Use every call of the gateway, and return what each came to."""
    gateway = process.gateway
    found: dict[str, object] = {
        "query": await gateway.query(CHARGE),
        "close": await gateway.close(CHARGE),
        "query_refund": await gateway.query_refund("rf-1", CHARGE),
        "refund": await gateway.refund(NEW_REFUND),
    }
    try:
        found["create"] = await gateway.create(NEW_CHARGE)
    except GatewayRetryable as error:
        found["create"] = error
    return found


SPARED_REFUND = RefundReport(RefundOutcome.UNKNOWN, "paused", 1.0, spared=True)
SPARED = {
    "query": GatewayReport(Outcome.UNKNOWN, reason="paused", retry_after_s=1.0, spared=True),
    "close": CloseAnswer.SPARED,
    "query_refund": SPARED_REFUND,
    "refund": SPARED_REFUND,
    "create": GatewayRetryable("mock", "paused by ann: works", 1.0),
}
