"""What every keeper of watches does."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from payonce.domain.payment import Payment, PaymentStatus
from payonce.domain.report import Outcome
from payonce.ports.store import Revival, StepDone, WatchState
from tests.store.making import Store, later, register, registration, settle, success, word

Plan = Callable[[Sequence[Payment]], Sequence[Revival]]


def again_at(time: datetime | None) -> Plan:
    """Return a plan that gives each payment its next epoch and this time."""

    def plan(payments: Sequence[Payment]) -> list[Revival]:
        return [Revival(one.payment_id, one.epoch + 1, time) for one in payments]

    return plan


async def test_states_come_in_order_and_unknown_ones_are_none(store: Store) -> None:
    """The same id may be asked for twice; the store's own clock says when they were read."""
    await register(store, registration("p1"), registration("p2", "o2"))
    await settle(store, success("p2"))
    states = await store.watches.watch_states(["p2", "p0", "p1", "p2"])
    first = states[0]
    assert first is not None
    read_at = first.read_at
    paid = WatchState(PaymentStatus.SUCCEEDED, False, 0, 0, read_at)
    pending = WatchState(PaymentStatus.PENDING, False, 0, 0, read_at)
    assert [paid, None, pending, paid] == states
    assert abs(datetime.now(UTC) - read_at) < timedelta(minutes=1)


async def test_a_step_is_recorded_once(store: Store) -> None:
    """A fork of the chain hears that its step is history."""
    await register(store, registration())
    assert [True] == await store.watches.record_steps([StepDone("p1", 0, 4, later(1000))])
    assert [False] == await store.watches.record_steps([StepDone("p1", 0, 4, later(2000))])
    assert [False] == await store.watches.record_steps([StepDone("p1", 0, 3, later(2000))])
    [state] = await store.watches.watch_states(["p1"])
    assert 4 == (state and state.step)


async def test_many_steps_of_one_payment_in_one_call(store: Store) -> None:
    """Twins count once, the latest step stays, another epoch's step never counts."""
    await register(store, registration("p1"), registration("p2", "o2"))
    done = await store.watches.record_steps(
        [
            StepDone("p1", 0, 4, later(1)),
            StepDone("p2", 0, 4, later(1)),
            StepDone("p1", 0, 4, later(1)),
            StepDone("p1", 1, 9, later(1)),
            StepDone("p1", 0, 6, later(700)),
            StepDone("p0", 0, 4, later(1)),
            StepDone("p1", 0, 5, later(1)),
        ]
    )
    assert [True, True, False, False, True, False, False] == done
    [state] = await store.watches.watch_states(["p1"])
    assert 6 == (state and state.step)
    revived = await store.watches.revive(later(699), 10, again_at(None))
    assert ["p2"] == [one.payment_id for one in revived]


async def test_a_finished_payment_records_no_step(store: Store) -> None:
    """A poll that crosses the settlement must not wake the sweeper for ever."""
    await register(store, registration("p1"), registration("p2", "o2"))
    await settle(store, success("p1"), success("p2", 99))
    steps = [StepDone("p1", 0, 4, later(1)), StepDone("p2", 0, 4, later(1))]
    assert [False, False] == await store.watches.record_steps(steps)
    assert [] == await store.watches.revive(later(10**6), 10, again_at(None))


async def test_an_overdue_payment_is_revived_once(store: Store) -> None:
    """It gets a new epoch, keeps its step, and comes again when the plan says."""
    await register(store, registration(revive_at=later(100)))
    await store.watches.record_steps([StepDone("p1", 0, 4, later(300))])
    assert [] == await store.watches.revive(later(299), 10, again_at(None))
    [revived] = await store.watches.revive(later(300), 10, again_at(later(600)))
    assert ("p1", 1, 4) == (revived.payment_id, revived.epoch, revived.step)
    assert [] == await store.watches.revive(later(599), 10, again_at(None))
    [revived] = await store.watches.revive(later(600), 10, again_at(None))
    assert 2 == revived.epoch
    assert [] == await store.watches.revive(later(10**6), 10, again_at(None))


async def test_the_old_chain_is_history_after_a_revival(store: Store) -> None:
    """Marks of the old epoch do not kill the new chain."""
    await register(store, registration(revive_at=later(0)))
    await store.watches.revive(later(0), 10, again_at(later(600)))
    old, new = StepDone("p1", 0, 4, later(1)), StepDone("p1", 1, 4, later(1))
    assert [False, True] == await store.watches.record_steps([old, new])


async def test_revival_is_bounded_and_the_longest_overdue_come_first(store: Store) -> None:
    """What is left comes in the next round."""
    await register(
        store, *(registration(f"p{n}", f"o{n}", revive_at=later(n)) for n in (3, 1, 5, 2, 4))
    )
    first = await store.watches.revive(later(100), 3, again_at(None))
    second = await store.watches.revive(later(100), 3, again_at(None))
    assert ["p1", "p2", "p3"] == sorted(one.payment_id for one in first)
    assert ["p4", "p5"] == sorted(one.payment_id for one in second)


async def test_a_plan_may_leave_payments_alone(store: Store) -> None:
    """Those are not revived and stay overdue."""
    await register(store, registration(revive_at=later(0)))
    assert [] == await store.watches.revive(later(0), 10, lambda _: [])
    assert 1 == len(await store.watches.revive(later(0), 10, again_at(None)))


async def test_a_closed_payment_is_looked_at_again(store: Store) -> None:
    """Its callback can be lost too: CONTRACT.md, promise 9."""
    await register(store, registration(revive_at=later(10**5)))
    await settle(store, word("p1", Outcome.CLOSED))
    [revived] = await store.watches.revive(later(600), 10, again_at(None))
    assert PaymentStatus.CLOSED is revived.status


async def test_payments_of_other_gateways_stay_overdue_and_hold_up_nobody(store: Store) -> None:
    """However many and however long overdue they are."""
    await register(
        store,
        *(registration(f"p{n}", f"o{n}", gateway="spared", revive_at=later(n)) for n in range(5)),
        registration("p9", "o9", revive_at=later(9)),
    )
    [revived] = await store.watches.revive(later(10), 2, again_at(None), ["mock"])
    assert "p9" == revived.payment_id
    assert [] == await store.watches.revive(later(10), 2, again_at(None), [])
    assert 5 == len(await store.watches.revive(later(10), 9, again_at(None)))


async def test_a_look_at_an_ended_payment_plans_the_next(store: Store) -> None:
    """By its epoch, and only while it has ended."""
    await register(store, registration("p1"), registration("p2", "o2"))
    await settle(store, word("p1", Outcome.CLOSED))
    for payment_id, epoch in (("p1", 9), ("p2", 0)):
        await store.watches.looked(payment_id, epoch, None)
    overdue = await store.watches.revive(later(10**6), 9, lambda _: [], ["mock"])
    assert [] == overdue

    def found(payments: Sequence[Payment]) -> list[Revival]:
        names.extend(one.payment_id for one in payments)
        return []

    names: list[str] = []
    await store.watches.revive(later(10**6), 9, found, ["mock"])
    assert ["p1", "p2"] == sorted(names)
    names.clear()
    await store.watches.looked("p1", 0, None)
    await store.watches.revive(later(10**6), 9, found, ["mock"])
    assert ["p2"] == names
