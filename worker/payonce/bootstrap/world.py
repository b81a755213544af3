"""Everything that one worker process holds, built from the settings."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import cached_property
from typing import Protocol

from payonce.adapters.clock import SystemClock
from payonce.adapters.intake import take_closes, take_events, take_polls, take_refunds
from payonce.adapters.memory.changes import MemoryChanges
from payonce.adapters.memory.lock import MemoryLocks
from payonce.adapters.postgres.activity import Activity
from payonce.adapters.postgres.database import Database
from payonce.adapters.postgres.delay_queues import DelayQueues
from payonce.adapters.postgres.inbox import Inbox
from payonce.adapters.postgres.ledger import Ledger
from payonce.adapters.postgres.orders import Orders
from payonce.adapters.postgres.outbox import Outbox
from payonce.adapters.postgres.overview import Overview
from payonce.adapters.postgres.reader import Reader
from payonce.adapters.postgres.registrar import Registrar
from payonce.adapters.postgres.retelling import Retelling
from payonce.adapters.postgres.states import States
from payonce.adapters.postgres.watches import Watches
from payonce.adapters.rabbitmq.broker import RabbitBroker
from payonce.adapters.redis.cache import RedisCache
from payonce.adapters.redis.changes import RedisChanges
from payonce.adapters.redis.lock import RedisLocks
from payonce.adapters.tally import TallyMeter
from payonce.bootstrap.gateways import guard_gateways, private_names
from payonce.bootstrap.notices import notice_receiver, notices_of, open_notifier
from payonce.bootstrap.refunds import refunder_of
from payonce.bootstrap.topology import DelayKeeper, topology_of
from payonce.edge.listeners import Listeners
from payonce.edge.views import Views
from payonce.gateways.client import open_session
from payonce.gateways.keeper import Keeper
from payonce.handlers.acknowledge import Acknowledge
from payonce.handlers.announce import Announcer
from payonce.handlers.callback import Callback
from payonce.handlers.cancel import Cancel
from payonce.handlers.close import Close
from payonce.handlers.notify import Notify
from payonce.handlers.poll import Poll
from payonce.handlers.register import Register
from payonce.handlers.settle import Settler
from payonce.handlers.tallying import Tallying
from payonce.inbox import Reception, Retention
from payonce.ports.bus import EventBus, Receiver, Timer, WorkQueue
from payonce.ports.cache import Cache
from payonce.ports.changes import Changes
from payonce.ports.gateway import Gateways
from payonce.ports.lock import OrderLocks
from payonce.ports.meter import Meter
from payonce.ports.notifier import Notifier
from payonce.relay import Relay
from payonce.reteller import Reteller
from payonce.settings import SecondPayment, Settings
from payonce.sweeper import Sweeper


class Consuming(Protocol):
    """A consumer of one queue."""

    async def run(self) -> None:
        """Consume until `drain`."""
        ...

    async def drain(self, timeout_s: float) -> int:
        """Take nothing new, finish what is in hand; return what is unfinished."""
        ...


class Broker(Protocol):
    """The bus of one process: RabbitMQ, or the in-process one."""

    @property
    def timer(self) -> Timer:
        """What schedules payonce's own messages."""
        ...

    @property
    def events(self) -> EventBus:
        """What publishes events."""
        ...

    async def run(self) -> None:
        """Stay connected until `close`."""
        ...

    def connected(self) -> bool:
        """Whether the bus can be used right now."""
        ...

    def consumer(self, queue: str, prefetch: int, receiver: Receiver) -> Consuming:
        """Return a consumer of `queue` that is not running yet."""
        ...

    async def close(self, timeout_s: float) -> None:
        """Let `run` end."""
        ...


class Belonging(Protocol):
    """What may outlive the database that it served, and so must know which one that is."""

    def belong_to(self, installation: str) -> None:
        """Keep apart from all other installations."""
        ...


