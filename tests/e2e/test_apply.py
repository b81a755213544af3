"""Applications for payments over HTTP: many at once are one payment; late ones go by policy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from gateway_mock.server import Mock, serving
from gateway_mock.shopper import Profile, parse_script
from tests.support.ports import free_port
from tests.support.servers import Servers
from tests.support.shop import API_TOKEN, Answered, Shop, open_shop
from tests.support.town import Town, Worker
from tests.support.waiting import eventually

MANY = 200
SHOWN = {
    "payment_id",
    "order_id",
    "status",
    "qr",
    "pay_url",
    "checkout_url",
    "order_token",
    "expires_at",
}


@asynccontextmanager
async def opened(
    town: Town, *arguments: str, edges: int = 1, **changed: str
) -> AsyncIterator[list[Shop]]:
    """Give a shop before each of so many workers."""
    env = {"PAYONCE_HTTP__API_TOKEN": API_TOKEN, **changed}
    workers = [town.worker(*arguments, **env) for _ in range(edges)]
    await asyncio.gather(*(worker.start() for worker in workers))
    async with open_shop(*workers) as shops:
        yield shops


@pytest.fixture
async def shop(town: Town) -> AsyncIterator[Shop]:
    """A shop before one worker."""
    async with opened(town) as [shop]:
        yield shop


def ids(answers: list[Answered]) -> set[str]:
    """Return the payments that were answered with; each answer is a 201."""
    assert {201} == {one.status for one in answers}, [one.text for one in answers][:3]
    return {one.body["payment_id"] for one in answers}


def script(town: Town, order_id: str, **fields: Any) -> None:
    """Plan how the charges of an order go."""
    town.mock.scripts[order_id] = parse_script(fields)


def creates(town: Town) -> int:
    """Return how often the gateway was asked to create a charge."""
    return sum(town.mock.creates.values())


async def test_an_application_gets_a_payment_to_show(town: Town, shop: Shop) -> None:
    """201 with what the shopper is shown; the watch begins, the payment settles its order."""
    script(town, "o-1", pays_after_s=0.5)
    async with town.order_service():
        answer = await shop.apply()

        body, payment_id = answer.body, answer.body["payment_id"]
        assert (201, SHOWN) == (answer.status, set(body))
        assert ("o-1", "PENDING") == (body["order_id"], body["status"])
        url = f"http://localhost:8080/checkout/{payment_id}?token={body['order_token']}"
        assert url == body["checkout_url"]
        charge = town.mock.books.charges[payment_id]
        assert "http://localhost:8080/v1/webhooks/mock" == charge.notify_url
        await eventually(lambda: "o-1" in town.orders.events)
    order = (await shop.order("o-1")).body
    assert ("PAID", payment_id) == (order["status"], order["settled_by"])
    kinds = [line["kind"] for line in order["timeline"]]
    assert ["payment.applied", "payment.created", "payment.settled"] == kinds[:3]
    assert 0 == await town.count("SELECT count(*) FROM outbox")


async def test_a_double_click_is_one_payment(town: Town, shop: Shop) -> None:
    """Two at once get the same payment and the same code; a third, later, another."""
    first, second = await asyncio.gather(shop.apply(), shop.apply())
    assert (first.status, first.body) == (second.status, second.body)
    third = await shop.apply()
    assert 2 == len(ids([first, third]))
    assert 2 == len(town.mock.books.charges)


async def test_two_hundred_at_once_are_one_payment(town: Town, shop: Shop) -> None:
    """However many clicks, one payment and one charge."""
    answers = await asyncio.gather(*(shop.apply() for _ in range(MANY)))

    assert 1 == len(ids(answers))
    assert (1, 1) == (len(town.mock.books.charges), creates(town))
    assert 1 == await town.count("SELECT count(*) FROM payments")


async def test_two_hundred_at_once_without_redis(town: Town, mortal: Servers) -> None:
    """The rows decide."""
    await asyncio.to_thread(mortal.redis.kill)
    async with opened(town, edges=2) as shops:
        answers = await asyncio.gather(*(shops[n % 2].apply() for n in range(MANY)))

    assert 1 == len(ids(answers))
    assert 1 == len(town.mock.books.charges)


async def test_two_hundred_at_once_before_two_edges(town: Town) -> None:
    """Two processes with nothing but an edge, beside a worker without one."""
    await town.worker("--only", "consumer,relay,sweeper").start(ready=False)
    async with opened(town, "--only", "edge", edges=2) as shops:
        answers = await asyncio.gather(*(shops[n % 2].apply() for n in range(MANY)))
        assert 1 == len(ids(answers))
        assert 1 == len(town.mock.books.charges)
        (payment_id,) = ids(answers)
        town.mock.scripts.clear()
        await eventually(
            lambda: town.mock.books.charges[payment_id].queried_at, 15, "it is watched"
        )


async def test_clicks_that_queue_behind_a_clients_connections_are_one_payment(
    town: Town,
) -> None:
    """Of a client with eight connections, most clicks arrive after the first was answered."""
    async with opened(town) as [shop], asyncio.TaskGroup() as group:
        gate = asyncio.Semaphore(8)

        async def click() -> Answered:
            async with gate:
                return await shop.apply()

        clicks = [group.create_task(click()) for _ in range(MANY)]
        answers = [await one for one in clicks]
    assert 1 == len(ids(answers))


@pytest.fixture
async def mortal(servers: Servers) -> AsyncIterator[Servers]:
    """Servers that may be killed; they live again afterwards."""
    yield servers
    await asyncio.to_thread(servers.start)


async def test_two_qr_codes_of_one_channel(town: Town, shop: Shop) -> None:
    """The shopper scans the new code: the old one is closed before there is a new one."""
    first, second = await shop.apply(), await shop.apply()

    old, new = (town.mock.books.charges[one.body["payment_id"]] for one in (first, second))
    assert ("closed", "pending") == tuple(one.status(town.mock.clock()) for one in (old, new))
    superseded = (await shop.payment(first.body["payment_id"])).body
    assert "CLOSED" == superseded["status"]
    assert not {"qr", "pay_url"} & set(superseded)


async def test_a_close_that_lies_is_found_out(town: Town, shop: Shop) -> None:
    """The gateway says closed though the first code was paid: no second payment is shown."""
    script(town, "o-1", pays_after_s=0, closes="lies")
    first = await shop.apply()
    # Paid in this moment, and nobody has asked yet.
    second = await shop.choose("o-1", "mock", first.body["order_token"])

    assert (409, "order-paid") == (second.status, second.problem)
    assert 1 == len(town.mock.books.charges)
    assert first.body["payment_id"] == (await shop.order("o-1")).body["settled_by"]


@pytest.mark.parametrize(
    "fault", ["timeout", "timeout-after", "500-after", "nonsense-after", "429"]
)
async def test_an_ambiguous_create_is_repeated_with_the_same_key(
    town: Town, shop: Shop, fault: str
) -> None:
    """Whether or not it took effect: one charge."""
    script(town, "o-1", create_faults=[fault])
    answer = await shop.apply()

    assert 201 == answer.status
    assert {answer.body["payment_id"]} == set(town.mock.books.charges)
    assert 2 == creates(town)


async def test_an_unknown_outcome_is_told_and_watched(town: Town, shop: Shop) -> None:
    """202, CREATED; the charge that exists all the same settles its order."""
    script(town, "o-1", create_faults=["500-after"] * 9, pays_after_s=2)
    answer = await shop.apply()

    assert (202, "CREATED") == (answer.status, answer.body["status"])
    assert not {"qr", "pay_url"} & set(answer.body)
    await eventually(lambda: _is_paid(shop, answer.body["payment_id"]), 20)


async def _is_paid(shop: Shop, payment_id: str, order_id: str = "o-1") -> bool:
    return bool((await shop.order(order_id)).body["settled_by"] == payment_id)


async def test_a_refusal_is_passed_on(town: Town, shop: Shop) -> None:
    """502 with the gateway's words; the payment has failed, another may follow."""
    script(town, "o-1", create_faults=["refused"])
    answer = await shop.apply()
    assert (502, "gateway-refused") == (answer.status, answer.problem)
    assert "this gateway takes no such charge" in answer.body["detail"]
    order = (await shop.order("o-1")).body
    assert ["FAILED"] == [one["status"] for one in order["payments"]]

    town.mock.scripts.clear()
    assert 201 == (await shop.apply()).status


