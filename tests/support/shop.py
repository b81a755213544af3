"""A shop that applies for payments over HTTP, and its shoppers."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from tests.support.documents import HttpChecker, http_checker
from tests.support.town import Worker

API_TOKEN = "the-shops-own-token"


@dataclass(frozen=True)
class Answered:
    """What a request was answered."""

    status: int
    body: dict[str, Any]
    headers: Mapping[str, str]
    text: str

    @property
    def problem(self) -> str:
        """The name in which a problem's type ends."""
        return str(self.body.get("type", "")).rpartition("/")[2]


class Shop:
    """Speaks to one worker's edge."""

    def __init__(self, session: aiohttp.ClientSession, worker: Worker) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{worker.port}"
        self._checker: HttpChecker | None = None

    async def apply(
        self, order_id: str = "o-1", *, key: str | None = None, **changed: Any
    ) -> Answered:
        """Apply for a payment of an order."""
        body = {"order_id": order_id, "gateway": "mock", "amount": 1999, "currency": "CNY"}
        headers = {"Idempotency-Key": key} if key else {}
        return await self.ask("POST", "/v1/payments", json={**body, **changed}, headers=headers)

    async def choose(
        self, order_id: str, gateway: str, token: str | None, *, key: str | None = None
    ) -> Answered:
        """Choose another gateway, as the shopper does."""
        headers = {"Idempotency-Key": key} if key else {}
        path = f"/v1/orders/{order_id}/payments"
        return await self.ask("POST", path, token, json={"gateway": gateway}, headers=headers)

    async def order(self, order_id: str, token: str | None = API_TOKEN) -> Answered:
        """Look at an order."""
        return await self.ask("GET", f"/v1/orders/{order_id}", token)

    async def payment(self, payment_id: str, token: str | None = API_TOKEN) -> Answered:
        """Look at a payment."""
        return await self.ask("GET", f"/v1/payments/{payment_id}", token)

    async def metrics(self) -> str:
        """Return the edge's metrics."""
        async with self._session.get(f"{self._url}/metrics") as answer:
            return await answer.text()

    async def ask(
        self, method: str, path: str, token: str | None = API_TOKEN, **more: Any
    ) -> Answered:
        """Return what any request is answered, once it is what the served document says of it."""
        checker = self._checker or await self.read_document()
        headers = dict(more.pop("headers", {}))
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        url = self._url + path
        async with self._session.request(method, url, headers=headers, **more) as answer:
            body = await answer.read()
            checker.check(method, answer.url.path, answer.status, answer.content_type, body)
            text = await answer.text()
            return Answered(
                answer.status, await answer.json(content_type=None), answer.headers, text
            )

    async def read_document(self) -> HttpChecker:
        """Read what the answers shall be like, as the first request does otherwise."""
        async with self._session.get(f"{self._url}/openapi.json") as answer:
            assert answer.status == 200
            self._checker = http_checker(await answer.read())
            return self._checker


@asynccontextmanager
async def open_shop(*workers: Worker) -> AsyncIterator[list[Shop]]:
    """Give a shop for each worker, with as many connections as it likes."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        yield [Shop(session, worker) for worker in workers]
