"""What people may do with refunds, and what they may not."""

from dataclasses import replace

import pytest

from payonce.domain.errors import Conflict, InvalidField
from payonce.domain.ids import refund_id
from payonce.domain.money import Money
from payonce.domain.payment import MismatchReason, PaymentStatus
from payonce.domain.people import (
    PaymentCase,
    Word,
    approve,
    ask,
    check_resolved_as,
    reject,
    resolve_payment,
    resolve_refund,
    say,
)
from payonce.domain.refund import RefundStatus
from payonce.domain.refunding import RefundEffects, ResolvedAs
from payonce.domain.risk import Case
from tests.domain.cases import POLICY, REFUND, case, held, payment, payment_case
from tests.store.making import NOW

ANN, BOB, EVE = (Word(name, "because") for name in ("ann", "bob", "eve"))
MISMATCHED = replace(
    payment(), status=PaymentStatus.PENDING, duplicate=False, mismatched=MismatchReason.AMOUNT
)
UNRESOLVED = replace(payment(), status=PaymentStatus.PENDING, duplicate=False, unresolved=True)


def agreed(one: Case, word: Word = ANN) -> RefundEffects:
    """Return what an approval does."""
    return approve(one, word, POLICY, NOW)


def test_an_approved_refund_goes_its_way_again() -> None:
    """At once, from its first look, by the name of who approved what."""
    effects = agreed(held("over-limit", looks=7))
    assert effects.refund is not None
    assert (RefundStatus.REQUESTED, "ann", "over-limit", 0, NOW) == (
        effects.refund.status,
        effects.refund.approved_by,
        effects.refund.overruled,
        effects.refund.looks,
        effects.revive_at,
    )
    [entry] = effects.entries
    assert ("refund.approved", "ann", "over-limit") == (
        entry.kind,
        entry.detail["by"],
        entry.detail["rule"],
    )


@pytest.mark.parametrize("rule", ["same-charge", "above-captured"])
def test_what_no_approval_sets_aside_is_not_approved(rule: str) -> None:
    """The refusal has the rule's name."""
    with pytest.raises(Conflict, match=rule):
        agreed(held(rule))


@pytest.mark.parametrize("by", ["ann", "Ann", " ANN "])
def test_nobody_approves_what_they_asked_for(by: str) -> None:
    """However they write their name."""
    with pytest.raises(Conflict, match="own-request"):
        agreed(held("asked-by-person", requested_by="ann"), Word(by, "-"))


def test_a_large_amount_needs_two_people() -> None:
    """The first approval leaves it HELD, the second sends it."""
    large = held("over-limit", amount=5_001)
    first = agreed(large, ANN)
    assert first.refund is not None
    assert (RefundStatus.HELD, "second-approval", None) == (
        first.refund.status,
        first.refund.rule,
        first.revive_at,
    )
    again = replace(large, refund=first.refund)
    with pytest.raises(Conflict, match="own-approval"):
        agreed(again, ANN)
    second = agreed(again, BOB)
    assert second.refund is not None
    assert (RefundStatus.REQUESTED, "ann", "bob", "over-limit") == (
        second.refund.status,
        second.refund.approved_by,
        second.refund.approved_again_by,
        second.refund.overruled,
    )


def test_the_requester_is_none_of_the_two() -> None:
    """Neither first nor second."""
    large = held("asked-by-person", amount=5_001, requested_by="eve")
    with pytest.raises(Conflict, match="own-request"):
        agreed(large, EVE)
    first = agreed(large, ANN)
    assert first.refund is not None
    with pytest.raises(Conflict, match="own-request"):
        agreed(replace(large, refund=first.refund), EVE)


def test_a_switch_that_is_on_is_approved_with_the_rest() -> None:
    """Who approves knows of it; one that is thrown later holds again."""
    off = replace(POLICY, auto=False)
    effects = approve(held("asked-by-person"), ANN, off, NOW)
    assert effects.refund is not None
    assert "asked-by-person kill-switch" == effects.refund.overruled


