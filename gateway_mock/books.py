"""The gateway's books: charges and refunds, and what they add up to. No I/O; time is given."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count
from secrets import token_hex
from typing import Any

from gateway_mock.shopper import Script


class Refused(Exception):
    """The gateway does not do what was asked."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


@dataclass(slots=True)
class Refund:
    """Money sent back, under one id for ever. Amount in minor units, times since 1970.

    `turns`: what a pending one comes to, and when; `forgotten_at`: from then on it is not known.
    """

    refund_id: str
    payment_id: str
    amount: int
    reason: str
    status: str
    turns: tuple[str, float] | None = None
    forgotten_at: float | None = None

    def settle(self, now: float) -> None:
        """Let what is pending turn, if its time has come."""
        if self.turns is not None and self.status == "pending" and now >= self.turns[1]:
            self.status = self.turns[0]

    def is_known(self, now: float) -> bool:
        """Say whether the gateway still knows of it."""
        return self.forgotten_at is None or now < self.forgotten_at


@dataclass(slots=True)
class Charge:
    """One payment as the gateway keeps it. Times in seconds since 1970, amounts in minor units.

    `needs_capture`: what the shopper did at `paid_at` was to approve; the money moves when it is
    captured.
    """

    payment_id: str
    order_id: str
    amount: int
    currency: str
    gateway_ref: str
    created_at: float
    expires_at: float | None
    notify_url: str | None
    script: Script
    closed_at: float | None = None
    paid_at: float | None = None
    failed: bool = False
    refunds: list[Refund] = field(default_factory=list)
    refund_calls: int = 0
    queried_at: list[float] = field(default_factory=list)
    needs_capture: bool = False
    captured_at: float | None = None

    def settle(self, now: float) -> None:
        """Let what the script says happen, as far as its time has come."""
        if self.paid_at is not None or self.failed:
            return
        paid_at, declined_at = self._pay_time(now), self._decline_time()
        if paid_at is not None and not self._takes_money(paid_at):
            paid_at = None
        first = min((at for at in (paid_at, declined_at) if at is not None), default=None)
        if first is None or first > now:
            return
        if first == declined_at:
            self.failed = self.closed_at is None
        else:
            self.paid_at = paid_at

    def status(self, now: float) -> str:
        """Return pending, approved, succeeded, failed or closed."""
        self.settle(now)
        if self.paid_at is not None and self.needs_capture and self.captured_at is None:
            return "approved"
        if self.paid_at is not None:
            return "succeeded"
        if self.failed:
            return "failed"
        return "pending" if self.closed_at is None else "closed"

    def is_known(self, now: float) -> bool:
        """Say whether the gateway admits to the charge yet."""
        return now >= self.created_at + self.script.missing_until_s

    @property
    def pays_at(self) -> float | None:
        """When the shopper is to pay, if that is said and the money would be taken then."""
        after_s = self.script.pays_after_s
        at = None if after_s is None else self.created_at + after_s
        return at if at is not None and self._takes_money(at) else None

    @property
    def captured(self) -> int:
        """What the shopper paid."""
        if self.needs_capture and self.captured_at is None:
            return 0
        return 0 if self.paid_at is None else self.amount

    @property
    def refunded(self) -> int:
        """What went back or is on its way back."""
        return sum(one.amount for one in self.refunds if one.status != "failed")

    def _decline_time(self) -> float | None:
        after_s = self.script.declines_after_s
        return None if after_s is None else self.created_at + after_s

    def _pay_time(self, now: float) -> float | None:
        script = self.script
        if (
            script.pays_after_queries is not None
            and len(self.queried_at) > script.pays_after_queries
        ):
            return now
        return None if script.pays_after_s is None else self.created_at + script.pays_after_s

    def _takes_money(self, at: float) -> bool:
        if self.script.pays_though_closed:
            return True
        closed = self.closed_at is not None and self.closed_at <= at
        return not closed and (self.expires_at is None or at < self.expires_at)


