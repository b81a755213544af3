"""Where everything meets: many at once, committed first, told afterwards."""

import asyncio
from collections.abc import Sequence

import pytest

from payonce.domain.decide import Verdict
from payonce.domain.errors import Unavailable
from payonce.domain.judge import Hearing
from payonce.domain.order import OrderStatus
from payonce.domain.payment import Payment, PaymentStatus
from payonce.domain.refund import RefundStatus
from payonce.domain.report import Outcome
from payonce.handlers.settle import Settler
from payonce.ports.cache import Seen
from payonce.ports.store import Judge, Wanted
from tests.handlers.bench import Bench
from tests.store.fake import FakeStore
from tests.store.making import later, registration, success, word


class RefusingLedger:
    """A ledger whose common transaction is rolled back, so that each payment is settled alone."""

    def __init__(self, store: FakeStore) -> None:
        self._store = store

    async def settle(self, wanted: Sequence[Wanted], judge: Judge) -> list[Payment]:
        """Judge all and write nothing, then judge and write one at a time."""
        judge({one.payment_id: self._store._facts(one) for one in wanted})
        alone = [await self._store.settle([one], judge) for one in wanted]
        return [sibling for each in alone for sibling in each]


async def test_a_success_is_committed_then_remembered_then_told_then_forgotten(
    bench: Bench,
) -> None:
    """The order of work of a settlement."""
    await bench.registered()
    effects = await bench.heard(success())
    assert Verdict.SETTLED is effects.decision.verdict
    assert ["settle", "remember_succeeded", "publish", "delete_events"] == bench.journal.calls
    assert PaymentStatus.SUCCEEDED is bench.payment().status
    assert (OrderStatus.PAID, "p1") == (
        bench.store.orders["o1"].status,
        bench.store.orders["o1"].settled_by,
    )
    assert ["payment.succeeded"] == bench.told()
    assert {} == bench.store.outbox
    assert [("mock", "settled", "poll")] == bench.meter.of("payment_decided")


async def test_the_time_from_paid_to_told_is_measured(bench: Bench) -> None:
    """The gateway's paid_at is where the clock starts."""
    await bench.registered()
    bench.clock.move(7)
    await bench.heard(success())
    assert [(7.0,)] == bench.meter.of("success_announced")


async def test_reports_that_come_together_are_settled_together(bench: Bench) -> None:
    """Many reports are one transaction; each caller gets the effects of its own."""
    names = [f"p{n}" for n in range(20)]
    await bench.registered(*(registration(one, f"o-{one}") for one in names))
    effects = await asyncio.gather(*(bench.heard(success(one)) for one in names))
    assert ["settle"] == bench.journal.of("settle")
    assert names == [one.payment.payment_id for one in effects]
    assert [Verdict.SETTLED] * 20 == [one.decision.verdict for one in effects]


async def test_one_payment_twice_in_a_batch_settles_once(bench: Bench) -> None:
    """The second report sees what the first one wrote."""
    await bench.registered(registration("p1"), registration("p2", "o2"))
    reports = (success("p1"), success("p2"), success("p1"), success("p1"))
    effects = await asyncio.gather(*(bench.heard(one) for one in reports))
    assert ["settled", "settled", "ignored", "ignored"] == [one.decision.verdict for one in effects]
    assert ["settle"] * 3 == bench.journal.of("settle")
    assert 2 == len(bench.told())


async def test_a_second_success_is_a_duplicate_whose_refund_is_on_its_way(bench: Bench) -> None:
    """Two payments of one order in one batch: one wins, the other's money goes back."""
    await bench.registered(registration("p1"), registration("p2"))
    first, second = await asyncio.gather(bench.heard(success("p1")), bench.heard(success("p2")))
    assert [Verdict.SETTLED, Verdict.DUPLICATED] == [
        first.decision.verdict,
        second.decision.verdict,
    ]
    [refund] = bench.store.refunds
    assert ("p2", 100, RefundStatus.REQUESTED) == (refund.payment_id, refund.amount, refund.status)
    assert ["payment.duplicated", "payment.succeeded"] == sorted(bench.told())
    assert [refund.refund_id] == [message.refund_id for _, message in bench.bus.refunds]
    assert "p1" == bench.store.orders["o1"].settled_by
    assert bench.payment("p2").duplicate


async def test_payments_that_were_settled_alone_keep_their_effects(bench: Bench) -> None:
    """Where the ledger judges one payment at a time, a later one does not erase an earlier one."""
    await bench.registered(*(registration(f"p{n}", f"o{n}") for n in (1, 2, 3)))
    ledger = RefusingLedger(bench.store)
    settler = Settler(ledger, bench.announcer, bench.bus, bench.cache, bench.clock, bench.meter)
    effects = await asyncio.gather(*(settler.settle(success(f"p{n}")) for n in (1, 2, 3)))
    assert ["p1", "p2", "p3"] == [one.payment.payment_id for one in effects if one]
    assert {"o1", "o2", "o3"} == {event.order_id for event in bench.bus.told}
    assert {} == bench.store.outbox


async def test_payments_that_were_settled_alone_are_written_once(bench: Bench) -> None:
    """What an earlier transaction wrote is not written again by a later one."""
    await bench.registered(*(registration(f"p{n}", f"o{n}") for n in (1, 2, 3)))
    ledger = RefusingLedger(bench.store)
    settler = Settler(ledger, bench.announcer, bench.bus, bench.cache, bench.clock, bench.meter)
    await asyncio.gather(*(settler.settle(success(f"p{n}")) for n in (1, 2, 3)))
    assert ["p1", "p2", "p3"] == [entry.payment_id for entry in bench.store.entries]