@pytest.mark.parametrize("status", sorted(set(RefundStatus) - {RefundStatus.HELD}))
def test_only_what_is_held_is_approved_or_rejected(status: RefundStatus) -> None:
    """Everything else is refused by name."""
    with pytest.raises(Conflict, match="not-held"):
        agreed(case(status=status))
    with pytest.raises(Conflict, match="not-held"):
        reject(case(status=status), ANN, NOW)


def test_a_rejection_tells_who_and_why() -> None:
    """In the row, the event and the timeline."""
    effects = reject(held(), ANN, NOW)
    assert effects.refund is not None
    assert (RefundStatus.REJECTED, "ann", "because") == (
        effects.refund.status,
        effects.refund.rejected_by,
        effects.refund.rejected_why,
    )
    [event] = effects.events
    assert ("refund.rejected", "because", 6) == (
        event.type,
        event.data["reason"],
        event.data["order_version"],
    )
    assert 6 == effects.order.version


def test_a_request_is_held_until_another_approves() -> None:
    """Under an id of its own, for all that was captured."""
    effects = ask(payment_case(), None, EVE, NOW)
    assert effects.refund is not None
    assert (RefundStatus.HELD, "asked-by-person", 100, "eve", refund_id("p2")) == (
        effects.refund.status,
        effects.refund.rule,
        effects.refund.amount,
        effects.refund.requested_by,
        effects.refund.refund_id,
    )
    assert ["refund.held"] == [one.type for one in effects.events]


@pytest.mark.parametrize("status", [RefundStatus.FAILED, RefundStatus.REJECTED])
def test_after_an_end_a_person_may_ask_again(status: RefundStatus) -> None:
    """Under a new id."""
    over = replace(REFUND, status=status)
    effects = ask(payment_case(refunds=(over,)), 40, EVE, NOW)
    assert effects.refund is not None
    assert (refund_id("p2", 2), 40) == (effects.refund.refund_id, effects.refund.amount)


REFUSED = [
    ("winner", payment_case(payment=payment("p1")), None),
    (
        "same-charge",
        payment_case(payment=replace(MISMATCHED, mismatched=MismatchReason.GATEWAY_REF_TAKEN)),
        None,
    ),
    ("nothing-captured", payment_case(captured=None), None),
    ("above-captured", payment_case(), 101),
    ("unknown-currency", payment_case(captured=Money(100, "ABC")), None),
    ("unknown-currency", payment_case(captured=Money(100, "cny")), 100),
    *(
        ("refund-exists", payment_case(refunds=(replace(REFUND, status=status),)), None)
        for status in set(RefundStatus) - {RefundStatus.FAILED, RefundStatus.REJECTED}
    ),
]


@pytest.mark.parametrize(("rule", "about", "amount"), REFUSED)
def test_a_request_is_refused_by_name(rule: str, about: PaymentCase, amount: int | None) -> None:
    """It says which rule, and nothing is written."""
    with pytest.raises(Conflict) as caught:
        ask(about, amount, EVE, NOW)
    assert rule == caught.value.rule


def test_a_payment_is_resolved_and_the_timeline_tells_by_whom() -> None:
    """Its status is the gateway's word and stays."""
    effects = resolve_payment(payment_case(payment=UNRESOLVED), ResolvedAs.KEPT, ANN, NOW)
    assert (None, ()) == (effects.refund, effects.events)
    assert effects.resolution is not None
    assert ("kept", "ann", "because") == (
        effects.resolution.resolved_as,
        effects.resolution.by,
        effects.resolution.why,
    )
    assert ["payment.resolved"] == [one.kind for one in effects.entries]


