"""A gateway of the simulation: its books are what money really did."""

from collections.abc import Callable
from dataclasses import dataclass, field

from payonce.domain.report import GatewayReport, Outcome, RefundOutcome
from tests.simulation.chance import Chance
from tests.simulation.trace import Trace

LATENESS_S = 600.0
STALE_S = 8.0


@dataclass
class Sent:
    """Money on its way back, or not."""

    refund_id: str
    amount: int
    outcome: RefundOutcome
    turns_at_s: float | None = None
    becomes: RefundOutcome | None = None
    forgotten: bool = False


@dataclass
class Charge:
    """One charge; times in virtual seconds."""

    payment_id: str
    order_id: str
    amount: int
    currency: str
    ref: str
    created_s: float
    expires_s: float
    paid_s: float | None = None
    failed_s: float | None = None
    closed_s: float | None = None
    approved_s: float | None = None
    sent: dict[str, Sent] = field(default_factory=dict)

    @property
    def given_back(self) -> int:
        """What went back, or is on its way."""
        return sum(one.amount for one in self.sent.values() if one.outcome is not FAILED)


FAILED = RefundOutcome.FAILED


class Books:
    """All charges of one gateway. `wrongs`: what no gateway should ever have been asked to do.

    `shopping`: the payments whose shoppers know of them.
    """

    def __init__(self, name: str, chance: Chance, trace: Trace, now_s: Callable[[], float]) -> None:
        self.name = name
        self.charges: dict[str, Charge] = {}
        self.wrongs: list[str] = []
        self.shopping: set[str] = set()
        self.on_word: Callable[[str, Charge, Sent | None], None] = lambda *_: None
        self._chance = chance
        self._trace = trace
        self._now_s = now_s

    def create(
        self, payment_id: str, order_id: str, amount: int, currency: str, lasts_s: float
    ) -> Charge:
        """Return the charge of this payment, the same at every repeat."""
        now_s = self._now_s()
        if payment_id not in self.charges:
            ref = f"{self.name}-{len(self.charges) + 1}"
            self.charges[payment_id] = Charge(
                payment_id, order_id, amount, currency, ref, now_s, now_s + lasts_s
            )
            self._trace.note(self.name, f"created {payment_id} of {order_id} over {amount}")
        return self.charges[payment_id]

    def pay(self, payment_id: str) -> bool:
        """Take a shopper's money, unless the charge is closed or over; say whether it was taken."""
        charge, now_s = self.charges[payment_id], self._now_s()
        is_late = now_s >= charge.expires_s
        if charge.paid_s is not None:
            return False
        has_ended = charge.closed_s is not None or charge.failed_s is not None
        if has_ended and not self._chance.strikes("gateway.late_money"):
            return False
        if is_late and now_s > charge.expires_s + LATENESS_S:
            return False
        charge.paid_s = now_s
        self._trace.note(self.name, f"paid {payment_id}")
        self.on_word(self.name, charge, None)
        return True

    def decline(self, payment_id: str) -> None:
        """Let a charge fail for good."""
        charge = self.charges[payment_id]
        if charge.paid_s is None and charge.closed_s is None and charge.failed_s is None:
            charge.failed_s = self._now_s()
            self._trace.note(self.name, f"declined {payment_id}")
            self.on_word(self.name, charge, None)

    def report(self, payment_id: str, *, ago_s: float = 0.0) -> GatewayReport:
        """Return how a charge stands, or stood some seconds ago."""
        charge, at_s = self.charges.get(payment_id), self._now_s() - ago_s
        if charge is None or charge.created_s > at_s:
            return GatewayReport(Outcome.NOT_FOUND, reason="not-known")
        outcome = self._outcome(charge, at_s)
        return GatewayReport(
            outcome,
            charge.ref,
            charge.amount,
            charge.currency,
            refunded=charge.given_back if outcome is Outcome.SUCCEEDED else 0,
        )

    def close(self, payment_id: str) -> str:
        """Close a charge; a gateway that lies says closed and takes money on."""
        charge = self.charges.get(payment_id)
        if charge is None:
            return "unknown"
        if charge.paid_s is not None:
            return "paid"
        if charge.closed_s is None and charge.failed_s is None:
            if self._chance.strikes("gateway.close_lies"):
                self._trace.note(self.name, f"lied about closing {payment_id}")
                return "closed"
            charge.closed_s = self._now_s()
            self._trace.note(self.name, f"closed {payment_id}")
        return "closed"

    def send_back(self, payment_id: str, refund_id: str, amount: int) -> Sent | None:
        """Send money back, once for an id that is remembered; None: refused."""
        charge = self.charges[payment_id]
        known = charge.sent.get(refund_id)
        if known is not None and not known.forgotten:
            return known
        if charge.paid_s is None or amount > charge.amount:
            self.wrongs.append(f"refund {refund_id} of {payment_id}, which was not paid so much")
            return None
        if known is not None and known.outcome is not FAILED:
            self.wrongs.append(f"refund {refund_id} sent the money of {payment_id} back twice")
        elif charge.given_back + amount > charge.amount:
            return None
        charge.sent[refund_id] = sent = self._drawn(refund_id, amount)
        self._trace.note(self.name, f"refund {refund_id} of {payment_id}: {sent.outcome}")
        return sent

    def forget(self, payment_id: str, refund_id: str) -> None:
        """Know nothing any more of a refund; the money stays where it went."""
        self.charges[payment_id].sent[refund_id].forgotten = True

    def turn(self, payment_id: str, refund_id: str) -> None:
        """Let a pending refund come to what it becomes."""
        sent = self.charges[payment_id].sent[refund_id]
        if sent.becomes is not None and sent.outcome is RefundOutcome.PENDING:
            sent.outcome = sent.becomes
            self._trace.note(self.name, f"refund {refund_id} turned {sent.outcome}")
            self.on_word(self.name, self.charges[payment_id], sent)

    def _drawn(self, refund_id: str, amount: int) -> Sent:
        if not self._chance.strikes("gateway.refund_pends"):
            return Sent(refund_id, amount, RefundOutcome.SUCCEEDED)
        fails = self._chance.strikes("gateway.refund_fails")
        becomes = FAILED if fails else RefundOutcome.SUCCEEDED
        turns_at_s = self._now_s() + self._chance.row("turns").uniform(1, 2_400)
        return Sent(refund_id, amount, RefundOutcome.PENDING, turns_at_s, becomes)

    def _outcome(self, charge: Charge, at_s: float) -> Outcome:
        if has_happened(charge.paid_s, at_s):
            return Outcome.SUCCEEDED
        if has_happened(charge.failed_s, at_s):
            return Outcome.FAILED
        if has_happened(charge.closed_s, at_s):
            return Outcome.CLOSED
        return Outcome.PENDING


def has_happened(when_s: float | None, at_s: float) -> bool:
    """Say whether something had happened by then."""
    return when_s is not None and when_s <= at_s
