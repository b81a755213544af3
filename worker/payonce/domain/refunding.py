"""What a decision about a refund changes: its row, events, a line of the timeline. Pure as well."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from payonce.domain.effects import Entry
from payonce.domain.events import Event, EventType, make_event
from payonce.domain.order import Order
from payonce.domain.payment import Payment
from payonce.domain.refund import LIVE, Refund, RefundStatus, move
from payonce.domain.report import RefundOutcome, RefundReport
from payonce.domain.risk import CANNOT_REFUND, Answers, Case, Policy, Rule, Verdict, Weighing, weigh
from payonce.domain.watch import REFUND_AGAIN_AFTER


class ResolvedAs(StrEnum):
    """How a person ends an entry of a list."""

    REFUNDED_ELSEWHERE = "refunded-elsewhere"
    REFUND = "refund"
    KEPT = "kept"


@dataclass(frozen=True, slots=True)
class Resolution:
    """A person's word that ends a payment's entry of a list."""

    payment: Payment
    resolved_as: ResolvedAs
    by: str
    why: str
    at: datetime


@dataclass(frozen=True, slots=True)
class RefundEffects:
    """Everything that one decision writes, in one transaction.

    `path` holds the statuses that the refund goes through, its last one at the end; empty: it stays
    where it is. `refund` is None where only a payment's entry is ended.
    """

    verdict: Verdict
    order: Order
    refund: Refund | None
    path: tuple[RefundStatus, ...] = ()
    is_new: bool = False
    revive_at: datetime | None = None
    events: tuple[Event, ...] = ()
    entries: tuple[Entry, ...] = ()
    resolution: Resolution | None = None
    writes: bool = True


_EVENT_OF = {
    RefundStatus.HELD: EventType.REFUND_HELD,
    RefundStatus.SUCCEEDED: EventType.REFUND_SUCCEEDED,
    RefundStatus.FAILED: EventType.REFUND_FAILED,
    RefundStatus.REJECTED: EventType.REFUND_REJECTED,
    RefundStatus.MANUAL: EventType.REFUND_MANUAL,
}

_WAYS: Mapping[RefundStatus, tuple[RefundStatus, ...]] = {
    RefundStatus.REQUESTED: (RefundStatus.SUBMITTED,),
    RefundStatus.HELD: (RefundStatus.REQUESTED, RefundStatus.SUBMITTED),
    RefundStatus.SUBMITTED: (),
}
"""How a refund of which the gateway speaks comes to be SUBMITTED, whatever was believed of it."""


def consider(case: Case, answers: Answers, policy: Policy, now: datetime) -> RefundEffects:
    """Return what becomes of a refund that wants to leave, or to be repeated."""
    weighing = weigh(case, answers, policy, now)
    match weighing.verdict:
        case Verdict.SEND:
            return _send(case, now)
        case Verdict.HOLD:
            return hold(case, Rule(weighing.why), weighing.facts, now)
        case Verdict.MANUAL:
            return _hand_over(case, weighing, now)
        case Verdict.FOUND if case.refund.status is not RefundStatus.SUBMITTED:
            return _find(case, weighing, now)
        case Verdict.WAIT | Verdict.FOUND | Verdict.IGNORE:
            return RefundEffects(weighing.verdict, case.order, case.refund, writes=False)


def _send(case: Case, now: datetime) -> RefundEffects:
    """Write down, before the gateway hears of it, that the refund is on its way."""
    refund = case.refund
    sent = replace(
        _submitted(refund),
        attempts=refund.attempts + 1,
        submitted_at=refund.submitted_at or now,
    )
    return change(
        case,
        sent,
        now,
        kind="refund.submitted",
        detail={"attempt": sent.attempts, "approved_by": refund.approved_by},
        verdict=Verdict.SEND,
        revive_at=now + REFUND_AGAIN_AFTER,
    )


def _find(case: Case, weighing: Weighing, now: datetime) -> RefundEffects:
    """Write down that a refund which was to be sent again is on its way already."""
    return change(
        case,
        _submitted(case.refund),
        now,
        kind="refund.found",
        detail={"answer": weighing.why},
        verdict=Verdict.FOUND,
        revive_at=now + REFUND_AGAIN_AFTER,
    )


def _submitted(refund: Refund) -> Refund:
    """Return a refund on its way; who took a forgotten id upon himself did so for one sending."""
    kept = refund.set_aside - {Rule.KEY_FORGOTTEN}
    overruled = None if refund.overruled is None else aside(kept)
    return replace(refund, status=RefundStatus.SUBMITTED, rule=None, overruled=overruled)


def aside(rules: Collection[str]) -> str:
    """Return rules that people set aside, as a row keeps them."""
    return " ".join(sorted(rules))


def hold(case: Case, rule: Rule, facts: Mapping[str, object], now: datetime) -> RefundEffects:
    """Let a refund wait for a person; earlier approvals were of what was known then."""
    held = replace(
        case.refund,
        status=RefundStatus.HELD,
        rule=rule,
        approved_by=None,
        approved_at=None,
        approved_again_by=None,
        approved_again_at=None,
    )
    return change(
        case,
        held,
        now,
        kind="refund.held",
        detail={"rule": rule, **facts},
        verdict=Verdict.HOLD,
    )


def _hand_over(case: Case, weighing: Weighing, now: datetime) -> RefundEffects:
    manual = replace(case.refund, status=RefundStatus.MANUAL, rule=None)
    return change(
        case,
        manual,
        now,
        kind="refund.manual",
        detail={"because": weighing.why},
        verdict=Verdict.MANUAL,
    )


def conclude(case: Case, report: RefundReport, source: str, now: datetime) -> RefundEffects | None:
    """Return what a gateway's final word changes; None: nothing, or it is not final."""
    if not report.is_final:
        return None
    refund, after = case.refund, RefundStatus(report.outcome.upper())
    detail = {"answer": report.outcome, "said": report.reason or None, "source": source}
    path = _way_to(refund.status, after)
    if path is None:
        return None if refund.status is after else _note_contradiction(case, report, detail, now)
    done = replace(
        refund,
        status=after,
        rule=None,
        attempts=max(refund.attempts, 1),
        submitted_at=refund.submitted_at or now,
        finished_at=now,
        last_answer=_words(report),
    )
    return change(
        case,
        done,
        now,
        kind=f"refund.{after.lower()}",
        detail=detail,
        path=path,
        said=report.reason,
    )