class Books:
    """All charges and refunds.

    Their `gateway_ref`s begin with a word of these books: no other books, of an earlier run or of
    before a reset, gave out the same, as no true gateway does.
    """

    def __init__(self) -> None:
        self._word = token_hex(4)
        self.charges: dict[str, Charge] = {}
        self.refunds: dict[str, Refund] = {}
        self._numbers = count(1)

    def open(  # noqa: PLR0913 - the fields of a charge
        self,
        *,
        payment_id: str,
        order_id: str,
        amount: int,
        currency: str,
        now: float,
        expires_at: float | None = None,
        notify_url: str | None = None,
        script: Script | None = None,
    ) -> tuple[Charge, bool]:
        """Return the charge of this payment and whether it is new. Raises Refused."""
        known = self.charges.get(payment_id)
        if known is not None:
            same = (known.order_id, known.amount, known.currency) == (order_id, amount, currency)
            if not same:
                raise Refused(409, f"{payment_id} exists with another order, amount or currency")
            return known, False
        charge = Charge(
            payment_id=payment_id,
            order_id=order_id,
            amount=amount,
            currency=currency,
            gateway_ref=f"ch_{self._word}_{next(self._numbers)}",
            created_at=now,
            expires_at=expires_at,
            notify_url=notify_url,
            script=script or Script(),
        )
        self.charges[payment_id] = charge
        return charge, True

    def find(self, payment_id: str, now: float) -> Charge:
        """Return a charge. Raises Refused(404)."""
        charge = self.charges.get(payment_id)
        if charge is None or not charge.is_known(now):
            raise Refused(404, f"no charge {payment_id}")
        return charge

    def close(self, payment_id: str, now: float) -> str:
        """Close a charge and return its status: closed, unless it was paid or failed first."""
        charge = self.find(payment_id, now)
        status = charge.status(now)
        if status == "pending" and charge.script.closes == "lies":
            return "closed"
        if status == "pending":
            charge.closed_at = now
        return charge.status(now)

    def refund(
        self, refund_id: str, payment_id: str, amount: int, reason: str, now: float
    ) -> tuple[Refund, bool]:
        """Return the refund of this id and whether it is new. Raises Refused."""
        known = self.find_refund(refund_id, now)
        if known is not None:
            if (known.payment_id, known.amount) != (payment_id, amount):
                raise Refused(409, f"{refund_id} exists with another payment or amount")
            return known, False
        charge = self.find(payment_id, now)
        # What is forgotten does not count against what was captured either: the books show it.
        given_back = sum(
            one.amount for one in charge.refunds if one.status != "failed" and one.is_known(now)
        )
        if charge.status(now) != "succeeded" or amount > charge.captured - given_back:
            raise Refused(422, f"{amount} is above what was captured and not refunded")
        refund = _new_refund(refund_id, charge, amount, reason, now)
        charge.refunds.append(refund)
        self.refunds[refund_id] = refund
        return refund, True

    def find_refund(self, refund_id: str, now: float) -> Refund | None:
        """Return a refund as it stands; None where the gateway knows of none."""
        refund = self.refunds.get(refund_id)
        if refund is None or not refund.is_known(now):
            return None
        refund.settle(now)
        return refund

    def balance(self, now: float) -> dict[str, Any]:
        """Return captured, refunded and kept, in all and by order; amounts in minor units.

        Amounts of different currencies are added up too; `currencies` tells them apart.
        """
        for charge in self.charges.values():
            charge.settle(now)
            for refund in charge.refunds:
                refund.settle(now)
        listed = list(self.charges.values())
        orders = _grouped(listed, lambda charge: charge.order_id)
        return {
            **_totals_apart(listed),
            "orders": {order_id: _totals_apart(charges) for order_id, charges in orders.items()},
        }


def _totals_apart(charges: Iterable[Charge]) -> dict[str, Any]:
    """Return the totals of charges, and those of each currency."""
    listed = list(charges)
    currencies = _grouped(listed, lambda charge: charge.currency)
    return {
        **_totals(listed),
        "currencies": {code: _totals(those) for code, those in currencies.items()},
    }


def _grouped(charges: Iterable[Charge], key_of: Callable[[Charge], str]) -> dict[str, list[Charge]]:
    groups: dict[str, list[Charge]] = {}
    for charge in charges:
        groups.setdefault(key_of(charge), []).append(charge)
    return groups


def _new_refund(refund_id: str, charge: Charge, amount: int, reason: str, now: float) -> Refund:
    script = charge.script
    turns = script.refunds_turn and (script.refunds_turn, now + script.refunds_turn_after_s)
    forgotten_after_s = script.refunds_forgotten_after_s
    return Refund(
        refund_id=refund_id,
        payment_id=charge.payment_id,
        amount=amount,
        reason=reason,
        status=script.refunds,
        turns=turns or None,
        forgotten_at=None if forgotten_after_s is None else now + forgotten_after_s,
    )


def _totals(charges: Iterable[Charge]) -> dict[str, int]:
    listed = list(charges)
    captured = sum(one.captured for one in listed)
    refunded = sum(one.refunded for one in listed)
    return {
        "charges": len(listed),
        "succeeded": sum(one.paid_at is not None for one in listed),
        "captured": captured,
        "refunded": refunded,
        "kept": captured - refunded,
    }
