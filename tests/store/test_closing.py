"""A close is owed by the row: what every store does."""

from dataclasses import replace
from datetime import datetime, timedelta

from payonce.domain.payment import Payment
from payonce.domain.report import Outcome
from payonce.domain.watch import CLOSE_AGAIN_AFTER
from payonce.ports.store import RegisterOutcome, Registration, Revival, StepDone
from tests.store.making import NOW, Store, facts, later, register, registration, settle, word
from tests.store.making import success as paid


async def closing(store: Store, *payment_ids: str) -> list[str | None]:
    """Return why each payment shall be closed."""
    found = await facts(store, *payment_ids)
    return [found[one].payment.closing for one in payment_ids]


def initiated_at(wanted: Registration, time: datetime) -> Registration:
    """Return a registration of a payment that was initiated at another time."""
    return replace(wanted, message=replace(wanted.message, initiated_at=time))


async def closed_by(store: Store, *paid_ids: str) -> list[str]:
    """Settle and return the payments that the ledger says to close."""
    handed: list[Payment] = []
    original = store.ledger.settle

    class Listening:
        """A ledger whose answer is kept."""

        async def settle(self, *arguments: object) -> list[Payment]:
            """Settle."""
            handed.extend(await original(*arguments))  # type: ignore[arg-type]
            return handed

    await settle(replace(store, ledger=Listening()), *(paid(one) for one in paid_ids))
    return [one.payment_id for one in handed]


async def test_a_settlement_leaves_the_other_pending_payments_to_close(store: Store) -> None:
    """Those of its own order, with the reason in their rows."""
    await register(
        store, *(registration(f"p{n}") for n in (1, 2, 3)), registration("p4", "another")
    )
    assert ["p2", "p3"] == sorted(await closed_by(store, "p1"))
    assert [None, "order-paid", "order-paid", None] == await closing(store, "p1", "p2", "p3", "p4")


async def test_what_ended_in_the_same_call_is_not_closed(store: Store) -> None:
    """Two payments of one order that were both paid are both at their end."""
    await register(store, registration("p1"), registration("p2"))
    assert [] == await closed_by(store, "p1", "p2")
    assert [None, None] == await closing(store, "p1", "p2")


async def test_a_definite_word_ends_the_debt(store: Store) -> None:
    """Closed is closed."""
    await register(store, registration("p1"), registration("p2"))
    await settle(store, paid("p1"))
    await settle(store, word("p2", Outcome.UNKNOWN))
    assert ["order-paid"] == await closing(store, "p2")
    await settle(store, word("p2", Outcome.CLOSED))
    assert [None] == await closing(store, "p2")


async def test_of_two_pending_payments_the_older_one_is_closed(store: Store) -> None:
    """By the time of initiation, whatever the order of arrival."""
    older = initiated_at(registration("p2"), NOW - timedelta(seconds=1))
    newer = registration("p1")
    [first] = await store.registrar.register([newer], supersede=True)
    [second] = await store.registrar.register([older], supersede=True)
    assert ((), ["p2"]) == (first.superseded, [one.payment_id for one in second.superseded])
    assert [None, "superseded"] == await closing(store, "p1", "p2")


async def test_the_newest_of_several_in_one_call_goes_on(store: Store) -> None:
    """At the same time the id decides."""
    registered = await store.registrar.register(
        [registration(f"p{n}") for n in (3, 1, 2)], supersede=True
    )
    superseded = [one.payment_id for each in registered for one in each.superseded]
    assert ["p1", "p2"] == sorted(superseded)
    assert ["superseded", "superseded", None] == await closing(store, "p1", "p2", "p3")


async def test_where_both_may_run_both_run(store: Store) -> None:
    """The policy "allow"."""
    await store.registrar.register([registration("p1")], supersede=False)
    await store.registrar.register([registration("p2")], supersede=False)
    assert [None, None] == await closing(store, "p1", "p2")


async def test_what_has_ended_is_superseded_by_nothing(store: Store) -> None:
    """A failed payment is not closed when the shopper tries again."""
    await register(store, registration("p1"))
    await settle(store, word("p1", Outcome.FAILED))
    [again] = await store.registrar.register([registration("p2")], supersede=True)
    assert (RegisterOutcome.NEW, ()) == (again.outcome, again.superseded)


async def test_a_payment_of_a_paid_or_cancelled_order_is_to_be_closed_from_the_start(
    store: Store,
) -> None:
    """With supersede or without."""
    await register(store, registration("p1"), registration("p3", "o3"))
    await settle(store, paid("p1"))
    await store.orders.cancel("o3", NOW)
    [late] = await store.registrar.register([registration("p2")], supersede=True)
    [other] = await register(store, registration("p4", "o3"))
    assert late.payment is not None
    assert other.payment is not None
    assert ["order-paid", "order-cancelled"] == [late.payment.closing, other.payment.closing]
    assert ["order-cancelled"] == await closing(store, "p3")


async def test_a_gateway_that_cannot_close_ends_the_debt(store: Store) -> None:
    """The payment is watched to its end, and nobody asks again."""
    await register(store, registration("p1"), registration("p2"))
    await settle(store, paid("p1"))
    await store.watches.end_closing("p2", later(1))
    await store.watches.end_closing("p2", later(2))
    assert [None] == await closing(store, "p2")


async def test_a_recorded_step_does_not_put_off_a_close(store: Store) -> None:
    """Its message may be lost while the polls go on."""
    far = later(3_600)
    await register(store, registration("p1", revive_at=far), registration("p2", revive_at=far))
    await settle(store, paid("p1"))
    assert [True] == await store.watches.record_steps([StepDone("p2", 0, 5, far)])

    due_at = NOW + CLOSE_AGAIN_AFTER
    before = await store.watches.revive(due_at - timedelta(seconds=1), 9, lambda _: [])
    revived = await store.watches.revive(
        due_at, 9, lambda found: [Revival(one.payment_id, one.epoch + 1, far) for one in found]
    )
    assert ([], ["p2"]) == (before, [one.payment_id for one in revived])
    assert "order-paid" == revived[0].closing


async def test_what_waits_for_a_person_is_not_closed_with_its_order(store: Store) -> None:
    """Its money is in: there is nothing to close, and nothing that would end the close."""
    await register(store, registration("p1"))
    await settle(store, paid("p1", 7))
    assert [] == await store.orders.cancel("o1", NOW)
    assert [None] == await closing(store, "p1")
