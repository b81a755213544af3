"""The sweeper: takes up every payment that shows no life. A net, not the engine."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import structlog

from payonce.domain.ladder import UNRECORDED_STEPS
from payonce.domain.messages import Mode, PollDue, close_of, poll_of
from payonce.domain.payment import UNFINISHED, Payment
from payonce.domain.times import to_ms
from payonce.domain.watch import revive_after_revival
from payonce.looping import repeat
from payonce.ports.board import Spared
from payonce.ports.bus import Timer
from payonce.ports.clock import Clock
from payonce.ports.gateway import Gateways
from payonce.ports.meter import Meter
from payonce.ports.store import Revival, Watches

log = structlog.get_logger(__name__)

BATCH = 500


class Sweeper:
    """Finds payments whose time to be looked after has passed and polls them at once."""

    def __init__(  # noqa: PLR0913 - the net spans truth, timer and gateways
        self,
        watches: Watches,
        timer: Timer,
        gateways: Gateways,
        every: timedelta,
        clock: Clock,
        meter: Meter,
        *,
        spared: Spared,
    ) -> None:
        self._watches = watches
        self._timer = timer
        self._gateways = gateways
        self._every = every
        self._clock = clock
        self._meter = meter
        self._spared = spared
        self._unsent: dict[str, Payment] = {}

    async def run(self) -> None:
        """Sweep for ever."""
        await repeat("sweeper", self.run_once, self._every, self._clock)

    async def run_once(self) -> bool:
        """Revive one batch; True where it was full.

        What the broker did not take is sent at the next turn, before anything else is revived: for
        a payment that has had its last look planned, nobody else would.
        """
        if not self._unsent:
            # A payment of a gateway that is not known here is left to a process that knows it. One
            # whose gateway is spared stays overdue: asked now, its watches would only pile up.
            wanted = self._gateways.keys() - self._spared()
            revived = await self._watches.revive(self._clock.now(), BATCH, self._plan, wanted)
            self._unsent = {payment.payment_id: payment for payment in revived}
        found = len(self._unsent)
        await self._send()
        if found:
            log.info("payments.revived", payments=found)
        return found == BATCH

    def _plan(self, payments: Sequence[Payment]) -> list[Revival]:
        return [self._revival(payment) for payment in payments]

    def _revival(self, payment: Payment) -> Revival:
        terms = self._gateways[payment.gateway].terms
        revive_at = revive_after_revival(payment, self._clock.now(), terms)
        return Revival(payment.payment_id, payment.epoch + 1, revive_at)

    async def _send(self) -> None:
        """Poll everything unsent now; raise the first problem once all were tried."""
        polls = (self._poll_now(payment) for payment in list(self._unsent.values()))
        results = await asyncio.gather(*polls, return_exceptions=True)
        for problem in results:
            if problem is not None:
                raise problem

    async def _poll_now(self, payment: Payment) -> None:
        await self._timer.poll_after(0, revived_poll(payment, to_ms(self._clock.now())))
        if payment.closing:
            await self._timer.close_after(0, close_of(payment, payment.closing))
        del self._unsent[payment.payment_id]
        self._meter.payment_revived(payment.gateway)


def revived_poll(payment: Payment, now_ms: int) -> PollDue:
    """Return the poll that takes a payment up again.

    A dead watch goes on in its repeating tail, where Postgres hears of every step; an unresolved,
    failed or closed payment is asked once.
    """
    if payment.status in UNFINISHED and not payment.unresolved:
        return poll_of(payment, max(payment.step + 1, UNRECORDED_STEPS - 1), now_ms)
    return poll_of(payment, payment.step, now_ms, Mode.ONCE)