async def test_orders_that_take_no_payment(town: Town, shop: Shop) -> None:
    """Paid, cancelled, another amount, another currency: 409, and no charge."""
    script(town, "o-paid", pays_after_s=0)
    await shop.apply("o-paid")
    await shop.apply("o-open")
    await town.publish("order.cancelled", [{"order_id": "o-cancelled"}])
    await eventually(lambda: _has_status(shop, "o-paid", "PAID"))
    await eventually(lambda: _has_status(shop, "o-cancelled", "CANCELLED"))
    before = creates(town)

    answers = [
        await shop.apply("o-paid"),
        await shop.apply("o-paid", gateway="mock", amount=5),
        await shop.apply("o-cancelled"),
        await shop.apply("o-open", amount=2000),
        await shop.apply("o-open", currency="USD"),
    ]
    names = ["order-paid", "order-paid", "order-cancelled", "amount-differs", "amount-differs"]
    assert [(409, name) for name in names] == [(one.status, one.problem) for one in answers]
    assert (1999, "CNY") == (answers[3].body["amount"], answers[3].body["currency"])
    assert before == creates(town)


async def _has_status(shop: Shop, order_id: str, status: str) -> bool:
    return bool((await shop.order(order_id)).body.get("status") == status)


_FAR = (datetime.now(UTC) + timedelta(days=500)).isoformat()

