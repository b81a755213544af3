"""Metrics for Prometheus. Names are documented in docs/metrics.md."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta

import structlog
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from payonce.domain.errors import PayonceError
from payonce.looping import repeat
from payonce.ports.activity import LATENESS_S
from payonce.ports.clock import Clock
from payonce.ports.store import Overview

log = structlog.get_logger(__name__)

DELAY_S = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 180, 600, 3600)
REFRESH_EVERY = timedelta(seconds=10)

QueueDepths = Callable[[], Awaitable[Mapping[str, tuple[int, int | None]]]]
"""Messages of each queue, and those stuck on their way to a dead-letter target (None: unknown)."""


class PrometheusMeter:
    """ports.meter.Meter, with a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry(auto_describe=True)
        self._count_payments(self.registry)
        self._count_others(self.registry)
        self._time(self.registry)

    def _count_payments(self, registry: CollectorRegistry) -> None:
        self._registered = _counter(
            registry, "payonce_registrations", "Payments registered.", "gateway", "outcome"
        )
        self._decided = _counter(
            registry,
            "payonce_payments",
            "Decisions about payments.",
            "gateway",
            "verdict",
            "source",
        )
        self._dropped = _counter(
            registry, "payonce_polls_dropped", "Polls that needed no answer.", "gateway", "reason"
        )
        self._revived = _counter(
            registry, "payonce_payments_revived", "Payments the sweeper took up.", "gateway"
        )
        self._callbacks = _counter(
            registry, "payonce_callbacks", "Callbacks that came.", "gateway", "outcome"
        )
        self._processed = _counter(
            registry, "payonce_callbacks_processed", "Callbacks applied.", "gateway", "result"
        )
        self._retold = _counter(registry, "payonce_orders_retold", "Paid orders told again.")
        self._notices_skipped = _counter(
            registry, "payonce_notify_skipped", "Calls to the order service not made.", "reason"
        )
        self._refunds = _counter(
            registry, "payonce_refunds", "Steps of refunds.", "gateway", "status", "rule"
        )
        self._applications = _counter(
            registry, "payonce_applications", "Applications answered.", "gateway", "outcome"
        )

    def _count_others(self, registry: CollectorRegistry) -> None:
        self._spared = _counter(
            registry, "payonce_gateway_spared", "Calls not made.", "gateway", "call", "reason"
        )
        self._state = Gauge(
            "payonce_gateway_state",
            "0 as usual, 1 its breaker is open, 2 paused by a person.",
            ["gateway"],
            registry=registry,
        )
        self._parked = _counter(registry, "payonce_parked", "Messages put aside.", "queue")
        self._away = _counter(registry, "payonce_server_away", "Failed uses.", "server")
        self._views = _counter(
            registry, "payonce_order_views", "Orders shown to their shoppers.", "result"
        )
        self._listeners = Gauge(
            "payonce_listeners", "Streams that are open.", ["transport"], registry=registry
        )
        self._pushed = _counter(registry, "payonce_pushes", "States sent to listeners.")
        self._healed = _counter(
            registry, "payonce_pushes_healed", "Changes of which nobody had told."
        )
        self._locks_lost = _counter(
            registry, "payonce_order_locks_lost", "Order locks that ended too early."
        )

    def _time(self, registry: CollectorRegistry) -> None:
        self._lock_wait = Histogram(
            "payonce_order_lock_wait_seconds",
            "Time that applications waited for their order's lock.",
            ["outcome"],
            buckets=LATENESS_S,
            registry=registry,
        )
        self._lateness = Histogram(
            "payonce_poll_lateness_seconds",
            "Time from a poll's due time to its turn.",
            ["gateway"],
            buckets=LATENESS_S,
            registry=registry,
        )
        self._event_age = Histogram(
            "payonce_event_seconds",
            "Time from an event's occurrence to the broker's confirmation.",
            ["type"],
            buckets=DELAY_S,
            registry=registry,
        )
        self._paid_to_event = Histogram(
            "payonce_paid_to_event_seconds",
            "Time from paid, in the gateway's word, to the confirmed event.",
            buckets=DELAY_S,
            registry=registry,
        )
        self._notices = Histogram(
            "payonce_notify_seconds",
            "Duration of calls to the order service.",
            ["outcome"],
            buckets=LATENESS_S,
            registry=registry,
        )
        self._gateway = Histogram(
            "payonce_gateway_seconds",
            "Duration of calls to gateways.",
            ["gateway", "call", "outcome"],
            buckets=LATENESS_S,
            registry=registry,
        )

    def payment_registered(self, gateway: str, outcome: str) -> None:
        """Count a registration."""
        self._registered.labels(gateway, outcome).inc()

    def payment_decided(self, gateway: str, verdict: str, source: str) -> None:
        """Count a decision."""
        self._decided.labels(gateway, verdict, source).inc()

    def poll_started(self, gateway: str, lateness_s: float) -> None:
        """Observe how long after its due time a poll came to its turn."""
        self._lateness.labels(gateway).observe(max(lateness_s, 0.0))

    def poll_dropped(self, gateway: str, reason: str) -> None:
        """Count a poll that did not ask the gateway."""
        self._dropped.labels(gateway, reason).inc()

    def event_published(self, event_type: str, age_s: float) -> None:
        """Observe the time from the occurrence to the broker's confirmation."""
        self._event_age.labels(event_type).observe(max(age_s, 0.0))

    def success_announced(self, delay_s: float) -> None:
        """Observe the time from paid to the confirmed event."""
        self._paid_to_event.observe(max(delay_s, 0.0))

    def gateway_asked(self, gateway: str, call: str, outcome: str, seconds: float) -> None:
        """Observe one call to a gateway."""
        self._gateway.labels(gateway, call, outcome).observe(seconds)

    def gateway_spared(self, gateway: str, call: str, reason: str) -> None:
        """Count a call that was not made."""
        self._spared.labels(gateway, call, reason).inc()

    def gateway_state(self, gateway: str, code: int) -> None:
        """Set how a gateway is treated."""
        self._state.labels(gateway).set(code)

    def payment_revived(self, gateway: str) -> None:
        """Count a payment that the sweeper took up again."""
        self._revived.labels(gateway).inc()

    def callback_received(self, gateway: str, outcome: str) -> None:
        """Count a callback at the door."""
        self._callbacks.labels(gateway, outcome).inc()

    def callback_processed(self, gateway: str, result: str) -> None:
        """Count a try to apply a callback."""
        self._processed.labels(gateway, result).inc()

    def orders_retold(self, count: int) -> None:
        """Count paid orders that are told again."""
        self._retold.inc(count)

    def order_notified(self, outcome: str, seconds: float) -> None:
        """Observe one call to the order service."""
        self._notices.labels(outcome).observe(max(seconds, 0.0))

    def notice_skipped(self, reason: str) -> None:
        """Count a call to the order service that was not made."""
        self._notices_skipped.labels(reason).inc()

    def refund_decided(self, gateway: str, status: str, rule: str) -> None:
        """Count a refund that took a step."""
        self._refunds.labels(gateway, status, rule).inc()

    def message_parked(self, queue: str) -> None:
        """Count a message that was put aside for a person."""
        self._parked.labels(queue).inc()

    def server_away(self, server: str) -> None:
        """Count a failed use of a server."""
        self._away.labels(server).inc()

    def application_answered(self, gateway: str, outcome: str) -> None:
        """Count an application by what came of it."""
        self._applications.labels(gateway, outcome).inc()

    def order_lock_waited(self, outcome: str, seconds: float) -> None:
        """Observe how long an application waited for its order's lock, and how that went."""
        self._lock_wait.labels(outcome).observe(max(seconds, 0.0))

    def order_lock_lost(self) -> None:
        """Count an order lock that ended before its holder was done."""
        self._locks_lost.inc()

    def order_viewed(self, result: str) -> None:
        """Count an order that was shown to its shopper."""
        self._views.labels(result).inc()

    def listener_joined(self, transport: str) -> None:
        """Count a stream that begins."""
        self._listeners.labels(transport).inc()

    def listener_left(self, transport: str) -> None:
        """Count a stream that has ended."""
        self._listeners.labels(transport).dec()

    def state_pushed(self) -> None:
        """Count a state that was sent to a listener."""
        self._pushed.inc()

    def pushes_healed(self, count: int) -> None:
        """Count changes that a look found."""
        self._healed.inc(count)


