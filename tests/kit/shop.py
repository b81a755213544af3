"""A shop on a foreign AMQP client: pika, which knows nothing of payonce."""

import json
import uuid
from typing import Any

import pika


class Shop:
    """Publishes events and reads queues through the contract alone."""

    def __init__(self, url: str) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()

    def bind(self, queue: str, key: str) -> None:
        """Declare a queue of its own for an event."""
        self._channel.exchange_declare("payments", "topic", durable=True)
        self._channel.queue_declare(queue, durable=True)
        self._channel.queue_bind(queue, "payments", key)

    def tell_paid(self, order_id: str, body: bytes | None = None) -> str:
        """Publish `payment.succeeded` for an order, or any body in its place; return its id."""
        event_id = str(uuid.uuid5(uuid.NAMESPACE_URL, order_id))
        event = {
            "specversion": "1.0",
            "id": event_id,
            "source": "/payonce",
            "type": "payment.succeeded",
            "subject": order_id,
            "time": "2026-01-31T08:00:00Z",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "data": {"order_id": order_id, "payment_id": f"p-{order_id}", "amount": 1999},
        }
        properties = pika.BasicProperties(
            content_type="application/cloudevents+json", delivery_mode=2, message_id=event_id
        )
        self._channel.basic_publish(
            "payments",
            "payment.succeeded",
            json.dumps(event).encode() if body is None else body,
            properties,
            mandatory=True,
        )
        return event_id

    def take(self, queue: str) -> dict[str, Any] | None:
        """Return the next event of a queue."""
        _method, _properties, body = self._channel.basic_get(queue, auto_ack=True)
        return None if body is None else json.loads(body)

    def count(self, queue: str) -> int:
        """Return how many messages wait in a queue."""
        declared = self._channel.queue_declare(queue, passive=True)
        return int(declared.method.message_count)

    def close(self) -> None:
        """Say good-bye."""
        self._connection.close()