BAD: list[tuple[dict[str, Any], str, str]] = [
    ({"order_id": ""}, "order_id", "A-Za-z0-9"),
    ({"order_id": None}, "order_id", "A-Za-z0-9"),
    ({"order_id": "o/1"}, "order_id", "A-Za-z0-9"),
    ({"gateway": "nowhere"}, "gateway", "mock"),
    ({"gateway": ["mock"]}, "gateway", "mock"),
    ({"amount": 0}, "amount", "1 to"),
    ({"amount": -5}, "amount", "1 to"),
    ({"amount": 19.99}, "amount", "integer"),
    ({"amount": "1999"}, "amount", "integer"),
    ({"amount": True}, "amount", "integer"),
    ({"amount": 2**53}, "amount", "1 to"),
    ({"currency": "yuan"}, "currency", "ISO 4217"),
    ({"currency": None}, "currency", "ISO 4217"),
    ({"expires_at": "tomorrow"}, "expires_at", "RFC 3339"),
    ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at", "after now"),
    ({"expires_at": _FAR}, "expires_at", "up to"),
]


async def test_bad_input_is_named(town: Town, shop: Shop) -> None:
    """422 `invalid` with the field, the problem and what is allowed; nothing is written."""
    for changed, field, allowed in BAD:
        answer = await shop.apply(**{"order_id": "o-1", **changed})
        assert (422, "invalid", field) == (answer.status, answer.problem, answer.body["field"])
        assert allowed in answer.body["allowed"], answer.body
        assert field in answer.body["detail"]
    for body in (b"", b"not json", b"[1]", b"null", b'"x"', b"\xff\xfe", b"[" * 60_000):
        answer = await shop.ask("POST", "/v1/payments", data=body)
        assert (422, "body") == (answer.status, answer.body["field"]), body[:9]
    assert 413 == (await shop.ask("POST", "/v1/payments", data=b" " * 66_000)).status
    assert 0 == await town.count("SELECT count(*) FROM orders")
    assert 201 == (await shop.apply("o-1", colour="red", expires_at=None)).status


