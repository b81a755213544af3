"""What no client library would send, on every route: nothing breaks, every answer is documented."""

import aiohttp
import pytest
from yarl import URL

from payonce.edge.operations import Who
from tests.e2e.counter import opened
from tests.support.documents import HttpChecker, http_checker
from tests.support.oddities import Oddity, headers_of, oddities
from tests.support.shop import API_TOKEN
from tests.support.town import Town

pytestmark = pytest.mark.timeout(300)

TOKENS = {Who.SHOP: API_TOKEN, Who.ORDER: API_TOKEN, Who.OPERATOR: "token-of-ann"}


async def test_whatever_is_asked_is_answered(town: Town) -> None:
    """Never by 5xx, always as documented, a wrong method with those that there are."""
    operators = '{"ann": "token-of-ann"}'
    async with opened(town, PAYONCE_HTTP__OPERATORS=operators), aiohttp.ClientSession() as session:
        url = f"http://127.0.0.1:{town.workers[0].port}"
        async with session.get(f"{url}/openapi.json") as answer:
            checker = http_checker(await answer.read())
        asked = 0
        for oddity in oddities():
            await _ask(session, url, oddity, checker)
            asked += 1
    assert asked > 1_000
    assert [] == [one for one in town.workers[0].log_lines() if one.get("level") == "error"]


async def _ask(
    session: aiohttp.ClientSession, url: str, oddity: Oddity, checker: HttpChecker
) -> None:
    address = URL(url + oddity.path, encoded=True)
    headers = headers_of(oddity, TOKENS)
    async with session.request(oddity.method, address, data=oddity.data, headers=headers) as answer:
        body = await answer.read()
        assert answer.status < 500, (oddity, body)
        if answer.status == 405:
            assert answer.headers["Allow"], oddity
        if oddity.method != "HEAD":
            path = oddity.path.partition("?")[0]
            checker.check(oddity.method, path, answer.status, answer.content_type, body)
