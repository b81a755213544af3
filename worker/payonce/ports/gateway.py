"""A payment gateway as payonce sees it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from payonce.domain.report import GatewayReport, RefundOutcome, RefundReport
from payonce.domain.watch import Terms

__all__ = [
    "ChargeRef",
    "CloseAnswer",
    "CreatedCharge",
    "Gateway",
    "Gateways",
    "NewCharge",
    "NewRefund",
    "RefundOutcome",
    "RefundReport",
]


@dataclass(frozen=True, slots=True)
class ChargeRef:
    """Which charge is meant: by our id, and by the gateway's own where it has one."""

    payment_id: str
    gateway_ref: str | None = None


@dataclass(frozen=True, slots=True)
class NewCharge:
    """A charge to create, in minor units; `notify_url` takes the gateway's callbacks."""

    payment_id: str
    order_id: str
    amount: int
    currency: str
    expires_at: datetime
    notify_url: str


@dataclass(frozen=True, slots=True)
class CreatedCharge:
    """A charge that the gateway accepted: what the shopper is shown, and how it stands."""

    report: GatewayReport
    qr: str | None
    pay_url: str | None


class CloseAnswer(StrEnum):
    """What a close was answered; only a query afterwards tells how the payment stands."""

    CLOSED = "closed"
    ALREADY_PAID = "already-paid"
    NOT_FOUND = "not-found"
    CANNOT_CLOSE = "cannot-close"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class NewRefund:
    """A refund to make, in minor units, under one id for ever."""

    refund_id: str
    payment_id: str
    amount: int
    reason: str
    gateway_ref: str | None = None


class Gateway(Protocol):
    """One configured gateway. A query never raises: no answer is the answer UNKNOWN."""

    @property
    def name(self) -> str:
        """The name in the configuration."""
        ...

    @property
    def terms(self) -> Terms:
        """How its payments are watched."""
        ...

    async def query(self, charge: ChargeRef) -> GatewayReport:
        """Ask how a charge stands; UNKNOWN on a time-out, an error or nonsense."""
        ...

    async def close(self, charge: ChargeRef) -> CloseAnswer:
        """Ask to close a charge; never raises."""
        ...

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """Create a charge, idempotent by payment_id.

        Raises GatewayRetryable, GatewayRefused, GatewayAmbiguous.
        """
        ...

    async def refund(self, refund: NewRefund) -> RefundReport:
        """Refund, idempotent by refund_id; UNKNOWN where it may have happened.

        Raises GatewayRetryable, GatewayRefused.
        """
        ...

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """Ask how a refund stands; never raises."""
        ...


Gateways = Mapping[str, Gateway]
