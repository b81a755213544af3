"""An operator at the pages of a worker, by HTTP as a browser speaks it."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp

from tests.support.town import Worker
from tests.support.troubles import OPERATORS, url_of

_CSRF = re.compile(r'name="csrf" value="([0-9a-f]+)"')
_SAID = re.compile(r'<p class="said [^>]*>(.*?)</p>')
SAME_SITE = {"Sec-Fetch-Site": "same-origin"}


class Operator:
    """Somebody who is logged in."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session

    async def look(self, path: str) -> str:
        """Return a page."""
        async with self._session.get(path) as answer:
            assert 200 == answer.status, await answer.text()
            return await answer.text()

    async def send(self, path: str, **fields: str) -> str:
        """Send a form with the proof that its page holds; return what is said then."""
        found = _CSRF.search(await self.look("/ops/gateways"))
        assert found is not None
        data = {"csrf": found[1], **fields}
        async with self._session.post(path, data=data, headers=SAME_SITE) as answer:
            said = _SAID.search(await answer.text())
            assert said is not None, f"{answer.status}: {await answer.text()}"
            return said[1]


@asynccontextmanager
async def operating(worker: Worker, name: str = "ann") -> AsyncIterator[Operator]:
    """Log an operator in."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(url_of(worker), cookie_jar=jar) as session:
        data = {"token": OPERATORS[name]}
        async with session.post("/ops/login", data=data, headers=SAME_SITE) as answer:
            assert ("/ops", 200) == (answer.url.path, answer.status)
        yield Operator(session)
