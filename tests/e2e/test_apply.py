"""Applications for payments over HTTP: many at once are one payment; late ones go by policy."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway_mock.app import serving
from gateway_mock.server import Mock
from gateway_mock.shopper import parse_script
from tests.e2e.counter import MANY, SHOWN, creates, has_status, ids, opened, script
from tests.support.ports import free_port
from tests.support.servers import Servers
from tests.support.shop import API_TOKEN, Answered, Shop, open_shop
from tests.support.town import Town, Worker
from tests.support.waiting import eventually

ALL_ARE_THERE_MS = 2_000
"""A gateway that takes so long has not answered the first click before the last one is in."""


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
    await eventually(town.is_relayed)


async def test_a_double_click_is_one_payment(town: Town, shop: Shop) -> None:
    """Two at once get the same payment and the same code; a third, later, another."""
    first, second = await asyncio.gather(shop.apply(), shop.apply())
    assert (first.status, first.body) == (second.status, second.body)
    third = await shop.apply()
    assert 2 == len(ids([first, third]))
    assert 2 == len(town.mock.books.charges)


async def test_two_hundred_at_once_are_one_payment(town: Town) -> None:
    """However many clicks, one payment and one charge."""
    script(town, "o-1", create_latency_ms=ALL_ARE_THERE_MS)
    async with opened(town, patient=True) as [shop]:
        answers = await asyncio.gather(*(shop.apply() for _ in range(MANY)))

    assert 1 == len(ids(answers))
    assert (1, 1) == (len(town.mock.books.charges), creates(town))
    assert 1 == await town.count("SELECT count(*) FROM payments")


async def test_two_hundred_at_once_without_redis(town: Town, mortal: Servers) -> None:
    """The rows decide."""
    await asyncio.to_thread(mortal.redis.kill)
    script(town, "o-1", create_latency_ms=ALL_ARE_THERE_MS)
    async with opened(town, edges=2, patient=True) as shops:
        answers = await asyncio.gather(*(shops[n % 2].apply() for n in range(MANY)))

    assert 1 == len(ids(answers))
    assert 1 == len(town.mock.books.charges)


async def test_two_hundred_at_once_before_two_edges(town: Town) -> None:
    """Two processes with nothing but an edge, beside a worker without one."""
    await town.worker("--only", "consumer,relay,sweeper").start(ready=False)
    script(town, "o-1", create_latency_ms=ALL_ARE_THERE_MS)
    async with opened(town, "--only", "edge", edges=2, patient=True) as shops:
        answers = await asyncio.gather(*(shops[n % 2].apply() for n in range(MANY)))
        assert 1 == len(ids(answers))
        assert 1 == len(town.mock.books.charges)
        (payment_id,) = ids(answers)
        town.mock.scripts.clear()
        await eventually(
            lambda: town.mock.books.charges[payment_id].queried_at, what="it is watched"
        )


async def test_clicks_that_queue_behind_a_clients_connections_are_one_payment(
    town: Town,
) -> None:
    """Of a client with eight connections, most clicks arrive after the first was answered."""
    async with opened(town, patient=True) as [shop], asyncio.TaskGroup() as group:
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
    await eventually(lambda: _is_paid(shop, answer.body["payment_id"]))


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
    await eventually(lambda: has_status(shop, "o-paid", "PAID"))
    await eventually(lambda: has_status(shop, "o-cancelled", "CANCELLED"))
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
        async with opened(town, edges=1, patient=False, **more) as [shop]:
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
        await eventually(lambda: _both_paid(shop))
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
    async with opened(town, patient=True) as [shop]:
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
    await eventually(lambda: _has_started(edge), 30)
    async with open_shop(edge) as [shop]:
        answer = await shop.apply()
        assert 201 == answer.status
        await town.worker("--only", "consumer,relay").start(ready=False)
        await eventually(lambda: _is_paid(shop, answer.body["payment_id"]), 30)


async def _has_started(worker: Worker) -> bool:
    """Say whether it has started, whatever it is not connected to."""
    return '"schema": "ok"' in await worker.get_text("/readyz")


async def test_the_metrics_tell_of_applications(town: Town, shop: Shop) -> None:
    """By outcome, and how the order lock went."""
    await asyncio.gather(shop.apply(), shop.apply())
    text = await shop.metrics()
    assert 'payonce_applications_total{gateway="mock",outcome="created"} 1.0' in text
    assert 'payonce_applications_total{gateway="mock",outcome="shared"} 1.0' in text
    assert 'payonce_order_lock_wait_seconds_count{outcome="taken"} 1.0' in text
