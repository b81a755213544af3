"""Refunds, as handlers see them. Each method is one transaction and may raise Unavailable."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from payonce.domain.people import PaymentCase
from payonce.domain.refund import Refund
from payonce.domain.refunding import RefundEffects
from payonce.domain.report import RefundReport
from payonce.domain.risk import Case

RefundJudge = Callable[[Case], RefundEffects | None]
"""Pure: the locked rows -> what to write; None: nothing."""

PaymentJudge = Callable[[PaymentCase], RefundEffects]


class Refunds(Protocol):
    """Where refunds are decided: lock, decide, apply."""

    async def find(self, refund_id: str) -> Case | None:
        """Return a refund with its payment, order and winner, unlocked; None: no such refund."""
        ...

    async def change(
        self,
        refund_id: str,
        judge: RefundJudge,
        *,
        reported_ref: str | None = None,
        counting: bool = False,
    ) -> RefundEffects | None:
        """Lock the order and the refund, call `judge`, write, commit; return what was judged.

        `reported_ref`: whose owner `judge` shall know. `counting`: `judge` sees how many refunds
        were sent, and no other process sends one meanwhile, so that caps are exact. What `judge`
        raises ends the transaction. None: no such refund, or nothing was judged.
        """
        ...

    async def change_payment(self, payment_id: str, judge: PaymentJudge) -> RefundEffects | None:
        """Lock the order of a payment, call `judge`, write, commit; None: no such payment."""
        ...

    async def overdue(
        self, now: datetime, until: datetime, limit: int, gateways: Collection[str]
    ) -> Sequence[Refund]:
        """Return up to `limit` refunds through these gateways that show no life.

        Those locked elsewhere are skipped. Until `until` nobody else gets them.
        """
        ...


@dataclass(frozen=True, slots=True)
class RefundsSent:
    """How many refunds were sent in some time, and how much, through one gateway."""

    gateway: str
    currency: str
    sent: int
    amount: int


class RefundHours(Protocol):
    """What was sent lately, for the metrics."""

    async def refunds_since(self, since: datetime) -> list[RefundsSent]:
        """Return what was sent since then, by gateway and currency."""
        ...


class RefundWords(Protocol):
    """Takes what gateways say of refunds by themselves."""

    async def heard(self, refund_id: str, payment_id: str, report: RefundReport) -> bool:
        """Take a final word, or have the gateway asked at once; False: the refund is not ours.

        Only a final word whose signed body is authoritative may be given as such; give UNKNOWN for
        a hint. May raise Unavailable: give it again.
        """
        ...
