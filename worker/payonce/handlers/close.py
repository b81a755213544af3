"""A payment shall be closed at its gateway; what counts is the query afterwards."""

from dataclasses import replace

from payonce.domain.effects import Occasion
from payonce.domain.judge import Hearing
from payonce.domain.messages import CloseDue
from payonce.domain.report import Source
from payonce.handlers.settle import Settler
from payonce.ports.bus import DONE, Fate, Park, Timer
from payonce.ports.clock import Clock
from payonce.ports.gateway import ChargeRef, CloseAnswer, Gateway, Gateways
from payonce.ports.store import Watches

CLOSE_WAITS_MS = (3_000, 10_000, 30_000)
"""Waits between tries; afterwards the sweeper begins anew, until the payment has ended."""


class Close:
    """Takes an order to close a payment."""

    def __init__(
        self, settler: Settler, watches: Watches, timer: Timer, gateways: Gateways, clock: Clock
    ) -> None:
        self._settler = settler
        self._watches = watches
        self._timer = timer
        self._gateways = gateways
        self._clock = clock

    async def handle(self, message: CloseDue) -> Fate:
        """Close the payment where its gateway can, then query, and settle on a definite word."""
        gateway = self._gateways.get(message.gateway)
        if gateway is None:
            return Park(f"unknown-gateway: {message.gateway}")
        charge = ChargeRef(message.payment_id, message.gateway_ref)
        answer = await _close(gateway, charge)
        report = await gateway.query(charge)
        if report.is_definite:
            occasion = Occasion(self._clock.now(), Source.CLOSE)
            await self._settler.settle(Hearing(message.payment_id, report, occasion))
        elif answer is CloseAnswer.CANNOT_CLOSE:
            await self._watches.end_closing(message.payment_id, self._clock.now())
        else:
            await self._try_again(message)
        return DONE

    async def _try_again(self, message: CloseDue) -> None:
        if message.attempt < len(CLOSE_WAITS_MS):
            wait_ms = CLOSE_WAITS_MS[message.attempt]
            await self._timer.close_after(wait_ms, replace(message, attempt=message.attempt + 1))


async def _close(gateway: Gateway, charge: ChargeRef) -> CloseAnswer:
    if not gateway.terms.can_close:
        return CloseAnswer.CANNOT_CLOSE
    return await gateway.close(charge)
