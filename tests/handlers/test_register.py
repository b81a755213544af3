"""`payment.initiated`: written down once, watched in any case."""

import asyncio

import pytest

from payonce.domain.errors import InvalidField, Unavailable
from payonce.domain.messages import Mode
from payonce.domain.order import OrderStatus
from payonce.domain.payment import PaymentStatus
from payonce.domain.report import Outcome
from payonce.domain.times import to_ms
from payonce.ports.bus import DONE, Park
from tests.handlers.bench import Bench, initiated
from tests.store.making import EXPIRES, NOW, later, registration, success, word


async def test_a_payment_is_written_down_before_its_first_rung_is_published(bench: Bench) -> None:
    """The order of work: one insert, one message on the first wait, carrying all it needs."""
    assert DONE == await bench.register.handle(initiated(gateway_ref="ref-1"), "trace")
    assert ["register", "poll_after"] == bench.journal.calls
    [(wait_ms, message)] = bench.bus.polls
    assert (3_000, to_ms(NOW) + 3_000) == (wait_ms, message.due_ms)
    assert ("p1", "o1", "mock", 100, "CNY", "ref-1") == (
        message.payment_id,
        message.order_id,
        message.gateway,
        message.amount,
        message.currency,
        message.gateway_ref,
    )
    assert (0, 0, Mode.WATCH, to_ms(EXPIRES)) == (
        message.step,
        message.epoch,
        message.mode,
        message.expires_ms,
    )
    assert [("mock", "new")] == bench.meter.of("payment_registered")


async def test_the_sweeper_looks_after_all_waits_that_the_store_hears_nothing_of(
    bench: Bench,
) -> None:
    """A registration counts as forgotten after 3 + 10 + 30 + 180 + 180 s and the grace."""
    await bench.register.handle(initiated(), None)
    assert later(403 + 60) == bench.store.revive_at["p1"]


async def test_a_redelivery_changes_nothing_and_starts_the_watch_again(bench: Bench) -> None:
    """The first handler may have died between the commit and the first rung."""
    bench.journal.away = {"poll_after"}
    with pytest.raises(Unavailable):
        await bench.register.handle(initiated(), None)
    before = bench.payment()
    bench.journal.away = set()
    assert DONE == await bench.register.handle(initiated(), None)
    assert before == bench.payment()
    assert [0] == [message.step for _, message in bench.bus.polls]
    assert ["new", "same"] == [outcome for _, outcome in bench.meter.of("payment_registered")]


async def test_a_redelivery_joins_the_watch_of_a_revived_payment(bench: Bench) -> None:
    """The rung carries the epoch that counts now, else it would be dropped."""
    await bench.registered()
    bench.change("p1", epoch=2)
    await bench.register.handle(initiated(), None)
    assert [2] == [message.epoch for _, message in bench.bus.polls]


async def test_a_finished_payment_is_not_watched_again(bench: Bench) -> None:
    """A very late redelivery polls nobody."""
    await bench.registered()
    await bench.heard(success())
    assert DONE == await bench.register.handle(initiated(), None)
    assert [] == bench.bus.polls


async def test_another_content_under_the_same_id_is_parked(bench: Bench) -> None:
    """A conflict names what differs, and starts nothing."""
    await bench.registered()
    fate = await bench.register.handle(initiated(amount=101), None)
    assert isinstance(fate, Park)
    assert fate.reason.startswith("conflict: ")
    assert "amount" in fate.reason
    assert [] == bench.bus.polls
    assert 100 == bench.payment().amount


async def test_a_gateway_ref_of_another_payment_is_parked(bench: Bench) -> None:
    """A taken gateway_ref names its owner, and starts nothing."""
    await bench.registered(registration("p0", "o0", ref="ref-1"))
    fate = await bench.register.handle(initiated(gateway_ref="ref-1"), None)
    assert Park("ref-taken: gateway_ref ref-1 belongs to payment p0") == fate
    assert ([], False) == (bench.bus.polls, "p1" in bench.store.payments)


async def test_an_unknown_gateway_is_refused_with_the_known_ones(bench: Bench) -> None:
    """The error that the consumer parks with names the field and what is allowed."""
    with pytest.raises(InvalidField) as caught:
        await bench.register.handle(initiated(gateway="nowhere"), None)
    assert "gateway: 'nowhere' is not configured; allowed: mock" == str(caught.value)
    assert [] == bench.journal.calls


