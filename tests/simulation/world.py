"""What all workers share: the truth, the broker, Redis, the gateways, and the chance that rules."""

import asyncio
import copy
from collections.abc import Callable, Collection
from datetime import UTC, datetime, timedelta

from payonce.adapters.memory.bus import MemoryBus, Message
from payonce.adapters.memory.cache import MemoryCache
from payonce.adapters.rabbitmq.topology import (
    INBOUND,
    PAYMENTS,
    Binding,
    Topology,
    payonce_topology,
    work_queue,
    work_queue_name,
)
from payonce.domain.events import Event
from payonce.domain.ladder import Ladder
from payonce.domain.watch import Terms
from payonce.handlers.close import CLOSE_WAITS_MS
from payonce.handlers.notify import NOTIFY_WAITS_MS
from payonce.ports.bus import WorkQueue
from tests.simulation.books import Books, Charge, Sent
from tests.simulation.capture_books import CapturingBooks
from tests.simulation.chance import Chance
from tests.simulation.trace import Trace
from tests.store.applying import FakeApplications
from tests.store.fake import FakeStore
from tests.store.fake_captures import FakeCaptures
from tests.store.fake_inbox import FakeInbox
from tests.store.fake_refunds import FakeRefunds

BEGINNING = datetime(2026, 3, 1, 8, 0, tzinfo=UTC)
GATEWAYS = ("wechat", "boleto", "paypal")
EVENTS = "shop.payment-succeeded"
LEDGER = "ledger.events"
REFUND_LADDER = Ladder((5_000, 30_000, 180_000, 600_000))
TERMS = Terms(
    ladder=Ladder((3_000, 10_000, 30_000, 180_000)),
    watch_for=timedelta(minutes=30),
    lateness=timedelta(minutes=10),
    grace=timedelta(seconds=15),
    can_close=True,
)
CAN_CLOSE = frozenset({"wechat", "paypal"})
"""A slip of boleto that was handed out cannot be taken back."""
CAPTURES = frozenset({"paypal"})
"""There the shopper agrees, and we take the money."""


class TrueClock:
    """The time that nobody's clock shows exactly."""

    def now(self) -> datetime:
        """Return the virtual present."""
        return BEGINNING + timedelta(seconds=asyncio.get_running_loop().time())

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` virtual seconds."""
        await asyncio.sleep(delay_s)


class Bus(MemoryBus):
    """The broker; `reached` holds the ids of events that came to a queue."""

    def __init__(self, clock: TrueClock, topology: Topology) -> None:
        super().__init__(clock, topology)
        self.reached: set[str] = set()

    def route(self, exchange: str, message: Message) -> None:
        """Put `message` into every queue that is bound for it."""
        super().route(exchange, message)
        if exchange == PAYMENTS and message.message_id is not None:
            self.reached.add(message.message_id)


class World:
    """One installation, and everything that may befall it."""

    def __init__(self, seed: str, without: Collection[str] = (), *, keep_trace: bool) -> None:
        loop = asyncio.get_running_loop()
        self.chance = Chance(seed, without)
        self.clock = TrueClock()
        # Half of the installations tell their order service by events alone.
        self.is_called = self.chance.row("installation").random() < 0.5
        self.trace = Trace(loop.time, keep=keep_trace)
        self.store = FakeStore(now=self.clock.now)
        self.refunds = FakeRefunds(self.store, self.clock)
        self.inbox = FakeInbox(self.store)
        self.applications = FakeApplications(self.store)
        self.captures = FakeCaptures(self.store)
        self.books = {
            name: (CapturingBooks if name in CAPTURES else Books)(
                name, self.chance, self.trace, loop.time
            )
            for name in GATEWAYS
        }
        self.away: set[str] = set()
        self.wrongs: list[str] = []
        self.on_death: Callable[[str], None] = lambda _: None
        self.on_created: Callable[[Books, Charge], None] = lambda *_: None
        self.on_call: Callable[[Event], None] = lambda _: None
        self.on_refund: Callable[[Books, str, Sent], None] = lambda *_: None
        self.check: Callable[[], None] = lambda: None
        self.cache = MemoryCache()
        self.old_cache = MemoryCache()
        self.locked_until_s: dict[str, float] = {}
        waits = {
            WorkQueue.POLL: TERMS.ladder.waits_ms,
            WorkQueue.CLOSE: CLOSE_WAITS_MS,
            WorkQueue.REFUND: REFUND_LADDER.waits_ms,
            WorkQueue.NOTIFY: NOTIFY_WAITS_MS,
        }
        self.bus = Bus(self.clock, payonce_topology(waits))
        self.bus.declare(
            Topology(
                (),
                (work_queue(EVENTS), work_queue(LEDGER)),
                (
                    Binding(PAYMENTS, EVENTS, "payment.succeeded"),
                    Binding(PAYMENTS, LEDGER, "payment.#"),
                    Binding(PAYMENTS, LEDGER, "refund.#"),
                ),
            )
        )

    def flush_redis(self) -> None:
        """Let Redis forget everything, locks too."""
        self.cache = MemoryCache()
        self.locked_until_s.clear()

    def snapshot_redis(self) -> None:
        """Keep what Redis holds now, to come back with later."""
        self.old_cache = copy.deepcopy(self.cache)

    def restore_redis(self) -> None:
        """Let Redis come back with what it held some time ago."""
        self.cache = copy.deepcopy(self.old_cache)

    def purge_broker(self) -> None:
        """Lose every message of every queue, those that wait for their time too."""
        inbound = [self.bus.queue(work_queue_name(one)) for one in INBOUND]
        # Who is unsure whether its message arrived sends it again.
        unsure = [message for queue in inbound for message in queue.messages]
        for queue in self.bus._queues.values():
            queue.messages.clear()
        for message in unsure:
            self.bus.route(PAYMENTS, message)
