"""Where everything meets: lock the rows, decide, apply, commit; then tell."""

import asyncio
import itertools
from collections.abc import Mapping, Sequence

import structlog

from payonce.batching import Batcher
from payonce.domain.decide import Facts, Verdict
from payonce.domain.effects import Effects
from payonce.domain.errors import Unavailable
from payonce.domain.judge import Hearing, judge, writes
from payonce.domain.messages import close_of, refund_due
from payonce.domain.payment import Payment, PaymentStatus
from payonce.domain.times import to_ms
from payonce.handlers.announce import Announcer
from payonce.ports.bus import Timer
from payonce.ports.cache import Cache
from payonce.ports.clock import Clock
from payonce.ports.meter import Meter
from payonce.ports.notifier import Notices
from payonce.ports.store import Ledger, Wanted

Settled = tuple[Effects, tuple[Payment, ...]]
"""What was written, and the other pending payments of an order that this settled."""

log = structlog.get_logger(__name__)


class Settler:
    """Settles reports, many in one transaction."""

    def __init__(  # noqa: PLR0913 - where everything meets
        self,
        ledger: Ledger,
        announcer: Announcer,
        timer: Timer,
        cache: Cache,
        clock: Clock,
        meter: Meter,
        notices: Notices | None = None,
    ) -> None:
        self._ledger = ledger
        self._announcer = announcer
        self._timer = timer
        self._cache = cache
        self._clock = clock
        self._meter = meter
        self._notices = notices
        self._batcher: Batcher[Hearing, Settled | None] = Batcher(self._settle_many)

    async def settle(self, hearing: Hearing) -> Effects | None:
        """Return what the report changed, committed; None where the payment is not registered.

        Raises Unavailable where the database is away or the commit's outcome unknown: settle again.
        """
        settled = await self._batcher.submit(hearing)
        if settled is None:
            return None
        effects, siblings = settled
        self._count(effects, hearing)
        if effects.payment.status is PaymentStatus.SUCCEEDED:
            await self._remember(effects)
        if effects.decision.verdict is not Verdict.IGNORED:
            await self._tell(effects)
            await self._follow_up(effects, siblings)
        return effects

    async def _follow_up(self, effects: Effects, siblings: Sequence[Payment]) -> None:
        """Have siblings closed and refunds sent at once; where that fails, the sweeper does."""
        try:
            for payment in siblings:
                await self._timer.close_after(0, close_of(payment, payment.closing or ""))
            for refund in effects.refunds:
                due_ms = to_ms(self._clock.now())
                await self._timer.refund_after(0, refund_due(refund, due_ms))
        except Unavailable as error:
            log.warning("followup.postponed", order_id=effects.order.order_id, reason=str(error))

    async def _settle_many(self, hearings: Sequence[Hearing]) -> list[Settled | None]:
        """Settle in rounds in which each payment stands once, since a round locks by payment."""
        results: dict[int, Settled | None] = {}
        for turn in _rounds(hearings):
            outcome = await self._settle_round([hearings[n] for n in turn])
            results.update(zip(turn, outcome, strict=True))
        return [results[n] for n in range(len(hearings))]

    async def _settle_round(self, hearings: Sequence[Hearing]) -> list[Settled | None]:
        judged: list[Effects | None] = [None] * len(hearings)

        def decide_all(locked: Mapping[str, Facts]) -> list[Effects]:
            # The ledger may lock one payment at a time: what it did not lock now keeps its result.
            found = judge(hearings, locked)
            judged[:] = [new or old for new, old in zip(found, judged, strict=True)]
            return writes(found)

        siblings = await self._ledger.settle(
            [Wanted(one.payment_id, one.report.gateway_ref) for one in hearings], decide_all
        )
        return [(one, _siblings_of(one, siblings)) if one else None for one in judged]

    async def _remember(self, effects: Effects) -> None:
        payment, order = effects.payment, effects.order
        await self._cache.remember_succeeded(
            payment.payment_id, order.order_id, order.version, order.settled_by
        )

    async def _tell(self, effects: Effects) -> None:
        is_settled = effects.decision.verdict is Verdict.SETTLED
        if self._notices is not None and is_settled:
            # At the same time: neither way of telling waits for the other.
            calling = self._notices.tell(effects.events)
            told, _ = await asyncio.gather(self._announcer.announce(effects.events), calling)
        else:
            told = await self._announcer.announce(effects.events)
        if is_settled and told and effects.paid_at:
            delay = self._clock.now() - effects.paid_at
            self._meter.success_announced(delay.total_seconds())

    def _count(self, effects: Effects, hearing: Hearing) -> None:
        payment, decision = effects.payment, effects.decision
        self._meter.payment_decided(payment.gateway, decision.verdict, hearing.occasion.source)
        log.debug(
            f"payment.{decision.verdict}",
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            reason=decision.reason,
            source=hearing.occasion.source.value,
        )


def _siblings_of(effects: Effects, siblings: Sequence[Payment]) -> tuple[Payment, ...]:
    """Return those of the pending payments that the settlement of this order leaves to close."""
    if effects.decision.verdict is not Verdict.SETTLED or not siblings:
        return ()
    return tuple(one for one in siblings if one.order_id == effects.order.order_id)


def _rounds(hearings: Sequence[Hearing]) -> list[list[int]]:
    """Return positions in rounds: the first hearing of each payment, then the second, ..."""
    rounds: list[list[int]] = []
    counts: dict[str, itertools.count[int]] = {}
    for n, hearing in enumerate(hearings):
        turn = next(counts.setdefault(hearing.payment_id, itertools.count()))
        if turn == len(rounds):
            rounds.append([])
        rounds[turn].append(n)
    return rounds
