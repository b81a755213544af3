"""May this refund leave? Facts in, verdict out; the rules by their names."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from payonce.domain.money import Money
from payonce.domain.order import Order
from payonce.domain.payment import Payment
from payonce.domain.refund import LIVE, Refund
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport


class Rule(StrEnum):
    """What holds a refund."""

    KILL_SWITCH = "kill-switch"
    GATEWAY_KILL_SWITCH = "gateway-kill-switch"
    CURRENCY_NOT_LISTED = "currency-not-listed"
    OVER_LIMIT = "over-limit"
    MAX_PER_ORDER = "max-per-order"
    MAX_PER_HOUR = "max-per-hour"
    GATEWAY_MAX_PER_HOUR = "gateway-max-per-hour"
    WINNER_REVERSED = "winner-reversed"
    WINNER_UNKNOWN = "winner-unknown"
    NOT_CAPTURED = "not-captured"
    SAME_CHARGE = "same-charge"
    ALREADY_REFUNDED = "already-refunded"
    ABOVE_CAPTURED = "above-captured"
    KEY_FORGOTTEN = "key-forgotten"
    ASKED_BY_PERSON = "asked-by-person"
    SECOND_APPROVAL = "second-approval"


NEVER = frozenset({Rule.SAME_CHARGE, Rule.ABOVE_CAPTURED})
"""What no approval sets aside."""

CANNOT_REFUND = "cannot-refund"
"""Why a refund is MANUAL: its gateway does not refund."""


@dataclass(frozen=True, slots=True)
class GatewayPolicy:
    """What the configuration says of refunds through one gateway; `max_per_hour` None: no limit."""

    can_refund: bool = True
    auto: bool = True
    max_per_hour: int | None = None
    key_window: timedelta = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Policy:
    """What the configuration says of refunds; amounts in minor units by currency."""

    auto: bool
    hold_above: Mapping[str, int]
    two_people_above: Mapping[str, int]
    max_per_order: int
    max_per_hour: int
    gateways: Mapping[str, GatewayPolicy] = field(default_factory=dict)

    def of(self, gateway: str) -> GatewayPolicy:
        """Return what is said of one gateway."""
        return self.gateways.get(gateway, GatewayPolicy())

    def needs_two(self, refund: Refund) -> bool:
        """Say whether two people must approve this amount."""
        limit = self.two_people_above.get(refund.currency)
        return limit is not None and refund.amount > limit

    def switched_off(self, gateway: str) -> frozenset[Rule]:
        """Return the kill switches that are on for this gateway."""
        switches = {
            Rule.KILL_SWITCH: self.auto,
            Rule.GATEWAY_KILL_SWITCH: self.of(gateway).auto,
        }
        return frozenset(rule for rule, auto in switches.items() if not auto)


@dataclass(frozen=True, slots=True)
class Counts:
    """Refunds that were sent: of this order, and of all and of this gateway within the hour."""

    of_order: int = 0
    in_hour: int = 0
    of_gateway_in_hour: int = 0


@dataclass(frozen=True, slots=True)
class Case:
    """The locked rows of a decision about a refund.

    `winner` settled the order; `captured` is what the gateway took for the payment; `ref_owner` is
    the payment that owns the reference which the gateway reported; `counts` without this refund.
    """

    refund: Refund
    payment: Payment
    order: Order
    winner: Payment | None = None
    captured: Money | None = None
    ref_owner: str | None = None
    counts: Counts = Counts()


@dataclass(frozen=True, slots=True)
class Answers:
    """What the gateways said before the rows were locked, and of which state of them.

    `known`: of this refund, where it was sent before. `winner` is None where nobody could be asked.
    """

    attempts: int
    winner_id: str | None
    duplicate: GatewayReport
    winner: GatewayReport | None = None
    known: RefundReport | None = None


class Verdict(StrEnum):
    """How a refund goes on."""

    SEND = "send"
    HOLD = "hold"
    MANUAL = "manual"
    WAIT = "wait"
    FOUND = "found"
    IGNORE = "ignore"


@dataclass(frozen=True, slots=True)
class Weighing:
    """A verdict, the rule or word that led to it, and the facts for the timeline."""

    verdict: Verdict
    why: str = ""
    facts: Mapping[str, object] = field(default_factory=dict)


def weigh(case: Case, answers: Answers, policy: Policy, now: datetime) -> Weighing:
    """Return whether the refund of `case` leaves now.

    What the gateways say comes first, since it also binds who pays back by hand; then what limits
    payonce alone. An approval sets the limits aside, but a fact only where it held by that fact.
    """
    return (
        _by_state(case, answers)
        or _by_memory(case, answers, policy, now)
        or _by_silence(case, answers)
        or _by_charge(case, answers, policy, now)
        or _by_winner(case, answers)
        or _by_switch(case, policy)
        or _by_limit(case, policy)
        or Weighing(Verdict.SEND)
    )


def key_expired(refund: Refund, policy: Policy, now: datetime) -> bool:
    """Say whether the gateway may have forgotten the id under which the refund was first sent."""
    if refund.submitted_at is None:
        return False
    return now >= refund.submitted_at + policy.of(refund.gateway).key_window


def _hold(case: Case, rule: Rule, **facts: object) -> Weighing | None:
    """Hold, unless a person set this very rule aside."""
    if rule in case.refund.set_aside and rule not in NEVER:
        return None
    return Weighing(Verdict.HOLD, rule, facts)


def _by_state(case: Case, answers: Answers) -> Weighing | None:
    refund = case.refund
    if refund.status not in LIVE:
        return Weighing(Verdict.IGNORE, f"already-{refund.status.lower()}")
    if refund.attempts != answers.attempts:
        # Another worker sends it, and looks after it from now on.
        return Weighing(Verdict.IGNORE, "sent-meanwhile")
    if case.order.settled_by != answers.winner_id:
        return Weighing(Verdict.WAIT, "settled-meanwhile")
    return None


def _by_memory(case: Case, answers: Answers, policy: Policy, now: datetime) -> Weighing | None:
    """Look whether the gateway knows of this refund; what it does not is repeated within reason."""
    refund, known = case.refund, answers.known
    if refund.attempts == 0:
        return None
    if known is None or known.outcome is RefundOutcome.UNKNOWN:
        return Weighing(Verdict.WAIT, known.reason if known else "not-asked")
    if known.outcome is not RefundOutcome.NOT_FOUND:
        return Weighing(Verdict.FOUND, known.outcome)
    if not key_expired(refund, policy, now):
        return None
    return _hold(case, Rule.KEY_FORGOTTEN, submitted_at=str(refund.submitted_at))


def _by_silence(case: Case, answers: Answers) -> Weighing | None:
    """Ask again where an answer is missing; no answer is never taken for one."""
    if answers.duplicate.outcome is Outcome.UNKNOWN:
        return Weighing(Verdict.WAIT, f"payment: {answers.duplicate.reason}")
    winner = answers.winner
    if case.winner is not None and winner is not None and winner.outcome is Outcome.UNKNOWN:
        return Weighing(Verdict.WAIT, f"winner: {winner.reason}")
    return None


def _by_charge(case: Case, answers: Answers, policy: Policy, now: datetime) -> Weighing | None:
    """Look whether there is money of its own to send back."""
    refund, report = case.refund, answers.duplicate
    if _is_same_charge(case, answers):
        return _hold(case, Rule.SAME_CHARGE, gateway_ref=report.gateway_ref, owner=case.ref_owner)
    if report.outcome is not Outcome.SUCCEEDED or report.currency != refund.currency:
        return _hold(case, Rule.NOT_CAPTURED, answer=report.outcome, answered_in=report.currency)
    if refund.attempts and not key_expired(refund, policy, now):
        # The same id again is the same refund: what went back may be this very one.
        return None
    facts = {"captured": report.amount, "refunded": report.refunded}
    if report.refunded > 0:
        held = _hold(case, Rule.ALREADY_REFUNDED, **facts)
        if held is not None:
            return held
    if (report.amount or 0) - report.refunded < refund.amount:
        return _hold(case, Rule.ABOVE_CAPTURED, **facts)
    return None


def _is_same_charge(case: Case, answers: Answers) -> bool:
    ref = answers.duplicate.gateway_ref
    if ref is None:
        return False
    if case.ref_owner is not None and case.ref_owner != case.payment.payment_id:
        return True
    same_gateway = case.winner is not None and case.winner.gateway == case.payment.gateway
    return same_gateway and answers.winner is not None and answers.winner.gateway_ref == ref


def _by_winner(case: Case, answers: Answers) -> Weighing | None:
    """Look whether the order would still be paid afterwards."""
    winner, report = case.winner, answers.winner
    if winner is None:
        return None
    if report is None:
        return _hold(case, Rule.WINNER_UNKNOWN, winner=winner.payment_id, gateway=winner.gateway)
    whole = report.outcome is Outcome.SUCCEEDED and report.currency == winner.currency
    if whole and (report.amount or 0) >= winner.amount and not _is_reversed(winner, report):
        return None
    return _hold(
        case,
        Rule.WINNER_REVERSED,
        winner=winner.payment_id,
        answer=report.outcome,
        captured=report.amount,
        refunded=max(report.refunded, winner.reversed_amount),
    )


def _is_reversed(winner: Payment, report: GatewayReport) -> bool:
    return report.refunded > 0 or winner.reversed_amount > 0


def _by_switch(case: Case, policy: Policy) -> Weighing | None:
    gateway = case.refund.gateway
    if not policy.of(gateway).can_refund:
        return Weighing(Verdict.MANUAL, CANNOT_REFUND)
    for rule in sorted(policy.switched_off(gateway) - case.refund.set_aside, reverse=True):
        return Weighing(Verdict.HOLD, rule)
    return None


def _by_limit(case: Case, policy: Policy) -> Weighing | None:
    """Look at what may leave without a person; a repeat was counted when it was first sent."""
    refund = case.refund
    if refund.attempts or refund.approved_by is not None:
        return None
    limit = policy.hold_above.get(refund.currency)
    if limit is None:
        return Weighing(Verdict.HOLD, Rule.CURRENCY_NOT_LISTED, {"currency": refund.currency})
    if refund.amount > limit:
        return Weighing(Verdict.HOLD, Rule.OVER_LIMIT, {"limit": limit})
    return _by_count(case, policy)


def _by_count(case: Case, policy: Policy) -> Weighing | None:
    counts, of_gateway = case.counts, policy.of(case.refund.gateway).max_per_hour
    caps = (
        (Rule.MAX_PER_ORDER, counts.of_order, policy.max_per_order),
        (Rule.MAX_PER_HOUR, counts.in_hour, policy.max_per_hour),
        (Rule.GATEWAY_MAX_PER_HOUR, counts.of_gateway_in_hour, of_gateway),
    )
    for rule, sent, cap in caps:
        if cap is not None and sent >= cap:
            return Weighing(Verdict.HOLD, rule, {"sent": sent, "cap": cap})
    return None