async def test_an_unregistered_payment_changes_nothing(bench: Bench) -> None:
    """Beside a registered one, which is settled."""
    await bench.registered()
    effects = await asyncio.gather(
        bench.settler.settle(success("p-unknown")), bench.settler.settle(success("p1"))
    )
    assert [None, "p1"] == [one and one.payment.payment_id for one in effects]
    assert 1 == len(bench.meter.of("payment_decided"))


async def test_an_absent_store_is_told_to_every_caller(bench: Bench) -> None:
    """Nothing is remembered and nothing told that was not committed."""
    await bench.registered(registration("p1"), registration("p2", "o2"))
    bench.journal.away = {"settle"}
    problems = await asyncio.gather(
        bench.settler.settle(success("p1")),
        bench.settler.settle(success("p2")),
        return_exceptions=True,
    )
    assert [Unavailable, Unavailable] == [type(one) for one in problems]
    assert ["settle"] == bench.journal.calls
    assert Seen() == await bench.cache.seen("p1", 0, 0)


async def test_an_unknown_commit_is_settled_again_without_a_second_winner(bench: Bench) -> None:
    """The repeat reads what was committed, remembers it, and leaves the event to the relay."""
    await bench.registered()
    bench.journal.unsure = {"settle"}
    with pytest.raises(Unavailable):
        await bench.heard(success())
    assert ["settle"] == bench.journal.calls
    bench.journal.unsure = set()
    effects = await bench.heard(success())
    assert (Verdict.IGNORED, "already-succeeded") == (
        effects.decision.verdict,
        effects.decision.reason,
    )
    assert Seen(succeeded=True) == await bench.cache.seen("p1", 0, 0)
    assert ([], 1) == (bench.told(), len(bench.store.outbox))


async def test_only_its_own_success_is_remembered(bench: Bench) -> None:
    """A failed payment, and one whose order another one paid, are not cached as succeeded."""
    await bench.registered(registration("p1"), registration("p2"))
    await bench.heard(word("p1", Outcome.FAILED))
    await bench.heard(success("p2"))
    assert (Seen(), Seen(succeeded=True)) == (
        await bench.cache.seen("p1", 0, 0),
        await bench.cache.seen("p2", 0, 0),
    )


@pytest.mark.parametrize(
    ("hearing", "verdict", "told"),
    [
        (word("p1", Outcome.FAILED), "failed", ["payment.failed"]),
        (word("p1", Outcome.CLOSED), "closed", ["payment.closed"]),
        (word("p1", Outcome.NOT_FOUND, ended=True), "closed", ["payment.closed"]),
        (word("p1", Outcome.UNKNOWN, ended=True), "unresolved", ["payment.unresolved"]),
        (word("p1", Outcome.PENDING), "ignored", []),
        (success("p1", amount=99), "mismatched", ["payment.mismatched"]),
    ],
)
async def test_each_verdict_is_told_by_its_event(
    bench: Bench, hearing: Hearing, verdict: str, told: list[str]
) -> None:
    """Nothing is told of what changed nothing."""
    await bench.registered()
    effects = await bench.heard(hearing)
    assert (verdict, told) == (effects.decision.verdict, bench.told())
    assert [] == bench.meter.of("success_announced")


async def test_late_money_settles_an_order_after_a_failure(bench: Bench) -> None:
    """A shopper pays the old code after the gateway said "failed"."""
    await bench.registered()
    await bench.heard(word("p1", Outcome.FAILED))
    effects = await bench.heard(success(at=later(600)))
    assert Verdict.SETTLED is effects.decision.verdict
    assert ["payment.failed", "payment.succeeded"] == bench.told()


async def test_an_event_that_nobody_listens_to_does_not_disturb_the_settlement(
    bench: Bench,
) -> None:
    """The success waits in the outbox; no time from paid to told is invented."""
    bench.bus.stop_listening()
    await bench.registered()
    await bench.heard(success())
    assert OrderStatus.PAID is bench.store.orders["o1"].status
    assert (1, []) == (len(bench.store.outbox), bench.meter.of("success_announced"))


async def test_an_absent_broker_does_not_disturb_the_settlement(bench: Bench) -> None:
    """The event waits in the outbox for the relay."""
    bench.journal.away = {"publish"}
    await bench.registered()
    effects = await bench.heard(success())
    assert Verdict.SETTLED is effects.decision.verdict
    assert [event.event_id for event in effects.events] == list(bench.store.outbox)


async def test_the_siblings_of_the_winner_are_closed_at_once(bench: Bench) -> None:
    """After the commit; a duplicate closes nothing."""
    await bench.registered(registration("p1"), registration("p2"), registration("p3", "o3"))
    await bench.heard(success("p1"))
    assert [("p2", "order-paid")] == [(one.payment_id, one.reason) for _, one in bench.bus.closes]
    await bench.heard(success("p2"))
    assert 1 == len(bench.bus.closes)


async def test_an_absent_broker_leaves_closes_and_refunds_to_the_sweeper(bench: Bench) -> None:
    """The settlement holds; the row owes the close, and the refund has its time."""
    await bench.registered(registration("p1"), registration("p2"))
    bench.journal.away = {"close_after", "refund_after"}
    await bench.heard(success("p1"))
    await bench.heard(success("p2"))
    assert ([], []) == (bench.bus.closes, bench.bus.refunds)
    assert ["p2"] == [refund.payment_id for refund in bench.store.refunds]
