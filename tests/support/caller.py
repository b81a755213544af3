"""A gateway's hand: signs callbacks as it likes, and posts them."""

import json
import time
from dataclasses import dataclass
from typing import Any

import aiohttp

from gateway_mock.server import DEFAULT_SECRET
from payonce.domain.signature import sign, signing_key
from tests.support.documents import check_answer
from tests.support.town import Worker

OTHER_SECRET = "whsec_YW5vdGhlci1zZWNyZXQtb2YtYW5vdGhlcg=="
Answered = tuple[int, dict[str, Any]]


def url_of(worker: Worker, gateway: str = "mock") -> str:
    """Return where a worker takes callbacks."""
    return f"http://127.0.0.1:{worker.port}/v1/webhooks/{gateway}"


def charge(payment: dict[str, Any], status: str = "succeeded", **changed: Any) -> bytes:
    """Return a callback's body about the charge of a payment."""
    data = {
        "payment_id": payment["payment_id"],
        "gateway_ref": f"ch-{payment['payment_id']}",
        "status": status,
        "amount": payment["amount"],
        "currency": payment["currency"],
        "refunded": 0,
    }
    return json.dumps({"type": "charge", "data": data | changed}).encode()


@dataclass(frozen=True)
class Call:
    """One callback, signed; what is changed afterwards is forged."""

    body: bytes
    event_id: str = "msg_1"
    secret: str = DEFAULT_SECRET
    age_s: int = 0

    def headers(self) -> dict[str, str]:
        """Return the headers that prove it."""
        at_s = int(time.time()) - self.age_s
        return sign(signing_key(self.secret), self.event_id, at_s, self.body)

    async def post(self, worker: Worker, gateway: str = "mock", **changed: str) -> Answered:
        """Post it; return status and what was answered."""
        return await post(url_of(worker, gateway), self.body, {**self.headers(), **changed})


async def post(url: str, body: bytes, headers: dict[str, str]) -> Answered:
    """Post any body with any headers."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, data=body, headers=headers) as answer,
    ):
        await check_answer(answer)
        return answer.status, await answer.json(content_type=None)


async def get(worker: Worker, path: str, token: str = "") -> Answered:
    """Get a page of the edge as an operator."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{worker.port}{path}", headers=headers) as answer,
    ):
        await check_answer(answer)
        return answer.status, await answer.json(content_type=None)


async def counted(worker: Worker, series: str) -> float:
    """Return a metric's value, 0 where it has none; `series` as Prometheus writes it."""
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"http://127.0.0.1:{worker.port}/metrics") as answer,
    ):
        lines = (await answer.text()).splitlines()
    values = [float(line.split(" ")[1]) for line in lines if line.startswith(f"{series} ")]
    return values[0] if values else 0.0