async def test_who_may_ask(town: Town, shop: Shop) -> None:
    """Without the right token 401, whether or not there is such an order."""
    applied = (await shop.apply("o-1")).body
    other = (await shop.apply("o-2")).body["order_token"]
    own, payment_id = applied["order_token"], applied["payment_id"]

    for token in (None, "", "wrong", other, own + "x", "ü"):
        answers = [
            await shop.order("o-1", token),
            await shop.order("o-none", token),
            await shop.payment(payment_id, token),
            await shop.payment("p-none", token),
            await shop.choose("o-1", "mock", token),
            await shop.choose("o-none", "mock", token),
        ]
        assert {401} == {one.status for one in answers}, token
        assert 1 == len({one.text for one in answers})
        assert 401 == (await shop.ask("POST", "/v1/payments", token, json={})).status
    assert [200, 200] == [
        (await shop.order("o-1", own)).status,
        (await shop.payment(payment_id, own)).status,
    ]
    assert 200 == (await shop.ask("GET", f"/v1/orders/o-1?token={own}", None)).status
    assert 401 == (await shop.ask("POST", "/v1/payments", own, json={})).status
    assert [404, 404, 404] == [
        (await shop.order("o-none")).status,
        (await shop.payment("p-none")).status,
        (await shop.choose("o-none", "mock", API_TOKEN)).status,
    ]


async def test_what_is_told(town: Town, shop: Shop) -> None:
    """The order with its payments; its story is for the shop's services alone."""
    applied = (await shop.apply("o-1")).body
    token, payment_id = applied["order_token"], applied["payment_id"]

    order = (await shop.order("o-1", token)).body
    assert ("OPEN", 1999, "CNY", None, False) == tuple(
        order[name] for name in ("status", "amount", "currency", "settled_by", "acknowledged")
    )
    assert [] == order["refunds"]
    assert "timeline" not in order
    assert "timeline" in (await shop.order("o-1")).body
    [listed] = order["payments"]
    payment = (await shop.payment(payment_id, token)).body
    assert payment == listed
    assert (applied["qr"], "PENDING") == (payment["qr"], payment["status"])


async def test_without_an_api_token_nobody_applies(town: Town) -> None:
    """403 says what is missing."""
    async with opened(town, PAYONCE_HTTP__API_TOKEN="") as [shop]:
        answer = await shop.apply()
    assert (403, "no-api-token") == (answer.status, answer.problem)


async def test_a_repeat_with_its_key_gets_the_same_answer(town: Town, shop: Shop) -> None:
    """Also when the order was paid meanwhile, to the letter."""
    first = await shop.apply("o-1", key="k-1")
    repeats = [await shop.apply("o-1", key="k-1") for _ in range(3)]
    assert {(201, first.text)} == {(one.status, one.text) for one in repeats}
    assert 1 == len(town.mock.books.charges)

    script(town, "o-2", pays_after_s=0)
    paid = await shop.apply("o-2", key="k-2")
    await eventually(lambda: _has_status(shop, "o-2", "PAID"))
    assert paid.text == (await shop.apply("o-2", key="k-2")).text
    refused = await shop.apply("o-2", key="k-3")
    again = await shop.apply("o-2", key="k-3")
    assert (409, refused.text) == (again.status, again.text)


