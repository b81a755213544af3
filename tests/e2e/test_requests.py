"""What is asked over HTTP, and by whom: bad input, tokens, keys of repeated requests."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import pytest

from gateway_mock.shopper import Profile, parse_script
from tests.e2e.counter import creates, has_status, opened, script
from tests.support.shop import API_TOKEN, Shop
from tests.support.town import Town
from tests.support.waiting import eventually

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


async def test_a_trace_that_is_none_is_ignored(town: Town, shop: Shop) -> None:
    """The payment is made all the same, without a trace."""
    body = b'{"order_id":"o-1","gateway":"mock","amount":1999,"currency":"CNY"}'
    trace = b"01-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01-"
    for odd in (b"\xff", "\u00e9".encode(), b"two words"):
        assert 201 == await _post_raw(town, trace + odd, body), odd
    assert 3 == await town.count("SELECT count(*) FROM payments WHERE traceparent IS NULL")
    assert 200 == (await shop.order("o-1")).status


async def _post_raw(town: Town, traceparent: bytes, body: bytes) -> int:
    """Apply with a header's bytes that no client library would send; return the status."""
    reader, writer = await asyncio.open_connection("127.0.0.1", town.workers[0].port)
    writer.write(
        b"POST /v1/payments HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n"
        + f"Authorization: Bearer {API_TOKEN}\r\nContent-Length: {len(body)}\r\n".encode()
        + b"traceparent: "
        + traceparent
        + b"\r\n\r\n"
        + body
    )
    answered = await reader.read()
    writer.close()
    return int(answered.split()[1])


async def test_operators_bodies_are_read_as_carefully(town: Town) -> None:
    """What is no object, or is nested without end, is the caller's fault."""
    async with opened(town, PAYONCE_HTTP__OPERATORS='{"ann": "t-ann"}') as [shop]:
        for path in ("/refunds", "/refunds/rf-1/reject", "/resolve/p-1"):
            for body in (b"", b"not json", b"[1]", b"\xff\xfe", b"[" * 60_000):
                answer = await shop.ask("POST", f"/v1/ops{path}", "t-ann", data=body)
                assert (422, "body") == (answer.status, answer.body.get("field")), (path, body[:9])


async def test_a_path_that_names_nothing_is_not_found(town: Town, shop: Shop) -> None:
    """NUL and the like, with a token or without one; the fault is not ours."""
    for token in (None, API_TOKEN):
        for path in ("/v1/payments/%00", "/v1/orders/%00", "/v1/payments/%0A"):
            assert (await shop.ask("GET", path, token)).status in {401, 404}, path
    assert [] == [one for one in town.workers[0].log_lines() if one.get("level") == "error"]


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
    await eventually(lambda: has_status(shop, "o-2", "PAID"))
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
    async with opened(town, patient=True) as [shop]:
        applying = asyncio.create_task(shop.apply(key="k-1"))
        await eventually(lambda: creates(town) == 1)
        process = town.workers[-1].process
        assert process is not None
        process.kill()
        with pytest.raises(aiohttp.ClientError):
            await applying
    await town.rows("UPDATE idempotency_keys SET leased_until = now()")
    await town.rows(
        "WITH ordered AS (UPDATE orders SET version = version + 1)"
        " UPDATE payments SET initiated_at = now() - interval '5 minutes'"
    )
    async with opened(town, patient=True) as [shop]:
        answer = await shop.apply(key="k-1")
    assert 201 == answer.status
    assert {answer.body["payment_id"]} == set(town.mock.books.charges)
    assert 1 == await town.count("SELECT count(*) FROM payments")


async def test_old_answers_are_forgotten(town: Town) -> None:
    """The sweeper's role deletes keys of yesterday."""
    async with opened(town) as [shop]:
        await shop.apply(key="k-1")
    await town.rows("UPDATE idempotency_keys SET created_at = now() - interval '25 hours'")
    async with opened(town):
        assert await eventually(lambda: _no_keys(town))


async def _no_keys(town: Town) -> bool:
    return await town.count("SELECT count(*) FROM idempotency_keys") == 0
