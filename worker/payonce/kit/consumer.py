"""The order consumer: a queue of its own, retries that hold up nobody, poison put aside."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

import structlog

from payonce.adapters.backoff import Backoff
from payonce.adapters.clock import SystemClock
from payonce.adapters.codec import CLOUDEVENT, decode_cloudevent, encode_cloudevent
from payonce.adapters.rabbitmq.broker import RabbitBroker
from payonce.adapters.rabbitmq.bus import delayed, publish_declared
from payonce.adapters.rabbitmq.topology import (
    PAYMENTS,
    service_dest,
    service_queue_name,
    service_topology,
)
from payonce.adapters.rabbitmq.wire import Outgoing, plain_properties
from payonce.domain.errors import BadSettings, InvalidField, Unavailable, Unroutable
from payonce.domain.events import EventType
from payonce.domain.ids import check_id, event_id
from payonce.domain.ladder import Ladder
from payonce.domain.times import format_time
from payonce.ports.bus import DONE, Delivery, Fate
from payonce.ports.clock import Clock
from payonce.settings import servers

log = structlog.get_logger(__name__)

DEFAULT_LADDER = Ladder((1_000, 5_000, 30_000, 180_000))
ATTEMPT = "x-attempt"
"""Header of a message that failed before: how often, an integer."""

HANDLER_TIMEOUT_S = 30.0
DRAIN_S = 25.0
PREFETCH = 20
_ACKNOWLEDGED = "order.acknowledged"
_CLOSE_TIMEOUT_S = 5.0
_PUBLISH_LEAST_S, _PUBLISH_MOST_S = 0.1, 5.0


@dataclass(frozen=True, slots=True)
class OrderPaid:
    """A `payment.succeeded` event: this order is paid, by this payment.

    `data` holds all fields of the event; `attempt` counts the earlier failures; `body` is the
    CloudEvent as it came. The same `event_id` can come more than once: drop what you have booked.
    """

    event_id: str
    order_id: str
    payment_id: str
    data: Mapping[str, Any]
    attempt: int
    body: bytes
    traceparent: str | None


Handler = Callable[[OrderPaid], Awaitable[bool | None]]
"""Books the order. Returning False or raising is a failure: the event comes back later."""


class OrderConsumer:
    """Consumes `payment.succeeded` for the order service named `service`.

    Declares its queue `<service>.payment-succeeded`, its delay queues and `<service>.parked`, and
    the exchanges that it needs. A failed event waits on `ladder`, whose last wait repeats, until
    the handler takes it. With `acknowledge`, `order.acknowledged` is published for what it took.
    Raises InvalidField for a bad name or URL.
    """

    def __init__(  # noqa: PLR0913 - the public knobs, all but three with defaults
        self,
        service: str,
        amqp_url: str,
        handler: Handler,
        *,
        ladder: Ladder = DEFAULT_LADDER,
        acknowledge: bool = False,
        prefetch: int = PREFETCH,
        handler_timeout_s: float = HANDLER_TIMEOUT_S,
        clock: Clock | None = None,
    ) -> None:
        self._service = service
        self._handler = handler
        self._ladder = ladder
        self._acknowledge = acknowledge
        self._handler_timeout_s = handler_timeout_s
        self._clock = clock or SystemClock()
        topology = service_topology(service, ladder.waits_ms)
        self._broker = RabbitBroker(_checked(amqp_url), topology, self._clock)
        queue = service_queue_name(service)
        self._consumer = self._broker.consumer(queue, prefetch, self._receive)

    def consuming(self) -> bool:
        """Whether events are being delivered."""
        return self._consumer.consuming()

    async def run(self, stop: asyncio.Event, *, drain_s: float = DRAIN_S) -> None:
        """Consume until `stop` is set, then finish what is in hand within `drain_s`.

        An unreachable broker is tried for ever. Raises BrokerConflict where one of its queues
        exists with other arguments.
        """
        works = [asyncio.ensure_future(self._broker.run())]
        works.append(asyncio.ensure_future(self._consumer.run()))
        stopping = asyncio.ensure_future(stop.wait())
        try:
            await asyncio.wait([*works, stopping], return_when=asyncio.FIRST_COMPLETED)
            await self._consumer.drain(drain_s)
            await self._broker.close(_CLOSE_TIMEOUT_S)
        finally:
            for task in (*works, stopping):
                task.cancel()
            results = await asyncio.gather(*works, stopping, return_exceptions=True)
        for result in results:
            if isinstance(result, Exception):
                raise result

    async def _receive(self, delivery: Delivery) -> Fate:
        event = _order_paid(delivery)
        if not await self._handle(event):
            await self._patiently(self._send_again, event)
        elif self._acknowledge:
            await self._patiently(self._send_acknowledgement, event)
        return DONE

    async def _handle(self, event: OrderPaid) -> bool:
        try:
            async with asyncio.timeout(self._handler_timeout_s):
                taken = await self._handler(event) is not False
        except Exception as error:  # noqa: BLE001 - whatever it is, the event comes back later
            reason = f"{type(error).__name__}: {error}"[:300]
        else:
            reason = "" if taken else "the handler said so"
        if reason:
            log.warning(
                "event.failed",
                service=self._service,
                event_id=event.event_id,
                order_id=event.order_id,
                attempt=event.attempt,
                reason=reason,
                again_in_ms=self._ladder.wait_ms(event.attempt),
            )
        return not reason

    async def _patiently(
        self, send: Callable[[OrderPaid], Awaitable[None]], event: OrderPaid
    ) -> None:
        """Publish, however long it takes: the handler shall not be called again for that."""
        backoff = Backoff(_PUBLISH_LEAST_S, _PUBLISH_MOST_S)
        while True:
            try:
                await send(event)
            except Unavailable as error:
                log.warning("event.publish_failed", service=self._service, reason=str(error))
            else:
                return
            await self._clock.sleep(backoff.next_s())

    async def _send_again(self, event: OrderPaid) -> None:
        headers = {ATTEMPT: event.attempt + 1}
        properties = plain_properties(CLOUDEVENT, event.event_id, headers)
        wait_ms = self._ladder.wait_ms(event.attempt)
        dest = service_dest(self._service)
        message = delayed(dest, wait_ms, event.body, properties, event.event_id)
        await publish_declared(self._broker.publisher, message, self._broker.declare)

    async def _send_acknowledgement(self, event: OrderPaid) -> None:
        ack_id = event_id(_ACKNOWLEDGED, event.payment_id)
        body = encode_cloudevent(
            event_id=ack_id,
            event_type=_ACKNOWLEDGED,
            subject=event.order_id,
            time=format_time(self._clock.now()),
            data={"order_id": event.order_id, "payment_id": event.payment_id},
            source=f"/{self._service}",
            traceparent=event.traceparent,
        )
        properties = plain_properties(CLOUDEVENT, ack_id)
        message = Outgoing(PAYMENTS, _ACKNOWLEDGED, body, properties, ack_id)
        try:
            await self._broker.publisher.publish(message)
        except Unroutable as error:
            # payonce has never been here; it asks again with the same event until it is told.
            log.warning("acknowledgement.unroutable", order_id=event.order_id, reason=str(error))


def _checked(amqp_url: str) -> str:
    try:
        return servers.amqp_url("amqp_url", amqp_url)
    except BadSettings as error:
        raise InvalidField(error.key, error.problem, error.allowed) from None


def _order_paid(delivery: Delivery) -> OrderPaid:
    event = decode_cloudevent(delivery.body, EventType.PAYMENT_SUCCEEDED.value)
    attempt = delivery.headers.get(ATTEMPT, 0)
    return OrderPaid(
        event_id=event.event_id,
        order_id=check_id(event.data.get("order_id"), "order_id"),
        payment_id=check_id(event.data.get("payment_id"), "payment_id"),
        data=event.data,
        attempt=attempt if type(attempt) is int and attempt >= 0 else 0,
        body=delivery.body,
        traceparent=event.traceparent,
    )
