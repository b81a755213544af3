"""What every keeper of orders does."""

from payonce.domain.messages import OrderAcknowledged
from payonce.domain.order import OrderStatus
from payonce.domain.report import Outcome
from payonce.ports.store import AcknowledgeOutcome
from tests.store.making import Store, facts, later, register, registration, settle, success, word

ACKNOWLEDGED, ALREADY = AcknowledgeOutcome.ACKNOWLEDGED, AcknowledgeOutcome.ALREADY
NOT_THE_WINNER = AcknowledgeOutcome.NOT_THE_WINNER
UNKNOWN_ORDER = AcknowledgeOutcome.UNKNOWN_ORDER


async def test_an_acknowledgement_counts_once_and_takes_no_event_away(store: Store) -> None:
    """What the outbox holds was never told: queues that are bound for it are owed it."""
    await register(store, registration("p1"), registration("p2"))
    await settle(store, success("p1"), success("p2"))
    message = OrderAcknowledged("o1", "p1")
    assert [ACKNOWLEDGED] == await store.orders.acknowledge([message], later(1))
    assert [ALREADY] == await store.orders.acknowledge([message], later(2))
    backlog = await store.overview.backlog()
    assert (0, None, 2) == (
        backlog.unacknowledged,
        backlog.unacknowledged_oldest_at,
        backlog.outbox_events,
    )
    rows = await store.outbox.claim_events(later(9), later(9), later(20), 9)
    assert {("payment.succeeded", True), ("payment.duplicated", True)} == {
        (row.type, row.acknowledged) for row in rows
    }


async def test_an_acknowledgement_of_another_payment_does_not_count(store: Store) -> None:
    """Neither for a duplicate, nor for an order that is not paid or not known."""
    await register(store, registration("p1"), registration("p2"), registration("p3", "o3"))
    await settle(store, success("p1"), success("p2"))
    messages = [
        OrderAcknowledged("o1", "p2"),
        OrderAcknowledged("o3", "p3"),
        OrderAcknowledged("o0", "p1"),
        OrderAcknowledged("o1", "p1"),
        OrderAcknowledged("o1", "p1"),
    ]
    outcomes = await store.orders.acknowledge(messages, later(1))
    assert [NOT_THE_WINNER, NOT_THE_WINNER, UNKNOWN_ORDER, ACKNOWLEDGED, ALREADY] == outcomes


async def test_cancelling_an_open_order_names_its_unfinished_payments(store: Store) -> None:
    """They are to be closed; asked again, the answer is the same."""
    await register(store, registration("p1"), registration("p2"), registration("p3"))
    await settle(store, word("p2", Outcome.CLOSED))
    versions = []
    for second in (1, 2):
        payments = await store.orders.cancel("o1", later(second))
        assert ["p1", "p3"] == [one.payment_id for one in payments]
        order = (await facts(store, "p1"))["p1"].order
        assert OrderStatus.CANCELLED is order.status
        versions.append(order.version)
    assert versions[0] == versions[1] > 1


async def test_cancelling_a_paid_order_changes_nothing(store: Store) -> None:
    """Its other payments stay watched."""
    await register(store, registration("p1"), registration("p2"))
    await settle(store, success("p1"))
    assert [] == await store.orders.cancel("o1", later(1))
    assert OrderStatus.PAID is (await facts(store, "p1"))["p1"].order.status


async def test_a_success_of_a_cancelled_order_is_a_duplicate(store: Store) -> None:
    """Also where the order was cancelled before it was known."""
    assert [] == await store.orders.cancel("o1", later(0))
    await register(store, registration())
    [effects] = await settle(store, success())
    assert effects is not None
    assert ("duplicated", "order-cancelled") == (
        effects.decision.verdict,
        effects.refunds[0].reason,
    )
