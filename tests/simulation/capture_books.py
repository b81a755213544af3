"""Books of a gateway where the shopper agrees, and money moves when it is captured."""

import asyncio

from payonce.domain.report import Outcome
from tests.simulation.books import LATENESS_S, Books, Charge, has_happened

LATE_WITHIN_S = 300.0
"""How long a capture can be under way whose answer never came: no connection lasts longer."""


class CapturingBooks(Books):
    """Nothing closes a charge there; what is never captured is never paid."""

    def pay(self, payment_id: str) -> bool:
        """Let a shopper agree to a charge; say whether it could be agreed to."""
        charge, now_s = self.charges[payment_id], self._now_s()
        if charge.paid_s is not None or now_s > charge.expires_s + LATENESS_S:
            return False
        charge.approved_s = now_s
        self._trace.note(self.name, f"agreed to {payment_id}")
        self.on_word(self.name, charge, None)
        return True

    def decline(self, payment_id: str) -> None:
        """Let a shopper leave: nothing happens, and nobody is told."""

    def capture(self, payment_id: str) -> Outcome:
        """Take the money of a charge that was agreed to, once."""
        charge, now_s = self.charges[payment_id], self._now_s()
        if charge.paid_s is None and charge.approved_s is None:
            return Outcome.APPROVED
        if charge.paid_s is None:
            if self._chance.strikes("gateway.capture_declines"):
                self._decline(charge, now_s)
                return Outcome.FAILED
            pends = self._chance.strikes("gateway.capture_pends")
            wait_s = self._chance.row("eChecks").uniform(5, 2_400) if pends else 0.0
            self._take(charge, now_s + wait_s)
        return self._outcome(charge, now_s)

    def capture_late(self, payment_id: str) -> None:
        """Take the money some minutes after nobody waits for the answer any more."""
        wait_s = self._chance.row("stragglers").uniform(1, LATE_WITHIN_S)
        asyncio.get_running_loop().call_later(wait_s, self.capture, payment_id)

    def close(self, payment_id: str) -> str:
        """Refuse: no charge can be closed."""
        raise AssertionError(f"somebody asked to close {payment_id}")

    def _decline(self, charge: Charge, now_s: float) -> None:
        """Refuse the shopper's instrument; many agree again at once, with another one."""
        charge.approved_s, charge.failed_s = None, now_s
        self._trace.note(self.name, f"declined {charge.payment_id}")
        self.on_word(self.name, charge, None)
        row = self._chance.row("second thoughts")
        if row.random() < 0.5:
            asyncio.get_running_loop().call_later(row.uniform(5, 120), self.pay, charge.payment_id)

    def _take(self, charge: Charge, at_s: float) -> None:
        charge.paid_s = at_s
        self._trace.note(self.name, f"captured {charge.payment_id}")
        loop = asyncio.get_running_loop()
        loop.call_at(at_s, self.on_word, self.name, charge, None)

    def _outcome(self, charge: Charge, at_s: float) -> Outcome:
        if has_happened(charge.paid_s, at_s):
            return Outcome.SUCCEEDED
        is_agreed = has_happened(charge.approved_s, at_s) and charge.paid_s is None
        return Outcome.APPROVED if is_agreed else Outcome.PENDING
