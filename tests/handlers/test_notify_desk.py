"""An operator has unacknowledged orders told again: named, recorded, and answered clearly."""

import pytest

from payonce.domain.errors import Conflict, InvalidField, UnknownId
from payonce.domain.ladder import Ladder
from payonce.domain.messages import OrderAcknowledged
from payonce.handlers import notify_desk
from payonce.handlers.notify_desk import NotifyDesk
from payonce.reteller import Reteller
from tests.handlers.bench import Bench
from tests.store.making import registration, success


def desk(bench: Bench) -> NotifyDesk:
    """Return the desk of one worker."""
    return NotifyDesk(bench.store, bench.clock)


async def paid(bench: Bench, count: int) -> None:
    """Settle so many orders."""
    names = range(count)
    await bench.registered(*(registration(f"p{n}", f"o{n}") for n in names))
    for n in names:
        await bench.heard(success(f"p{n}"))
    bench.clock.move(10)


async def test_one_order_is_told_at_the_reteller_s_next_look(bench: Bench) -> None:
    """Long before its ladder says so; the wish stands in the timeline with its operator."""
    await paid(bench, 2)
    await desk(bench).notify("o1", "ann")
    await Reteller(bench.store, Ladder((240_000,)), bench.clock, bench.meter).run_once()
    assert [(1,)] == bench.meter.of("orders_retold")
    entry = bench.store.entries[-1]
    assert ("o1", "order.notify_asked", {"by": "ann"}) == (entry.order_id, entry.kind, entry.detail)


async def test_all_are_told_in_steps(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many they are; a second wish finds none that is not due."""
    monkeypatch.setattr(notify_desk, "STEP", 2)
    await paid(bench, 5)
    assert [5, 0] == [await desk(bench).notify_all("ann"), await desk(bench).notify_all("ann")]


async def test_what_cannot_be_told_says_why(bench: Bench) -> None:
    """An order that is booked, one that is not paid, one that nobody knows."""
    await paid(bench, 1)
    await bench.store.acknowledge([OrderAcknowledged("o0", "p0")], bench.clock.now())
    await bench.registered(registration("p7", "o7"))
    with pytest.raises(Conflict, match="has booked o0") as booked:
        await desk(bench).notify("o0", "ann")
    with pytest.raises(Conflict, match="o7 is not paid") as unpaid:
        await desk(bench).notify("o7", "ann")
    with pytest.raises(UnknownId, match="no order o9"):
        await desk(bench).notify("o9", "ann")
    assert ("order-acknowledged", "order-not-paid") == (booked.value.rule, unpaid.value.rule)


@pytest.mark.parametrize(
    ("order_id", "by", "field"), [("o 1", "ann", "order_id"), ("o1", "", "by")]
)
async def test_bad_words_are_named(bench: Bench, order_id: str, by: str, field: str) -> None:
    """And change nothing."""
    with pytest.raises(InvalidField) as caught:
        await desk(bench).notify(order_id, by)
    assert field == caught.value.field