def _way_to(before: RefundStatus, after: RefundStatus) -> tuple[RefundStatus, ...] | None:
    """Return the steps to a gateway's final word; None where it cannot be taken."""
    if before is RefundStatus.SUCCEEDED and after is RefundStatus.FAILED:
        return (after,)
    if before is RefundStatus.MANUAL and after is RefundStatus.SUCCEEDED:
        return (after,)
    way = _WAYS.get(before)
    return None if way is None else (*way, after)


def _note_contradiction(
    case: Case, report: RefundReport, detail: Mapping[str, object], now: datetime
) -> RefundEffects | None:
    """Write down, once, a word that comes too late to be taken; a success lists it for people."""
    told = f"contradicted: {_words(report)}"
    if case.refund.last_answer == told:
        return None
    succeeded = report.outcome is RefundOutcome.SUCCEEDED
    contradicted_at = now if succeeded else case.refund.contradicted_at
    noted = replace(case.refund, last_answer=told, contradicted_at=contradicted_at)
    return change(case, noted, now, kind="refund.contradicted", detail=detail)


def note_look(
    case: Case, answer: str, looks: int, revive_at: datetime, now: datetime
) -> RefundEffects | None:
    """Return the note of a look that scheduled the next one; a line where the answer is a new one.

    None where the refund went on meanwhile, or another look was faster.
    """
    refund = case.refund
    if refund.status not in LIVE or refund.looks >= looks:
        return None
    noted = replace(refund, looks=looks, last_answer=answer)
    entries: tuple[Entry, ...] = ()
    if refund.last_answer != answer:
        detail = {"answer": answer, "status": refund.status}
        entries = (entry_of(case.order, refund, now, "refund.answered", detail),)
    return RefundEffects(Verdict.WAIT, case.order, noted, revive_at=revive_at, entries=entries)


def _words(report: RefundReport) -> str:
    return f"{report.outcome}: {report.reason}" if report.reason else str(report.outcome)


def words_of(report: RefundReport) -> str:
    """Return an answer as a row keeps it."""
    return "spared" if report.spared else _words(report)


def change(  # noqa: PLR0913 - a change is its parts
    case: Case,
    after: Refund,
    now: datetime,
    *,
    kind: str,
    detail: Mapping[str, object],
    path: tuple[RefundStatus, ...] | None = None,
    said: str | None = None,
    verdict: Verdict = Verdict.IGNORE,
    revive_at: datetime | None = None,
    is_new: bool = False,
    resolution: Resolution | None = None,
) -> RefundEffects:
    """Return a refund as it shall be, with the event and the line that tell of it.

    Raises IllegalTransition where a table forbids the step.
    """
    before = case.refund.status
    if path is None:
        path = () if after.status is before else (after.status,)
    for step in path:
        before = move(before, step)
    tells = bool(path) or is_new
    events = _events(case, after, now, detail, said) if tells else ()
    return RefundEffects(
        verdict=verdict,
        order=replace(case.order, version=case.order.version + 1),
        refund=after,
        path=path,
        is_new=is_new,
        revive_at=revive_at,
        events=events,
        entries=(entry_of(case.order, after, now, kind, detail),),
        resolution=resolution,
    )


def entry_of(
    order: Order, refund: Refund, now: datetime, kind: str, detail: Mapping[str, object]
) -> Entry:
    """Return a line of the timeline about a refund, without what is not there."""
    told: dict[str, Any] = {
        "refund_id": refund.refund_id,
        "amount": refund.amount,
        "currency": refund.currency,
    }
    told |= {name: value for name, value in detail.items() if value is not None}
    return Entry(order.order_id, refund.payment_id, now, kind, told)


def _reason(refund: Refund, said: str | None) -> str:
    """Return in one word or line why a refund stands where it stands."""
    match refund.status:
        case RefundStatus.HELD:
            return refund.rule or ""
        case RefundStatus.REJECTED:
            return refund.rejected_why or ""
        case RefundStatus.FAILED:
            return said or "failed"
        case RefundStatus.MANUAL:
            return CANNOT_REFUND
        case _:
            return refund.reason


def _events(
    case: Case, refund: Refund, now: datetime, detail: Mapping[str, object], said: str | None
) -> tuple[Event, ...]:
    event_type = _EVENT_OF.get(refund.status)
    if event_type is None:
        return ()
    version = case.order.version + 1
    data: dict[str, Any] = {
        "payment_id": refund.payment_id,
        "order_id": refund.order_id,
        "gateway": refund.gateway,
        "order_version": version,
        "refund_id": refund.refund_id,
        "amount": refund.amount,
        "currency": refund.currency,
        "reason": _reason(refund, said),
        "refund_reason": refund.reason,
    }
    if detail.get("by") is not None:
        data["by"] = detail["by"]
    about = refund.refund_id
    if refund.status is RefundStatus.HELD and case.refund.overruled is not None:
        # It was held before: this is another event, which nobody shall take for the first one.
        about = f"{refund.refund_id}/{version}"
    event = make_event(event_type, about, refund.order_id, now, data, refund.traceparent)
    return (event,)