@dataclass(frozen=True)
class World:
    """The adapters of one process."""

    settings: Settings
    clock: SystemClock
    meter: TallyMeter
    database: Database
    broker: Broker
    cache: Cache
    gateways: Gateways
    keeper: Keeper
    keeps_delays: bool = True
    belongings: tuple[Belonging, ...] = ()
    prove_cache_by: Callable[[bytes], None] = lambda _: None
    locks: OrderLocks = field(default_factory=MemoryLocks)
    changes: Changes = field(default_factory=MemoryChanges)
    notifier: Notifier | None = None

    @cached_property
    def acknowledge(self) -> Acknowledge:
        """What notes acknowledgements; one a process, so that they are noted together."""
        return Acknowledge(Orders(self.database), self.clock)

    @cached_property
    def notices(self) -> Notify | None:
        """What has the order service called; one a process, which knows whether it is away."""
        return notices_of(self)

    @cached_property
    def reception(self) -> Reception:
        """What takes callbacks in; one a process, since it owns what it has in hand."""
        timer, clock, meter = self.broker.timer, self.clock, self.meter
        inbox = Inbox(self.database)
        callback = Callback(
            inbox,
            Watches(self.database),
            self.settler(),
            timer,
            self.cache,
            self.gateways,
            refunder_of(self),
            clock,
        )
        return Reception(inbox, callback, self.gateways, clock, meter)

    @cached_property
    def views(self) -> Views:
        """What shows orders and payments; one a process, since it keeps what it has shown."""
        return Views(States(self.database), self.meter)

    @cached_property
    def listeners(self) -> Listeners:
        """Who listens to orders here."""
        return Listeners(self.views, self.changes, self.clock, self.meter)

    def retention(self) -> Retention:
        """Return what forgets callbacks that were processed long ago."""
        return Retention(Inbox(self.database), self.settings.retention.callbacks, self.clock)

    def announcer(self) -> Announcer:
        """Return what publishes committed events."""
        return Announcer(self.broker.events, Outbox(self.database), self.clock, self.meter)

    def settler(self) -> Settler:
        """Return what settles reports."""
        return Settler(
            self.ledger(),
            self.announcer(),
            self.broker.timer,
            self.cache,
            self.clock,
            self.meter,
            self.notices,
        )

    def relay(self) -> Relay:
        """Return the relay."""
        return Relay(Outbox(self.database), self.announcer(), self.clock)

    def sweeper(self) -> Sweeper:
        """Return the sweeper."""
        return Sweeper(
            Watches(self.database),
            self.broker.timer,
            self.gateways,
            self.settings.sweep.every,
            self.clock,
            self.meter,
            spared=self.keeper.spared,
        )

    def reteller(self) -> Reteller:
        """Return what tells of unacknowledged orders again."""
        ladder = self.settings.order_service.ladder
        return Reteller(Retelling(self.database), ladder, self.clock, self.meter, self.notices)

    def ledger(self) -> Ledger:
        """Return what settles; what it settled is told again after the first wait of the ladder."""
        first_ms = self.settings.order_service.ladder.wait_ms(0)
        return Ledger(self.database, timedelta(milliseconds=first_ms))

    def delay_keeper(self) -> DelayKeeper:
        """Return what follows a changed ladder."""
        return DelayKeeper(self.settings, DelayQueues(self.database), self.clock)

    def overview(self) -> Overview:
        """Return the counts of what waits."""
        return Overview(self.database)

    def tallying(self) -> Tallying:
        """Return what adds this process's counts to those of all."""
        return Tallying(Activity(self.database), self.meter.take, self.clock)

    def reader(self) -> Reader:
        """Return what answers questions."""
        return Reader(self.database)

    def receivers(self) -> dict[WorkQueue, Receiver]:
        """Return what takes the deliveries of each work queue."""
        timer, clock, meter = self.broker.timer, self.clock, self.meter
        settler = self.settler()
        register = Register(
            Registrar(self.database),
            timer,
            self.gateways,
            self.reception,
            clock,
            meter,
            supersede=self.settings.on_second_payment is not SecondPayment.ALLOW,
        )
        watches = Watches(self.database)
        poll = Poll(watches, settler, timer, self.cache, self.gateways, clock, meter)
        orders = Orders(self.database)
        return {
            WorkQueue.INITIATED: take_events("payment.initiated", register.handle),
            WorkQueue.ACKNOWLEDGED: take_events("order.acknowledged", self.acknowledge.handle),
            WorkQueue.CANCELLED: take_events(
                "order.cancelled", Cancel(orders, timer, clock).handle
            ),
            WorkQueue.POLL: take_polls(poll.handle),
            WorkQueue.CLOSE: take_closes(
                Close(settler, watches, timer, self.gateways, clock).handle
            ),
            WorkQueue.REFUND: take_refunds(refunder_of(self).handle),
            WorkQueue.NOTIFY: notice_receiver(self),
        }


@asynccontextmanager
async def open_world(settings: Settings) -> AsyncIterator[World]:
    """Build the adapters; no server is asked yet. They are closed in reverse order at the end."""
    clock, meter = SystemClock(), TallyMeter()
    async with AsyncExitStack() as stack:
        changes = RedisChanges(settings.servers.redis_url, meter)
        stack.push_async_callback(changes.close)
        database = Database(
            settings.servers.postgres_dsn, on_away=meter.server_away, on_change=changes.spread
        )
        await database.open()
        stack.push_async_callback(database.close)
        cache = cache_of(settings, meter)
        stack.push_async_callback(cache.close)
        locks = RedisLocks(settings.servers.redis_url, meter)
        stack.push_async_callback(locks.close)
        session = await stack.enter_async_context(open_session(private_names(settings.gateways)))
        broker = RabbitBroker(
            settings.servers.amqp_url,
            topology_of(settings),
            clock,
            on_parked=meter.message_parked,
            on_away=meter.server_away,
        )
        gateways, keeper = guard_gateways(settings.gateways, session, database, clock, meter)
        notifier = await stack.enter_async_context(open_notifier(settings))
        yield World(
            settings,
            clock,
            meter,
            database,
            broker,
            cache,
            gateways,
            keeper,
            locks=locks,
            belongings=(cache, locks, changes),
            prove_cache_by=cache.prove_by,
            changes=changes,
            notifier=notifier,
        )


def cache_of(settings: Settings, meter: Meter) -> RedisCache:
    """Return what remembers steps as long as any gateway's longest wait, and successes."""
    longest_ms = max(max(one.terms.ladder.waits_ms) for one in settings.gateways.values())
    url, keep = settings.servers.redis_url, settings.retention.successes
    return RedisCache(url, meter, longest_ms, keep)
