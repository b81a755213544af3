"""Captures in memory, over the store in memory: each method is one step."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from payonce.domain.capture import (
    Capture,
    CaptureCase,
    CaptureDecision,
    CaptureState,
    Claimed,
    Forbidden,
    Sibling,
)
from payonce.domain.errors import Unavailable
from payonce.ports.captures import Ended, JudgeCapture
from payonce.ports.store import Wanted
from tests.store.fake import FakeStore


@dataclass
class FakeCaptures:
    """See the port; `away`: every use raises Unavailable."""

    store: FakeStore
    captures: dict[str, Capture] = field(default_factory=dict)
    uses: list[str] = field(default_factory=list)
    away: bool = False

    async def decide(
        self, payment_id: str, reported_ref: str | None, judge: JudgeCapture
    ) -> CaptureDecision | None:
        """See the port."""
        self._use("decide")
        if payment_id not in self.store.payments:
            return None
        facts = self.store._facts(Wanted(payment_id, reported_ref))
        siblings = [
            Sibling(self.store.payments[key], one)
            for key, one in self.captures.items()
            if key != payment_id and self.store.payments[key].order_id == facts.order.order_id
        ]
        decided = judge(CaptureCase(facts, self.captures.get(payment_id), siblings))
        if isinstance(decided, Claimed) or (isinstance(decided, Forbidden) and decided.is_new):
            self.captures[payment_id] = decided.capture
        return decided

    async def free(self, ended: Ended) -> None:
        """See the port."""
        self._use("free")
        own = self._claim_of(ended.payment_id, ended.attempt)
        if own is not None and (ended.is_sent or own.claimed_at == ended.claimed_at):
            attempt = own.attempt if ended.is_sent else own.attempt - 1
            freed = replace(own, state=CaptureState.FREE, attempt=attempt)
            self.captures[ended.payment_id] = freed

    async def let_go(self, payment_id: str, attempt: int, now: datetime) -> None:
        """See the port."""
        self._use("let_go")
        own = self._claim_of(payment_id, attempt)
        if own is not None:
            held_until = min(own.held_until, now)
            self.captures[payment_id] = replace(own, held_until=held_until)

    async def ref_of(self, payment_id: str) -> str | None:
        """See the port."""
        self._use("ref_of")
        payment = self.store.payments.get(payment_id)
        return payment.gateway_ref if payment else None

    def _claim_of(self, payment_id: str, attempt: int) -> Capture | None:
        own = self.captures.get(payment_id)
        claimed = own and own.state is CaptureState.CLAIMED and own.attempt == attempt
        return own if claimed else None

    def _use(self, name: str) -> None:
        self.uses.append(name)
        if self.away:
            raise Unavailable("postgresql", f"{name} is away")
