"""Where everything meets: lock the rows, decide, apply, commit; then tell."""

import itertools
from collections.abc import Mapping, Sequence

import structlog

from payonce.batching import Batcher
from payonce.domain.decide import Facts, Verdict
from payonce.domain.effects import Effects
from payonce.domain.judge import Hearing, judge, writes
from payonce.domain.payment import PaymentStatus
from payonce.handlers.announce import Announcer
from payonce.ports.cache import Cache
from payonce.ports.clock import Clock
from payonce.ports.meter import Meter
from payonce.ports.store import Ledger, Wanted

log = structlog.get_logger(__name__)


class Settler:
    """Settles reports, many in one transaction."""

    def __init__(
        self, ledger: Ledger, announcer: Announcer, cache: Cache, clock: Clock, meter: Meter
    ) -> None:
        self._ledger = ledger
        self._announcer = announcer
        self._cache = cache
        self._clock = clock
        self._meter = meter
        self._batcher: Batcher[Hearing, Effects | None] = Batcher(self._settle_many)

    async def settle(self, hearing: Hearing) -> Effects | None:
        """Return what the report changed, committed; None where the payment is not registered.

        Raises Unavailable where the database is away or the commit's outcome unknown: settle again.
        """
        effects = await self._batcher.submit(hearing)
        if effects is None:
            return None
        self._count(effects, hearing)
        if effects.payment.status is PaymentStatus.SUCCEEDED:
            await self._remember(effects)
        if effects.decision.verdict is not Verdict.IGNORED:
            await self._tell(effects)
        return effects

    async def _settle_many(self, hearings: Sequence[Hearing]) -> list[Effects | None]:
        """Settle in rounds in which each payment stands once, since a round locks by payment."""
        results: dict[int, Effects | None] = {}
        for turn in _rounds(hearings):
            outcome = await self._settle_round([hearings[n] for n in turn])
            results.update(zip(turn, outcome, strict=True))
        return [results[n] for n in range(len(hearings))]

    async def _settle_round(self, hearings: Sequence[Hearing]) -> list[Effects | None]:
        judged: list[Effects | None] = [None] * len(hearings)

        def decide_all(locked: Mapping[str, Facts]) -> list[Effects]:
            # The ledger may lock one payment at a time: what it did not lock now keeps its result.
            found = judge(hearings, locked)
            judged[:] = [new or old for new, old in zip(found, judged, strict=True)]
            return writes(found)

        await self._ledger.settle(
            [Wanted(one.payment_id, one.report.gateway_ref) for one in hearings], decide_all
        )
        return judged

    async def _remember(self, effects: Effects) -> None:
        payment = effects.payment
        await self._cache.remember_succeeded(
            payment.payment_id, payment.order_id, effects.order.version
        )

    async def _tell(self, effects: Effects) -> None:
        told = await self._announcer.announce(effects.events)
        if effects.decision.verdict is Verdict.SETTLED and told and effects.paid_at:
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
