"""payonce parked --unrouted: what came due for nobody is found, and sent where it belongs."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from payonce.adapters.rabbitmq.declare import declare
from payonce.adapters.rabbitmq.topology import UNROUTED, payonce_topology, service_topology
from tests.cli.conftest import Ended, Payonce
from tests.support.depths import ready_messages
from tests.support.servers import Servers
from tests.support.waiting import eventually

Parked = Callable[..., Ended]


@pytest.fixture
def parked(payonce: Payonce, amqp_url: str) -> Parked:
    """A way to call `parked ... --unrouted` on a virtual host of the test's own."""
    asyncio.run(declare(amqp_url, payonce_topology({})))
    return lambda *arguments: payonce("parked", *arguments, "--unrouted", PAYONCE_AMQP_URL=amqp_url)


@pytest.fixture
def come_due(servers: Servers, amqp_url: str) -> Callable[[str, str], None]:
    """A way to let a message come due under a routing key."""
    path = f"/api/exchanges/{amqp_url.rpartition('/')[2]}/payonce.due/publish"

    def publish(routing_key: str, message_id: str) -> None:
        properties: dict[str, Any] = {"message_id": message_id, "headers": {"x-attempt": 2}}
        message = {"properties": properties, "payload": "{}", "payload_encoding": "string"}
        servers.rabbitmq.api("POST", path, {**message, "routing_key": routing_key})

    return publish


def wait_for(amqp_url: str, count: int) -> None:
    """Return once so many messages lie there for whoever looks; given back, they take a moment."""

    async def all_there() -> bool:
        return await ready_messages(amqp_url, UNROUTED) == count

    asyncio.run(eventually(all_there))


def listed(ended: Ended) -> list[dict[str, Any]]:
    """Return the rows of a list."""
    return [json.loads(line) for line in ended.out.splitlines()]


def test_nothing_is_unrouted(parked: Parked) -> None:
    """An empty list says so."""
    assert (0, "nothing is unrouted\n") == (parked("list").status, parked("list").out)


def test_unrouted_message_names_the_queue_that_it_missed(
    parked: Parked, come_due: Callable[[str, str], None], amqp_url: str
) -> None:
    """The list shows where it should have come to; what is no queue of ours shows none."""
    come_due("1000.svc-shop", "m-1")
    come_due("0.nobody", "m-2")
    wait_for(amqp_url, 2)

    assert [
        ("m-1", "shop.payment-succeeded", "no queue is bound for 1000.svc-shop", "{}"),
        ("m-2", None, "no queue is bound for 0.nobody", "{}"),
    ] == [
        (one["message_id"], one["from"], one["reason"], one["body"])
        for one in listed(parked("list", "--json"))
    ]


def test_a_list_goes_on_where_the_page_before_ended(
    parked: Parked, come_due: Callable[[str, str], None], amqp_url: str
) -> None:
    """The cursor is told beside the list; the last page tells none, and a bad one is refused."""
    come_due("0.nobody", "m-1")
    come_due("0.nobody", "m-2")
    wait_for(amqp_url, 2)
    first = parked("list", "--json", "--limit", "1")
    assert (["m-1"], "more: --cursor 1\n") == ([listed(first)[0]["message_id"]], first.err)

    wait_for(amqp_url, 2)
    rest = parked("list", "--json", "--limit", "1", "--cursor", "1")
    assert (["m-2"], "") == ([listed(rest)[0]["message_id"]], rest.err)
    bad = parked("list", "--cursor", "x")
    assert 2 == bad.status
    assert bad.err.startswith("payonce: cursor: is not one of ours")


def test_unrouted_message_is_sent_once_its_queue_is_there(
    parked: Parked, come_due: Callable[[str, str], None], amqp_url: str
) -> None:
    """Until then replay leaves it where it is, and says why."""
    come_due("1000.svc-shop", "m-1")
    wait_for(amqp_url, 1)
    ended = parked("replay", "m-1")
    assert (1, "replayed 0\n") == (ended.status, ended.out)
    assert "left m-1: there is no queue shop.payment-succeeded\n" == ended.err

    asyncio.run(declare(amqp_url, service_topology("shop", [1_000])))
    wait_for(amqp_url, 1)
    ended = parked("replay", "--all")
    assert (0, "replayed 1\n", "") == (ended.status, ended.out, ended.err)
    wait_for(amqp_url, 0)
    assert 1 == asyncio.run(ready_messages(amqp_url, "shop.payment-succeeded"))
    assert [] == listed(parked("list", "--json"))
