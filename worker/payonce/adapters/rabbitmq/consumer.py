"""Consuming: every delivery is a task of ours, acknowledged last."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import structlog

from payonce.adapters.consuming import Desk
from payonce.adapters.rabbitmq.acks import Acks
from payonce.adapters.rabbitmq.channels import close_channel, keep_channel
from payonce.adapters.rabbitmq.connection import BrokerConnection
from payonce.adapters.rabbitmq.errors import as_unavailable
from payonce.adapters.rabbitmq.parking import parked_message
from payonce.adapters.rabbitmq.publisher import Publisher
from payonce.adapters.rabbitmq.pulse import Pulse
from payonce.adapters.rabbitmq.transport import HotChannel
from payonce.adapters.rabbitmq.wire import Headers, Received, read_properties
from payonce.adapters.until import until
from payonce.domain.errors import Unavailable, Unroutable
from payonce.ports.bus import Delivery, Park, Receiver
from payonce.ports.clock import Clock

log = structlog.get_logger(__name__)

ACK_WITHIN_S = 0.001
_RPC_TIMEOUT_S = 10.0
_DELIVERY_COUNT = "x-delivery-count"

OnParked = Callable[[str], None]
"""Called with the queue's name for each message that was parked."""


@dataclass(slots=True)
class _Session:
    """One channel's worth of consuming."""

    channel: HotChannel
    acks: Acks
    number: int
    consumer_tag: str = ""
    received: int = 0
    cancelled: asyncio.Event | None = None
    flush_planned: bool = False

    def is_open(self) -> bool:
        """Whether acknowledgements still count; if not, the broker delivers again."""
        return self.channel.is_open

    def flush(self) -> None:
        """Send the acknowledgements of what is finished."""
        self.flush_planned = False
        if not self.channel.is_open:
            return
        for ack in self.acks.take():
            self.channel.ack(ack.delivery_tag, multiple=ack.multiple)


