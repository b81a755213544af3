"""Callbacks over HTTP: those of the mock, and those that somebody else would like to send."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.support.caller import (
    OTHER_SECRET,
    Call,
    charge,
    counted,
    get,
    post,
    url_of,
)
from tests.support.town import Town, Worker, open_town, payments
from tests.support.waiting import eventually

SLOW = json.dumps(["1m"])
"""A ladder on which no poll comes to its turn while a test lasts."""
AFTER_IT = json.dumps(["5s"])
"""A ladder whose first poll comes after the callback, and yet while a test lasts."""

APPLIED = ("callback.received", "callback.processed")

(PAYMENT,) = payments(1)


@pytest.fixture
async def patient(
    tmp_path: Path, postgres_dsn: str, amqp_url: str, redis_url: str
) -> AsyncIterator[Town]:
    """A town whose polls come too late to find anything."""
    changed = {"PAYONCE_POLL__LADDER": SLOW}
    async with open_town(tmp_path, postgres_dsn, amqp_url, redis_url, **changed) as opened:
        yield opened


async def started(town: Town, **changed: str) -> Worker:
    """Start a worker of the town."""
    worker = town.worker(**changed)
    await worker.start()
    return worker


async def registered(town: Town, *paid: dict[str, Any]) -> None:
    """Publish payment.initiated and wait until all are known."""
    before = await town.count("SELECT count(*) FROM payments")
    await town.publish("payment.initiated", paid)
    await eventually(lambda: _count_is(town, "FROM payments", before + len(paid)))


def open_charge(town: Town, worker: Worker, **script: Any) -> None:
    """Open the charge of PAYMENT, whose callbacks go to this worker."""
    town.open_charges([{**PAYMENT, "notify_url": url_of(worker)}], **script)


async def left_alone(town: Town) -> None:
    """Have the sweep leave what waits for its payment alone, once it has said so."""
    waiting = "webhook_inbox WHERE problem = 'not-registered'"
    await eventually(lambda: _count_is(town, f"FROM {waiting}", 1))
    later = (
        "UPDATE webhook_inbox SET revive_at = now() + interval '1 hour' WHERE problem IS NOT NULL"
    )
    await town.rows(later)


async def test_a_callback_settles_and_ends_the_watch_without_a_question(town: Town) -> None:
    """The next poll of the chain is dropped: the gateway is never asked."""
    worker = await started(town, PAYONCE_POLL__LADDER=AFTER_IT)
    await registered(town, PAYMENT)
    open_charge(town, worker, pays_after_s=0)

    await eventually(lambda: _sources(town, ["webhook"]))
    dropped = 'payonce_polls_dropped_total{gateway="mock",reason="succeeded"}'
    await eventually(lambda: _counted_is(worker, dropped, 1))

    assert town.mock.books.charges["p-0"].queried_at == []
    assert await counted(worker, 'payonce_callbacks_total{gateway="mock",outcome="accepted"}') == 1


async def test_without_redis_the_watch_asks_once_more_and_nothing_doubles(town: Town) -> None:
    """The answer is known already, and the chain ends with it."""
    nowhere = "redis://127.0.0.1:1/0"
    worker = await started(town, PAYONCE_REDIS_URL=nowhere, PAYONCE_POLL__LADDER=AFTER_IT)
    await registered(town, PAYMENT)
    open_charge(town, worker, pays_after_s=0)

    await eventually(lambda: _sources(town, ["webhook"]))
    ignored = 'payonce_payments_total{gateway="mock",source="poll",verdict="ignored"}'
    await eventually(lambda: _counted_is(worker, ignored, 1))

    assert len(town.mock.books.charges["p-0"].queried_at) == 1
    assert (await town.rows("SELECT version FROM orders"))[0]["version"] == 1


async def test_a_lost_callback_is_made_up_for_by_a_poll(town: Town) -> None:
    """Nobody waits for a callback."""
    worker = await started(town)
    open_charge(town, worker, pays_after_s=0, callbacks="lost")
    await town.publish("payment.initiated", [PAYMENT])

    await eventually(lambda: _sources(town, ["poll"]))
    assert await town.count("SELECT count(*) FROM webhook_inbox") == 0


async def test_a_doubled_callback_is_one(patient: Town) -> None:
    """Both are answered; one is kept, applied, told of."""
    worker = await started(patient)
    await registered(patient, PAYMENT)
    open_charge(patient, worker, pays_after_s=0, callbacks="twice")

    await eventually(lambda: patient.mock.callbacks.sent == 2)
    await eventually(lambda: _sources(patient, ["webhook"]))
    await eventually(lambda: _kinds_are(patient, *APPLIED))
    assert await patient.count("SELECT count(*) FROM webhook_inbox") == 1


async def test_fifty_at_the_same_time_are_applied_once(patient: Town) -> None:
    """At two workers, and all are answered alike."""
    workers = [await started(patient), await started(patient)]
    await registered(patient, PAYMENT)

    call = Call(charge(PAYMENT))
    answers = await asyncio.gather(*(call.post(workers[n % 2]) for n in range(50)))

    assert {status for status, _ in answers} == {200}
    await eventually(lambda: _kinds_are(patient, *APPLIED))
    assert await _sources(patient, ["webhook"])
    applied = [
        await counted(one, 'payonce_callbacks_processed_total{gateway="mock",result="settled"}')
        for one in workers
    ]
    assert sum(applied) == 1


async def test_a_callback_before_its_payment_is_applied_at_registration(patient: Town) -> None:
    """It is kept meanwhile, and listed with what it waits for."""
    worker = await started(patient)
    open_charge(patient, worker, pays_after_s=0)
    await eventually(lambda: _count_is(patient, "FROM webhook_inbox WHERE problem IS NOT NULL", 1))
    await left_alone(patient)
    _, out, _ = await patient.payonce("webhooks", "list", "--unprocessed", "--json")
    assert (json.loads(out)["payment_id"], json.loads(out)["problem"]) == ("p-0", "not-registered")

    await patient.publish("payment.initiated", [PAYMENT])
    await eventually(lambda: _sources(patient, ["webhook"]))
    assert patient.mock.books.charges["p-0"].queried_at == []
    await eventually(lambda: _kinds_are(patient, *APPLIED))


FORGED: list[tuple[str, Call, dict[str, str], str]] = [
    ("no signature", Call(charge(PAYMENT)), {"webhook-signature": ""}, "bad-signature"),
    ("wrong secret", Call(charge(PAYMENT), secret=OTHER_SECRET), {}, "bad-signature"),
    ("another id", Call(charge(PAYMENT)), {"webhook-id": "msg_2"}, "bad-signature"),
    ("another time", Call(charge(PAYMENT)), {"webhook-timestamp": "1700000000"}, "bad-signature"),
    ("replayed late", Call(charge(PAYMENT), age_s=310), {}, "stale"),
    ("from the future", Call(charge(PAYMENT), age_s=-310), {}, "early"),
    ("a bearer", Call(b"{}"), {"webhook-id": "", "Authorization": "Bearer x"}, "bad-signature"),
]


async def test_nothing_forged_changes_anything(patient: Town) -> None:
    """Each is refused with its name; nothing is kept, nothing is settled."""
    worker = await started(patient)
    await registered(patient, PAYMENT)
    for what, call, changed, code in FORGED:
        status, problem = await call.post(worker, **changed)
        assert (status, problem["type"]) == (401, f"/problems/{code}"), what
    paid = Call(charge(PAYMENT))
    for body in (paid.body[:-1], paid.body + b" ", paid.body.replace(b"1999", b"1998")):
        status, _ = await post(url_of(worker), body, paid.headers())
        assert status == 401
    status, problem = await paid.post(worker, "nowhere")
    assert (status, problem["type"]) == (404, "/problems/not-found")

    assert await patient.count("SELECT count(*) FROM webhook_inbox") == 0
    assert await _sources(patient, [])
    bad = 'payonce_callbacks_total{gateway="mock",outcome="bad-signature"}'
    assert await counted(worker, bad) == 8


async def test_what_is_too_large_is_not_read(patient: Town) -> None:
    """64 KiB are taken, a byte more is not, also where no length is given."""
    worker = await started(patient)
    padding = 65_536 - len(charge(PAYMENT, reason=""))
    largest = charge(PAYMENT, reason="x" * padding)
    assert len(largest) == 65_536
    assert (await Call(largest).post(worker))[0] == 200

    call = Call(largest + b" ", "msg_2")
    status, problem = await call.post(worker)
    assert (status, problem["type"]) == (413, "/problems/too-large")
    assert (await Call(largest + b" " * 400_000, "msg_2").post(worker, "nowhere"))[0] == 413
    assert await _chunked(worker, call) == 413
    assert await _announced(worker) == 413
    assert await patient.count("SELECT count(*) FROM webhook_inbox") == 1


async def test_a_replay_changes_nothing(patient: Town) -> None:
    """Neither as it was, nor under its id with another body, though well signed."""
    worker = await started(patient)
    await registered(patient, PAYMENT)
    call = Call(charge(PAYMENT))
    headers = call.headers()
    for _ in range(3):
        assert (await post(url_of(worker), call.body, headers))[0] == 200
    assert (await Call(charge(PAYMENT, "failed")).post(worker))[0] == 200

    await eventually(lambda: _sources(patient, ["webhook"]))
    assert await patient.count("SELECT count(*) FROM webhook_inbox") == 1
    assert "succeeded" in (await patient.rows("SELECT body FROM webhook_inbox"))[0][0].decode()
    await eventually(lambda: _kinds_are(patient, *APPLIED))


async def test_only_what_proves_it_is_kept(patient: Town) -> None:
    """Whatever its content type says, and never a bearer."""
    worker = await started(patient)
    status, answer = await Call(charge(PAYMENT)).post(
        worker, **{"Content-Type": "text/plain", "Authorization": "Bearer hunter2"}
    )
    assert (status, answer) == (200, {"status": "ok"})
    row = (await patient.rows("SELECT headers, body FROM webhook_inbox"))[0]
    assert set(json.loads(row["headers"])) == {
        "webhook-id",
        "webhook-timestamp",
        "webhook-signature",
    }
    assert row["body"] == charge(PAYMENT)


async def test_a_packed_body_is_not_unpacked(patient: Town) -> None:
    """The signature is over the bytes that came."""
    worker = await started(patient)
    status, _ = await Call(charge(PAYMENT)).post(worker, **{"Content-Encoding": "gzip"})
    assert status == 200
    assert (await patient.rows("SELECT body FROM webhook_inbox"))[0][0] == charge(PAYMENT)


async def test_while_rotating_both_secrets_are_taken(patient: Town) -> None:
    """Then one alone."""
    default = Call(b"").secret
    both = await started(
        patient, PAYONCE_GATEWAYS__MOCK__SECRET=json.dumps([OTHER_SECRET, default])
    )
    after = await started(patient, PAYONCE_GATEWAYS__MOCK__SECRET=OTHER_SECRET)
    old, new = Call(charge(PAYMENT), "msg_1"), Call(charge(PAYMENT), "msg_2", OTHER_SECRET)
    assert [(await one.post(both))[0] for one in (old, new)] == [200, 200]
    assert [(await one.post(after))[0] for one in (old, new)] == [401, 200]


async def test_kill_between_keeping_and_applying_loses_nothing(patient: Town) -> None:
    """The gateway's repeat is no duplicate: the next worker applies what the dead one kept."""
    slow = {"PAYONCE_GATEWAYS__MOCK__TIMEOUT_S": "30"}
    first, second = await started(patient, **slow), await started(patient)
    await registered(patient, PAYMENT)
    open_charge(patient, first, latency_ms=9_000)
    hint = Call(charge(PAYMENT, "failed"))
    assert (await hint.post(first))[0] == 200
    await eventually(lambda: patient.mock.books.charges["p-0"].queried_at)
    await first.end(signal.SIGKILL)
    assert await patient.count(_UNPROCESSED) == 1

    patient.open_charges([PAYMENT], pays_after_s=0, callbacks="lost")
    patient.mock.books.charges["p-0"].script = patient.mock.scripts["p-0"]
    assert (await hint.post(second))[0] == 200
    assert await patient.count(_UNPROCESSED) == 1
    await eventually(lambda: _sources(patient, ["webhook"]), 60)
    await eventually(lambda: _count_is(patient, "FROM webhook_inbox WHERE processed_at IS NULL", 0))


