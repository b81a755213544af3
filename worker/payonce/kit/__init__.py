"""For order services: take `payment.succeeded` reliably with nothing but an AMQP URL.

consumer = OrderConsumer("shop", "amqp://localhost/", book_order, acknowledge=True)
await consumer.run(stop)
"""

from payonce.domain.ladder import Ladder
from payonce.kit.consumer import DEFAULT_LADDER, Handler, OrderConsumer, OrderPaid
from payonce.kit.webhook import run_webhook_consumer

__all__ = [
    "DEFAULT_LADDER",
    "Handler",
    "Ladder",
    "OrderConsumer",
    "OrderPaid",
    "run_webhook_consumer",
]