@pytest.mark.parametrize("status", [OrderStatus.PAID, OrderStatus.CANCELLED])
async def test_a_payment_of_a_finished_order_is_watched_and_closed(
    bench: Bench, status: OrderStatus
) -> None:
    """Its money may come all the same, so the watch starts; the close goes out at once."""
    await bench.registered(registration("p0"))
    if status is OrderStatus.PAID:
        await bench.heard(success("p0"))
    else:
        await bench.store.cancel("o1", NOW)
    assert DONE == await bench.register.handle(initiated(), None)
    assert PaymentStatus.PENDING is bench.payment().status
    assert [(3_000, "p1")] == [(wait, message.payment_id) for wait, message in bench.bus.polls]
    [(wait_ms, message)] = bench.bus.closes
    assert (0, "p1", f"order-{status.lower()}", 0) == (
        wait_ms,
        message.payment_id,
        message.reason,
        message.attempt,
    )


async def test_a_payment_of_an_open_order_is_not_closed(bench: Bench) -> None:
    """A failed sibling does not matter."""
    await bench.registered(registration("p0"))
    await bench.heard(word("p0", Outcome.FAILED))
    await bench.register.handle(initiated(), None)
    assert [] == bench.bus.closes


async def test_payments_that_come_together_are_written_together(bench: Bench) -> None:
    """Many messages, one transaction; each gets its own fate."""
    await bench.registered(registration("p0", "o0"))
    fates = await asyncio.gather(
        bench.register.handle(initiated(), None),
        bench.register.handle(initiated(payment_id="p2", order_id="o2"), None),
        bench.register.handle(initiated(payment_id="p0", order_id="o9"), None),
    )
    assert [True, True, False] == [fate == DONE for fate in fates]
    assert ["register"] == bench.journal.of("register")
    assert {"p1", "p2"} == {message.payment_id for _, message in bench.bus.polls}


async def test_an_absent_store_keeps_the_message_in_hand(bench: Bench) -> None:
    """Nothing is published for a payment that is not written down."""
    bench.journal.away = {"register"}
    with pytest.raises(Unavailable):
        await bench.register.handle(initiated(), None)
    assert [] == bench.bus.polls


async def test_the_older_of_two_pending_payments_is_closed(bench: Bench) -> None:
    """Both are watched: the older one may have been paid already."""
    await bench.register.handle(initiated(), None)
    await bench.register.handle(initiated(payment_id="p2"), None)
    assert [("p1", "superseded")] == [(one.payment_id, one.reason) for _, one in bench.bus.closes]
    assert ["p1", "p2"] == [one.payment_id for _, one in bench.bus.polls]
    assert ("superseded", None) == (bench.payment("p1").closing, bench.payment("p2").closing)


async def test_a_redelivery_asks_again_for_a_close_that_is_owed(bench: Bench) -> None:
    """The first handler may have died before it sent the close."""
    await bench.registered()
    bench.change("p1", closing="superseded")
    await bench.register.handle(initiated(), None)
    assert ["superseded"] == [one.reason for _, one in bench.bus.closes]


async def test_a_callback_that_came_first_is_taken_up(bench: Bench) -> None:
    """Once its payment is registered; nobody else's is."""
    bench.store.called_back.add("p1")
    await bench.register.handle(initiated(), None)
    await bench.register.handle(initiated(payment_id="p2", order_id="o2"), None)
    assert ["p1"] == bench.callbacks.taken


@pytest.mark.parametrize("more", [{"gateway_ref": "ref-1"}, {"expires_at": "2026-03-01T20:00:00Z"}])
async def test_a_repeat_that_fills_a_field_gives_the_watch_a_new_life(
    bench: Bench, more: dict[str, str]
) -> None:
    """The running chain carries the old terms; the new one carries the new ones."""
    first = {name: value for name, value in initiated().items() if name != "expires_at"}
    await bench.register.handle(first, None)
    await bench.register.handle({**first, **more}, None)
    [(_, old), (_, new)] = bench.bus.polls
    assert (0, 1, 0) == (old.epoch, new.epoch, new.step)
    assert (new.gateway_ref, new.expires_ms) != (old.gateway_ref, old.expires_ms)
    await bench.register.handle({**first, **more}, None)
    assert 1 == bench.bus.polls[-1][1].epoch