async def test_signed_nonsense_is_taken_listed_and_replayed(patient: Town) -> None:
    """It is told whole to operators, by command and by route."""
    operators = {"PAYONCE_HTTP__OPERATORS": json.dumps({"ann": "ann-s-token"})}
    worker = await started(patient, **operators)
    assert (await Call(b'{"type":"dispute"}').post(worker))[0] == 200
    await Call(charge(PAYMENT), "msg_2").post(worker)
    await left_alone(patient)

    status, out, _ = await patient.payonce("webhooks", "list", "--problems", "--json")
    waiting, nonsense = [json.loads(line) for line in out.splitlines()]
    assert (status, nonsense["body"]) == (0, '{"type":"dispute"}')
    assert nonsense["problem"].startswith("body: ")
    assert waiting["problem"] == "not-registered"
    path = "/v1/ops/webhooks?which=problems&limit=1"
    assert (await get(worker, path))[0] == 401
    status, page = await get(worker, path, "ann-s-token")
    assert (status, [one["inbox_id"] for one in page["items"]]) == (200, [waiting["inbox_id"]])
    status, page = await get(worker, f"{path}&cursor={page['cursor']}", "ann-s-token")
    assert (status, page) == (200, {"items": [nonsense], "cursor": None})
    for wrong in ("limit=0", "limit=x", "which=some", "cursor=x"):
        status, problem = await get(worker, f"/v1/ops/webhooks?{wrong}", "ann-s-token")
        assert (status, problem["field"]) == (422, wrong.partition("=")[0])

    assert (await patient.payonce("webhooks", "replay", "--all"))[:2] == (0, "replayed 2\n")
    again = "FROM webhook_inbox WHERE problem LIKE 'body:%' AND attempts = 1"
    await eventually(lambda: _count_is(patient, again, 1))
    assert (await patient.payonce("webhooks", "replay", "999"))[0] == 1


