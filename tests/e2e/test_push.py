"""An order's listeners know at once, whichever process makes the change."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import aiohttp
import pytest
import redis.asyncio as aioredis

from gateway_mock.shopper import parse_script
from tests.support.servers import Servers
from tests.support.shop import API_TOKEN, Shop, open_shop
from tests.support.sse import Stream, StreamEnded, open_stream
from tests.support.town import Town, Worker
from tests.support.waiting import eventually

OTHERS = ("--only", "consumer,relay,sweeper")
SOON_S = 5.0
"""Within this a push is there; what was lost is found after 9 s at the soonest."""


@dataclass
class Counter:
    """An edge that takes applications and pushes, beside a process that does all the rest."""

    town: Town
    edge: Worker
    shop: Shop

    def url(self, order_id: str = "o-1", kind: str = "events") -> str:
        """Return the address of an order's stream."""
        return f"http://127.0.0.1:{self.edge.port}/v1/orders/{order_id}/{kind}"

    async def applied(self, order_id: str = "o-1") -> tuple[str, str]:
        """Apply for a payment that nobody pays yet; return its id and the order's token."""
        self.town.mock.scripts[order_id] = parse_script({"callbacks": "lost"})
        answer = await self.shop.apply(order_id)
        assert answer.status == 201, answer.text
        return answer.body["payment_id"], answer.body["order_token"]

    def pay(self, payment_id: str) -> None:
        """Have a charge paid; the next poll finds it."""
        charge = self.town.mock.books.charges[payment_id]
        elapsed_s = self.town.mock.clock() - charge.created_at
        charge.script = replace(charge.script, pays_after_s=elapsed_s)

    async def paid(self, payment_id: str) -> None:
        """Have a charge paid and wait until its order is."""
        self.pay(payment_id)
        sql = "SELECT settled_by FROM orders WHERE settled_by = $1"
        await eventually(lambda: self.town.rows(sql, payment_id))

    async def acknowledge(self, order_id: str, payment_id: str) -> None:
        """Say that the order service has booked a payment."""
        data = {"order_id": order_id, "payment_id": payment_id}
        await self.town.publish("order.acknowledged", [data])


@asynccontextmanager
async def opened(town: Town, *, ready: bool = True) -> AsyncIterator[Counter]:
    """Give a counter whose two processes run."""
    edge = town.worker("--only", "edge", PAYONCE_HTTP__API_TOKEN=API_TOKEN)
    other = town.worker(*OTHERS)
    await asyncio.gather(edge.start(ready=ready), other.start(ready=False))
    async with open_shop(edge) as [shop]:
        yield Counter(town, edge, shop)


@pytest.fixture
async def counter(town: Town) -> AsyncIterator[Counter]:
    """Two processes on whole servers."""
    async with opened(town) as counter:
        yield counter


def states(stream_data: dict[str, Any]) -> list[str]:
    """Return how the payments of an order stand."""
    return [one["status"] for one in stream_data["payments"]]


async def until(stream: Stream, wanted: str) -> dict[str, Any]:
    """Return the first state in which the order stands so."""
    while True:
        pushed = await stream.next(30)
        if pushed.data["status"] == wanted:
            return pushed.data


async def test_a_settlement_in_one_process_is_pushed_by_another(counter: Counter) -> None:
    """The state now, then each later one, as the same caller is shown it by a GET."""
    payment_id, token = await counter.applied()
    async with open_stream(counter.url(), token) as stream:
        assert 200 == stream.status
        assert "text/event-stream" == stream.headers["Content-Type"]
        assert ("no-store", "no") == (
            stream.headers["Cache-Control"],
            stream.headers["X-Accel-Buffering"],
        )
        first = await stream.next()
        assert ("order", "OPEN", ["PENDING"]) == (
            first.event,
            first.data["status"],
            states(first.data),
        )
        assert (str(first.data["version"]), 2_000) == (first.id, stream.retry_ms)
        await counter.paid(payment_id)
        second = await stream.next(SOON_S)
        assert ("PAID", payment_id) == (second.data["status"], second.data["settled_by"])
        assert int(second.id) > int(first.id)
        assert (await counter.shop.order("o-1", token)).body == second.data
        await counter.acknowledge("o-1", payment_id)
        assert (await stream.next()).data["acknowledged"]
    assert "timeline" not in second.data
    assert "epoch" not in second.data["payments"][0]


