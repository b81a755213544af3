"""A gateway that is too slow for its load holds up no other gateway's polls."""

import asyncio

from payonce.domain.report import GatewayReport, Outcome
from payonce.gateways.http import HttpGateway
from payonce.gateways.places import LONG_S, Places
from tests.gateways.rigs import CHARGE, Request, answer, asking, charge_json
from tests.support.waiting import eventually

BUSY = GatewayReport(Outcome.UNKNOWN, reason="busy", retry_after_s=LONG_S, spared=True)


class Hand:
    """Takes places and gives them back, at a time of its own."""

    def __init__(self, places: int) -> None:
        self.now_s = 0.0
        self.places = Places(places, lambda: self.now_s)

    async def take(self, count: int) -> None:
        """Take so many."""
        for _ in range(count):
            await self.places.__aenter__()

    async def give(self, count: int) -> None:
        """Give back so many."""
        for _ in range(count):
            await self.places.__aexit__()


async def test_a_burst_is_waited_for() -> None:
    """Only places that stay taken for a second are long full."""
    hand = Hand(4)
    await hand.take(4)
    assert not hand.places.long_full()
    hand.now_s = LONG_S - 0.01
    assert not hand.places.long_full()
    hand.now_s = LONG_S
    assert hand.places.long_full()


async def test_one_free_place_is_for_one_and_changes_nothing() -> None:
    """The next one finds them as full as before."""
    hand = Hand(4)
    await hand.take(4)
    assert not hand.places.long_full()
    hand.now_s = LONG_S
    await hand.give(1)
    assert not hand.places.long_full()
    await hand.take(1)
    assert hand.places.long_full()


async def test_many_free_places_end_it() -> None:
    """What comes then is waited for again."""
    hand = Hand(4)
    await hand.take(4)
    assert not hand.places.long_full()
    hand.now_s = LONG_S
    await hand.give(2)
    await hand.take(2)
    assert not hand.places.long_full()


async def test_a_query_is_put_off_where_all_places_are_long_taken() -> None:
    """It says so, and nothing was asked."""
    release = asyncio.Event()

    async def serve(_request: Request, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(answer(charge_json()))

    async with asking(serve, max_in_flight=2, timeout_s=10.0) as (gateway, server):
        assert isinstance(gateway, HttpGateway)
        asked = [asyncio.create_task(gateway.query(CHARGE)) for _ in range(3)]
        await eventually(lambda: len(server.requests) == 2)
        assert gateway._caller.long_full() is False
        await eventually(gateway._caller.long_full)
        assert BUSY == await gateway.query(CHARGE)
        release.set()
        reports = await asyncio.gather(*asked)
    assert [Outcome.SUCCEEDED] * 3 == [one.outcome for one in reports]
    assert 3 == len(server.requests)