async def test_a_key_with_another_body_or_still_in_hand(town: Town, shop: Shop) -> None:
    """422 and 409; an invalid request does not use its key up; routes keep their keys apart."""
    first = await shop.apply("o-1", key="k-1")
    reused = await shop.apply("o-1", key="k-1", amount=5)
    assert (422, "idempotency-key-reused") == (reused.status, reused.problem)
    choice = await shop.choose("o-1", "mock", first.body["order_token"], key="k-1")
    assert 201 == choice.status

    script(town, "o-2", create_latency_ms=700)
    slow = asyncio.create_task(shop.apply("o-2", key="k-2"))
    await eventually(lambda: creates(town) == 3)
    in_hand = await shop.apply("o-2", key="k-2")
    assert (409, "in-hand") == (in_hand.status, in_hand.problem)
    assert 201 == (await slow).status

    assert 422 == (await shop.apply("o-3", key="k-3", amount=0)).status
    assert 201 == (await shop.apply("o-3", key="k-3")).status
    assert 422 == (await shop.apply("o-3", key="x" * 256)).status


async def test_a_key_whose_process_died_leads_to_the_same_payment(town: Town) -> None:
    """The repeat goes on where the first process stopped."""
    town.mock.profile = Profile(scripts=((1.0, parse_script({"create_latency_ms": 900})),))
    async with opened(town) as [shop]:
        applying = asyncio.create_task(shop.apply(key="k-1"))
        await eventually(lambda: creates(town) == 1)
        process = town.workers[-1].process
        assert process is not None
        process.kill()
        with pytest.raises(aiohttp.ClientError):
            await applying
    await town.rows("UPDATE idempotency_keys SET leased_until = now()")
    await town.rows("UPDATE payments SET initiated_at = now() - interval '5 minutes'")
    async with opened(town) as [shop]:
        answer = await shop.apply(key="k-1")
    assert 201 == answer.status
    assert {answer.body["payment_id"]} == set(town.mock.books.charges)
    assert 1 == await town.count("SELECT count(*) FROM payments")


@asynccontextmanager
async def two_channels(town: Town, **changed: str) -> AsyncIterator[tuple[Shop, Mock]]:
    """Give a shop with a second gateway, which closes nothing."""
    boleto = Mock()
    boleto.profile.can_close = False
    async with serving(boleto) as url:
        more = {
            "PAYONCE_GATEWAYS__BOLETO__KIND": "http",
            "PAYONCE_GATEWAYS__BOLETO__BASE_URL": url,
            "PAYONCE_GATEWAYS__BOLETO__SECRET": boleto.secret,
            "PAYONCE_GATEWAYS__BOLETO__CAN_CLOSE": "false",
            **changed,
        }
        async with opened(town, edges=1, **more) as [shop]:
            yield shop, boleto


async def test_paypal_and_boleto_both_applied(town: Town) -> None:
    """The second channel cannot close: both run, both are paid, one settles, one goes back."""
    async with two_channels(town) as (shop, boleto):
        first = await shop.apply(gateway="boleto")
        second = await shop.choose("o-1", "mock", first.body["order_token"])
        assert [201, 201] == [first.status, second.status]

        for gateway, answer in ((boleto, first), (town.mock, second)):
            charge = gateway.books.charges[answer.body["payment_id"]]
            charge.script = parse_script({"pays_after_s": 0})
        await eventually(lambda: _both_paid(shop), 20)
        order = (await shop.order("o-1")).body
        duplicates = [one["payment_id"] for one in order["payments"] if one["duplicate"]]
        assert 1 == len(duplicates)
        assert duplicates == [one["payment_id"] for one in order["refunds"]]


async def _both_paid(shop: Shop) -> bool:
    order = (await shop.order("o-1")).body
    return ["SUCCEEDED", "SUCCEEDED"] == [one["status"] for one in order["payments"]]


async def test_another_channel_closes_the_first(town: Town) -> None:
    """By `cancel`, the shopper who goes on with another channel has one open code."""
    async with two_channels(town) as (shop, boleto):
        first = await shop.apply(gateway="mock")
        second = await shop.choose("o-1", "boleto", first.body["order_token"])
        assert (201, 1) == (second.status, len(boleto.books.charges))
        order = (await shop.order("o-1")).body
        assert ["CLOSED", "PENDING"] == [one["status"] for one in order["payments"]]


