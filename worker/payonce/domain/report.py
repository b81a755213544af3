"""What a gateway said of a payment, wherever its word came from."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Outcome(StrEnum):
    """A gateway's word in our terms; UNKNOWN is an answer too.

    APPROVED: the shopper agreed, and the money moves once it is captured; for now it is pending.
    """

    PENDING = "pending"
    APPROVED = "approved"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CLOSED = "closed"
    NOT_FOUND = "not-found"
    UNKNOWN = "unknown"


class Source(StrEnum):
    """Where a report came from; APPLY, the create's own answer, never brings a success."""

    POLL = "poll"
    WEBHOOK = "webhook"
    CLOSE = "close"
    SWEEP = "sweep"
    APPLY = "apply"


DEFINITE = frozenset({Outcome.SUCCEEDED, Outcome.FAILED, Outcome.CLOSED})


@dataclass(frozen=True, slots=True)
class GatewayReport:
    """One answer about one payment, in minor units.

    `refunded` is what went back already; `retry_after_s` is how long the gateway asks to be spared.
    `spared`: the gateway was not asked at all, because it is paused, failing or at its rate.
    """

    outcome: Outcome
    gateway_ref: str | None = None
    amount: int | None = None
    currency: str | None = None
    paid_at: datetime | None = None
    refunded: int = 0
    reason: str = ""
    retry_after_s: float | None = None
    spared: bool = False

    @property
    def is_definite(self) -> bool:
        """Say whether the gateway committed itself."""
        return self.outcome in DEFINITE


class RefundOutcome(StrEnum):
    """A gateway's word about a refund."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    NOT_FOUND = "not-found"
    UNKNOWN = "unknown"


FINAL = frozenset({RefundOutcome.SUCCEEDED, RefundOutcome.FAILED})


@dataclass(frozen=True, slots=True)
class RefundReport:
    """One answer about one refund; `spared`: the gateway was not asked at all."""

    outcome: RefundOutcome
    reason: str = ""
    retry_after_s: float | None = None
    spared: bool = False

    @property
    def is_final(self) -> bool:
        """Say whether the gateway committed itself."""
        return self.outcome in FINAL
