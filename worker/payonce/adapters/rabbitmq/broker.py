"""Everything that one process has with RabbitMQ, put together."""

import asyncio

import structlog

from payonce.adapters.rabbitmq.bus import RabbitEventBus, RabbitTimer
from payonce.adapters.rabbitmq.connection import BrokerConnection
from payonce.adapters.rabbitmq.consumer import Consumer, OnParked
from payonce.adapters.rabbitmq.declare import Declarer
from payonce.adapters.rabbitmq.publisher import CONFIRM_TIMEOUT_S, Publisher
from payonce.adapters.rabbitmq.pulse import Pulses, forsaken, looked_at
from payonce.adapters.rabbitmq.topology import Topology
from payonce.adapters.rabbitmq.wire import Outgoing, plain_properties
from payonce.adapters.until import first_of
from payonce.domain.errors import BrokerConflict, Unavailable
from payonce.ports.bus import Receiver
from payonce.ports.clock import Clock
from payonce.ports.meter import OnAway

log = structlog.get_logger(__name__)

CHECK_EVERY_S = 15.0
"""How long what others deleted from the broker may be missing, where nobody notices sooner."""


class RabbitBroker:
    """Two connections (a blocked publisher must not hold up acks), a publisher, consumers.

    `run` keeps connections and publisher up; each consumer runs by itself. To stop: drain the
    consumers, then call `close`.
    """

    def __init__(  # noqa: PLR0913 - where it is, what is on it, and who is told
        self,
        url: str,
        topology: Topology,
        clock: Clock,
        *,
        confirm_timeout_s: float = CONFIRM_TIMEOUT_S,
        on_parked: OnParked | None = None,
        on_away: OnAway | None = None,
        check_every_s: float = CHECK_EVERY_S,
    ) -> None:
        self.declare = Declarer(url, topology)
        self._publishing = BrokerConnection(url, "publishing", self.declare, on_away=on_away)
        self._consuming = BrokerConnection(url, "consuming", self.declare, on_away=on_away)
        self._clock = clock
        self._on_parked = on_parked
        self._check_every_s = check_every_s
        self._consumers: dict[str, Consumer] = {}
        self._pulses: Pulses = {}
        self.publisher = Publisher(self._publishing, timeout_s=confirm_timeout_s)
        self.timer = RabbitTimer(self.publisher, self.declare)
        self.events = RabbitEventBus(self.publisher)

    async def run(self) -> None:
        """Stay connected until `close`. Raises BrokerConflict."""
        works = (self._publishing.run(), self._consuming.run(), self.publisher.run())
        await first_of(*works, self._keep_declared())

    def connected(self) -> bool:
        """Whether the broker can be used in both directions right now."""
        return self._consuming.connected() and self.publisher.ready()

    def consumer(self, queue: str, prefetch: int, receiver: Receiver) -> Consumer:
        """Return a consumer of `queue` that is not running yet."""
        consumer = Consumer(
            self._consuming,
            self.publisher,
            queue=queue,
            prefetch=prefetch,
            receiver=receiver,
            clock=self._clock,
            on_parked=self._on_parked,
        )
        self._consumers[queue] = consumer
        return consumer

    async def publish(  # noqa: PLR0913 - the parts of a message
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        content_type: str,
        message_id: str,
        headers: dict[str, str | int] | None = None,
    ) -> None:
        """Publish any message with confirm. Raises Unroutable, Unavailable."""
        properties = plain_properties(content_type, message_id, headers)
        await self.publisher.publish(Outgoing(exchange, routing_key, body, properties, message_id))

    async def _keep_declared(self) -> None:
        """Look from time to time, for ever, whether all is there and every consumer is alive.

        A queue that nobody consumes is deleted without anybody noticing: a delay queue, the one
        for what is unrouted.
        """
        connects = 0
        while True:
            await asyncio.sleep(self._check_every_s)
            if self._consuming.connects != connects:
                # All began anew, and nobody deleted anything.
                connects, self._pulses = self._consuming.connects, {}
            if self._consuming.connected():
                self._pulses = await self._check(self._pulses)

    async def _check(self, before: Pulses) -> Pulses:
        try:
            depths = await self.declare()
        except (Unavailable, BrokerConflict) as error:
            log.warning("topology.undeclared", reason=str(error))
            return before
        staying = {queue: one for queue, one in self._consumers.items() if not one.draining}
        now = looked_at({queue: one.pulse() for queue, one in staying.items()}, depths)
        lost = forsaken(before, now, depths)
        for queue in lost:
            log.warning("consumer.forsaken", queue=queue)
            staying[queue].consume_anew()
        # Who was told to begin anew is no sign of trouble at the next look.
        return {queue: None if queue in lost else pulse for queue, pulse in now.items()}

    async def close(self, timeout_s: float) -> None:
        """Wait for confirms that are still to come, then close both connections."""
        await self.publisher.drain(timeout_s)
        await asyncio.gather(self._consuming.close(), self._publishing.close())
