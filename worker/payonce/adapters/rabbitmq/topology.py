"""What lives on the broker, as data. The reasons are in docs/adr and in the architecture page."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from payonce.domain.errors import InvalidField
from payonce.ports.bus import WorkQueue

PAYMENTS = "payments"
DELAY = "payonce.delay"
DUE = "payonce.due"
PARKED = "payonce.parked"
UNROUTED = "payonce.unrouted"

DELIVERY_LIMIT = 50
PARKED_DELIVERY_LIMIT = 1_000_000
"""Looking at parked messages returns them; the limit of RabbitMQ 4 (20) would drop them."""

INBOUND = {
    WorkQueue.INITIATED: "payment.initiated",
    WorkQueue.ACKNOWLEDGED: "order.acknowledged",
    WorkQueue.CANCELLED: "order.cancelled",
}
"""The events that payonce takes in, by the queue that they go to."""

_SERVICE = re.compile(r"[a-z0-9-]{1,40}")
_SERVICE_DEST = "svc-"


@dataclass(frozen=True, slots=True)
class Exchange:
    """A durable exchange."""

    name: str
    kind: str
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue."""

    name: str
    arguments: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Binding:
    """What an exchange hands to a queue."""

    exchange: str
    queue: str
    routing_key: str


@dataclass(frozen=True, slots=True)
class Topology:
    """Exchanges, queues and bindings, in the order in which they are declared."""

    exchanges: tuple[Exchange, ...]
    queues: tuple[Queue, ...]
    bindings: tuple[Binding, ...]

    def queue_names(self) -> tuple[str, ...]:
        """Return the names of all queues."""
        return tuple(queue.name for queue in self.queues)


EXCHANGES = (
    Exchange(PAYMENTS, "topic"),
    Exchange(DELAY, "topic"),
    Exchange(UNROUTED, "fanout"),
    Exchange(DUE, "topic", {"alternate-exchange": UNROUTED}),
    Exchange(PARKED, "topic"),
)

TIMED = (WorkQueue.POLL, WorkQueue.CLOSE, WorkQueue.REFUND, WorkQueue.NOTIFY)
"""Work queues that payonce sends to itself through delay queues."""


def work_queue_name(queue: WorkQueue) -> str:
    """Return the full name of one of payonce's own work queues."""
    return f"payonce.{queue.value}"


def service_queue_name(service: str) -> str:
    """Return the name of the queue of an order consumer, whose name is checked."""
    if _SERVICE.fullmatch(service) is None or service == "payonce":
        raise InvalidField("service", f"{service[:80]!r} is not a name", "[a-z0-9-]{1,40}")
    return f"{service}.payment-succeeded"


def parked_queue_name(service: str) -> str:
    """Return the name of the queue of what an order consumer parked."""
    return f"{service}.parked"


def service_dest(service: str) -> str:
    """Return the last part of the routing keys with which a service delays messages to itself."""
    return _SERVICE_DEST + service


def due_queue_name(routing_key: str) -> str | None:
    """Return the queue that a delayed message with this key comes due in; None for foreign keys."""
    dest = routing_key.partition(".")[2]
    if dest in {one.value for one in TIMED}:
        return work_queue_name(WorkQueue(dest))
    if not dest.startswith(_SERVICE_DEST):
        return None
    try:
        return service_queue_name(dest.removeprefix(_SERVICE_DEST))
    except InvalidField:
        return None


def delay_queue_name(dest: str, wait_ms: int) -> str:
    """Return the name of the queue that holds messages to `dest` for `wait_ms`."""
    return f"payonce.delay.{dest}.{wait_ms}"


def delay_routing_key(dest: str, wait_ms: int) -> str:
    """Return the routing key of a message that goes to `dest` after `wait_ms`."""
    return f"{wait_ms}.{dest}"


def payonce_topology(waits_ms: Mapping[WorkQueue, Iterable[int]]) -> Topology:
    """Return all that is payonce's; `waits_ms` holds the waits of every ladder, by destination."""
    work = tuple(work_queue(work_queue_name(one)) for one in WorkQueue)
    parked = (parked_queue(PARKED), parked_queue(UNROUTED))
    delays = _delays({one.value: waits for one, waits in waits_ms.items()})
    return Topology(
        EXCHANGES,
        (*parked, *work, *(delay_queue(dest, wait_ms) for dest, wait_ms in delays)),
        (
            Binding(PARKED, PARKED, "payonce.*"),
            Binding(UNROUTED, UNROUTED, ""),
            *(Binding(DUE, work_queue_name(one), f"*.{one.value}") for one in TIMED),
            *(Binding(PAYMENTS, work_queue_name(one), key) for one, key in INBOUND.items()),
            *(delay_binding(dest, wait_ms) for dest, wait_ms in delays),
        ),
    )


def service_topology(service: str, waits_ms: Iterable[int]) -> Topology:
    """Return what an order consumer needs; its exchanges are declared exactly as payonce does."""
    queue = service_queue_name(service)
    dest = service_dest(service)
    parked = parked_queue_name(service)
    delays = _delays({dest: waits_ms})
    return Topology(
        EXCHANGES,
        (
            parked_queue(parked),
            parked_queue(UNROUTED),
            work_queue(queue),
            *(delay_queue(dest, wait_ms) for dest, wait_ms in delays),
        ),
        (
            Binding(PARKED, parked, f"{service}.*"),
            Binding(UNROUTED, UNROUTED, ""),
            *(delay_binding(dest, wait_ms) for dest, wait_ms in delays),
            Binding(DUE, queue, f"*.{dest}"),
            Binding(PAYMENTS, queue, "payment.succeeded"),
        ),
    )


def work_queue(name: str) -> Queue:
    """Return a queue whose undeliverable messages the broker parks without losing one."""
    return Queue(
        name,
        {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": PARKED,
            "x-dead-letter-routing-key": name,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def delay_queue(dest: str, wait_ms: int) -> Queue:
    """Return the queue of one wait: what lies in it expires in order, since all wait equally."""
    return Queue(
        delay_queue_name(dest, wait_ms),
        {
            "x-queue-type": "quorum",
            "x-message-ttl": wait_ms,
            "x-dead-letter-exchange": DUE,
            "x-dead-letter-strategy": "at-least-once",
            "x-overflow": "reject-publish",
        },
    )


def parked_queue(name: str) -> Queue:
    """Return a queue for what a person must look at."""
    return Queue(name, {"x-queue-type": "quorum", "x-delivery-limit": PARKED_DELIVERY_LIMIT})


def delay_binding(dest: str, wait_ms: int) -> Binding:
    """Return the binding of one wait; nothing else comes to its queue."""
    return Binding(DELAY, delay_queue_name(dest, wait_ms), delay_routing_key(dest, wait_ms))


def _delays(waits_ms: Mapping[str, Iterable[int]]) -> tuple[tuple[str, int], ...]:
    """Return each (destination, wait) once, in order."""
    return tuple(
        (dest, wait_ms) for dest, waits in waits_ms.items() for wait_ms in sorted(set(waits))
    )
