"""What operators do with refunds and lists, from the command line or over HTTP."""

from collections.abc import Callable
from functools import partial

import structlog

from payonce.domain.errors import Unavailable, UnknownId
from payonce.domain.messages import refund_due
from payonce.domain.people import (
    approve,
    ask,
    check_resolved_as,
    reject,
    resolve_payment,
    resolve_refund,
    say,
)
from payonce.domain.refund import LIVE
from payonce.domain.refunding import RefundEffects
from payonce.domain.risk import Case, Policy
from payonce.domain.times import to_ms
from payonce.handlers.announce import Announcer
from payonce.ports.bus import Timer
from payonce.ports.clock import Clock
from payonce.ports.meter import Meter
from payonce.ports.refunds import Refunds

log = structlog.get_logger(__name__)


class RefundDesk:
    """Takes an operator's word. Raises InvalidField, UnknownId, Conflict, Unavailable."""

    def __init__(  # noqa: PLR0913 - a person's word moves all that a gateway's does
        self,
        refunds: Refunds,
        announcer: Announcer,
        timer: Timer,
        policy: Policy,
        clock: Clock,
        meter: Meter,
    ) -> None:
        self._refunds = refunds
        self._announcer = announcer
        self._timer = timer
        self._policy = policy
        self._clock = clock
        self._meter = meter

    async def request(self, payment_id: str, amount: int | None, by: object, why: object) -> str:
        """Ask for a refund, all that was captured unless `amount` says less; return its id."""
        judge = partial(ask, amount=amount, word=say(by, why), now=self._clock.now())
        effects = await self._refunds.change_payment(payment_id, judge)
        if effects is None or effects.refund is None:
            raise UnknownId("payment", payment_id)
        await self._tell(effects)
        return effects.refund.refund_id

    async def approve(self, refund_id: str, by: object) -> None:
        """Set aside what holds a refund; it goes through the other rules once more."""
        judge = partial(approve, by=say(by), policy=self._policy, now=self._clock.now())
        await self._change(refund_id, judge)

    async def reject(self, refund_id: str, by: object, why: object) -> None:
        """End a held refund: the money is kept."""
        await self._change(refund_id, partial(reject, word=say(by, why), now=self._clock.now()))

    async def resolve(self, id_: str, resolved_as: object, by: object, why: object) -> str | None:
        """End an entry of a list, a refund's or a payment's; return the id of a refund, or None."""
        wanted, word, now = check_resolved_as(resolved_as), say(by, why), self._clock.now()
        if await self._refunds.find(id_) is not None:
            judge = partial(resolve_refund, resolved_as=wanted, word=word, now=now)
            await self._change(id_, judge)
            return id_
        about = partial(resolve_payment, resolved_as=wanted, word=word, now=now)
        effects = await self._refunds.change_payment(id_, about)
        if effects is None:
            raise UnknownId("payment or refund", id_)
        await self._tell(effects)
        return effects.refund.refund_id if effects.refund else None

    async def _change(self, refund_id: str, judge: Callable[[Case], RefundEffects]) -> None:
        effects = await self._refunds.change(refund_id, judge)
        if effects is None:
            raise UnknownId("refund", refund_id)
        await self._tell(effects)

    async def _tell(self, effects: RefundEffects) -> None:
        """Tell what was committed, and have an approved refund sent; else the sweeper does."""
        log.info(effects.entries[-1].kind, order_id=effects.order.order_id)
        await self._announcer.announce(effects.events)
        refund = effects.refund
        if refund is None:
            return
        self._meter.refund_decided(refund.gateway, refund.status, refund.rule or "")
        if refund.status in LIVE:
            try:
                await self._timer.refund_after(0, refund_due(refund, to_ms(self._clock.now())))
            except Unavailable as error:
                log.warning("refund.postponed", refund_id=refund.refund_id, reason=str(error))
