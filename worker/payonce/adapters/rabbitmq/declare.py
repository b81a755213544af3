"""Brings the topology onto the broker, on plain connections of its own."""

import asyncio
import re
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain

import aio_pika
import aiormq
import aiormq.abc
import structlog
from aiormq.exceptions import ChannelNotFoundEntity, ChannelPreconditionFailed
from pamqp.commands import Basic

from payonce.adapters.rabbitmq.errors import as_unavailable
from payonce.adapters.rabbitmq.pulse import Depth, Depths
from payonce.adapters.rabbitmq.topology import Binding, Topology, delay_binding, delay_queue_name
from payonce.adapters.rabbitmq.transport import SplittingTransport
from payonce.domain.errors import BrokerConflict

log = structlog.get_logger(__name__)

TIMEOUT_S = 15.0
KEEP_RETIRED = timedelta(minutes=10)
STATISTICS_LAG = timedelta(minutes=1)
_NAMED = re.compile(r"for (?:queue|exchange) '([^']+)'")

MessageCount = Callable[[str], Awaitable[int | None]]
"""All messages of a queue by name, those before a dead-letter target too; None: no queue."""


@dataclass(frozen=True, slots=True)
class RetiredDelay:
    """A delay queue whose wait no ladder holds any more, and since when."""

    dest: str
    wait_ms: int
    retired_at: datetime


class Declarer:
    """Declares one topology; calls at the same time share one run."""

    def __init__(self, url: str, topology: Topology) -> None:
        self._url = url
        self._topology = topology
        self._running: asyncio.Task[Depths] | None = None

    async def __call__(self) -> Depths:
        """Declare what is missing. Raises Unavailable, BrokerConflict."""
        if self._running is None:
            self._running = asyncio.ensure_future(declare(self._url, self._topology))
            self._running.add_done_callback(self._on_done)
        return await asyncio.shield(self._running)

    def _on_done(self, task: "asyncio.Task[Depths]") -> None:
        self._running = None
        if not task.cancelled():
            task.exception()


async def declare(url: str, topology: Topology) -> Depths:
    """Declare exchanges, queues and bindings; what is there already stays as it is.

    Returns the queues as they are now.

    Raises BrokerConflict where something is there with other arguments, Unavailable.
    """
    async with plain_channel(url) as channel:
        try:
            return await _declare(channel, topology)
        except ChannelPreconditionFailed as error:
            raise _conflict(error) from None


async def unbind_delay(url: str, dest: str, wait_ms: int) -> None:
    """Take a wait out of use: nothing new comes to its queue, what lies there comes due as ever."""
    binding = delay_binding(dest, wait_ms)
    async with plain_channel(url) as channel:
        try:
            await channel.queue_declare(binding.queue, passive=True)
            await channel.queue_unbind(binding.queue, binding.exchange, binding.routing_key)
        except ChannelNotFoundEntity:
            return
    log.info("delay.retired", queue=binding.queue)


async def delete_drained(
    url: str,
    retired: Sequence[RetiredDelay],
    now: datetime,
    messages: MessageCount | None = None,
) -> list[RetiredDelay]:
    """Delete retired delay queues that are empty for sure; return those that are gone now.

    `messages` (the management API's count, some seconds old) tells it after a minute. Over AMQP
    only the ready messages can be seen, not those that wait for their dead-letter target; so
    without it a queue is kept until its wait and 10 more minutes have passed since it was retired.
    A queue whose leader is slow is declared with 0 messages: only what gives none is empty.
    """
    gone = []
    for delay in retired:
        name = delay_queue_name(delay.dest, delay.wait_ms)
        age = now - delay.retired_at
        if messages is None:
            is_old = age >= timedelta(milliseconds=delay.wait_ms) + KEEP_RETIRED
            drained = is_old and await is_empty(url, name)
        else:
            drained = age >= STATISTICS_LAG and await messages(name) in {0, None}
        if drained:
            await delete_queue(url, name)
            gone.append(delay)
    return gone


async def delete_queue(url: str, name: str) -> None:
    """Delete a queue; one that is not there is fine.

    `if_unused` and `if_empty` stay off: quorum queues refuse them and the broker closes the
    whole connection.
    """
    async with plain_channel(url) as channel:
        await channel.queue_delete(name)
    log.info("queue.deleted", queue=name)


async def is_empty(url: str, name: str) -> bool:
    """Say whether a queue gives no message, or is not there; what it gives goes back."""
    async with plain_channel(url) as channel:
        try:
            got = await channel.basic_get(name)
        except ChannelNotFoundEntity:
            return True
        return isinstance(got.delivery, Basic.GetEmpty)


async def queue_depths(url: str, names: Iterable[str]) -> dict[str, int | None]:
    """Return the ready messages of each queue; None where there is no such queue."""
    depths: dict[str, int | None] = {}
    async with plain_connection(url) as connection:
        for name in names:
            # A passive declare of a missing queue closes its channel, so each has its own.
            channel = await (await connection.channel()).get_underlay_channel()
            try:
                depths[name] = (await channel.queue_declare(name, passive=True)).message_count
                await channel.close()
            except ChannelNotFoundEntity:
                depths[name] = None
    return depths


@asynccontextmanager
async def plain_connection(url: str) -> AsyncIterator[aio_pika.abc.AbstractConnection]:
    """Open a connection for one piece of work. Raises Unavailable."""
    with as_unavailable(url):
        async with asyncio.timeout(TIMEOUT_S):
            connection = await aio_pika.connect(url)
            try:
                yield connection
            finally:
                await connection.close()


@asynccontextmanager
async def plain_channel(url: str) -> AsyncIterator[aiormq.abc.AbstractChannel]:
    """Open a connection and a channel for one piece of work. Raises Unavailable."""
    with as_unavailable(url):
        async with asyncio.timeout(TIMEOUT_S):
            # By our own reader: the library gives up on headers that it cannot read.
            connection = await aiormq.connect(url, transport_factory=SplittingTransport())
            try:
                channel = await connection.channel(on_return_raises=True)
                yield channel
                # Whatever was given back is in its queue then.
                await channel.close()
            finally:
                await connection.close()


async def _declare(channel: aiormq.abc.AbstractChannel, topology: Topology) -> Depths:
    for exchange in topology.exchanges:
        await channel.exchange_declare(
            exchange.name,
            exchange_type=exchange.kind,
            durable=True,
            arguments=dict(exchange.arguments),
        )
    found: dict[str, Depth] = {}
    bindings = defaultdict(list)
    for binding in topology.bindings:
        bindings[binding.queue].append(binding)
    for queue in topology.queues:
        declared = await channel.queue_declare(
            queue.name, durable=True, arguments=dict(queue.arguments)
        )
        found[queue.name] = Depth(declared.message_count or 0, declared.consumer_count or 0)
        # At once: whatever breaks off here leaves no queue to which nothing leads.
        for binding in bindings.pop(queue.name, ()):
            await _bind(channel, binding)
    for binding in chain.from_iterable(bindings.values()):
        await _bind(channel, binding)
    return found


async def _bind(channel: aiormq.abc.AbstractChannel, binding: Binding) -> None:
    await channel.queue_bind(binding.queue, binding.exchange, binding.routing_key)


def _conflict(error: ChannelPreconditionFailed) -> BrokerConflict:
    text = " ".join(str(error).split())
    named = _NAMED.search(text)
    return BrokerConflict(named.group(1) if named else "a queue or exchange", text[:300])
