"""What people may do with refunds and lists: ask, approve, reject, resolve. Pure as well."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from payonce.domain.effects import Entry
from payonce.domain.errors import Conflict, InvalidField
from payonce.domain.ids import refund_id
from payonce.domain.money import EXPONENTS, Money
from payonce.domain.order import Order
from payonce.domain.payment import MismatchReason, Payment
from payonce.domain.refund import OVER, Refund, RefundReason, RefundStatus
from payonce.domain.refunding import (
    RefundEffects,
    Resolution,
    ResolvedAs,
    aside,
    change,
)
from payonce.domain.risk import NEVER, Case, Policy, Rule, Verdict

LONGEST_NAME = 64
LONGEST_WHY = 500


@dataclass(frozen=True, slots=True)
class Word:
    """Who says something, and why. Raises InvalidField through `say`."""

    by: str
    why: str


def say(by: object, why: object = "-") -> Word:
    """Return a person's word, checked. Raises InvalidField."""
    return Word(_text(by, "by", LONGEST_NAME), _text(why, "why", LONGEST_WHY))


def _text(value: object, field: str, longest: int) -> str:
    text = value.strip() if isinstance(value, str) else ""
    if not 1 <= len(text) <= longest or not text.isprintable():
        raise InvalidField(field, "says nothing usable", f"printable text of 1 to {longest}")
    return text


def check_resolved_as(value: object) -> ResolvedAs:
    """Return how an entry is ended, else raise InvalidField."""
    if not isinstance(value, str) or value not in list(ResolvedAs):
        raise InvalidField("as", f"{value!r:.40} is unknown", ", ".join(ResolvedAs))
    return ResolvedAs(value)


@dataclass(frozen=True, slots=True)
class PaymentCase:
    """The locked rows of what a person asks about a payment; `captured` None: no money is known."""

    payment: Payment
    order: Order
    captured: Money | None = None
    refunds: tuple[Refund, ...] = ()
    resolved_as: str | None = None


def ask(case: PaymentCase, amount: int | None, word: Word, now: datetime) -> RefundEffects:
    """Return the refund that a person asks for: HELD until another approves. Raises Conflict."""
    return _ask(case, _askable(case, amount), word, now, None)


def _askable(case: PaymentCase, amount: int | None) -> Money:
    """Return what would be paid back, else raise Conflict."""
    payment = case.payment
    if case.order.settled_by == payment.payment_id:
        raise Conflict("winner", f"{payment.payment_id} settled {payment.order_id}: it is kept")
    if payment.mismatched is MismatchReason.GATEWAY_REF_TAKEN:
        problem = f"the charge of {payment.payment_id} is another payment's"
        raise Conflict(Rule.SAME_CHARGE, problem)
    if case.captured is None:
        raise Conflict("nothing-captured", f"{payment.payment_id} is not known to be paid")
    for one in case.refunds:
        if one.status not in OVER:
            raise Conflict("refund-exists", f"{one.refund_id} of {payment.payment_id} {one.status}")
    if case.captured.currency not in EXPONENTS:
        problem = f"{case.captured} is no money that payonce knows: pay it back, then resolve"
        raise Conflict("unknown-currency", f"{problem} --as refunded-elsewhere")
    wanted = case.captured.amount if amount is None else amount
    if wanted > case.captured.amount:
        raise Conflict(
            Rule.ABOVE_CAPTURED, f"{wanted} is above {case.captured.amount}, all it paid"
        )
    return Money(wanted, case.captured.currency)


