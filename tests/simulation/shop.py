"""Shop, shoppers and order service: they double-click, change their minds, repeat themselves."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from payonce.adapters.codec import JSON
from payonce.adapters.memory.bus import Message
from payonce.adapters.rabbitmq.topology import PAYMENTS
from payonce.domain.application import parse_application
from payonce.domain.errors import BadCallback, Unavailable
from payonce.domain.events import Event
from payonce.domain.ids import payment_id as id_of
from payonce.handlers.apply import Shown
from tests.simulation.books import Books, Charge, Sent
from tests.simulation.gateway import letter
from tests.simulation.worker import Worker
from tests.simulation.world import EVENTS, GATEWAYS, TERMS, World

BEGINS_WITHIN_S = 600.0
TRIES = 40
QUIET_PAYS_WITHIN_S = 300.0
FORGETS_AFTER_S = 1_200.0
"""After this a gateway may have forgotten a refund's id: later than its key window says."""
WATCH_S = TERMS.watch_for.total_seconds()


class Shop:
    """Everybody outside. `sent`: the payments that payonce was told of, by id."""

    def __init__(self, world: World, workers: list[Worker]) -> None:
        self._world = world
        self._workers = workers
        self._tasks: list[asyncio.Task[Any]] = []
        self.sent: set[str] = set()
        self.cancelled: set[str] = set()
        self._quiet: set[str] = set()
        self.booked: dict[str, Counter[str]] = {}
        self.booked_for: dict[str, str] = {}
        world.on_created = self._on_created
        world.on_refund = self._on_refund
        world.on_call = self._on_call
        for books in world.books.values():
            books.on_word = self._on_word

    def begin(self, orders: list[int]) -> None:
        """Let every order live its life, and the order service listen."""
        self._spawn(self._listen())
        for number in orders:
            self._spawn(self._live(number))

    def begin_quiet(self, numbers: Sequence[int]) -> None:
        """Let orders be paid in a world without faults; only polls tell of them, no callback."""
        for number in numbers:
            order_id, gateway = f"q{number}", GATEWAYS[number % len(GATEWAYS)]
            self._quiet.add(order_id)
            self._spawn(self._tell(f"{order_id}-0", order_id, gateway, 100))
        self._spawn(self._pay_twice_in_quiet())

    async def _pay_twice_in_quiet(self) -> None:
        """Let a slip be paid long after its order was; nobody tells of it, nobody can close it."""
        order_id, (first, second, _) = "q-twice", GATEWAYS
        self._quiet.add(order_id)
        await self._tell(f"{order_id}-0", order_id, first, 100)
        await asyncio.sleep(QUIET_PAYS_WITHIN_S + TERMS.ladder.waits_ms[-1] / 1000 + 20)
        await self._tell(f"{order_id}-1", order_id, second, 100)

    def faults(self) -> list[str]:
        """Return what went wrong with the simulation itself."""
        ended = [one for one in self._tasks if one.done() and not one.cancelled()]
        return [repr(error) for one in ended if (error := one.exception()) is not None]

    async def _live(self, number: int) -> None:
        row, order_id = self._world.chance.row(f"order {number}"), f"o{number}"
        amount = row.choice((100, 1_999, 6_000))
        await asyncio.sleep(row.uniform(0, BEGINS_WITHIN_S))
        attempts = row.choices((1, 2, 3), (5, 4, 1))[0]
        for attempt in range(attempts):
            gateway = row.choice(GATEWAYS)
            strange = row.random() < 0.04
            price = amount + 1 if strange and attempt else amount
            if row.random() < 0.5:
                self._spawn(self._tell(f"p{number}-{attempt}", order_id, gateway, price))
            else:
                clicks = row.choices((1, 2), (3, 1))[0]
                for click in range(clicks):
                    about = f"{number}/{attempt}/{click}"
                    self._spawn(self._apply(about, order_id, gateway, price))
            await asyncio.sleep(row.expovariate(1 / 30))
        if row.random() < 0.12:
            await asyncio.sleep(row.expovariate(1 / 60))
            self.cancelled.add(order_id)
            await self._publish("order.cancelled", {"order_id": order_id})

    async def _tell(self, payment_id: str, order_id: str, gateway: str, amount: int) -> None:
        """Create the charge without payonce, then send it the message, again where unsure."""
        books, chance = self._world.books[gateway], self._world.chance
        charge = books.create(payment_id, order_id, amount, "CNY", WATCH_S)
        self._on_created(books, charge)
        if chance.strikes("shop.late"):
            await asyncio.sleep(chance.row("lateness").uniform(5, 120))
        data = {
            "payment_id": payment_id,
            "order_id": order_id,
            "gateway": gateway,
            "amount": amount,
            "currency": "CNY",
            "gateway_ref": charge.ref,
        }
        self.sent.add(payment_id)
        await self._publish("payment.initiated", data)
        if chance.strikes("shop.repeats"):
            await asyncio.sleep(chance.row("repeats").uniform(0, 300))
            await self._publish("payment.initiated", data)

    async def _apply(self, about: str, order_id: str, gateway: str, amount: int) -> None:
        """Apply at any worker, again with the same id where it died or could not."""
        row, payment_id = self._world.chance.row(f"clicks of {order_id}"), id_of(about)
        asked = {"order_id": order_id, "gateway": gateway, "amount": amount, "currency": "CNY"}
        for _ in range(TRIES):
            worker = row.choice(self._workers)
            now = worker.clock.now()
            application = parse_application(
                asked, payment_id, now, dict.fromkeys(GATEWAYS, TERMS.watch_for), None
            )
            task = worker.spawn(worker.parts.apply.apply(application))
            await asyncio.wait([task])
            if not task.cancelled() and not isinstance(task.exception(), Unavailable):
                result = task.result()
                self._world.trace.note("shop", f"applied for {order_id}: {_words(result)}")
                return
            await asyncio.sleep(row.uniform(0.5, 5))

    async def _publish(self, key: str, data: Mapping[str, Any]) -> None:
        """Send a message until the broker has taken it."""
        chance = self._world.chance
        message = Message(key, json.dumps(data).encode(), JSON, f"{key}/{json.dumps(data)}")
        for _ in range(TRIES):
            if "broker" not in self._world.away and not chance.strikes("broker.lost"):
                break
            await asyncio.sleep(2.0)
        self._world.bus.route(PAYMENTS, message)
        if chance.strikes("broker.doubled"):
            self._world.bus.route(PAYMENTS, message)

    def _on_created(self, books: Books, charge: Charge) -> None:
        row = self._world.chance.row(f"shopper of {charge.payment_id}")
        fate = row.choices(("pays", "declines", "never"), (70, 10, 20))[0]
        if fate != "never" or charge.order_id in self._quiet:
            self._spawn(self._shop(books, charge, fate, row))

    async def _shop(self, books: Books, charge: Charge, fate: str, row: random.Random) -> None:
        wait_s = row.expovariate(1 / 40)
        if charge.order_id in self._quiet:
            wait_s, fate = row.uniform(5, QUIET_PAYS_WITHIN_S), "pays"
        elif self._world.chance.strikes("gateway.payer_late"):
            wait_s = row.uniform(WATCH_S - 60, WATCH_S + 500)
        await asyncio.sleep(wait_s)
        if fate == "pays":
            books.pay(charge.payment_id)
        else:
            books.decline(charge.payment_id)

    def _on_refund(self, books: Books, payment_id: str, sent: Sent) -> None:
        if sent.turns_at_s is not None:
            wait_s = sent.turns_at_s - asyncio.get_running_loop().time()
            asyncio.get_running_loop().call_later(
                max(wait_s, 0.0), books.turn, payment_id, sent.refund_id
            )
        if self._world.chance.strikes("gateway.forgets"):
            asyncio.get_running_loop().call_later(
                FORGETS_AFTER_S, books.forget, payment_id, sent.refund_id
            )

    def _on_word(self, name: str, charge: Charge, sent: Sent | None) -> None:
        chance = self._world.chance
        if charge.order_id in self._quiet or chance.strikes("callback.lost"):
            return
        copies = 2 if chance.strikes("callback.doubled") else 1
        told = _told(charge, sent)
        event_id = f"{name}/{charge.payment_id}/{sent.refund_id if sent else told['outcome']}"
        for _ in range(copies):
            self._spawn(self._call_back(name, event_id, told))
        if chance.strikes("callback.forged"):
            lie = {**told, "outcome": "succeeded"}
            self._spawn(self._forge(name, event_id, lie))

    async def _call_back(self, name: str, event_id: str, told: Mapping[str, Any]) -> None:
        """Post a callback to any worker until one has taken it."""
        chance = self._world.chance
        row = chance.row("callbacks")
        if chance.strikes("callback.late"):
            await asyncio.sleep(row.uniform(5, 200))
        for attempt in range(TRIES):
            headers, body = letter(self._world.clock.now(), event_id, told)
            worker = row.choice(self._workers)
            task = worker.spawn(worker.parts.reception.receive(name, headers, body))
            await asyncio.wait([task])
            if not task.cancelled() and task.exception() is None:
                return
            await asyncio.sleep(min(2.0**attempt, 600.0))

    async def _forge(self, name: str, event_id: str, lie: Mapping[str, Any]) -> None:
        headers, body = letter(self._world.clock.now(), f"forged/{event_id}", lie)
        worker = self._world.chance.row("forgers").choice(self._workers)
        task = worker.spawn(
            worker.parts.reception.receive(name, {**headers, "signature": "by-a-thief"}, body)
        )
        await asyncio.wait([task])
        if not task.cancelled() and not isinstance(task.exception(), BadCallback):
            self._world.wrongs.append(f"a forged callback was taken: {event_id}")

    async def _listen(self) -> None:
        """Book paid orders, each once, and say so: the order service."""
        queue, chance = self._world.bus.queue(EVENTS), self._world.chance
        while True:
            message = await queue.take()
            await asyncio.sleep(0.01)
            if chance.strikes("shop.fails"):
                asyncio.get_running_loop().call_later(5.0, queue.put, message)
                continue
            data = json.loads(message.body)["data"]
            order_id = data["order_id"]
            self._book(message.message_id or "", data)
            if not chance.strikes("shop.mute"):
                acknowledged = {"order_id": order_id, "payment_id": data["payment_id"]}
                await self._publish("order.acknowledged", acknowledged)

    def _on_call(self, event: Event) -> None:
        """Be told by a call."""
        self._book(event.event_id, event.data)

    def _book(self, event_id: str, data: Mapping[str, Any]) -> None:
        order_id = data["order_id"]
        self.booked.setdefault(order_id, Counter())[event_id] += 1
        self.booked_for[order_id] = data["payment_id"]
        self._world.trace.note("shop", f"booked {order_id} by {data['payment_id']}")

    def _spawn(self, work: Any) -> None:
        self._tasks.append(asyncio.get_running_loop().create_task(work))


def _told(charge: Charge, sent: Sent | None) -> dict[str, Any]:
    if sent is not None:
        return {
            "kind": "refund",
            "payment_id": charge.payment_id,
            "refund_id": sent.refund_id,
            "outcome": sent.outcome.value,
        }
    return {
        "kind": "charge",
        "payment_id": charge.payment_id,
        "outcome": _outcome_of(charge),
        "ref": charge.ref,
        "amount": charge.amount,
        "currency": charge.currency,
    }


def _outcome_of(charge: Charge) -> str:
    if charge.paid_s is not None:
        return "succeeded"
    return "approved" if charge.approved_s is not None else "failed"


def _words(result: object) -> str:
    if isinstance(result, Shown):
        return f"shown {result.applied.payment.payment_id}"
    return type(result).__name__
