"""How much lies in a queue."""

from payonce.adapters.rabbitmq.declare import queue_depths


async def ready_messages(url: str, name: str) -> int | None:
    """Return how many messages of a queue wait for a consumer; None where there is no queue."""
    return (await queue_depths(url, [name]))[name]
