"""Short ways to say what a test needs of refunds in the store."""

from dataclasses import dataclass
from functools import partial

from payonce.domain.ids import refund_id
from payonce.domain.people import Word
from payonce.domain.refunding import RefundEffects, conclude, consider
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.domain.risk import Answers, Case, GatewayPolicy, Policy
from payonce.ports.refunds import Refunds
from tests.store.making import NOW, Store, later, register, registration, settle, success

POLICY = Policy(
    auto=True,
    hold_above={"CNY": 1_000},
    two_people_above={},
    max_per_order=3,
    max_per_hour=100,
    gateways={"mock": GatewayPolicy()},
)
PAID = GatewayReport(Outcome.SUCCEEDED, "g2", 100, "CNY")
DONE = RefundReport(RefundOutcome.SUCCEEDED)
RF = refund_id("p2")
ANN = Word("ann", "because")


@dataclass(frozen=True)
class Books:
    """A store, and the refunds on its rows."""

    store: Store
    refunds: Refunds

    async def send(self, refund: str = RF, policy: Policy = POLICY) -> RefundEffects | None:
        """Decide whether a refund leaves, all gateways being in order."""
        case = await self.case(refund)
        answers = Answers(case.refund.attempts, case.order.settled_by, PAID, PAID_WINNER)
        judge = partial(consider, answers=answers, policy=policy, now=NOW)
        return await self.refunds.change(refund, judge, counting=True)

    async def case(self, refund: str = RF) -> Case:
        """Return a refund that is there."""
        case = await self.refunds.find(refund)
        assert case is not None
        return case

    async def end(self, report: RefundReport = DONE, refund: str = RF) -> RefundEffects | None:
        """Take a gateway's final word."""
        judge = partial(conclude, report=report, source="query", now=later(1))
        return await self.refunds.change(refund, judge)


PAID_WINNER = GatewayReport(Outcome.SUCCEEDED, "g1", 100, "CNY")


NO_REFUNDS = GatewayPolicy(can_refund=False)


async def duplicated(books: Books, orders: int = 1) -> list[str]:
    """Settle orders twice each, and return the refunds of the duplicates."""
    refunds = []
    for n in range(orders):
        first, second, order = (f"p{2 * n + 1}", f"p{2 * n + 2}", f"o{n + 1}")
        await register(
            books.store,
            registration(first, order, ref=f"g{2 * n + 1}"),
            registration(second, order),
        )
        await settle(books.store, success(first, ref=f"g{2 * n + 1}"))
        await settle(books.store, success(second))
        refunds.append(refund_id(second))
    return refunds
