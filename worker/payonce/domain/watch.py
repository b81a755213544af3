"""The watch: when a payment is asked about again, on time or by the sweeper."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from payonce.domain.ladder import Ladder
from payonce.domain.payment import UNFINISHED, Payment, PaymentStatus

UNRESOLVED_EVERY = timedelta(hours=1)
UNRESOLVED_FOR = timedelta(days=30)
SECOND_LOOK_AFTER = timedelta(minutes=10)
LOOK_AGAIN_AFTER = timedelta(minutes=5)
CLOSE_AGAIN_AFTER = timedelta(minutes=1)
REFUND_AGAIN_AFTER = timedelta(minutes=1)
REFUND_SENT_WITHIN = timedelta(seconds=10)
"""How long a decision to send may be acted upon: far less than it takes until another worker is
given the refund, by REFUND_AGAIN_AFTER or a redelivery. Later it may be over, and paid by hand."""

RETELL_AFTER = timedelta(minutes=4)


@dataclass(frozen=True, slots=True)
class Terms:
    """What a gateway's configuration says of watching its payments.

    `lateness`: how long after `expires_at` an unpaid payment can still turn paid.
    `captures`: its money moves only when we say so, after the shopper agreed.
    `grace`: how late a live watch may be before the sweeper takes it for dead.
    """

    ladder: Ladder
    watch_for: timedelta
    lateness: timedelta
    grace: timedelta
    can_close: bool
    captures: bool = False


def revive_after_registration(now: datetime, terms: Terms) -> datetime:
    """Return when a freshly registered payment counts as forgotten."""
    return now + timedelta(milliseconds=terms.ladder.unrecorded_ms()) + terms.grace


def revive_after_step(now: datetime, step: int, terms: Terms) -> datetime:
    """Return when a watch counts as dead that has just scheduled the poll after `step`."""
    return now + timedelta(milliseconds=terms.ladder.wait_ms(step + 1)) + terms.grace


def revive_after_answer(payment: Payment, now: datetime) -> datetime | None:
    """Return when a payment is asked about again without a watch of its own; None: never.

    Unresolved ones hourly for 30 days, FAILED and CLOSED ones after 10 minutes; the look at the
    end, when money can no longer arrive, is `revive_after_revival`'s.
    """
    if payment.mismatched or payment.status is PaymentStatus.SUCCEEDED:
        return None
    if payment.status in UNFINISHED:
        return _hourly(payment, now)
    return now + SECOND_LOOK_AFTER


def revive_after_revival(payment: Payment, now: datetime, terms: Terms) -> datetime | None:
    """Return when a payment that the sweeper has just revived is looked at next; None: never.

    One that has ended is looked at again soon, unless this look finds an answer: its message may
    be lost like any other.
    """
    if payment.status in UNFINISHED and not payment.unresolved:
        again = revive_after_step(now, payment.step, terms)
        return min(again, now + CLOSE_AGAIN_AFTER) if payment.closing else again
    if payment.status in UNFINISHED:
        return _hourly(payment, now)
    return now + LOOK_AGAIN_AFTER


def last_look(expires_at: datetime, lateness: timedelta, now: datetime) -> datetime | None:
    """Return when an ended payment is asked about a last time; None: that is behind it."""
    last = expires_at + lateness
    return last if last > now else None


def _hourly(payment: Payment, now: datetime) -> datetime | None:
    later = now + UNRESOLVED_EVERY
    return later if later <= payment.expires_at + UNRESOLVED_FOR else None