async def test_the_shop_is_pushed_what_the_shop_is_shown(counter: Counter) -> None:
    """With the timeline, and how the watch goes."""
    await counter.applied()
    async with open_stream(counter.url(), API_TOKEN) as stream:
        first = await stream.next()
        assert {"timeline", "version"} <= first.data.keys()
        assert "epoch" in first.data["payments"][0]
        await counter.town.publish("order.cancelled", [{"order_id": "o-1"}])
        assert "CANCELLED" == (await until(stream, "CANCELLED"))["status"]


async def test_what_an_operator_does_by_command_is_pushed(counter: Counter) -> None:
    """No worker has to do with it."""
    payment_id, token = await counter.applied()
    counter.town.mock.books.charges[payment_id].script = parse_script(
        {"pays_after_s": 0, "reports_amount": 1, "callbacks": "lost"}
    )
    async with open_stream(counter.url(), token) as stream:
        while (await stream.next(30)).data["payments"][0]["mismatched"] != "amount":
            pass
        order = ("resolve", payment_id, "--as", "kept", "--by", "ann", "--why", "a gift")
        async with hearing(counter.town, "o-1") as told:
            assert 0 == (await counter.town.payonce(*order))[0]
            await eventually(told)
        pushed = await stream.next(30)
        assert "kept" == pushed.data["payments"][0]["resolved_as"]


@asynccontextmanager
async def hearing(town: Town, order_id: str) -> AsyncIterator[Callable[[], Awaitable[bool]]]:
    """Give what says whether a change of this order was told of from now on."""
    async with (
        aioredis.from_url(town.env["PAYONCE_REDIS_URL"]) as client,
        client.pubsub() as channel,
    ):
        await channel.psubscribe("payonce:*:changes")

        async def told() -> bool:
            heard = await channel.get_message(ignore_subscribe_messages=True)
            return heard is not None and f'"{order_id}"'.encode() in heard["data"]

        yield told


async def test_without_redis_it_is_pushed_all_the_same(counter: Counter, mortal: Servers) -> None:
    """The versions of what is listened to are read every second then; and it is counted."""
    payment_id, token = await counter.applied()
    async with open_stream(counter.url(), token) as stream:
        await stream.next()
        await asyncio.to_thread(mortal.redis.kill)
        await counter.paid(payment_id)
        assert "PAID" == (await stream.next(SOON_S)).data["status"]
        healed = "payonce_pushes_healed_total 1.0"
        await eventually(lambda: _has(counter.shop, healed))


async def test_a_push_that_was_lost_heals(counter: Counter, mortal: Servers) -> None:
    """A change that no process told of, such as one whose commit's outcome nobody knew."""
    _, token = await counter.applied()
    async with open_stream(counter.url(), token) as stream:
        first = await stream.next()
        await counter.town.rows("UPDATE orders SET version = version + 1")
        healed = await stream.next(30)
    assert int(healed.id) == int(first.id) + 1


async def test_who_resumes_misses_nothing_and_is_sent_nothing_twice(counter: Counter) -> None:
    """By Last-Event-ID; without it, or behind, the state now comes first."""
    payment_id, token = await counter.applied()
    async with open_stream(counter.url(), token) as stream:
        first = await stream.next()
    async with open_stream(counter.url(), token, last_id=first.id) as stream:
        await counter.paid(payment_id)
        second = await stream.next()
        assert ("PAID", True) == (second.data["status"], int(second.id) > int(first.id))
    await counter.acknowledge("o-1", payment_id)
    await eventually(counter.town.acknowledged)
    async with open_stream(counter.url(), token, last_id=second.id) as stream:
        third = await stream.next()
        assert third.data["acknowledged"]
    for unknown in ("0", "x", "-1", "99999999999999999999", "²"):
        async with open_stream(counter.url(), token, last_id=unknown) as stream:
            assert third == await stream.next()


async def test_a_stream_is_opened_by_its_orders_token_alone(counter: Counter) -> None:
    """A wrong one is refused before a stream begins, known order or not; the shop is told 404."""
    _, token = await counter.applied("o-1")
    _, foreign = await counter.applied("o-2")
    for wrong in (None, "", foreign, token[:-1], token + "x"):
        for order_id in ("o-1", "o-none"):
            for kind in ("events", "ws"):
                async with open_stream(counter.url(order_id, kind), wrong) as stream:
                    assert (401, "unauthorized") == (stream.status, await stream.problem())
    async with open_stream(counter.url("o-none"), API_TOKEN) as stream:
        assert (404, "not-found") == (stream.status, await stream.problem())
    async with open_stream(f"{counter.url()}?token={token}") as stream:
        assert "OPEN" == (await stream.next()).data["status"]
    async with open_stream(f"{counter.url()}?token={API_TOKEN}") as stream:
        assert 401 == stream.status