class NullMeter(PrometheusMeter):
    """A meter that nobody reads, for commands that end soon."""


class Gauges:
    """What waits: read from database and broker every 10 s, kept in between."""

    def __init__(
        self, registry: CollectorRegistry, overview: Overview, depths: QueueDepths, clock: Clock
    ) -> None:
        self._overview = overview
        self._depths = depths
        self._clock = clock
        self._messages = Gauge(
            "payonce_queue_messages", "Messages of a queue.", ["queue"], registry=registry
        )
        self._stuck = Gauge(
            "payonce_queue_stuck_messages",
            "Messages that wait for a dead-letter target.",
            ["queue"],
            registry=registry,
        )
        self._waiting = Gauge(
            "payonce_waiting", "What waits for somebody.", ["what"], registry=registry
        )
        self._oldest = Gauge(
            "payonce_waiting_oldest_seconds",
            "Age of the oldest of what waits; 0 where nothing does.",
            ["what"],
            registry=registry,
        )
        tasks = Gauge("payonce_tasks", "Tasks of this process's event loop.", registry=registry)
        # Counted at each look; a look comes from the loop itself.
        tasks.set_function(lambda: len(asyncio.all_tasks()))

    async def run(self) -> None:
        """Refresh for ever."""
        await repeat("gauges", self.run_once, REFRESH_EVERY, self._clock)

    async def run_once(self) -> bool:
        """Refresh once; a server that is away leaves its gauges as they were."""
        for refresh in (self._refresh_backlog, self._refresh_queues):
            try:
                await refresh()
            except PayonceError as error:
                log.info("gauges.stale", reason=str(error))
        return False

    async def _refresh_backlog(self) -> None:
        backlog = await self._overview.backlog()
        counts = {
            "outbox": (backlog.outbox_events, backlog.outbox_oldest_at),
            "unresolved": (backlog.unresolved, backlog.unresolved_oldest_at),
            "unacknowledged": (backlog.unacknowledged, backlog.unacknowledged_oldest_at),
            "mismatched": (backlog.mismatched, backlog.mismatched_oldest_at),
            "callbacks": (backlog.callbacks, backlog.callbacks_oldest_at),
            "refunds_held": (backlog.refunds_held, backlog.refunds_held_oldest_at),
            "refunds_requested": (
                backlog.refunds_requested,
                backlog.refunds_requested_oldest_at,
            ),
            "refunds_submitted": (
                backlog.refunds_submitted,
                backlog.refunds_submitted_oldest_at,
            ),
            "refunds_manual": (backlog.refunds_manual, backlog.refunds_manual_oldest_at),
        }
        for what, (count, oldest_at) in counts.items():
            self._waiting.labels(what).set(count)
            self._oldest.labels(what).set(self._age_s(oldest_at))

    async def _refresh_queues(self) -> None:
        for queue, (messages, stuck) in (await self._depths()).items():
            self._messages.labels(queue).set(messages)
            if stuck is not None:
                self._stuck.labels(queue).set(stuck)

    def _age_s(self, oldest_at: datetime | None) -> float:
        if oldest_at is None:
            return 0.0
        return max((self._clock.now() - oldest_at).total_seconds(), 0.0)


def _counter(registry: CollectorRegistry, name: str, text: str, *labels: str) -> Counter:
    return Counter(name, text, labels, registry=registry)
