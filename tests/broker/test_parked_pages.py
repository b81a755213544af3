"""Pages of parked messages: each says whether there is another one behind it."""

import asyncio

import pytest

from payonce.adapters.rabbitmq.topology import PARKED
from payonce.bootstrap import ParkedQueue
from payonce.edge.ops import MOST_LISTED
from tests.broker.rigs import RabbitRig
from tests.support.waiting import eventually


@pytest.mark.parametrize("limit", [100, MOST_LISTED])
async def test_a_full_page_tells_of_the_next_one(rabbit: RabbitRig, limit: int) -> None:
    """However long the page is that was asked for: nobody takes the rest for not there."""
    sending = (rabbit.send(PARKED, "payonce.initiated", b"{}") for _ in range(limit + 1))
    await asyncio.gather(*sending)

    async def parked() -> bool:
        return await rabbit.ready(PARKED) == limit + 1

    await eventually(parked)
    queue = ParkedQueue(rabbit.url)
    first = await queue.page(limit, None)
    assert (limit, str(limit)) == (len(first.items), first.cursor)
    await eventually(parked)
    last = await queue.page(limit, first.cursor)
    assert (1, None) == (len(last.items), last.cursor)
