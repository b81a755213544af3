"""What is kept of orders is shown only while it is true."""

import asyncio
import json
from typing import Any

import pytest

from payonce.domain.errors import Unavailable
from payonce.edge import views as module
from payonce.edge.views import Views
from payonce.ports.states import Known
from tests.edge.pushing import CountingMeter, FakeStates
from tests.support.waiting import eventually


class Window:
    """Views on states in memory."""

    def __init__(self) -> None:
        self.states = FakeStates()
        self.meter = CountingMeter()
        self.views = Views(self.states, self.meter)

    async def show(self, order_id: str = "o1", *, for_shop: bool = False) -> dict[str, Any]:
        """Return an order as it is shown."""
        shown = await self.views.order(order_id, for_shop=for_shop)
        assert shown is not None
        view = json.loads(shown.body)
        assert shown.version == view["version"]
        return dict(view)


@pytest.fixture
async def window() -> Window:
    """A window before one order."""
    window = Window()
    window.states.put("o1")
    return window


async def test_an_order_that_is_the_same_is_not_read_again(window: Window) -> None:
    """PostgreSQL is asked whether it is."""
    assert await window.show() == await window.show()
    assert [[Known("o1")], [Known("o1", 1)]] == window.states.reads
    assert ["miss", "hit"] == window.meter.views


async def test_a_paid_order_never_looks_unpaid(window: Window) -> None:
    """Though nobody told of its change: no Redis, no message, another process."""
    assert "OPEN" == (await window.show())["status"]
    window.states.put("o1", "PAID")
    assert "PAID" == (await window.show())["status"]
    assert ["miss", "miss"] == window.meter.views


async def test_a_state_that_was_read_before_a_change_replaces_nothing(window: Window) -> None:
    """It was read, the order was paid and shown as paid, then the answer of the first came."""
    window.states.gate.clear()
    late = asyncio.create_task(window.show())
    await eventually(lambda: window.states.reads)
    window.states.put("o1", "PAID")
    own_gate, window.states.gate = window.states.gate, asyncio.Event()
    window.states.gate.set()
    assert "PAID" == (await window.show())["status"]
    own_gate.set()
    assert "OPEN" == (await late)["status"]
    assert "PAID" == (await window.show())["status"]
    assert "hit" == window.meter.views[-1]


async def test_what_the_shop_is_shown_is_read_each_time(window: Window) -> None:
    """The timeline and the watch go on without the version."""
    for _ in range(2):
        view = await window.show(for_shop=True)
        assert ("timeline" in view, 1) == (True, view["payments"][0]["epoch"])
    assert [[Known("o1")], [Known("o1")]] == window.states.reads
    shopper = await window.show()
    assert ("timeline" in shopper, "epoch" in shopper["payments"][0]) == (False, False)


async def test_many_who_ask_at_once_are_one_statement(window: Window) -> None:
    """For the same order or others; what there is not is none."""
    window.states.put("o2")
    wanted = ["o1", "o2", "o1", "o0"] * 20
    shown = await asyncio.gather(*(window.views.order(one, for_shop=False) for one in wanted))
    assert 1 == len(window.states.reads)
    assert {"o0"} == {key for key, one in zip(wanted, shown, strict=True) if one is None}
    payments = await asyncio.gather(*(window.views.payment(f"p-{one}") for one in wanted[:4]))
    assert [True, True, True, False] == [one is not None for one in payments]


async def test_what_is_kept_is_bounded(window: Window, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many orders, the latest ones, and none that is large."""
    monkeypatch.setattr(module, "MOST_KEPT", 3)
    window.states.put("large", filling="x" * module.LARGEST_KEPT_BYTES)
    for n in range(5):
        window.states.put(f"n{n}")
    for order_id in ("large", *(f"n{n}" for n in range(5))):
        await window.show(order_id)
    assert ["n2", "n3", "n4"] == list(window.views._kept)


async def test_an_order_that_has_grown_large_is_not_kept_as_it_was(window: Window) -> None:
    """Its small state is forgotten."""
    await window.show()
    window.states.put("o1", filling="x" * module.LARGEST_KEPT_BYTES)
    await window.show()
    assert {} == window.views._kept


async def test_a_database_that_is_away_is_told(window: Window) -> None:
    """What is kept may not be true any more: it is not shown."""
    await window.show()
    window.states.away = True
    with pytest.raises(Unavailable):
        await window.show()