async def test_an_order_has_so_many_listeners_and_no_more(counter: Counter) -> None:
    """Whoever comes later is told to ask now and then; who leaves makes room."""
    _, token = await counter.applied()
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        headers = {"Authorization": f"Bearer {token}"}
        answers = [await session.get(counter.url(), headers=headers) for _ in range(101)]
        assert [200] * 100 + [503] == [one.status for one in answers]
        assert "Retry-After" in answers[-1].headers
        answers[0].close()

        async def has_room() -> bool:
            async with open_stream(counter.url(), token) as stream:
                return stream.status == 200

        await eventually(has_room)
        for one in answers:
            one.close()


async def test_the_end_of_a_process_ends_its_streams_at_once(counter: Counter) -> None:
    """By a clean end, so that clients come again, somewhere else; nothing idle is waited for."""
    _, token = await counter.applied()
    async with (
        open_stream(counter.url(), token) as stream,
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{counter.url(kind='ws')}?token={token}") as socket,
    ):
        await stream.next()
        await socket.receive_json(timeout=5)
        ending = asyncio.create_task(counter.edge.end(signal.SIGTERM))
        _, closed = await asyncio.gather(stream.end(10), socket.receive(timeout=10))
        assert aiohttp.WSMsgType.CLOSE == closed.type
        assert 1001 == socket.close_code
        assert 0 == await asyncio.wait_for(ending, 20)


async def test_a_lost_process_is_made_up_for(counter: Counter) -> None:
    """The stream breaks, the client goes on at another edge from where it was."""
    payment_id, token = await counter.applied()
    async with open_stream(counter.url(), token) as stream:
        first = await stream.next()
        await counter.edge.end(signal.SIGKILL)
        with pytest.raises(StreamEnded):
            await stream.next()
    await counter.paid(payment_id)
    counter.edge = counter.town.worker("--only", "edge")
    await counter.edge.start()
    async with open_stream(counter.url(), token, last_id=first.id) as stream:
        assert "PAID" == (await stream.next()).data["status"]


async def test_a_websocket_is_sent_the_same(counter: Counter) -> None:
    """An order in JSON per message; what the client says is ignored, and must be short."""
    payment_id, token = await counter.applied()
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(f"{counter.url(kind='ws')}?token={token}") as socket,
    ):
        assert "OPEN" == (await socket.receive_json(timeout=5))["status"]
        await socket.send_str('{"status": "PAID"}')
        await socket.ping()
        await counter.paid(payment_id)
        order = json.loads((await socket.receive(timeout=5)).data)
        assert (await counter.shop.order("o-1", token)).body == order
        assert ("PAID", payment_id) == (order["status"], order["settled_by"])
        await socket.send_str("x" * 5_000)
        assert aiohttp.WSMsgType.CLOSE == (await socket.receive(timeout=5)).type
        assert 1009 == socket.close_code
    async with open_stream(counter.url(kind="ws"), token) as stream:
        assert 400 == stream.status


async def test_postgres_that_is_away_ends_no_stream(counter: Counter, mortal: Servers) -> None:
    """What was changed meanwhile, or just before, comes when it is back."""
    payment_id, token = await counter.applied()
    async with open_stream(counter.url(), token) as stream:
        await stream.next()
        await asyncio.to_thread(mortal.postgres.kill)
        counter.pay(payment_id)
        await asyncio.to_thread(mortal.postgres.start)
        assert "PAID" == (await until(stream, "PAID"))["status"]


async def test_listeners_and_pushes_are_counted(counter: Counter) -> None:
    """And a client that hangs up is noticed within moments."""
    _, token = await counter.applied()
    listening = 'payonce_listeners{transport="sse"} '
    async with open_stream(counter.url(), token) as stream:
        await stream.next()
        assert await eventually(lambda: _has(counter.shop, listening + "1.0"))
        assert await eventually(lambda: _has(counter.shop, "payonce_pushes_total 1.0"))
    assert await eventually(lambda: _has(counter.shop, listening + "0.0"))


async def _has(shop: Shop, line: str) -> bool:
    return line in (await shop.metrics()).splitlines()
