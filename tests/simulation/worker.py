"""One worker process: the real handlers on links to the world, and its death."""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from payonce.adapters.intake import (
    take_closes,
    take_events,
    take_notices,
    take_polls,
    take_refunds,
)
from payonce.adapters.metrics import NullMeter
from payonce.adapters.rabbitmq.topology import work_queue_name
from payonce.domain.application import Policy
from payonce.domain.errors import Unavailable
from payonce.domain.ladder import Ladder
from payonce.domain.risk import GatewayPolicy
from payonce.domain.risk import Policy as RefundPolicy
from payonce.gateways.capturing import Capturing
from payonce.handlers.acknowledge import Acknowledge
from payonce.handlers.announce import Announcer
from payonce.handlers.apply import Apply, ApplyRules
from payonce.handlers.callback import Callback
from payonce.handlers.cancel import Cancel
from payonce.handlers.close import Close
from payonce.handlers.notify import Notify
from payonce.handlers.poll import Poll
from payonce.handlers.refund import Refunder
from payonce.handlers.refund_desk import RefundDesk
from payonce.handlers.refund_sweep import RefundSweep
from payonce.handlers.register import Register
from payonce.handlers.settle import Settler
from payonce.inbox import Reception
from payonce.ports.bus import Receiver, WorkQueue
from payonce.ports.gateway import Gateway
from payonce.relay import Relay
from payonce.reteller import Reteller
from payonce.sweeper import Sweeper
from tests.simulation.capture_books import CapturingBooks
from tests.simulation.capturing import SimCapturing
from tests.simulation.consumer import Consumer
from tests.simulation.gateway import SimGateway
from tests.simulation.links import Broker, Caller, Clock, Database, Link, Redis
from tests.simulation.world import GATEWAYS, REFUND_LADDER, TERMS, World

EVERY = timedelta(seconds=60)
CALM_S = 90.0
METER = NullMeter()
KEY_WINDOW = timedelta(minutes=15)
RETELLING = Ladder((240_000, 600_000, 3_600_000))
REFUNDS = RefundPolicy(
    auto=True,
    hold_above={"CNY": 5_000},
    two_people_above={"CNY": 50_000},
    max_per_order=3,
    max_per_hour=1_000,
    gateways={name: GatewayPolicy(key_window=KEY_WINDOW) for name in GATEWAYS},
)

Turn = tuple[Callable[[], Awaitable[bool]], float]
"""One turn of a loop, and the seconds between two of them."""


@dataclass
class Parts:
    """What one worker is made of."""

    apply: Apply
    desk: RefundDesk
    reception: Reception
    receivers: dict[WorkQueue, Receiver]
    turns: tuple[Turn, ...]


