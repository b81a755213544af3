"""What every registrar does."""

from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import PaymentStatus
from payonce.ports.store import RegisterOutcome
from tests.store.making import EXPIRES, Store, facts, later, register, registration, settle, success

NEW, SAME = RegisterOutcome.NEW, RegisterOutcome.SAME
CONFLICT, REF_TAKEN = RegisterOutcome.CONFLICT, RegisterOutcome.REF_TAKEN


async def test_a_new_payment_opens_its_order_and_is_pending(store: Store) -> None:
    """The first registration creates the order at the payment's price."""
    [one] = await register(store, registration(ref="g1"))
    assert NEW is one.outcome
    assert Order("o1", OrderStatus.OPEN, 100, "CNY", None, 0) == one.order
    assert one.payment is not None
    assert PaymentStatus.PENDING is one.payment.status
    assert ("g1", EXPIRES, "trace-of-p1") == (
        one.payment.gateway_ref,
        one.payment.expires_at,
        one.payment.traceparent,
    )
    stored = await facts(store, "p1")
    assert (one.payment, one.order) == (stored["p1"].payment, stored["p1"].order)


async def test_the_same_again_changes_nothing(store: Store) -> None:
    """A redelivered message is a SAME, with the rows as they stand."""
    await register(store, registration(ref="g1"))
    await settle(store, success(ref="g1"))
    [again] = await register(store, registration(ref="g1", revive_at=later(5)))
    assert SAME is again.outcome
    assert again.payment is not None
    assert PaymentStatus.SUCCEEDED is again.payment.status
    assert OrderStatus.PAID is again.order.status


async def test_the_same_payment_twice_in_one_call(store: Store) -> None:
    """The first is NEW, the second SAME, the third another content."""
    results = await register(store, registration(), registration(), registration(amount=7))
    assert [NEW, SAME, CONFLICT] == [one.outcome for one in results]


async def test_results_come_in_the_order_of_the_call(store: Store) -> None:
    """Orders are locked in order of their ids, results are not sorted."""
    wanted = [registration(f"p{n}", f"o{9 - n}") for n in range(9)]
    results = await register(store, *wanted)
    assert [one.message.order_id for one in wanted] == [one.order.order_id for one in results]


async def test_another_content_is_a_conflict_that_names_the_field(store: Store) -> None:
    """An id belongs to one payment for ever."""
    await register(store, registration(ref="g1"))
    others = [
        registration(amount=99, ref="g1"),
        registration(currency="USD"),
        registration(gateway="other"),
        registration(ref="g2"),
        registration(order_id="o2"),
    ]
    results = await register(store, *others)
    assert [CONFLICT] * 5 == [one.outcome for one in results]
    fields = [one.detail.split(" is ")[0] for one in results]
    assert ["amount", "currency", "gateway", "gateway_ref", "order_id"] == fields
    assert "o1" == (results[4].payment and results[4].payment.order_id)


async def test_a_refused_payment_does_not_fix_the_price(store: Store) -> None:
    """Only a registered payment fixes amount and currency, also within one call."""
    await register(store, registration("p1", "o1", ref="g1"))
    results = await register(
        store,
        registration("p1", "o2", 500),
        registration("p2", "o3", 600, ref="g1"),
        registration("p3", "o3", 700),
        registration("p4", "o3", 800),
    )
    assert [CONFLICT, REF_TAKEN, NEW, NEW] == [one.outcome for one in results]
    assert [None, 700, 700, 700] == [one.order.amount for one in results]
    [fixed] = await register(store, registration("p5", "o2", 900))
    assert (NEW, 900) == (fixed.outcome, fixed.order.amount)


async def test_the_price_stays_with_the_first_payment(store: Store) -> None:
    """A later payment at another amount is registered, the order's price stays."""
    results = await register(store, registration("p1", amount=100), registration("p2", amount=200))
    assert [100, 100] == [one.order.amount for one in results]
    [third] = await register(store, registration("p3", amount=300, currency="USD"))
    assert (NEW, 100, "CNY") == (third.outcome, third.order.amount, third.order.currency)


async def test_a_taken_gateway_ref_registers_nothing_and_disturbs_nobody(store: Store) -> None:
    """The others of the call are registered."""
    await register(store, registration("p1", "o1", ref="g1"))
    results = await register(
        store,
        registration("p2", "o2"),
        registration("p3", "o3", ref="g1"),
        registration("p4", "o4", ref="g4"),
        registration("p5", "o5", ref="g4"),
        registration("p6", "o6", gateway="other", ref="g1"),
    )
    outcomes = [one.outcome for one in results]
    assert [NEW, REF_TAKEN, NEW, REF_TAKEN, NEW] == outcomes
    assert results[1].payment is None
    assert "gateway_ref g1 belongs to payment p1" == results[1].detail
    assert "gateway_ref g4 belongs to payment p4" == results[3].detail
    assert {"p2", "p4", "p6"} == set(await facts(store, "p2", "p3", "p4", "p5", "p6"))


async def test_a_repeat_fills_what_was_absent(store: Store) -> None:
    """A gateway_ref or an expiry that the first message left out is taken over, once."""
    await register(store, registration())
    [filled] = await register(store, registration(ref="g1", expires_at=later(60)))
    assert SAME is filled.outcome
    assert filled.payment is not None
    assert ("g1", later(60)) == (filled.payment.gateway_ref, filled.payment.expires_at)
    [again] = await register(store, registration(expires_at=later(90)))
    assert filled.payment == again.payment
    assert filled.payment == (await facts(store, "p1"))["p1"].payment


async def test_a_repeat_cannot_take_anothers_gateway_ref(store: Store) -> None:
    """A fill is refused like an insert, alone and within one call."""
    await register(store, registration("p1", "o1"), registration("p2", "o2", ref="g2"))
    [taken] = await register(store, registration("p1", "o1", ref="g2"))
    assert REF_TAKEN is taken.outcome
    together = await register(
        store, registration("p3", "o3", ref="g3"), registration("p1", "o1", ref="g3")
    )
    assert [NEW, REF_TAKEN] == [one.outcome for one in together]
    stored = await facts(store, "p1", "p3")
    assert (None, "g3") == (stored["p1"].payment.gateway_ref, stored["p3"].payment.gateway_ref)


async def test_a_payment_of_a_cancelled_order_is_registered_and_fixes_its_price(
    store: Store,
) -> None:
    """Money may come all the same, so it has to be watched."""
    await store.orders.cancel("o1", later(0))
    [one] = await register(store, registration())
    assert (NEW, OrderStatus.CANCELLED, 100) == (one.outcome, one.order.status, one.order.amount)


async def test_nothing_to_register(store: Store) -> None:
    """An empty call is answered with nothing."""
    assert [] == await register(store)
