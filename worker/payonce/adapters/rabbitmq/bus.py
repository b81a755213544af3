"""The ports of the bus on RabbitMQ."""

from payonce.adapters.codec import CLOUDEVENT, JSON, encode_due, encode_event
from payonce.adapters.rabbitmq.connection import Prepare
from payonce.adapters.rabbitmq.errors import SERVER
from payonce.adapters.rabbitmq.publisher import Publisher
from payonce.adapters.rabbitmq.topology import DELAY, DUE, PAYMENTS, delay_routing_key
from payonce.adapters.rabbitmq.wire import Outgoing, plain_properties
from payonce.domain.errors import Unavailable, Unroutable
from payonce.domain.events import Event
from payonce.domain.messages import CloseDue, NotifyDue, PollDue, RefundDue
from payonce.ports.bus import WorkQueue


class RabbitTimer:
    """ports.bus.Timer: every hop is a new message, which no dead-letter history follows."""

    def __init__(self, publisher: Publisher, declare: Prepare) -> None:
        self._publisher = publisher
        self._declare = declare

    async def poll_after(self, wait_ms: int, message: PollDue) -> None:
        """Deliver `message` to the poll queue after `wait_ms`. Raises Unavailable."""
        message_id = f"{message.payment_id}/{message.epoch}/{message.step}"
        await self._send(WorkQueue.POLL, wait_ms, encode_due(message), message_id)

    async def close_after(self, wait_ms: int, message: CloseDue) -> None:
        """Deliver `message` to the close queue after `wait_ms`. Raises Unavailable."""
        message_id = f"{message.payment_id}/close/{message.attempt}"
        await self._send(WorkQueue.CLOSE, wait_ms, encode_due(message), message_id)

    async def refund_after(self, wait_ms: int, message: RefundDue) -> None:
        """Deliver `message` to the refund queue after `wait_ms`. Raises Unavailable."""
        message_id = f"{message.refund_id}/{message.step}"
        await self._send(WorkQueue.REFUND, wait_ms, encode_due(message), message_id)

    async def notify_after(self, wait_ms: int, message: NotifyDue) -> None:
        """Deliver `message` to the notify queue after `wait_ms`. Raises Unavailable."""
        message_id = f"{message.order_id}/{message.attempt}"
        await self._send(WorkQueue.NOTIFY, wait_ms, encode_due(message), message_id)

    async def _send(self, dest: WorkQueue, wait_ms: int, body: bytes, message_id: str) -> None:
        message = delayed(dest.value, wait_ms, body, plain_properties(JSON, message_id), message_id)
        try:
            await publish_declared(self._publisher, message, self._declare)
        except Unroutable:
            problem = f"no queue is declared for a wait of {wait_ms} ms before {dest.value}"
            raise Unavailable(SERVER, problem) from None


class RabbitEventBus:
    """ports.bus.EventBus."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def publish(self, event: Event) -> None:
        """Publish `event` with confirm. Raises Unroutable where nobody listens, Unavailable."""
        await self._publisher.publish(
            Outgoing(
                PAYMENTS,
                event.type.value,
                encode_event(event),
                plain_properties(CLOUDEVENT, event.event_id),
                event.event_id,
            )
        )


async def publish_declared(publisher: Publisher, message: Outgoing, declare: Prepare) -> None:
    """Publish to one of our own queues; where somebody deleted it, declare it again first.

    Raises Unroutable where the topology holds no such queue, Unavailable, BrokerConflict.
    """
    try:
        await publisher.publish(message)
    except Unroutable:
        await declare()
        await publisher.publish(message)


def delayed(dest: str, wait_ms: int, body: bytes, properties: bytes, message_id: str) -> Outgoing:
    """Return a message that comes to `dest` after `wait_ms`; 0: at once."""
    exchange = DELAY if wait_ms else DUE
    return Outgoing(exchange, delay_routing_key(dest, wait_ms), body, properties, message_id)