def test_a_mismatched_payment_is_refunded_as_it_was_captured() -> None:
    """Once another approves."""
    about = payment_case(payment=MISMATCHED, captured=Money(70, "USD"))
    effects = resolve_payment(about, ResolvedAs.REFUND, ANN, NOW)
    assert effects.refund is not None
    assert (RefundStatus.HELD, 70, "USD", "ann") == (
        effects.refund.status,
        effects.refund.amount,
        effects.refund.currency,
        effects.refund.requested_by,
    )
    assert effects.resolution is not None
    assert ["payment.resolved", "refund.held"] == [one.kind for one in effects.entries]


@pytest.mark.parametrize(
    ("rule", "about", "how"),
    [
        ("not-listed", payment_case(), ResolvedAs.KEPT),
        ("resolved-already", payment_case(payment=UNRESOLVED, resolved_as="kept"), ResolvedAs.KEPT),
        (
            "nothing-captured",
            payment_case(payment=UNRESOLVED, captured=None),
            ResolvedAs.REFUND,
        ),
        (
            "unknown-currency",
            payment_case(payment=MISMATCHED, captured=Money(70, "ABC")),
            ResolvedAs.REFUND,
        ),
    ],
)
def test_a_resolution_is_refused_by_name(rule: str, about: PaymentCase, how: ResolvedAs) -> None:
    """An unresolved payment is not known to hold money."""
    with pytest.raises(Conflict) as caught:
        resolve_payment(about, how, ANN, NOW)
    assert rule == caught.value.rule


@pytest.mark.parametrize(
    ("status", "how", "after"),
    [
        (RefundStatus.MANUAL, ResolvedAs.REFUNDED_ELSEWHERE, RefundStatus.SUCCEEDED),
        (RefundStatus.MANUAL, ResolvedAs.KEPT, RefundStatus.REJECTED),
        (RefundStatus.HELD, ResolvedAs.REFUNDED_ELSEWHERE, RefundStatus.SUCCEEDED),
        (RefundStatus.HELD, ResolvedAs.KEPT, RefundStatus.REJECTED),
        (RefundStatus.FAILED, ResolvedAs.REFUNDED_ELSEWHERE, RefundStatus.FAILED),
    ],
)
def test_a_refund_is_resolved(status: RefundStatus, how: ResolvedAs, after: RefundStatus) -> None:
    """By a person who paid it back elsewhere, or keeps the money."""
    effects = resolve_refund(case(status=status, rule="over-limit"), how, ANN, NOW)
    assert effects.refund is not None
    assert (after, "ann", "because") == (
        effects.refund.status,
        effects.refund.resolved_by,
        effects.refund.resolved_why,
    )
    assert ["refund.resolved"] == [one.kind for one in effects.entries]


@pytest.mark.parametrize("status", [RefundStatus.HELD, RefundStatus.MANUAL, RefundStatus.FAILED])
def test_resolving_sends_no_refund(status: RefundStatus) -> None:
    """That takes a request and an approval; the refusal says what to do."""
    with pytest.raises(Conflict, match="not-resolvable"):
        resolve_refund(case(status=status, rule="x"), ResolvedAs.REFUND, ANN, NOW)


@pytest.mark.parametrize(
    "status", [RefundStatus.REQUESTED, RefundStatus.SUBMITTED, RefundStatus.SUCCEEDED]
)
def test_what_waits_for_nobody_is_not_resolved(status: RefundStatus) -> None:
    """It is under way, or over."""
    with pytest.raises(Conflict, match="not-listed"):
        resolve_refund(case(status=status), ResolvedAs.KEPT, ANN, NOW)


@pytest.mark.parametrize("bad", ["", "  ", None, 7, "x" * 65, "a\nb"])
def test_a_person_has_a_name(bad: object) -> None:
    """The refusal names the field."""
    with pytest.raises(InvalidField, match="by: "):
        say(bad, "why")


def test_how_an_entry_ends_is_one_of_three() -> None:
    """The refusal names them."""
    with pytest.raises(InvalidField, match="refunded-elsewhere, refund, kept"):
        check_resolved_as("forgotten")
