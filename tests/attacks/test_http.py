"""Requests that two servers read differently, tokens compared byte by byte, orders of others."""

import asyncio
import time
from collections.abc import Callable

import aiohttp
import pytest

from payonce.edge.auth import Auth
from payonce.edge.console import door, sessions
from payonce.edge.problems import Refused
from payonce.settings.model import HttpSettings
from payonce.settings.secret import Secret
from tests.attacks.comparing import compared
from tests.e2e.conftest import town
from tests.e2e.counter import opened
from tests.edge.test_auth import asked
from tests.edge.test_server import opened as opened_door
from tests.support.town import Town

__all__ = ["town"]

AMBIGUOUS = {
    "two lengths": (
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nabcdef"
    ),
    "length and chunks": (
        b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
    ),
    "chunks twice": (
        b"POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n"
    ),
    "a space before the colon": b"GET /x HTTP/1.1\r\nHost : x\r\n\r\n",
    "a folded line": b"GET /x HTTP/1.1\r\nHost: x\r\nA: b\r\n c\r\n\r\n",
    "a length with a sign": b"POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nabcde",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
async def test_what_two_servers_could_read_differently_is_no_request(name: str) -> None:
    """400 and the end of the connection: nothing behind it is taken for another request."""
    async with opened_door() as edge:
        reader, writer = await asyncio.open_connection("127.0.0.1", edge.port)
        writer.write(AMBIGUOUS[name])
        async with asyncio.timeout(10):
            answered = await reader.read()
        writer.close()
    assert answered.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert 1 == answered.count(b"HTTP/1.")


async def _key() -> bytes:
    return b"k" * 32


def _auth() -> Auth:
    settings = HttpSettings("", 0, "http://x", Secret("api"), {"ann": Secret("a")})
    return Auth(settings, _key)


async def _order(given: str) -> None:
    with pytest.raises(Refused):
        await _auth().require_order(asked(given), "o-1")


async def _operator(given: str) -> None:
    with pytest.raises(Refused):
        _auth().require_operator(asked(given))


async def _cookie(given: str) -> None:
    sessions._same(given, "wanted")


async def _form(given: str) -> None:
    door._is_right(given, "wanted")


@pytest.mark.parametrize("ask", [_order, _operator, _cookie, _form])
async def test_a_token_is_compared_in_constant_time(
    monkeypatch: pytest.MonkeyPatch, ask: Callable[[str], object]
) -> None:
    """By the function that takes as long for a wrong beginning as for a wrong end."""
    pairs = compared(monkeypatch)
    work = ask("given")
    assert asyncio.iscoroutine(work)
    await work
    assert b"given" in [given for given, _ in pairs]


async def test_a_right_beginning_takes_no_longer() -> None:
    """The quickest of many looks, for none right and for all but one: a ratio near one."""
    auth = _auth()
    token = await auth.order_token("o-1")
    guesses = {"none": "x" * len(token), "nearly all": token[:-1] + "x"}
    best = dict.fromkeys(guesses, float("inf"))
    for _ in range(400):
        for name, guess in guesses.items():
            request = asked(guess)
            began = time.perf_counter_ns()
            with pytest.raises(Refused):
                await auth.require_order(request, "o-1")
            best[name] = min(best[name], time.perf_counter_ns() - began)
    assert 0.7 < best["nearly all"] / best["none"] < 1.4


async def test_a_shopper_reaches_no_other_shopper_s_order(town: Town) -> None:
    """Not its state, its payment, its streams, its page, nor a payment for it."""
    async with opened(town) as [shop], aiohttp.ClientSession() as session:
        mine, other = (await shop.apply("o-mine")).body, (await shop.apply("o-other")).body
        url, token = town.workers[0].url, mine["order_token"]
        paths = [
            "/v1/orders/o-other",
            f"/v1/payments/{other['payment_id']}",
            "/v1/orders/o-other/events",
            "/v1/orders/o-other/ws",
            f"/checkout/{other['payment_id']}",
        ]
        found = []
        for path in paths:
            async with session.get(f"{url}{path}", params={"token": token}) as answer:
                found.append(answer.status)
        body = {"gateway": "mock"}
        bearer = {"Authorization": f"Bearer {token}"}
        choose = f"{url}/v1/orders/o-other/payments"
        async with session.post(choose, json=body, headers=bearer) as answer:
            found.append(answer.status)
    assert [401] * 6 == found