class Worker:
    """Its handlers, its consumers and its loops, all of them tasks that die with it."""

    def __init__(self, world: World, name: str) -> None:
        self.link = Link(world, name)
        self.clock = Clock(self.link)
        self.parts = _built(world, self.link, self.clock)
        self._services: list[asyncio.Task[Any]] = []
        self._guests: list[asyncio.Task[Any]] = []
        self._consumers: list[Consumer] = []

    def start(self) -> None:
        """Begin to consume and to sweep."""
        for queue, receiver in self.parts.receivers.items():
            consumer = Consumer(self.link, work_queue_name(queue), receiver, self.clock)
            self._consumers.append(consumer)
            self._services.append(asyncio.get_running_loop().create_task(consumer.run()))
        for run_once, every_s in self.parts.turns:
            turning = self._repeat(run_once, every_s)
            self._services.append(asyncio.get_running_loop().create_task(turning))

    def spawn(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run `work` in this worker: it dies with it."""
        task = asyncio.get_running_loop().create_task(work)
        self._guests.append(task)
        return task

    async def _repeat(self, run_once: Callable[[], Awaitable[bool]], every_s: float) -> None:
        """Take turns as payonce.looping does; in a calm world less often, to save real time."""
        chance = self.link.world.chance
        row = chance.row(f"jitter of {self.link.name}")
        while True:
            try:
                more = await run_once()
            except Unavailable:
                more = False
            if not more:
                await self.clock.sleep((CALM_S if chance.calm else every_s) * row.uniform(0.9, 1))

    async def kill(self) -> None:
        """End everything at once, wherever it stands; nothing of it has any effect any more."""
        self.link.dead = True
        in_hand = [task for one in self._consumers for task in one.in_hand.values()]
        doomed = [task for task in (*self._services, *self._guests, *in_hand) if not task.done()]
        for task in doomed:
            task.cancel()
        await asyncio.gather(*doomed, return_exceptions=True)

    def faults(self) -> list[str]:
        """Return what ended a loop of this worker that should never end."""
        ended = [task for task in self._services if task.done() and not task.cancelled()]
        return [repr(error) for task in ended if (error := task.exception()) is not None]


async def checkout_url(payment_id: str, order_id: str) -> str:
    """Return the address of a payment's page."""
    return f"https://pay.example/checkout/{payment_id}?token={order_id}"


def _gateway(world: World, link: Link, clock: Clock, name: str) -> Gateway:
    books = world.books[name]
    if isinstance(books, CapturingBooks):
        captures: Any = Database(link, world.captures)
        return Capturing(SimCapturing(books, link), captures, clock)
    return SimGateway(books, link)


def _built(world: World, link: Link, clock: Clock) -> Parts:
    store: Any = Database(link, world.store)
    refunds: Any = Database(link, world.refunds)
    inbox: Any = Database(link, world.inbox)
    applications: Any = Database(link, world.applications)
    broker, redis = Broker(link), Redis(link)
    gateways = {name: _gateway(world, link, clock, name) for name in GATEWAYS}
    announcer = Announcer(broker, store, clock, METER)
    acknowledge = Acknowledge(store, clock)
    notices = Notify(Caller(link), store, store, acknowledge.note, broker, clock, METER)
    called = notices if world.is_called else None
    settler = Settler(store, announcer, broker, redis, clock, METER, called)
    refunder = Refunder(
        refunds, announcer, broker, gateways, REFUNDS, REFUND_LADDER, TERMS.grace, clock, METER
    )
    callback = Callback(inbox, store, settler, broker, redis, gateways, refunder, clock)
    reception = Reception(inbox, callback, gateways, clock, METER)
    register = Register(store, broker, gateways, reception, clock, METER, supersede=True)
    poll = Poll(store, settler, broker, redis, gateways, clock, METER)
    close = Close(settler, store, broker, gateways, clock)
    budgets_s = dict.fromkeys(GATEWAYS, 10.0)
    rules = ApplyRules(Policy.CANCEL, "https://pay.example", checkout_url, budgets_s)
    apply = Apply(
        applications,
        settler,
        close.handle,
        announcer,
        redis,
        redis,
        gateways,
        rules,
        clock,
        METER,
        paused=frozenset,
    )
    cancel = Cancel(store, broker, clock)
    sweeper = Sweeper(store, broker, gateways, EVERY, clock, METER, spared=frozenset)
    return Parts(
        apply,
        RefundDesk(refunds, announcer, broker, REFUNDS, clock, METER),
        reception,
        {
            WorkQueue.INITIATED: take_events("payment.initiated", register.handle),
            WorkQueue.ACKNOWLEDGED: take_events("order.acknowledged", acknowledge.handle),
            WorkQueue.CANCELLED: take_events("order.cancelled", cancel.handle),
            WorkQueue.POLL: take_polls(poll.handle),
            WorkQueue.CLOSE: take_closes(close.handle),
            WorkQueue.REFUND: take_refunds(refunder.handle),
            WorkQueue.NOTIFY: take_notices(notices.handle),
        },
        (
            (Relay(store, announcer, clock).run_once, 5.0),
            (Reteller(store, RETELLING, clock, METER, called).run_once, 20.0),
            (sweeper.run_once, 60.0),
            (RefundSweep(refunds, broker, gateways, EVERY, clock).run_once, 60.0),
            (reception.run_once, 5.0),
        ),
    )
