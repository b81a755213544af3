"""The bus in this process: topology, timers and fates as on RabbitMQ, and no durability."""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import structlog

from payonce.adapters.codec import CLOUDEVENT, JSON, encode_due, encode_event
from payonce.adapters.consuming import Desk
from payonce.adapters.rabbitmq.parking import AT_MS, FROM, REASON, clean_headers
from payonce.adapters.rabbitmq.topology import (
    DELAY,
    DUE,
    PARKED,
    PAYMENTS,
    Binding,
    Queue,
    Topology,
    delay_routing_key,
)
from payonce.adapters.until import until
from payonce.domain.errors import Unavailable, Unroutable
from payonce.domain.events import Event
from payonce.domain.messages import CloseDue, NotifyDue, PollDue, RefundDue
from payonce.domain.times import to_ms
from payonce.ports.bus import Delivery, Park, Receiver, WorkQueue
from payonce.ports.clock import Clock

log = structlog.get_logger(__name__)

SERVER = "memory-bus"
MOST_MESSAGES = 100_000

OnParked = Callable[[str], None]


@dataclass(frozen=True, slots=True, eq=False)
class Message:
    """A message in a queue."""

    routing_key: str
    body: bytes
    content_type: str | None = None
    message_id: str | None = None
    headers: Mapping[str, Any] = field(default_factory=dict)
    delivery_count: int = 0


class _MemoryQueue:
    """Messages in order, and a bell for who waits for them."""

    def __init__(self, declared: Queue) -> None:
        self.declared = declared
        self.messages: deque[Message] = deque()
        self.filled = asyncio.Event()

    def put(self, message: Message) -> None:
        if len(self.messages) >= MOST_MESSAGES:
            raise Unavailable(SERVER, f"{self.declared.name} is full")
        self.messages.append(message)
        self.filled.set()

    def give_back(self, message: Message) -> None:
        self.messages.appendleft(replace(message, delivery_count=message.delivery_count + 1))
        self.filled.set()

    async def take(self) -> Message:
        while not self.messages:
            self.filled.clear()
            await self.filled.wait()
        return self.messages.popleft()


class MemoryBus:
    """Implements ports.bus.Timer and ports.bus.EventBus, and hands out consumers.

    Waits pass on the injected clock. `close` ends every timer.
    """

    def __init__(self, clock: Clock, topology: Topology, on_parked: OnParked | None = None) -> None:
        self._clock = clock
        self._on_parked = on_parked
        self._queues: dict[str, _MemoryQueue] = {}
        self._bindings: set[Binding] = set()
        self._alternates: dict[str, str] = {}
        self._timers: set[asyncio.Task[None]] = set()
        self.declare(topology)

    def declare(self, topology: Topology) -> None:
        """Add what is missing."""
        for exchange in topology.exchanges:
            if "alternate-exchange" in exchange.arguments:
                self._alternates[exchange.name] = exchange.arguments["alternate-exchange"]
        for queue in topology.queues:
            self._queues.setdefault(queue.name, _MemoryQueue(queue))
        self._bindings |= set(topology.bindings)

    async def poll_after(self, wait_ms: int, message: PollDue) -> None:
        """Deliver `message` to the poll queue after `wait_ms`. Raises Unavailable."""
        self._send_later(WorkQueue.POLL, wait_ms, encode_due(message))

    async def close_after(self, wait_ms: int, message: CloseDue) -> None:
        """Deliver `message` to the close queue after `wait_ms`. Raises Unavailable."""
        self._send_later(WorkQueue.CLOSE, wait_ms, encode_due(message))

    async def refund_after(self, wait_ms: int, message: RefundDue) -> None:
        """Deliver `message` to the refund queue after `wait_ms`. Raises Unavailable."""
        self._send_later(WorkQueue.REFUND, wait_ms, encode_due(message))

    async def notify_after(self, wait_ms: int, message: NotifyDue) -> None:
        """Deliver `message` to the notify queue after `wait_ms`. Raises Unavailable."""
        self._send_later(WorkQueue.NOTIFY, wait_ms, encode_due(message))

    async def publish(self, event: Event) -> None:
        """Publish `event`. Raises Unroutable where nobody listens."""
        key = event.type.value
        self.route(PAYMENTS, Message(key, encode_event(event), CLOUDEVENT, event.event_id))

    def route(self, exchange: str, message: Message) -> None:
        """Put `message` into every queue that is bound for it. Raises Unroutable, Unavailable."""
        names = self._route(exchange, message.routing_key)
        if not names:
            raise Unroutable(exchange, message.routing_key)
        for name in names:
            self._put(self._queues[name], message)

    def consumer(self, queue: str, prefetch: int, receiver: Receiver) -> "MemoryConsumer":
        """Return a consumer of `queue` that is not running yet."""
        return MemoryConsumer(self, queue, prefetch, receiver, self._clock)

    def queue(self, name: str) -> _MemoryQueue:
        """Return a declared queue."""
        return self._queues[name]

    def depth(self, name: str) -> int:
        """Return how many messages wait in a queue."""
        return len(self._queues[name].messages)

    def park(self, delivery: Delivery, reason: str) -> None:
        """Put a delivery aside, whole, with the reason."""
        headers = {
            **clean_headers(delivery.headers),
            REASON: reason,
            FROM: delivery.queue,
            AT_MS: to_ms(delivery.received_at),
        }
        content_type, message_id = delivery.content_type, delivery.message_id
        self.route(
            PARKED, Message(delivery.queue, delivery.body, content_type, message_id, headers)
        )
        log.warning("message.parked", queue=delivery.queue, message_id=message_id, reason=reason)
        if self._on_parked is not None:
            self._on_parked(delivery.queue)

    async def close(self) -> None:
        """End every timer; what waited is gone."""
        for timer in self._timers:
            timer.cancel()
        await asyncio.gather(*self._timers, return_exceptions=True)

    def _send_later(self, dest: WorkQueue, wait_ms: int, body: bytes) -> None:
        key = delay_routing_key(dest.value, wait_ms)
        try:
            self.route(DELAY if wait_ms else DUE, Message(key, body, JSON))
        except Unroutable as error:
            raise Unavailable(SERVER, str(error)) from None

    def _put(self, queue: _MemoryQueue, message: Message) -> None:
        queue.put(message)
        if "x-message-ttl" in queue.declared.arguments:
            timer = asyncio.get_running_loop().create_task(self._expire(queue, message))
            self._timers.add(timer)
            timer.add_done_callback(self._timers.discard)

    async def _expire(self, queue: _MemoryQueue, message: Message) -> None:
        arguments = queue.declared.arguments
        await self._clock.sleep(arguments["x-message-ttl"] / 1000)
        if message in queue.messages:
            queue.messages.remove(message)
            self.route(arguments["x-dead-letter-exchange"], message)

    def _route(self, exchange: str, key: str) -> list[str]:
        if not exchange:
            return [key] if key in self._queues else []
        names = {
            binding.queue
            for binding in self._bindings
            if binding.exchange == exchange and matches(binding.routing_key, key)
        }
        if not names and exchange in self._alternates:
            return self._route(self._alternates[exchange], "")
        return sorted(names)