async def test_without_operators_nobody_sees_the_inbox(patient: Town) -> None:
    """The route says so."""
    worker = await started(patient)
    assert (await get(worker, "/v1/ops/webhooks"))[0] == 403


async def test_money_sent_back_past_us_reverses_the_winner(patient: Town) -> None:
    """The mock tells of the refund, the charge how much: an event, and a line of the timeline."""
    worker = await started(patient)
    await registered(patient, PAYMENT)
    open_charge(patient, worker, pays_after_s=0)
    await eventually(lambda: _sources(patient, ["webhook"]))
    control = f"{patient.env['PAYONCE_GATEWAYS__MOCK__BASE_URL']}/control/charges/p-0"
    await post(f"{control}/refund-outside", b"", {})

    await eventually(lambda: _count_is(patient, "FROM payments WHERE reversed_amount = 1999", 1))
    status, out, _ = await patient.payonce("show", "o-p-0")
    assert status == 0
    assert "payment.reversed" in out
    assert "refunded-outside" in out


async def test_an_edge_alone_takes_callbacks(patient: Town) -> None:
    """It keeps, applies and tells what it is told."""
    worker = patient.worker("--only", "edge")
    await worker.start()
    consumer = patient.worker("--only", "consumer")
    await consumer.start(ready=False)
    async with patient.order_service():
        await registered(patient, PAYMENT)
        assert (await Call(charge(PAYMENT)).post(worker))[0] == 200
        await eventually(lambda: patient.orders.events)
    assert await worker.end() == 0


