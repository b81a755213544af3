"""The promises of CONTRACT.md, section 7, checked after every commit and at the end."""

import asyncio
from collections import Counter, defaultdict
from datetime import datetime

from payonce.adapters.memory.bus import Message
from payonce.adapters.rabbitmq.parking import REASON
from payonce.adapters.rabbitmq.topology import PARKED, UNROUTED
from payonce.domain.capture import Capture, CaptureState
from payonce.domain.events import EventType
from payonce.domain.ids import event_id
from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import UNFINISHED, Payment, PaymentStatus
from payonce.domain.refund import Refund, RefundStatus
from payonce.domain.report import RefundOutcome
from tests.simulation.books import Charge
from tests.simulation.shop import Shop
from tests.simulation.world import CAN_CLOSE, CAPTURES, World

GONE = frozenset({RefundStatus.FAILED, RefundStatus.REJECTED})
LAST_WORDS = frozenset({OrderStatus.PAID, OrderStatus.CANCELLED})
POLLED_WITHIN_S = 200.0
"""In a world without faults: the longest wait of the ladder, and some time to work."""
LISTED = frozenset({RefundStatus.HELD, RefundStatus.MANUAL, RefundStatus.FAILED})
FINAL_EVENTS = {
    RefundStatus.SUCCEEDED: EventType.REFUND_SUCCEEDED,
    RefundStatus.FAILED: EventType.REFUND_FAILED,
    RefundStatus.MANUAL: EventType.REFUND_MANUAL,
}
EXPECTED_PARKED = ("conflict", "ref-taken", "not-the-winner", "unknown-order")


class Broken(Exception):
    """A promise was broken; the sentence says which and how."""


