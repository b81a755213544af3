"""What every ledger does."""

from collections.abc import Mapping, Sequence

import pytest

from payonce.domain.decide import Facts, Verdict
from payonce.domain.effects import Effects
from payonce.domain.errors import IllegalTransition
from payonce.domain.order import OrderStatus
from payonce.domain.payment import MismatchReason, PaymentStatus
from payonce.domain.report import Outcome
from payonce.ports.store import Wanted
from tests.store.making import (
    NOW,
    Store,
    facts,
    later,
    register,
    registration,
    settle,
    success,
    word,
)


def verdicts(judged: Sequence[Effects | None]) -> list[Verdict | None]:
    """Return what was decided."""
    return [one.decision.verdict if one else None for one in judged]


async def test_the_first_success_settles_the_order(store: Store) -> None:
    """Payment and order change together."""
    await register(store, registration())
    [effects] = await settle(store, success(ref="g1"))
    assert effects is not None
    stored = (await facts(store, "p1"))["p1"]
    assert (effects.payment, effects.order) == (stored.payment, stored.order)
    assert (OrderStatus.PAID, "p1", 1) == (
        stored.order.status,
        stored.order.settled_by,
        stored.order.version,
    )
    assert (PaymentStatus.SUCCEEDED, "g1") == (stored.payment.status, stored.payment.gateway_ref)


async def test_two_successes_in_one_call_have_one_winner(store: Store) -> None:
    """The second is a duplicate whose money goes back."""
    await register(store, registration("p1"), registration("p2"))
    judged = await settle(store, success("p2"), success("p1"))
    assert [Verdict.SETTLED, Verdict.DUPLICATED] == verdicts(judged)
    stored = await facts(store, "p1", "p2")
    assert "p2" == stored["p1"].order.settled_by
    assert (True, False) == (stored["p1"].payment.duplicate, stored["p2"].payment.duplicate)
    backlog = await store.overview.backlog()
    assert (0, 2, 1) == (backlog.refunds_held, backlog.outbox_events, backlog.unacknowledged)


async def test_the_same_success_again_writes_nothing(store: Store) -> None:
    """An ignored report leaves rows and outbox as they are."""
    await register(store, registration())
    await settle(store, success())
    before = await facts(store, "p1"), await store.overview.backlog()
    assert [Verdict.IGNORED] == verdicts(await settle(store, success()))
    assert before == (await facts(store, "p1"), await store.overview.backlog())


async def test_unknown_payments_are_absent(store: Store) -> None:
    """The others of the call are settled."""
    await register(store, registration())
    judged = await settle(store, success("p0"), success("p1"))
    assert [None, Verdict.SETTLED] == verdicts(judged)
    assert [None] == await settle(store, success("p0"))


async def test_many_orders_in_one_call(store: Store) -> None:
    """Each order gets its own winner and its own event."""
    await register(store, *(registration(f"p{n}", f"o{n}") for n in range(40)))
    judged = await settle(store, *(success(f"p{39 - n}") for n in range(40)))
    assert {Verdict.SETTLED} == set(verdicts(judged))
    stored = await facts(store, *(f"p{n}" for n in range(40)))
    assert [f"p{n}" for n in range(40)] == [stored[f"p{n}"].order.settled_by for n in range(40)]
    assert 40 == (await store.overview.backlog()).outbox_events


async def test_late_money_settles_a_closed_payment(store: Store) -> None:
    """CLOSED and FAILED are not the last word."""
    await register(store, registration("p1", "o1"), registration("p2", "o2"))
    judged = await settle(store, word("p1", Outcome.CLOSED), word("p2", Outcome.FAILED))
    assert [Verdict.CLOSED, Verdict.FAILED] == verdicts(judged)
    judged = await settle(store, success("p1"), success("p2"))
    assert [Verdict.SETTLED] * 2 == verdicts(judged)


async def test_an_unresolved_payment_is_counted_until_it_is_resolved(store: Store) -> None:
    """The flag goes with the definite word."""
    await register(store, registration())
    await settle(store, word("p1", Outcome.UNKNOWN, ended=True))
    backlog = await store.overview.backlog()
    assert (1, True) == (backlog.unresolved, backlog.unresolved_oldest_at is not None)
    await settle(store, success())
    backlog = await store.overview.backlog()
    assert (0, None) == (backlog.unresolved, backlog.unresolved_oldest_at)


async def test_a_success_at_another_amount_is_mismatched(store: Store) -> None:
    """It neither settles nor is lost."""
    await register(store, registration("p1"), registration("p2", amount=200))
    judged = await settle(store, success("p1", 99), success("p2", 200))
    assert [Verdict.MISMATCHED] * 2 == verdicts(judged)
    stored = await facts(store, "p1", "p2")
    assert {MismatchReason.AMOUNT} == {one.payment.mismatched for one in stored.values()}
    assert OrderStatus.OPEN is stored["p1"].order.status
    backlog = await store.overview.backlog()
    assert (2, NOW) == (backlog.mismatched, backlog.mismatched_oldest_at)


async def test_what_waits_is_as_old_as_its_oldest(store: Store) -> None:
    """Nothing waits, nothing has an age; of two mismatched the one initiated first counts."""
    empty = await store.overview.backlog()
    assert (None, None) == (empty.mismatched_oldest_at, empty.refunds_held_oldest_at)
    await register(store, registration("p1", "o1", initiated_at=later(5)), registration("p2", "o2"))
    await settle(store, success("p1", 99))
    assert later(5) == (await store.overview.backlog()).mismatched_oldest_at
    await settle(store, success("p2", 99))
    assert NOW == (await store.overview.backlog()).mismatched_oldest_at


async def test_a_reported_ref_of_another_payment_is_found(store: Store) -> None:
    """One charge at the gateway cannot pay two payments."""
    await register(store, registration("p1", "o1", ref="g1"), registration("p2", "o2"))
    judged = await settle(store, success("p2", ref="g1"))
    assert [Verdict.MISMATCHED] == verdicts(judged)
    stored = await facts(store, "p2")
    assert MismatchReason.GATEWAY_REF_TAKEN is stored["p2"].payment.mismatched


async def test_two_payments_that_report_one_ref_in_one_call(store: Store) -> None:
    """The first keeps it."""
    await register(store, registration("p1", "o1"), registration("p2", "o2"))
    judged = await settle(store, success("p1", ref="g1"), success("p2", ref="g1"))
    assert [Verdict.SETTLED, Verdict.MISMATCHED] == verdicts(judged)


async def test_a_judge_that_raises_writes_nothing(store: Store) -> None:
    """The transaction ends with the exception, and the next one is not held up."""
    await register(store, registration())

    def refuse(locked: Mapping[str, Facts]) -> Sequence[Effects]:
        raise IllegalTransition("payment", "PENDING", ", ".join(locked))

    with pytest.raises(IllegalTransition):
        await store.ledger.settle([Wanted("p1", None)], refuse)
    assert [Verdict.SETTLED] == verdicts(await settle(store, success(at=later(1))))
