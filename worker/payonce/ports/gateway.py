"""A payment gateway as payonce sees it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol, runtime_checkable

from payonce.domain.report import GatewayReport, RefundOutcome, RefundReport
from payonce.domain.watch import Terms

__all__ = [
    "CallbackAnswer",
    "CallbackWord",
    "CapturingGateway",
    "ChargeRef",
    "ChargeWord",
    "CheckedCallback",
    "CloseAnswer",
    "CreatedCharge",
    "Gateway",
    "Gateways",
    "NewCapture",
    "NewCharge",
    "NewRefund",
    "RefundOutcome",
    "RefundReport",
    "RefundWord",
]


@dataclass(frozen=True, slots=True)
class ChargeRef:
    """Which charge is meant: by our id, and by the gateway's own where it has one."""

    payment_id: str
    gateway_ref: str | None = None


@dataclass(frozen=True, slots=True)
class NewCharge:
    """A charge to create, in minor units; `notify_url` takes the gateway's callbacks.

    `return_url`: where the gateway sends the shopper back to; it holds the order's token.
    """

    payment_id: str
    order_id: str
    amount: int
    currency: str
    expires_at: datetime
    notify_url: str
    return_url: str


@dataclass(frozen=True, slots=True)
class CreatedCharge:
    """A charge that the gateway accepted: what the shopper is shown, and how it stands."""

    report: GatewayReport
    qr: str | None
    pay_url: str | None


class CloseAnswer(StrEnum):
    """What a close was answered; only a query afterwards tells how the payment stands.

    SPARED: the gateway was not asked at all.
    """

    CLOSED = "closed"
    ALREADY_PAID = "already-paid"
    NOT_FOUND = "not-found"
    CANNOT_CLOSE = "cannot-close"
    UNKNOWN = "unknown"
    SPARED = "spared"


@dataclass(frozen=True, slots=True)
class NewRefund:
    """A refund to make, in minor units, under one id for ever.

    `captured`: what the shopper paid in all, which some gateways want to hear again.
    `may_leave` is asked directly before the call, after all waiting: the decision may have aged.
    """

    refund_id: str
    payment_id: str
    amount: int
    currency: str
    captured: int
    reason: str
    gateway_ref: str | None = None
    may_leave: Callable[[], bool] = field(default=lambda: True, compare=False)


@dataclass(frozen=True, slots=True)
class NewCapture:
    """A charge whose money shall be taken; `attempt` grows after a definite refusal alone.

    `may_leave` is asked directly before the call, after all waiting: the decision may have aged.
    `is_repeat`: this attempt may have been sent before, and may take effect any moment.
    """

    charge: ChargeRef
    attempt: int
    may_leave: Callable[[], bool] = field(default=lambda: True, compare=False)
    is_repeat: bool = False


@dataclass(frozen=True, slots=True)
class CheckedCallback:
    """A callback that is proven to be its gateway's: its id, and the headers that prove it."""

    event_id: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ChargeWord:
    """What a callback says of a charge; unless `authoritative`, a reason to ask and no more."""

    payment_id: str
    report: GatewayReport
    authoritative: bool = False


@dataclass(frozen=True, slots=True)
class RefundWord:
    """What a callback says of a refund, ours or another's; a hint unless `authoritative`."""

    payment_id: str
    refund_id: str
    report: RefundReport
    authoritative: bool = False


CallbackWord = ChargeWord | RefundWord


@dataclass(frozen=True, slots=True)
class CallbackAnswer:
    """What a gateway expects as the answer to a callback that was taken."""

    status: int
    body: bytes
    content_type: str


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

        Raises GatewayRetryable, also where it may not leave any more, and GatewayRefused.
        """
        ...

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """Ask how a refund stands; never raises."""
        ...

    @property
    def callback_answer(self) -> CallbackAnswer:
        """What a callback is answered that was taken."""
        ...

    async def check_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> CheckedCallback:
        """Return the callback's id if it was signed over these raw bytes, not long ago.

        Names of headers are taken in any case. Raises BadCallback, and Unavailable where the keys
        that it takes are not to be had right now: the gateway shall come again.
        """
        ...

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackWord:
        """Return what a checked callback says. Raises InvalidField, and nothing else.

        It takes what was kept as well, long after the signature has aged or its secret is gone.
        """
        ...


Gateways = Mapping[str, Gateway]


@runtime_checkable
class CapturingGateway(Gateway, Protocol):
    """A gateway whose money moves only when we say so, after its shopper has agreed."""

    async def capture(self, capture: NewCapture) -> GatewayReport:
        """Take the money of an APPROVED charge, idempotent by payment_id and attempt; never raises.

        FAILED: definitely refused. APPROVED: not taken either, but it may be later. PENDING: taken,
        and on its way. `spared`: nothing was sent. FAILED and APPROVED are said of the attempt: of
        a repeat that was merely not taken nothing follows for what was sent before.
        """
        ...
