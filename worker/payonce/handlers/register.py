"""A payment was initiated: write it down, start its watch."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from payonce.batching import Batcher
from payonce.domain.messages import PaymentInitiated, close_of, parse_initiated, poll_of
from payonce.domain.payment import UNFINISHED
from payonce.domain.times import to_ms
from payonce.domain.watch import revive_after_registration
from payonce.ports.bus import DONE, Fate, Park, Timer
from payonce.ports.clock import Clock
from payonce.ports.gateway import Gateways
from payonce.ports.inbox import Callbacks
from payonce.ports.meter import Meter
from payonce.ports.store import Registered, RegisterOutcome, Registrar, Registration


class Register:
    """Takes `payment.initiated`."""

    def __init__(  # noqa: PLR0913 - registering starts everything that a payment needs
        self,
        registrar: Registrar,
        timer: Timer,
        gateways: Gateways,
        callbacks: Callbacks,
        clock: Clock,
        meter: Meter,
        *,
        supersede: bool,
    ) -> None:
        self._timer = timer
        self._gateways = gateways
        self._clock = clock
        self._meter = meter
        self._watch_for = {name: gateway.terms.watch_for for name, gateway in gateways.items()}
        self._callbacks = callbacks
        self._batcher: Batcher[Registration, Registered] = Batcher(
            partial(registrar.register, supersede=supersede)
        )

    async def handle(self, data: Mapping[str, Any], traceparent: str | None) -> Fate:
        """Register the payment that `data` describes and start its watch.

        The watch is started also when nothing was inserted: the message may have come back because
        its first handler died between the commit and the first rung. Raises InvalidField.
        """
        message = parse_initiated(data, self._clock.now(), self._watch_for, traceparent)
        registered = await self._batcher.submit(self._registration(message))
        self._meter.payment_registered(message.gateway, registered.outcome)
        match registered.outcome:
            case RegisterOutcome.CONFLICT | RegisterOutcome.REF_TAKEN:
                return Park(f"{registered.outcome}: {registered.detail}")
            case RegisterOutcome.NEW | RegisterOutcome.SAME:
                await self._start_watch(registered)
                return DONE

    def _registration(self, message: PaymentInitiated) -> Registration:
        terms = self._gateways[message.gateway].terms
        return Registration(message, revive_after_registration(self._clock.now(), terms))

    async def _start_watch(self, registered: Registered) -> None:
        payment = registered.payment
        if payment is None or payment.status not in UNFINISHED:
            return
        wait_ms = self._gateways[payment.gateway].terms.ladder.wait_ms(0)
        due_ms = to_ms(self._clock.now()) + wait_ms
        await self._timer.poll_after(wait_ms, poll_of(payment, 0, due_ms))
        for one in (payment, *registered.superseded):
            if one.closing:
                await self._timer.close_after(0, close_of(one, one.closing))
        if registered.called_back:
            await self._callbacks.take_up(payment.payment_id)
