"""A steady crowd of shoppers, by message and by HTTP, who do not mind that something is broken."""

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp

from payonce.adapters.backoff import Backoff
from tests.campaign.stage import Stage
from tests.support.crowd import sent
from tests.support.shop import API_TOKEN

_GIVES_UP_AFTER_S = 6.0
# What a gateway never heard of is over when this has passed.
_APPLIES_FOR_S = 12.0
_CALL_TIMEOUT_S = 3.0
_TRY_AGAIN_S = 0.4
_MOST_AGAIN_S = 4.0
_POST_EVERY_S = 0.25
_ASK_AGAIN_S = 5.0

Script = Mapping[str, Any]


@dataclass
class Told:
    """What the shop asked for, and how it was answered; times by the loop's clock, in seconds.

    `asked`: payments that the shop has sent or been shown, by when they were last sent.
    `refusals`: applications that were not answered, by why. `longest_s`: until one was.
    """

    asked: dict[str, float] = field(default_factory=dict)
    orders: set[str] = field(default_factory=set)
    refusals: Counter[str] = field(default_factory=Counter)
    longest_s: float = 0.0
    odd: list[str] = field(default_factory=list)


class Load:
    """Shoppers of nine kinds by turns, so many a second, from `start` to `stop`.

    `prefix` begins every id, so that the books of one trial are told from those of another.
    """

    def __init__(self, stage: Stage, prefix: str, per_s: float, seed: int) -> None:
        self.told = Told()
        self._stage = stage
        self._prefix = prefix
        self._per_s = per_s
        self._chance = random.Random(f"{seed}/{prefix}")
        self._bus_url = stage.rabbitmq.url_of(stage.vhost)
        self._unsent: dict[str, dict[str, Any]] = {}
        self._messages: dict[str, dict[str, Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._session: aiohttp.ClientSession | None = None
        self._arriving = True
        self._kinds: list[Callable[[str], Awaitable[None]]] = [
            self._quick,
            self._slow,
            self._two_channels,
            self._stumbling,
            self._gives_up,
            self._declines,
            self._clicks_twice,
            self._changes_channel,
            self._pays_late,
        ]

    async def start(self) -> None:
        """Let shoppers come from now on."""
        timeout = aiohttp.ClientTimeout(total=_CALL_TIMEOUT_S)
        self._session = aiohttp.ClientSession(timeout=timeout)
        self._spawn(self._arrive())
        self._spawn(self._post())

    async def stop(self, timeout_s: float) -> None:
        """Let nobody come any more, and those who came end what they do."""
        self._arriving = False
        try:
            async with asyncio.timeout(timeout_s):
                while self._tasks:
                    await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            await self.close()

    async def close(self) -> None:
        """End at once."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    def kind_of(self, order_id: str) -> str:
        """Return what kind of shopper an order is of."""
        number = int(order_id.removeprefix(self._prefix))
        return self._kinds[number % len(self._kinds)].__name__.strip("_").replace("_", "-")

    def send_again(self, registered: set[str]) -> None:
        """Repeat messages whose payments are not registered yet, as a sender does who is unsure."""
        now = self._now()
        for payment_id, message in self._messages.items():
            if payment_id in registered or now < self.told.asked[payment_id] + _ASK_AGAIN_S:
                continue
            self.told.asked[payment_id] = now
            self._unsent[payment_id] = message

    # --- shoppers by message ---------------------------------------------------------------------

    async def _quick(self, order_id: str) -> None:
        await self._initiate(order_id, {"pays_after_s": 0.3}, calls_back=True)

    async def _slow(self, order_id: str) -> None:
        await self._initiate(order_id, {"pays_after_s": self._chance.uniform(1, 3)})

    async def _two_channels(self, order_id: str) -> None:
        await self._initiate(order_id, {"pays_after_s": 0.4})
        await self._initiate(order_id, {"pays_after_s": 0.9}, number=2, gateway="other")

    async def _stumbling(self, order_id: str) -> None:
        await self._initiate(order_id, {"pays_after_s": 0.5, "faults": ["500", "nonsense"]})

    async def _gives_up(self, order_id: str) -> None:
        await self._initiate(order_id, {}, expires_at=_in(_GIVES_UP_AFTER_S))

    async def _declines(self, order_id: str) -> None:
        await self._initiate(order_id, {"declines_after_s": 1.0}, calls_back=True)

    async def _initiate(
        self,
        order_id: str,
        script: Script,
        *,
        number: int = 1,
        gateway: str = "mock",
        calls_back: bool = False,
        **more: Any,
    ) -> None:
        """Open a charge, as a shop does that asks the gateway itself, and send the message."""
        payment = {
            "payment_id": f"{order_id}.{number}",
            "order_id": order_id,
            "gateway": gateway,
            "amount": 1_000 + len(self.told.orders) % 7 if number == 1 else self._amount(order_id),
            "currency": "CNY",
            **more,
        }
        url = f"http://127.0.0.1:{self._stage.links['callbacks'].port}/v1/webhooks/{gateway}"
        charge = {**payment, "expires_at": None, "script": script}
        charge |= {"notify_url": url} if calls_back else {}
        await self._tell_gateway("/control/charges", [charge])
        payment_id = payment["payment_id"]
        self.told.asked[payment_id] = self._now()
        self._messages[payment_id] = self._unsent[payment_id] = payment

    def _amount(self, order_id: str) -> int:
        return int(self._messages[f"{order_id}.1"]["amount"])

    # --- shoppers by HTTP ------------------------------------------------------------------------

    async def _clicks_twice(self, order_id: str) -> None:
        first, second = await asyncio.gather(self._apply(order_id), self._apply(order_id))
        await asyncio.sleep(0.3)
        # The later word counts: where the first click was answered long before, it was superseded.
        await self._pay(second or first)

    async def _changes_channel(self, order_id: str) -> None:
        await self._apply(order_id)
        await asyncio.sleep(0.2)
        await self._pay(await self._apply(order_id, "other"))

    async def _pays_late(self, order_id: str) -> None:
        """Both channels are paid, the closed one too."""
        await self._tell_gateway("/control/scripts", {order_id: {"pays_though_closed": True}})
        first = await self._apply(order_id)
        second = await self._apply(order_id, "other")
        await self._pay(second)
        await asyncio.sleep(0.5)
        await self._pay(first)

    async def _apply(self, order_id: str, gateway: str = "mock") -> str:
        """Apply until there is a payment to show; return its id, nothing if the order is paid."""
        body = {"order_id": order_id, "gateway": gateway, "amount": 1_999, "currency": "CNY"}
        began, again = self._now(), Backoff(_TRY_AGAIN_S, _MOST_AGAIN_S, self._chance.random)
        while True:
            body["expires_at"] = _in(_APPLIES_FOR_S)
            status, answer = await self._post_to_a_worker("/v1/payments", body)
            if "payment_id" in answer:
                self.told.asked[answer["payment_id"]] = self._now()
            problem = str(answer.get("type", "")).rpartition("/")[2]
            if status == 201 or problem == "order-paid":
                break
            self.told.refusals[problem or str(status)] += 1
            await asyncio.sleep(again.next_s())
        self.told.longest_s = max(self.told.longest_s, self._now() - began)
        return str(answer["payment_id"]) if status == 201 else ""

    async def _post_to_a_worker(self, path: str, body: Any) -> tuple[int, dict[str, Any]]:
        worker = self._chance.choice(self._stage.workers)
        headers = {"Authorization": f"Bearer {API_TOKEN}"}
        try:
            async with self._http.post(worker.url + path, json=body, headers=headers) as answer:
                return answer.status, await answer.json(content_type=None)
        except (aiohttp.ClientError, OSError, TimeoutError):
            return 0, {}

    async def _pay(self, payment_id: str) -> None:
        if payment_id:
            await self._tell_gateway(f"/control/charges/{payment_id}/pay", {})

    # --- what carries them -----------------------------------------------------------------------

    @property
    def _http(self) -> aiohttp.ClientSession:
        assert self._session is not None
        return self._session

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _spawn(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _arrive(self) -> None:
        due = self._now()
        number = 0
        while self._arriving:
            order_id = f"{self._prefix}{number}"
            self.told.orders.add(order_id)
            self._spawn(self._kinds[number % len(self._kinds)](order_id))
            number += 1
            due += 1 / self._per_s
            await asyncio.sleep(due - self._now())

    async def _post(self) -> None:
        """Send what is unsent until the broker has confirmed it."""
        while self._arriving or self._unsent or len(self._tasks) > 1:
            batch = list(self._unsent.values())
            if batch and await sent(self._bus_url, batch):
                for payment in batch:
                    self._unsent.pop(payment["payment_id"], None)
            await asyncio.sleep(_POST_EVERY_S)

    async def _tell_gateway(self, path: str, data: Any) -> None:
        """Have something happen at the gateway, whatever state it is in: by its back door."""
        while True:
            with suppress(aiohttp.ClientError, OSError, TimeoutError):
                async with self._http.post(self._stage.gateway.books_url + path, json=data) as said:
                    if said.status >= 300:
                        self.told.odd.append(f"gateway {path}: {said.status} {await said.text()}")
                    return
            await asyncio.sleep(_TRY_AGAIN_S)


def _in(wait_s: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=wait_s)).isoformat()
