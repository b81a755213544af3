"""What strangers see: the bus by a foreign client, bad input, commands."""

import asyncio
import json
import signal
from collections.abc import Callable
from typing import Any

import pika
import pytest

from payonce.ports.bus import WorkQueue
from tests.support.documents import check_event
from tests.support.town import Town, payments
from tests.support.waiting import eventually


async def test_foreign_client_pays_and_is_told(town: Town) -> None:
    """A client of another make publishes, consumes and acknowledges through the contract alone."""
    paid = payments(3)
    town.open_charges(paid, pays_after_s=0.1)
    await town.worker().start()

    events = await asyncio.to_thread(_shop_with_pika, town.amqp_url, paid)

    assert sorted(event["data"]["payment_id"] for event in events) == ["p-0", "p-1", "p-2"]
    event = events[0]
    assert event["specversion"] == "1.0"
    assert event["source"] == "/payonce"
    assert event["type"] == "payment.succeeded"
    assert event["subject"] == event["data"]["order_id"]
    assert event["traceparent"] == _TRACE
    assert {"amount", "currency", "gateway_ref", "paid_at", "settled_at"} <= set(event["data"])
    assert (event["data"]["source"], event["data"]["order_version"]) == ("poll", 1)
    await eventually(lambda: _is(town.acknowledged, 3))


_TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def _shop_with_pika(url: str, paid: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Publish CloudEvents, collect as many events, acknowledge each."""
    connection = pika.BlockingConnection(pika.URLParameters(url))
    channel = connection.channel()
    channel.confirm_delivery()
    channel.queue_declare("stranger", durable=True)
    channel.queue_bind("stranger", "payments", "payment.succeeded")
    for payment in paid:
        event = {
            "specversion": "1.0",
            "id": payment["payment_id"],
            "source": "/shop",
            "type": "payment.initiated",
            "traceparent": _TRACE,
            "data": payment,
        }
        _publish(channel, "payment.initiated", event, "application/cloudevents+json")
    events = []
    for method, properties, body in channel.consume("stranger", inactivity_timeout=15):
        if method is None:
            break
        check_event(body)
        event = json.loads(body)
        assert properties.message_id == event["id"]
        events.append(event)
        channel.basic_ack(method.delivery_tag)
        data = event["data"]
        said = {"order_id": data["order_id"], "payment_id": data["payment_id"]}
        _publish(channel, "order.acknowledged", said, "application/json")
        if len(events) == len(paid):
            break
    channel.cancel()
    connection.close()
    return events


def _publish(channel: Any, routing_key: str, body: dict[str, Any], content_type: str) -> None:
    properties = pika.BasicProperties(content_type=content_type, delivery_mode=2)
    channel.basic_publish("payments", routing_key, json.dumps(body).encode(), properties, True)


_GOOD = payments(1)[0]

BAD: list[tuple[dict[str, Any] | bytes, str]] = [
    (b"not json", "body"),
    (b"[1]", "JSON object"),
    ({**_GOOD, "payment_id": ""}, "payment_id"),
    ({**_GOOD, "amount": 0}, "amount"),
    ({**_GOOD, "amount": 19.99}, "amount"),
    ({**_GOOD, "amount": "1999"}, "amount"),
    ({**_GOOD, "currency": "yuan"}, "currency"),
    ({**_GOOD, "gateway": "nowhere"}, "gateway"),
    ({**_GOOD, "expires_at": "tomorrow"}, "expires_at"),
]


async def test_bad_messages_are_parked_with_their_reason(town: Town) -> None:
    """What cannot be processed is put aside whole, names its field, and blocks nothing."""
    await town.worker().start()

    await town.publish("payment.initiated", [message for message, _ in BAD])
    await town.publish("payment.initiated", [_GOOD])
    await eventually(lambda: _is(lambda: town.count("SELECT count(*) FROM payments"), 1))
    parked = await eventually(lambda: _parked(town, len(BAD)))

    bodies = [json.loads(b) if (b := one["body"])[:1] == "{" else b for one in parked]
    for (message, field), body, one in zip(BAD, bodies, parked, strict=True):
        assert body == (message.decode() if isinstance(message, bytes) else message)
        assert field in one["reason"]
        assert one["from"] == "payonce.initiated"


async def test_conflicts_are_parked_and_can_be_replayed(town: Town) -> None:
    """The same id with other content is parked; so is an acknowledgement by the wrong payment."""
    await town.worker().start()
    await town.publish("payment.initiated", [_GOOD])
    await eventually(lambda: _is(lambda: town.count("SELECT count(*) FROM payments"), 1))

    await town.publish("payment.initiated", [{**_GOOD, "amount": 5}])
    await town.publish("order.acknowledged", [{"order_id": "o-p-0", "payment_id": "p-9"}])
    parked = await eventually(lambda: _parked(town, 2))
    assert {one["reason"].partition(":")[0] for one in parked} == {"conflict", "not-the-winner"}

    status, out, _ = await town.payonce("parked", "replay", "--all")
    assert (status, out.strip()) == (0, "replayed 2")
    await eventually(lambda: _parked(town, 2))


async def test_mismatched_success_waits_for_a_person(town: Town) -> None:
    """A success over another amount never settles and is listed."""
    town.open_charges([_GOOD], pays_after_s=0.1, reports_amount=1)
    await town.worker().start()
    await town.publish("payment.initiated", [_GOOD])

    await eventually(lambda: _is(lambda: town.count(_MISMATCHED), 1))
    status, out, _ = await town.payonce("mismatched", "--json")
    assert status == 0
    assert json.loads(out)["mismatched"] == "amount"
    assert (await town.rows("SELECT status FROM orders"))[0]["status"] == "OPEN"


_MISMATCHED = "SELECT count(*) FROM payments WHERE mismatched IS NOT NULL"


async def test_commands_show_a_payment(town: Town) -> None:
    """`pay` publishes, show tells the story, check and --version answer."""
    await town.worker().start()
    status, out, err = await town.payonce("pay", "--order", "o-7", "--payment", "p-7")
    assert (status, err) == (0, "")
    town.open_charges([json.loads(out)], pays_after_s=0)
    await eventually(lambda: _is(lambda: town.count("SELECT count(*) FROM orders"), 1))

    status, out, _ = await town.payonce("show", "p-7", "--json")
    order = json.loads(out)
    assert (status, order["order_id"], order["payments"][0]["payment_id"]) == (0, "o-7", "p-7")
    status, out, _ = await town.payonce("show", "o-7")
    assert status == 0
    assert "payment.registered" in out
    assert (await town.payonce("show", "o-unknown"))[0] == 1
    status, out, _ = await town.payonce("check", "--online", "--json")
    assert status == 0
    assert all(json.loads(line)["ok"] for line in out.splitlines())


@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"PAYONCE_HTTP__PORT": "many"}, "http.port"),
        ({"PAYONCE_POLL__LADER": "[]"}, "poll.lader"),
        ({"PAYONCE_POLL__LADDER": "[]"}, "poll.ladder"),
        ({"PAYONCE_CONFIG": "/nowhere.toml"}, "PAYONCE_CONFIG"),
        ({"PAYONCE_GATEWAYS__MOCK__KIND": "gold"}, "gateways.mock.kind"),
    ],
)
async def test_wrong_configuration_is_one_line(
    town: Town, changed: dict[str, str], key: str
) -> None:
    """A wrong key or value stops a command with one line that names it, exit status 2."""
    status, out, err = await town.payonce("check", **changed)

    assert (status, out) == (2, "")
    assert len(err.splitlines()) == 1
    assert key in err
    assert "allowed" in err


async def test_unreachable_servers_are_named(town: Town) -> None:
    """`check` and `migrate` fail, naming the server."""
    nowhere = {"PAYONCE_POSTGRES_DSN": "postgresql://u:hunter2@127.0.0.1:1/x"}

    status, out, _ = await town.payonce("check", **nowhere)
    assert status == 1
    assert "postgresql" in out
    status, _, err = await town.payonce("migrate", **nowhere)
    assert status == 1
    assert "postgresql" in err
    assert "hunter2" not in out + err


async def test_missing_gateway_is_refused_while_it_is_watched(town: Town) -> None:
    """`run` does not start without a gateway whose payments are still pending, and names it."""
    worker = town.worker()
    await worker.start()
    await town.publish("payment.initiated", [_GOOD])
    await eventually(lambda: _is(lambda: town.count("SELECT count(*) FROM payments"), 1))
    assert await worker.end() == 0

    config = town.folder / "other.toml"
    config.write_text('[gateways.other]\nkind = "http"\nbase_url = "http://127.0.0.1:1"\n')
    secret = '"whsec_cGF5b25jZS1tb2NrLXNlY3JldC1rZXk="'
    config.write_text(config.read_text() + f"secret = {secret}\n")
    plain = {name: value for name, value in town.env.items() if "MOCK" not in name}
    town.env = {**plain, "PAYONCE_CONFIG": str(config), "PAYONCE_HTTP__PORT": "0"}
    status, _, err = await town.payonce("run", "--only", "consumer")

    assert status == 2
    assert "gateways.mock" in err.splitlines()[-1]
    status, out, _ = await town.payonce("check", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert (status, ["gateways"]) == (1, [one["name"] for one in rows if not one["ok"]])
    assert f"payonce: {rows[-1]['detail']}" == err.splitlines()[-1]


async def test_edge_alone_is_ready(town: Town) -> None:
    """A process with no other role has what /readyz asks for, and says so."""
    worker = town.worker("--only", "edge")
    await worker.start()

    assert await worker.get_status("/metrics") == 200
    assert await worker.end() == 0


async def test_every_server_that_is_away_is_counted(town: Town) -> None:
    """Failed uses of PostgreSQL and RabbitMQ are counted before anything else works."""
    worker = town.worker(
        PAYONCE_POSTGRES_DSN="postgresql://u@127.0.0.1:1/x", PAYONCE_AMQP_URL="amqp://127.0.0.1:1/"
    )
    await worker.start(ready=False)

    async def both_counted() -> bool:
        text = await worker.get_text("/metrics")
        counted = {name for name in ("postgresql", "rabbitmq") if _AWAY.format(name) in text}
        return len(counted) == 2

    assert await eventually(both_counted)


_AWAY = 'payonce_server_away_total{{server="{}"}} '


async def test_term_drains_and_exits_well(town: Town) -> None:
    """SIGTERM finishes what is in hand and exits 0; nothing in hand is lost."""
    paid = payments(30)
    town.open_charges(paid, pays_after_s=0, latency_ms=300)
    first = town.worker()
    await first.start()
    await town.publish("payment.initiated", paid)
    await eventually(lambda: any(one.queried_at for one in town.mock.books.charges.values()))

    assert await first.end(signal.SIGTERM) == 0
    drained = [line for line in first.log_lines() if line["event"] == "consumer.drained"]
    assert [line["unfinished"] for line in drained] == [0] * len(WorkQueue)

    await town.worker().start()
    await eventually(lambda: _is(lambda: town.count(_SUCCEEDED), 30))


async def test_second_signal_ends_at_once(town: Town) -> None:
    """A second signal does not wait for what is in hand."""
    (slow,) = payments(1)
    town.open_charges([slow], pays_after_s=0, latency_ms=9_000)
    worker = town.worker(PAYONCE_GATEWAYS__MOCK__TIMEOUT_S="20")
    town.mock.scripts.clear()
    await worker.start()
    await town.publish("payment.initiated", [slow])
    await eventually(lambda: town.mock.books.charges["p-0"].queried_at)

    worker.send(signal.SIGTERM)
    await eventually(lambda: "daemon.draining" in worker.log.read_text())
    assert await worker.end(signal.SIGTERM) == 128 + signal.SIGTERM


_SUCCEEDED = "SELECT count(*) FROM payments WHERE status = 'SUCCEEDED'"


async def _parked(town: Town, count: int) -> list[dict[str, Any]]:
    _, out, _ = await town.payonce("parked", "list", "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    return rows if len(rows) == count else []


async def _is(count: Callable[[], Any], wanted: int) -> bool:
    return bool(await count() == wanted)