class Consumer:
    """Consumes one queue with up to `prefetch` messages in hand.

    Done: acknowledged. Park and InvalidField: published whole to the parked exchange, confirmed,
    then acknowledged. Unavailable: kept in hand, everything pauses, tried again. Nothing is ever
    requeued. A lost channel or a deleted queue: declared and consumed again.
    """

    def __init__(  # noqa: PLR0913 - where two connections, a queue and its receiver meet
        self,
        connection: BrokerConnection,
        publisher: Publisher,
        *,
        queue: str,
        prefetch: int,
        receiver: Receiver,
        clock: Clock,
        on_parked: OnParked | None = None,
    ) -> None:
        self._connection = connection
        self._publisher = publisher
        self._queue = queue
        self._prefetch = prefetch
        self._clock = clock
        self._on_parked = on_parked
        self._desk = Desk(queue, receiver, clock)
        self._session: _Session | None = None
        self._served = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._stop = asyncio.Event()
        self._draining = False
        self._fault: BaseException | None = None

    @property
    def queue(self) -> str:
        """The queue's name."""
        return self._queue

    @property
    def in_hand(self) -> int:
        """How many messages are being worked on."""
        return len(self._tasks)

    def consuming(self) -> bool:
        """Whether the broker delivers to us."""
        session = self._session
        return session is not None and session.is_open() and bool(session.consumer_tag)

    @property
    def draining(self) -> bool:
        """Whether it ends, and takes nothing new."""
        return self._draining

    def pulse(self) -> Pulse | None:
        """Return how far the present consuming has come; None: there is none."""
        session = self._session
        if session is None or not self.consuming():
            return None
        return Pulse(session.number, session.received, self.in_hand)

    def consume_anew(self) -> None:
        """Leave a channel on which nothing comes any more, though nobody said so."""
        session = self._session
        if session is not None and session.cancelled is not None:
            session.cancelled.set()

    async def run(self) -> None:
        """Consume until `drain`. Raises what ended one of its own tasks."""
        work = keep_channel(self._connection, self._queue, self._serve, confirms=False)
        await until(self._stop, work)
        if self._fault is not None:
            raise self._fault

    async def drain(self, timeout_s: float) -> int:
        """Take nothing new, finish and acknowledge what is in hand; return what is unfinished.

        What is unfinished after `timeout_s` is cancelled and goes back to the queue.
        """
        self._draining = True
        session = self._session
        if session is not None:
            await self._cancel(session)
        unfinished = await self._finish_tasks(timeout_s)
        self._stop.set()
        if session is not None:
            session.flush()
            if session.is_open():
                await close_channel(self._connection, session.channel)
        log.info("consumer.drained", queue=self._queue, unfinished=unfinished)
        return unfinished

    async def _serve(self, channel: HotChannel) -> None:
        if self._draining:
            # The connection came back during the drain: nothing new is taken in hand.
            await self._stop.wait()
        cancelled = asyncio.Event()
        self._served += 1
        session = _Session(channel, Acks(), self._served, cancelled=cancelled)
        channel.on_received = lambda received: self._on_received(session, received)
        channel.rare.on_consumer_cancel_callbacks.add(lambda _: cancelled.set())
        self._session = session
        with as_unavailable(self._connection.server):
            await channel.rare.basic_qos(prefetch_count=self._prefetch, timeout=_RPC_TIMEOUT_S)
            answer = await channel.rare.basic_consume(
                self._queue, _not_called, timeout=_RPC_TIMEOUT_S
            )
        session.consumer_tag = answer.consumer_tag or ""
        log.info("consumer.started", queue=self._queue, prefetch=self._prefetch)
        await _either(channel.closed, cancelled)
        if cancelled.is_set() and channel.is_open:
            log.warning("consumer.cancelled", queue=self._queue)
            await close_channel(self._connection, channel)

    def _on_received(self, session: _Session, received: Received) -> None:
        session.received += 1
        session.acks.received(received.delivery_tag)
        task = asyncio.get_running_loop().create_task(self._work(session, received))
        self._tasks.add(task)
        task.add_done_callback(self._on_task_done)

    def _on_task_done(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if error is not None and self._fault is None:
            log.error("consumer.died", queue=self._queue, exc_info=error)
            self._fault = error
            self._stop.set()

    async def _work(self, session: _Session, received: Received) -> None:
        delivery = self._delivery(received)
        fate = await self._desk.fate_of(delivery, session.is_open)
        if fate is None:
            return
        if isinstance(fate, Park) and not await self._park(session, received, delivery, fate):
            return
        session.acks.finished(received.delivery_tag)
        if not session.flush_planned:
            session.flush_planned = True
            asyncio.get_running_loop().call_later(ACK_WITHIN_S, session.flush)

    async def _park(
        self, session: _Session, received: Received, delivery: Delivery, fate: Park
    ) -> bool:
        """Put a message aside; False where its channel is gone, so that it comes again."""
        message = parked_message(received, self._queue, fate.reason, delivery.received_at)
        while True:
            number = await self._desk.cool_down.round()
            if not session.is_open():
                return False
            try:
                await self._publisher.publish(message)
            except Unroutable as error:
                await self._declare_again()
                self._desk.pause(Unavailable("rabbitmq", str(error)), number)
            except Unavailable as error:
                self._desk.pause(error, number)
            else:
                self._note_parked(delivery, fate)
                return True

    def _note_parked(self, delivery: Delivery, fate: Park) -> None:
        log.warning(
            "message.parked",
            queue=self._queue,
            message_id=delivery.message_id,
            reason=fate.reason,
        )
        if self._on_parked is not None:
            self._on_parked(self._queue)

    async def _declare_again(self) -> None:
        try:
            await self._connection.prepare()
        except Unavailable as error:
            log.warning("topology.undeclared", queue=self._queue, reason=str(error))

    def _delivery(self, received: Received) -> Delivery:
        content_type, message_id, encoded = read_properties(received.header)
        headers = Headers(encoded)
        count = headers.get(_DELIVERY_COUNT, 0) if received.redelivered else 0
        return Delivery(
            body=received.body,
            queue=self._queue,
            received_at=self._clock.now(),
            content_type=content_type,
            message_id=message_id,
            routing_key=received.routing_key,
            headers=headers,
            delivery_count=count if isinstance(count, int) else 0,
        )

    async def _cancel(self, session: _Session) -> None:
        if not session.is_open() or not session.consumer_tag:
            return
        try:
            with as_unavailable(self._connection.server):
                await session.channel.rare.basic_cancel(
                    session.consumer_tag, timeout=_RPC_TIMEOUT_S
                )
        except Unavailable as error:
            log.info("consumer.cancel_failed", queue=self._queue, reason=str(error))

    async def _finish_tasks(self, timeout_s: float) -> int:
        tasks = set(self._tasks)
        if not tasks:
            return 0
        _, unfinished = await asyncio.wait(tasks, timeout=timeout_s)
        for task in unfinished:
            task.cancel()
        await asyncio.gather(*unfinished, return_exceptions=True)
        return len(unfinished)


async def _not_called(_message: object) -> None:
    raise AssertionError("deliveries are taken before the client library sees them")


async def _either(closed: "asyncio.Future[None]", cancelled: asyncio.Event) -> None:
    """Return once the channel is closed or the broker has cancelled the consumer."""
    waiting = asyncio.ensure_future(cancelled.wait())
    both: set[asyncio.Future[Any]] = {closed, waiting}
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