class MemoryConsumer:
    """Consumes one queue of the bus, with the same fates as on RabbitMQ."""

    def __init__(
        self, bus: MemoryBus, queue: str, prefetch: int, receiver: Receiver, clock: Clock
    ) -> None:
        self._bus = bus
        self._queue = bus.queue(queue)
        self._clock = clock
        self._desk = Desk(queue, receiver, clock)
        self._free = asyncio.Semaphore(prefetch)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._running = False

    @property
    def in_hand(self) -> int:
        """How many messages are being worked on."""
        return len(self._tasks)

    def consuming(self) -> bool:
        """Whether messages are being taken."""
        return self._running

    async def run(self) -> None:
        """Consume until `drain`."""
        self._running = True
        try:
            await until(self._stop, self._consume())
        finally:
            self._running = False

    async def drain(self, timeout_s: float) -> int:
        """Take nothing new, finish what is in hand; return what is unfinished, which goes back."""
        self._stop.set()
        if not self._tasks:
            return 0
        _, unfinished = await asyncio.wait(set(self._tasks), timeout=timeout_s)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        return len(unfinished)

    async def _consume(self) -> None:
        while True:
            await self._free.acquire()
            if self._stop.is_set():
                return
            message = await self._queue.take()
            task = asyncio.get_running_loop().create_task(self._work(message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _work(self, message: Message) -> None:
        delivery = Delivery(
            body=message.body,
            queue=self._queue.declared.name,
            received_at=self._clock.now(),
            content_type=message.content_type,
            message_id=message.message_id,
            routing_key=message.routing_key,
            headers=message.headers,
            delivery_count=message.delivery_count,
        )
        try:
            fate = await self._desk.fate_of(delivery, lambda: True)
            if isinstance(fate, Park):
                self._bus.park(delivery, fate.reason)
        except BaseException:
            self._queue.give_back(message)
            raise
        finally:
            self._free.release()


def matches(pattern: str, routing_key: str) -> bool:
    """Say whether a topic pattern matches: `*` is one word, `#` any number of them."""
    return _match(pattern.split("."), routing_key.split("."))


def _match(pattern: list[str], words: list[str]) -> bool:
    if not pattern:
        return not words
    head, *rest = pattern
    if head == "#":
        return any(_match(rest, words[n:]) for n in range(len(words) + 1))
    return bool(words) and head in {"*", words[0]} and _match(rest, words[1:])
