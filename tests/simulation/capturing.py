"""A worker's way to a gateway that captures: ports.gateway.CapturingGateway on its books."""

import asyncio

from payonce.domain.report import GatewayReport, Outcome
from payonce.ports.gateway import ChargeRef, NewCapture
from tests.simulation.capture_books import CapturingBooks
from tests.simulation.gateway import LOST, SimGateway, busy
from tests.simulation.links import Link

SENT_WITHIN_S = 300.0
"""How old a decision is at most that is acted upon: ten seconds, by clocks that are four minutes
apart at most."""
UNKNOWN = GatewayReport(Outcome.NOT_FOUND, reason="no-ref")


class SimCapturing(SimGateway):
    """One gateway as one worker sees it; charges can be asked about by the gateway's id alone."""

    _needs_link = True

    def __init__(self, books: CapturingBooks, link: Link) -> None:
        super().__init__(books, link)
        self._capturing = books

    async def query(self, charge: ChargeRef) -> GatewayReport:
        """Ask how a charge stands."""
        return UNKNOWN if charge.gateway_ref is None else await super().query(charge)

    async def capture(self, capture: NewCapture) -> GatewayReport:
        """Take the money of a charge that the shopper agreed to."""
        payment_id, asked_s = capture.charge.payment_id, asyncio.get_running_loop().time()
        if self._link.world.chance.strikes("gateway.capture_overslept"):
            self._link.sleep(self._link.world.chance.row("sleep").uniform(200, 900))
        trouble = await self._trouble("capture", payment_id)
        if trouble == "before" or not capture.may_leave():
            return LOST
        if trouble == "busy":
            return busy(Outcome.UNKNOWN if capture.is_repeat else Outcome.APPROVED)
        self._check_fresh(payment_id, asked_s)
        if self._link.world.chance.strikes("gateway.capture_late"):
            self._capturing.capture_late(payment_id)
            return LOST
        outcome = self._capturing.capture(payment_id)
        report = self._books.report(payment_id)
        await self._link.pass_time()
        if trouble == "after":
            return LOST
        return GatewayReport(outcome, report.gateway_ref, report.amount, report.currency)

    def _check_fresh(self, payment_id: str, asked_s: float) -> None:
        since_s = asyncio.get_running_loop().time() - asked_s
        if since_s > SENT_WITHIN_S:
            wrong = f"{payment_id} was captured {since_s:.0f} s after that was decided"
            self._link.world.wrongs.append(wrong)
