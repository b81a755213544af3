"""What waits in the store in memory, as the metrics count it."""

from datetime import datetime

from payonce.domain.payment import Payment
from payonce.domain.refund import Refund, RefundStatus
from payonce.domain.refunding import Resolution
from payonce.ports.store import Backlog
from tests.store.fake_rows import Waiting


class Counted:
    """ports.store.Overview on the rows of the store."""

    payments: dict[str, Payment]
    settled_at: dict[str, datetime]
    acknowledged: set[str]
    initiated_at: dict[str, datetime]
    refunds: list[Refund]
    refunded_at: dict[str, datetime]
    outbox: dict[str, Waiting]
    callbacks_waiting: dict[int, datetime]
    resolved: dict[str, Resolution]

    async def backlog(self) -> Backlog:
        """See the port."""
        unresolved = [
            p.expires_at
            for p in self.payments.values()
            if p.unresolved and p.payment_id not in self.resolved
        ]
        unacknowledged = [at for key, at in self.settled_at.items() if key not in self.acknowledged]
        mismatched = [
            self.initiated_at[key]
            for key, payment in self.payments.items()
            if payment.mismatched and key not in self.resolved
        ]
        held = [
            self.refunded_at[one.refund_id]
            for one in self.refunds
            if one.status is RefundStatus.HELD
        ]
        return Backlog(
            outbox_events=len(self.outbox),
            outbox_oldest_at=min((w.event.occurred_at for w in self.outbox.values()), default=None),
            unresolved=len(unresolved),
            unresolved_oldest_at=min(unresolved, default=None),
            mismatched=len(mismatched),
            mismatched_oldest_at=min(mismatched, default=None),
            unacknowledged=len(unacknowledged),
            unacknowledged_oldest_at=min(unacknowledged, default=None),
            refunds_held=len(held),
            refunds_held_oldest_at=min(held, default=None),
            callbacks=len(self.callbacks_waiting),
            callbacks_oldest_at=min(self.callbacks_waiting.values(), default=None),
        )
