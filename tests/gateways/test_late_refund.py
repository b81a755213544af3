"""A refund that was decided too long ago when its turn comes is not sent."""

import asyncio
from dataclasses import replace

import pytest

from payonce.domain.errors import GatewayRetryable
from tests.gateways.rigs import CHARGE, NEW_REFUND, Request, answer, asking, charge_json
from tests.support.waiting import eventually


async def test_a_refund_that_aged_in_the_queue_is_not_sent() -> None:
    """It is asked for again later, after a query."""
    release, fresh = asyncio.Event(), [True]

    async def serve(_request: Request, writer: asyncio.StreamWriter) -> None:
        await release.wait()
        writer.write(answer(charge_json()))

    async with asking(serve, max_in_flight=1, timeout_s=10.0) as (gateway, server):
        query = asyncio.create_task(gateway.query(CHARGE))
        await eventually(lambda: len(server.requests) == 1)
        order = replace(NEW_REFUND, may_leave=lambda: fresh[0])
        refund = asyncio.create_task(gateway.refund(order))
        fresh[0] = False
        release.set()
        await query
        with pytest.raises(GatewayRetryable, match="decided too long ago"):
            await refund
    assert 1 == len(server.requests)
