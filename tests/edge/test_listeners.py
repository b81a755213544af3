"""Who listens is told of the latest state, once, and of what was missed."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest
from structlog.testing import capture_logs

from payonce.adapters.memory.changes import MemoryChanges
from payonce.domain.errors import Unavailable
from payonce.edge import listeners as module
from payonce.edge.listeners import Listener, Listeners
from payonce.edge.problems import Refused
from payonce.edge.views import Views
from tests.edge.pushing import CountingMeter, FakeStates
from tests.handlers.fakes import FakeClock
from tests.support.waiting import eventually

WITHIN_S = 2.0


class Caller:
    """A client that hangs up when it is told to."""

    def __init__(self) -> None:
        self.gone = False

    def is_gone(self) -> bool:
        """See the port."""
        return self.gone

    def has_taken_all(self) -> bool:
        """See the port."""
        return True

    def hang_up(self) -> None:
        """See the port."""
        self.gone = True


class House:
    """Listeners on states in memory."""

    def __init__(self, stack: ExitStack) -> None:
        self.states = FakeStates()
        self.meter = CountingMeter()
        self.clock = FakeClock()
        self.changes = MemoryChanges()
        views = Views(self.states, self.meter)
        self.listeners = Listeners(views, self.changes, self.clock, self.meter)
        self._stack = stack

    async def join(
        self, order_id: str = "o1", *, for_shop: bool = False, last_sent: int | None = None
    ) -> Listener:
        """Let somebody listen to an order from where it stands."""
        joined = self.listeners.joined(order_id, Caller(), for_shop=for_shop)
        listener = self._stack.enter_context(joined)
        assert await self.listeners.begin(listener, last_sent)
        return listener

    def change(self, order_id: str = "o1", status: str = "OPEN") -> int:
        """Commit a change and tell of it."""
        version = self.states.put(order_id, status)
        self.changes.spread({order_id: version})
        return version


@pytest.fixture
async def house() -> AsyncIterator[House]:
    """A house with one order."""
    with ExitStack() as stack:
        house = House(stack)
        house.states.put("o1")
        yield house


async def taken(listener: Listener) -> int:
    """Return the version that a listener is told of next."""
    assert await listener.wait(WITHIN_S)
    shown = listener.take()
    assert shown is not None
    assert shown.version == json.loads(shown.body)["version"]
    return shown.version


async def test_a_change_is_read_once_for_all_listeners(house: House) -> None:
    """Fifty tabs are one statement."""
    crowd = [await house.join() for _ in range(50)]
    assert [1] * 50 == [await taken(one) for one in crowd]
    house.states.reads.clear()
    house.change()
    assert [2] * 50 == [await taken(one) for one in crowd]
    assert 1 == len(house.states.reads)
    assert [None] * 50 == [one.take() for one in crowd]


async def test_changes_of_many_orders_are_read_together(house: House) -> None:
    """One statement for all that one message told of."""
    orders = [f"n{n}" for n in range(30)]
    for order_id in orders:
        house.states.put(order_id)
    crowd = [await house.join(order_id) for order_id in orders]
    for one in crowd:
        await taken(one)
    house.states.reads.clear()
    house.changes.spread({order_id: house.states.put(order_id) for order_id in orders})
    assert [2] * 30 == [await taken(one) for one in crowd]
    assert 1 == len(house.states.reads)


async def test_who_is_slow_is_told_of_the_latest_state_alone(house: House) -> None:
    """Nothing piles up."""
    slow = await house.join()
    await taken(slow)
    for _ in range(20):
        house.change()
    await eventually(lambda: house.listeners._topics["o1"].shown[False].version == 21)
    assert 21 == await taken(slow)
    assert slow.take() is None


async def test_an_old_change_is_no_news(house: House) -> None:
    """It was overtaken, or is told a second time."""
    one = await house.join()
    await taken(one)
    house.change()
    assert 2 == await taken(one)
    house.states.reads.clear()
    for version in (0, 1, 2):
        house.changes.spread({"o1": version, "o2": 7})
    assert not await one.wait(0)
    assert [] == house.states.reads


async def test_who_has_the_state_already_waits_for_the_next(house: House) -> None:
    """Or says that he has a later one, which there is not."""
    for last_sent in (1, 9):
        one = await house.join(last_sent=last_sent)
        assert one.take() is None
    behind = await house.join(last_sent=0)
    assert 1 == await taken(behind)
    house.change()
    assert 2 == await taken(one)


async def test_a_change_while_somebody_joins_is_not_missed(house: House) -> None:
    """It was committed after the state was read, and told before that arrived."""
    house.states.gate.clear()
    joining = asyncio.create_task(house.join())
    await eventually(lambda: house.states.reads)
    house.change()
    house.states.gate.set()
    one = await joining
    await eventually(lambda: house.listeners._topics["o1"].shown[False].version == 2)
    assert 2 == await taken(one)


async def test_the_shop_and_the_shopper_are_each_shown_their_own(house: House) -> None:
    """From one change."""
    shop, shopper = await house.join(for_shop=True), await house.join()
    house.change()
    await eventually(lambda: all(one.take() for one in (shop, shopper)) or None, WITHIN_S)
    shown = house.listeners._topics["o1"].shown
    assert ["timeline" in json.loads(shown[kind].body) for kind in (True, False)] == [True, False]


async def test_a_database_that_is_away_is_asked_again(house: House) -> None:
    """The stream goes on, and the change comes later."""
    one = await house.join()
    await taken(one)
    house.states.away = True
    house.change()
    await eventually(lambda: house.clock.slept_s == [module.READ_AGAIN_S])
    assert not await one.wait(0)
    house.states.away = False
    house.clock.move(module.READ_AGAIN_S)
    assert 2 == await taken(one)


@pytest.mark.parametrize("for_shop", [False, True])
async def test_a_reading_that_fails_is_logged_and_tried_again(
    house: House,
    for_shop: bool,
) -> None:
    """Whatever went wrong: the next look at all versions heals the stream."""
    crowd = [await house.join(for_shop=for_shop), await house.join(for_shop=not for_shop)]
    for one in crowd:
        await taken(one)
    house.states.broken = True
    with capture_logs() as lines:
        house.change()
        await eventually(lambda: house.listeners._topics["o1"].reading is None)
    assert ["push.failed"] == [one["event"] for one in lines]
    house.states.broken = False
    for _ in range(module.LOOK_EACH + 1):
        await house.listeners.run_once()
    assert [2, 2] == [await taken(one) for one in crowd]


async def test_a_change_that_is_none_is_asked_about_once(house: House) -> None:
    """PostgreSQL says where the order stands; what comes then is told as ever."""
    one = await house.join()
    await taken(one)
    house.states.reads.clear()
    house.changes.spread({"o1": 1_000})
    await eventually(lambda: house.listeners._topics["o1"].reading is None)
    assert 1 == len(house.states.reads)
    house.change()
    assert 2 == await taken(one)


async def test_changes_that_are_not_heard_are_found_each_second(house: House) -> None:
    """As many orders as there are, in one statement each thousand; and they are counted."""
    one = await house.join()
    await taken(one)
    house.changes.is_away = True
    for turn in (1, 2):
        await house.listeners.run_once()
        assert turn == house.states.looks
    assert 0 == house.meter.healed
    house.states.put("o1", "PAID")
    await house.listeners.run_once()
    assert (2, 1) == (await taken(one), house.meter.healed)


async def test_a_look_now_and_then_finds_what_was_lost(house: House) -> None:
    """Though all seems well: each tenth turn, and the first one after changes were not heard."""
    one = await house.join()
    await taken(one)
    await house.listeners.run_once()
    assert 1 == house.states.looks
    house.states.put("o1")
    for _ in range(module.LOOK_EACH):
        assert 1 == house.states.looks
        await house.listeners.run_once()
    assert (2, 2) == (house.states.looks, await taken(one))
    house.changes.is_away = True
    await house.listeners.run_once()
    house.changes.is_away = False
    await house.listeners.run_once()
    await house.listeners.run_once()
    assert 4 == house.states.looks


async def test_what_was_lost_between_two_turns_is_looked_for_at_the_next_one(house: House) -> None:
    """A connection that broke and is there again may have missed something all the same."""
    one = await house.join()
    await taken(one)
    for _ in range(2):
        await house.listeners.run_once()
    house.changes.is_away = True
    house.states.put("o1", "PAID")
    house.changes.is_away = False
    await house.listeners.run_once()
    assert (2, 1) == (await taken(one), house.meter.healed)
    looks = house.states.looks
    await house.listeners.run_once()
    assert looks == house.states.looks


async def test_a_look_that_fails_is_made_up_for(house: House) -> None:
    """The next turn looks, and not one of ten turns later."""
    one = await house.join()
    await taken(one)
    house.states.away = True
    for _ in range(3):
        with pytest.raises(Unavailable):
            await house.listeners.run_once()
    house.states.away = False
    house.states.put("o1")
    await house.listeners.run_once()
    assert 2 == await taken(one)


async def test_there_are_so_many_listeners_and_no_more(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of one order, and of the process; who leaves makes room, and takes his order with him."""
    monkeypatch.setattr(module, "MOST_OF_ORDER", 2)
    monkeypatch.setattr(module, "MOST_LISTENERS", 3)
    house.states.put("o2")
    house.states.put("o3")
    with house.listeners.joined("o2", Caller(), for_shop=False):
        for order_id in ("o1", "o1"):
            await house.join(order_id)
        for order_id in ("o1", "o3"):
            with pytest.raises(Refused) as refused:
                await house.join(order_id)
            assert (503, "too-many-listeners") == (refused.value.status, refused.value.name)
    assert {"o1"} == house.listeners._topics.keys()
    await house.join("o3")


async def test_who_has_hung_up_is_noticed(house: House) -> None:
    """Within a turn, before anything is sent to him."""
    one = await house.join()
    await taken(one)
    await house.listeners.run_once()
    assert not one.is_over
    one.client.hang_up()
    await house.listeners.run_once()
    assert await one.wait(0)
    assert one.is_over


async def test_the_end_is_told_to_all(house: House) -> None:
    """It returns once they have gone."""
    with house.listeners.joined("o1", Caller(), for_shop=False) as one:
        waiting = asyncio.create_task(one.wait(60))
        ending = asyncio.create_task(house.listeners.drain())
        assert await waiting
        assert (True, False) == (one.is_over, ending.done())
    await ending
    assert house.listeners.is_ending


async def test_who_does_not_end_is_cut_off(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """The end of the process waits for nobody who does not read."""
    monkeypatch.setattr(module, "END_WITHIN_S", 0.01)
    one = await house.join()
    await house.listeners.drain()
    assert one.client.is_gone()