def _ask(
    case: PaymentCase, money: Money, word: Word, now: datetime, resolution: Resolution | None
) -> RefundEffects:
    payment = case.payment
    refund = Refund(
        refund_id=refund_id(payment.payment_id, len(case.refunds) + 1),
        payment_id=payment.payment_id,
        order_id=payment.order_id,
        gateway=payment.gateway,
        amount=money.amount,
        currency=money.currency,
        status=RefundStatus.HELD,
        reason=RefundReason.ASKED,
        rule=Rule.ASKED_BY_PERSON,
        requested_by=word.by,
        requested_why=word.why,
        traceparent=payment.traceparent,
    )
    return change(
        Case(refund, payment, case.order),
        refund,
        now,
        kind="refund.held",
        detail={"rule": refund.rule, "by": word.by, "why": word.why},
        verdict=Verdict.HOLD,
        is_new=True,
        resolution=resolution,
    )


def approve(case: Case, by: Word, policy: Policy, now: datetime) -> RefundEffects:
    """Return a held refund on its way again, or waiting for a second person. Raises Conflict."""
    refund = case.refund
    rule = _approvable(refund, by.by)
    if policy.needs_two(refund) and refund.approved_by is None:
        return _approve_first(case, rule, by.by, now)
    if refund.approved_by is None:
        approved = replace(refund, approved_by=by.by, approved_at=now)
    else:
        approved = replace(refund, approved_again_by=by.by, approved_again_at=now)
    # A switch that is on now is known to who approves; one that is thrown later holds again.
    rules = refund.set_aside | {rule} | policy.switched_off(refund.gateway)
    approved = replace(
        approved,
        status=RefundStatus.REQUESTED,
        rule=None,
        overruled=aside(rules - {Rule.SECOND_APPROVAL}),
        looks=0,
    )
    return change(
        case,
        approved,
        now,
        kind="refund.approved",
        detail={"by": by.by, "rule": rule, "sets_aside": approved.overruled},
        revive_at=now,
    )


def _approvable(refund: Refund, by: str) -> str:
    """Return the rule that holds a refund which this person may approve, else raise Conflict."""
    if refund.status is not RefundStatus.HELD or refund.rule is None:
        raise Conflict("not-held", f"{refund.refund_id} is {refund.status}")
    rule = refund.rule
    if rule in NEVER:
        problem = "no approval sets this aside; reject it, or resolve it"
        raise Conflict(rule, f"{refund.refund_id}: {problem}")
    if _same(by, refund.requested_by):
        raise Conflict("own-request", f"{by} asked for {refund.refund_id}: another must approve")
    if _same(by, refund.approved_by):
        problem = f"{by} approved {refund.refund_id} already: another must"
        raise Conflict("own-approval", problem)
    return rule


def _same(one: str, other: str | None) -> bool:
    return other is not None and one.strip().casefold() == other.strip().casefold()


def _approve_first(case: Case, rule: str, by: str, now: datetime) -> RefundEffects:
    first = replace(
        case.refund,
        approved_by=by,
        approved_at=now,
        rule=Rule.SECOND_APPROVAL,
        overruled=aside(case.refund.set_aside | {rule}),
    )
    detail = {"by": by, "rule": rule, "waits_for": Rule.SECOND_APPROVAL}
    return change(case, first, now, kind="refund.approved", detail=detail)


def reject(case: Case, word: Word, now: datetime) -> RefundEffects:
    """Return a held refund that is not sent. Raises Conflict."""
    refund = case.refund
    if refund.status is not RefundStatus.HELD:
        raise Conflict("not-held", f"{refund.refund_id} is {refund.status}")
    return _reject(case, word, now, "refund.rejected")


def _reject(case: Case, word: Word, now: datetime, kind: str) -> RefundEffects:
    rejected = replace(
        case.refund,
        status=RefundStatus.REJECTED,
        rejected_by=word.by,
        rejected_why=word.why,
        finished_at=now,
    )
    detail = {"by": word.by, "why": word.why, "rule": case.refund.rule}
    return change(case, rejected, now, kind=kind, detail=detail)


_NEXT = {
    RefundStatus.HELD: "approve it with `payonce refunds approve`",
    RefundStatus.MANUAL: "its gateway cannot: pay it back, then resolve --as refunded-elsewhere",
    RefundStatus.FAILED: "ask for another with `payonce refunds request`",
}