async def test_reuse_answers_with_the_pending_payment(town: Town) -> None:
    """The same channel shows the same code; another channel closes it."""
    async with two_channels(town, PAYONCE_ON_SECOND_PAYMENT__POLICY="reuse") as (shop, _):
        first, again = await shop.apply(), await shop.apply()
        assert (first.status, first.body) == (again.status, again.body)
        other = await shop.choose("o-1", "boleto", first.body["order_token"])
        assert 201 == other.status
        order = (await shop.order("o-1")).body
        assert ["CLOSED", "PENDING"] == [one["status"] for one in order["payments"]]


async def test_allow_lets_both_run(town: Town) -> None:
    """Two codes of one channel stay open, for those who want that."""
    async with opened(town, PAYONCE_ON_SECOND_PAYMENT__POLICY="allow") as [shop]:
        assert 2 == len(ids([await shop.apply(), await shop.apply()]))
        order = (await shop.order("o-1")).body
        assert ["PENDING", "PENDING"] == [one["status"] for one in order["payments"]]


async def test_anothers_charge_is_never_shown(town: Town, shop: Shop) -> None:
    """The gateway answers with an id that it gave to another payment: a person must look."""
    script(town, "o-1", reports_ref="ch_same")
    script(town, "o-2", reports_ref="ch_same")
    assert 201 == (await shop.apply("o-1")).status
    answer = await shop.apply("o-2")
    assert (502, "gateway-ref-taken") == (answer.status, answer.problem)
    [payment] = (await shop.order("o-2")).body["payments"]
    assert "gateway-ref-taken" == payment["mismatched"]
    assert "qr" not in payment


async def test_a_worker_that_is_told_to_stop_answers_first(town: Town) -> None:
    """SIGTERM: the application in hand is answered, then the process exits well."""
    script(town, "o-1", create_latency_ms=700)
    async with opened(town) as [shop]:
        applying = asyncio.create_task(shop.apply())
        await eventually(lambda: creates(town) == 1)
        assert 0 == await town.workers[-1].end()
        answer = await applying
    assert (201, "PENDING") == (answer.status, answer.body["status"])


async def test_a_broker_that_is_away_keeps_nobody_from_paying(town: Town) -> None:
    """The code is shown by an edge without a broker; who has one starts the watch."""
    script(town, "o-1", pays_after_s=0)
    nowhere = f"amqp://127.0.0.1:{free_port()}/"
    edge = town.worker(PAYONCE_HTTP__API_TOKEN=API_TOKEN, PAYONCE_AMQP_URL=nowhere)
    await edge.start(ready=False)
    await eventually(lambda: _is_alive(edge), 30)
    async with open_shop(edge) as [shop]:
        answer = await shop.apply()
        assert 201 == answer.status
        await town.worker("--only", "consumer,relay").start(ready=False)
        await eventually(lambda: _is_paid(shop, answer.body["payment_id"]), 30)


async def _is_alive(worker: Worker) -> bool:
    return await worker.get_status("/healthz") == 200


async def test_old_answers_are_forgotten(town: Town) -> None:
    """The sweeper's role deletes keys of yesterday."""
    async with opened(town) as [shop]:
        await shop.apply(key="k-1")
    await town.rows("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    async with opened(town):
        await eventually(lambda: _no_keys(town))


async def _no_keys(town: Town) -> bool:
    return await town.count("SELECT count(*) FROM idempotency_keys") == 0


async def test_the_metrics_tell_of_applications(town: Town, shop: Shop) -> None:
    """By outcome, and how the order lock went."""
    await asyncio.gather(shop.apply(), shop.apply())
    text = await shop.metrics()
    assert 'payonce_applications_total{gateway="mock",outcome="created"} 1.0' in text
    assert 'payonce_applications_total{gateway="mock",outcome="shared"} 1.0' in text
    assert 'payonce_order_lock_wait_seconds_count{outcome="taken"} 1.0' in text