_UNPROCESSED = "SELECT count(*) FROM webhook_inbox WHERE processed_at IS NULL"


async def _sources(town: Town, wanted: list[str]) -> bool:
    """Say whether payments were settled by these, and nothing else."""
    rows = await town.rows(
        "SELECT detail ->> 'source' AS source FROM timeline WHERE kind = 'payment.settled'"
    )
    return [row["source"] for row in rows] == wanted


async def _kinds_are(town: Town, *wanted: str) -> bool:
    """Say whether these are the lines about callbacks, and there are no others."""
    rows = await town.rows(
        "SELECT kind FROM timeline WHERE kind LIKE 'callback.%' ORDER BY entry_id"
    )
    return [row["kind"] for row in rows] == list(wanted)


async def _count_is(town: Town, what: str, wanted: int) -> bool:
    return await town.count(f"SELECT count(*) {what}") == wanted


async def _counted_is(worker: Worker, series: str, wanted: float) -> bool:
    return await counted(worker, series) == wanted


async def _chunked(worker: Worker, call: Call) -> int:
    """Post without a length; return the status."""

    async def pieces() -> AsyncIterator[bytes]:
        yield call.body

    async with (
        aiohttp.ClientSession() as session,
        session.post(url_of(worker), data=pieces(), headers=call.headers()) as answer,
    ):
        return answer.status


async def _announced(worker: Worker) -> int:
    """Announce a body without sending one; return the status that comes all the same."""
    reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
    head = "POST /v1/webhooks/mock HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\n"
    writer.write(head.encode())
    line = await asyncio.wait_for(reader.readline(), 10)
    writer.close()
    return int(line.split()[1])