class Promises:
    """Watches one world. Raises Broken."""

    def __init__(self, world: World, shop: Shop) -> None:
        self._world = world
        self._shop = shop
        self._statuses: dict[str, OrderStatus] = {}
        self._winners: dict[str, str] = {}
        self._versions: dict[str, int] = {}
        self._ended: dict[str, PaymentStatus] = {}
        self._owed: set[str] = set()
        self._claims: set[tuple[str, datetime]] = set()
        world.check = self.after_commit

    def after_commit(self) -> None:
        """Check what must hold at every moment."""
        for order in self._world.store.orders.values():
            self._check_order(order)
        for payment in self._world.store.payments.values():
            self._check_payment(payment)
        self._owed |= self._world.store.outbox.keys()
        for capture in self._world.captures.captures.values():
            self._check_claim(capture)
        by_payment = defaultdict(list)
        for refund in self._world.store.refunds:
            by_payment[refund.payment_id].append(refund)
        for payment_id, refunds in by_payment.items():
            self._check_refunds(payment_id, refunds)
        self._check_wrongs()

    def at_the_end(self) -> None:
        """Check what must hold once everything has come to rest."""
        self.after_commit()
        for books in self._world.books.values():
            for charge in books.charges.values():
                self._check_known(books.name, charge)
        for order in self._world.store.orders.values():
            self._check_money(order)
            self._check_told(order)
        for payment in self._world.store.payments.values():
            told = EventType.PAYMENT_DUPLICATED
            if payment.duplicate and not self._has_reached(told, payment.payment_id):
                raise Broken(f"6: nobody was told {told} of {payment.payment_id}")
            if payment.status in UNFINISHED and not (payment.unresolved or payment.mismatched):
                raise Broken(f"9: the watch of {payment.payment_id} died")
            self._check_closed(payment)
        for refund in self._world.store.refunds:
            self._check_refund_s_end(refund)
            if refund.status in {RefundStatus.REQUESTED, RefundStatus.SUBMITTED}:
                raise Broken(f"5: refund {refund.refund_id} was forgotten as {refund.status}")
        self._check_left_over()

    def _check_closed(self, payment: Payment) -> None:
        """What nobody can pay for any more waits for no person, and stays open at no gateway."""
        charge = self._world.books[payment.gateway].charges.get(payment.payment_id)
        if not payment.unresolved or payment.gateway not in CAN_CLOSE or charge is None:
            return
        if {charge.paid_s, charge.failed_s, charge.closed_s, charge.approved_s} == {None}:
            raise Broken(f"9: {payment.payment_id} is unresolved, its charge open to this day")

    def _check_order(self, order: Order) -> None:
        order_id = order.order_id
        if order.settled_by is not None:
            known = self._winners.setdefault(order_id, order.settled_by)
            if known != order.settled_by:
                raise Broken(f"1: {order_id} was settled by {known}, then by {order.settled_by}")
        if (order.status is OrderStatus.PAID) != (order.settled_by is not None):
            raise Broken(f"1: {order_id} is {order.status}, settled by {order.settled_by}")
        if self._statuses.get(order_id) in LAST_WORDS - {order.status}:
            raise Broken(f"1: {order_id} was {self._statuses[order_id]}, then {order.status}")
        self._statuses[order_id] = order.status
        if order.version < self._versions.get(order_id, -1):
            raise Broken(f"the version of {order_id} fell to {order.version}")
        self._versions[order_id] = order.version

    def _check_payment(self, payment: Payment) -> None:
        order = self._world.store.orders[payment.order_id]
        is_winner = (
            payment.status is PaymentStatus.SUCCEEDED
            and not payment.duplicate
            and not payment.mismatched
        )
        if is_winner != (order.settled_by == payment.payment_id):
            raise Broken(f"1: {payment.payment_id} won, but {order.settled_by} settled its order")
        if is_winner and (payment.amount, payment.currency) != (order.amount, order.currency):
            raise Broken(f"1: {payment.payment_id} settled its order over another amount")
        known = self._ended.get(payment.payment_id)
        if known is not payment.status:
            self._check_step(known, payment)
            self._ended[payment.payment_id] = payment.status
            self._check_promptness(payment)

    def _check_step(self, before: PaymentStatus | None, payment: Payment) -> None:
        charge = self._world.books[payment.gateway].charges.get(payment.payment_id)
        status = payment.status
        if before is PaymentStatus.SUCCEEDED:
            raise Broken(f"4: {payment.payment_id} was SUCCEEDED, then {status}")
        if payment.gateway in CAPTURES:
            self._check_captured(before, payment)
        if status is PaymentStatus.SUCCEEDED and (charge is None or charge.paid_s is None):
            raise Broken(f"4: {payment.payment_id} is SUCCEEDED, and nobody paid it")
        if status is PaymentStatus.FAILED and charge is not None and charge.failed_s is None:
            raise Broken(f"4: {payment.payment_id} is FAILED, and its gateway never said so")
        if payment.gateway in CAPTURES or charge is None:
            return
        if status is PaymentStatus.CLOSED and charge.closed_s is None:
            # Unknown to its gateway until its end: nobody could pay it before, but later perhaps.
            raise Broken(f"4: {payment.payment_id} is CLOSED, and its gateway never closed it")

    def _check_captured(self, before: PaymentStatus | None, payment: Payment) -> None:
        """A payment that only we can take is not taken any more once we said that it is over."""
        own = self._world.captures.captures.get(payment.payment_id)
        if before is PaymentStatus.CLOSED:
            raise Broken(f"4: {payment.payment_id} was CLOSED, then {payment.status}")
        is_forbidden = own is not None and own.state is CaptureState.FORBIDDEN
        charge = self._world.books[payment.gateway].charges.get(payment.payment_id)
        is_alive = charge is not None and charge.approved_s is not None
        if payment.status is PaymentStatus.CLOSED and is_alive and not is_forbidden:
            raise Broken(f"4: {payment.payment_id} is CLOSED, and may still be captured")

    def _check_claim(self, capture: Capture) -> None:
        """Nothing is captured, from now on, for an order that does not want it any more."""
        claim = (capture.payment_id, capture.claimed_at)
        if capture.state is not CaptureState.CLAIMED or claim in self._claims:
            return
        self._claims.add(claim)
        order = self._world.store.orders[self._world.store.payments[capture.payment_id].order_id]
        if order.status is not OrderStatus.OPEN:
            raise Broken(f"1: {capture.payment_id} shall be captured for a {order.status} order")

    def _check_promptness(self, payment: Payment) -> None:
        charge = self._world.books[payment.gateway].charges.get(payment.payment_id)
        if charge is None or charge.paid_s is None or not payment.order_id.startswith("q"):
            return
        began_s = charge.paid_s if charge.approved_s is None else charge.approved_s
        waited_s = asyncio.get_running_loop().time() - began_s
        if waited_s > POLLED_WITHIN_S:
            raise Broken(f"9: {payment.payment_id} was found paid after {waited_s:.0f} s")

    def _check_refunds(self, payment_id: str, refunds: list[Refund]) -> None:
        payment = self._world.store.payments[payment_id]
        order = self._world.store.orders[payment.order_id]
        live = [one for one in refunds if one.status not in GONE]
        if sum(one.amount for one in live) > payment.amount + 1:
            raise Broken(f"3: the refunds of {payment_id} are above what was captured")
        if order.settled_by == payment_id and any(one.requested_by is None for one in live):
            raise Broken(f"3: {payment_id} settled {order.order_id} and is refunded by itself")

    def _check_refund_s_end(self, refund: Refund) -> None:
        """What payonce says of a refund is what its gateway's books say."""
        sent = self._world.books[refund.gateway].charges[refund.payment_id].sent
        found = sent.get(refund.refund_id)
        went = found is not None and found.outcome is RefundOutcome.SUCCEEDED
        if refund.status is RefundStatus.SUCCEEDED and not went:
            raise Broken(f"2: {refund.refund_id} is SUCCEEDED, and no money went back")
        if refund.status is RefundStatus.FAILED and went and refund.contradicted_at is None:
            raise Broken(f"2: {refund.refund_id} is FAILED, and the money went back")
        told = FINAL_EVENTS.get(refund.status)
        if told is not None and not self._has_reached(told, refund.refund_id):
            raise Broken(f"6: nobody was told {told} of {refund.refund_id}")

    def _has_reached(self, event_type: EventType, about: str) -> bool:
        """Say whether an event came to a queue."""
        return event_id(event_type, about) in self._world.bus.reached

    def _check_wrongs(self) -> None:
        wrongs = [*self._world.wrongs, *(w for b in self._world.books.values() for w in b.wrongs)]
        if wrongs:
            raise Broken(f"3 or 8: {wrongs[0]}")

    def _check_known(self, gateway: str, charge: Charge) -> None:
        """Every payment that was taken is known as such, or waits for a person."""
        payment = self._world.store.payments.get(charge.payment_id)
        if charge.paid_s is None:
            return
        if payment is None:
            raise Broken(f"5: {charge.payment_id} was paid at {gateway}, and nobody knows of it")
        if payment.status is not PaymentStatus.SUCCEEDED and not payment.mismatched:
            raise Broken(f"2: {charge.payment_id} was paid, and is {payment.status}")

    def _check_money(self, order: Order) -> None:
        """Money in is kept once, went back, or waits in a list."""
        store = self._world.store
        for books in self._world.books.values():
            for charge in books.charges.values():
                if charge.order_id != order.order_id or charge.paid_s is None:
                    continue
                kept = charge.amount - charge.given_back
                listed = any(
                    one.status in LISTED
                    for one in store.refunds
                    if one.payment_id == charge.payment_id
                )
                payment = store.payments[charge.payment_id]
                is_winner = order.settled_by == charge.payment_id
                if kept and not (is_winner or listed or payment.mismatched):
                    raise Broken(f"2: {kept} of {charge.payment_id} were silently kept")
                if not kept and is_winner and charge.amount:
                    raise Broken(f"3: the money that paid {order.order_id} went back")

    def _check_told(self, order: Order) -> None:
        booked = self._shop.booked.get(order.order_id, Counter())
        if len(booked) > 1:
            raise Broken(f"6: {order.order_id} was told under {len(booked)} ids")
        if order.status is not OrderStatus.PAID:
            if order.order_id.startswith("q"):
                raise Broken(f"9: {order.order_id} was paid in quiet times, and is {order.status}")
            if booked:
                raise Broken(f"6: {order.order_id} was told as paid, and is {order.status}")
            return
        if not booked:
            raise Broken(f"6: {order.order_id} is paid, and its order service never heard")
        if self._shop.booked_for[order.order_id] != order.settled_by:
            raise Broken(f"6: {order.order_id} was told as paid by another than its winner")
        if order.order_id not in self._world.store.acknowledged:
            raise Broken(f"6: {order.order_id} is paid, told, and never acknowledged")

    def _check_left_over(self) -> None:
        bus = self._world.bus
        if untold := self._owed - bus.reached:
            raise Broken(f"6: {len(untold)} events were committed and never told")
        if self._world.store.outbox:
            raise Broken(f"6: {len(self._world.store.outbox)} events never left the outbox")
        if bus.depth(UNROUTED):
            raise Broken("7: a message was unrouted")
        reasons = [_reason(one) for one in bus.queue(PARKED).messages]
        strange = [one for one in reasons if not one.startswith(EXPECTED_PARKED)]
        if strange:
            raise Broken(f"7: a message was parked: {strange[0]}")
        waiting = [row for row in self._world.inbox.rows.values() if row.processed_at is None]
        if waiting:
            raise Broken(f"5: callback {waiting[0].kept.event_id} waits: {waiting[0].problem}")


def _reason(message: Message) -> str:
    return str(message.headers.get(REASON, "by the broker"))