def resolve_refund(case: Case, resolved_as: ResolvedAs, word: Word, now: datetime) -> RefundEffects:
    """Return a refund that a person took care of. Raises Conflict."""
    refund = case.refund
    if refund.contradicted_at is not None:
        return _resolve_contradicted(case, resolved_as, word, now)
    if refund.status not in {RefundStatus.MANUAL, RefundStatus.HELD, RefundStatus.FAILED}:
        raise Conflict("not-listed", f"{refund.refund_id} is {refund.status}: it waits for nobody")
    if resolved_as is ResolvedAs.REFUND:
        raise Conflict("not-resolvable", _NEXT[refund.status])
    if refund.resolved_by is not None:
        raise Conflict("resolved-already", f"{refund.refund_id}: by {refund.resolved_by}")
    resolved = replace(case, refund=replace(refund, resolved_by=word.by, resolved_why=word.why))
    detail = {"as": resolved_as, "by": word.by, "why": word.why, "rule": refund.rule}
    if refund.status is RefundStatus.FAILED:
        return change(resolved, resolved.refund, now, kind="refund.resolved", detail=detail)
    if resolved_as is ResolvedAs.KEPT:
        return _reject(resolved, word, now, "refund.resolved")
    return _paid_back(resolved, detail, now)


def _resolve_contradicted(
    case: Case, resolved_as: ResolvedAs, word: Word, now: datetime
) -> RefundEffects:
    """Return a refund whose gateway's late success a person took care of; it stays what it is."""
    if resolved_as is ResolvedAs.REFUND:
        raise Conflict("not-resolvable", "its gateway says that the money went back already")
    resolved = replace(
        case.refund, contradicted_at=None, resolved_by=word.by, resolved_why=word.why
    )
    detail = {
        "as": resolved_as,
        "by": word.by,
        "why": word.why,
        "contradicted_at": str(case.refund.contradicted_at),
    }
    return change(case, resolved, now, kind="refund.resolved", detail=detail)


def _paid_back(case: Case, detail: Mapping[str, object], now: datetime) -> RefundEffects:
    """Return a refund that a person made elsewhere; a HELD one leaves our hands first."""
    refund = case.refund
    steps = [RefundStatus.SUCCEEDED]
    if refund.status is RefundStatus.HELD:
        steps.insert(0, RefundStatus.MANUAL)
    done = replace(refund, status=RefundStatus.SUCCEEDED, rule=None, finished_at=now)
    return change(case, done, now, kind="refund.resolved", detail=detail, path=tuple(steps))


def resolve_payment(
    case: PaymentCase, resolved_as: ResolvedAs, word: Word, now: datetime
) -> RefundEffects:
    """Return the end of a payment's entry of a list; what is asked for is HELD. Raises Conflict."""
    payment = case.payment
    if not payment.unresolved and payment.mismatched is None:
        problem = f"{payment.payment_id} is neither unresolved nor mismatched"
        raise Conflict("not-listed", problem)
    if case.resolved_as is not None:
        raise Conflict("resolved-already", f"{payment.payment_id}: {case.resolved_as}")
    resolution = Resolution(payment, resolved_as, word.by, word.why, now)
    if resolved_as is ResolvedAs.REFUND:
        effects = _ask(case, _askable(case, None), word, now, resolution)
        return replace(effects, entries=(_resolved(resolution), *effects.entries))
    return RefundEffects(
        Verdict.IGNORE,
        replace(case.order, version=case.order.version + 1),
        None,
        entries=(_resolved(resolution),),
        resolution=resolution,
    )


def _resolved(resolution: Resolution) -> Entry:
    payment = resolution.payment
    detail = {"as": resolution.resolved_as, "by": resolution.by, "why": resolution.why}
    if payment.mismatched:
        detail["mismatched"] = payment.mismatched
    return Entry(payment.order_id, payment.payment_id, resolution.at, "payment.resolved", detail)
