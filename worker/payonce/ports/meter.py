"""What is counted."""

from collections.abc import Callable
from typing import Protocol

OnAway = Callable[[str], None]
"""`Meter.server_away`: takes the name of a server whose use failed."""


class GatewayMeter(Protocol):
    """What the adapter of a gateway counts."""

    def gateway_asked(self, gateway: str, call: str, outcome: str, seconds: float) -> None:
        """Observe one call to a gateway."""
        ...


class Meter(GatewayMeter, Protocol):
    """Takes measurements; never raises, never waits."""

    def payment_registered(self, gateway: str, outcome: str) -> None:
        """Count a registration."""
        ...

    def payment_decided(self, gateway: str, verdict: str, source: str) -> None:
        """Count a decision."""
        ...

    def poll_started(self, gateway: str, lateness_s: float) -> None:
        """Observe how long after its due time a poll came to its turn."""
        ...

    def poll_dropped(self, gateway: str, reason: str) -> None:
        """Count a poll that did not ask the gateway."""
        ...

    def event_published(self, event_type: str, age_s: float) -> None:
        """Observe the time from the occurrence to the broker's confirmation."""
        ...

    def success_announced(self, delay_s: float) -> None:
        """Observe the time from paid (the gateway's word) to the confirmed event."""
        ...

    def gateway_spared(self, gateway: str, call: str, reason: str) -> None:
        """Count a call that was not made."""
        ...

    def gateway_state(self, gateway: str, code: int) -> None:
        """Set how a gateway is treated: 0 as usual, 1 its breaker is open, 2 it is paused."""
        ...

    def payment_revived(self, gateway: str) -> None:
        """Count a payment that the sweeper took up again."""
        ...

    def callback_received(self, gateway: str, outcome: str) -> None:
        """Count a callback at the door."""
        ...

    def callback_processed(self, gateway: str, result: str) -> None:
        """Count a try to apply a callback."""
        ...

    def orders_retold(self, count: int) -> None:
        """Count paid orders that are told again."""
        ...

    def order_notified(self, outcome: str, seconds: float) -> None:
        """Observe one call to the order service."""
        ...

    def notice_skipped(self, reason: str) -> None:
        """Count a call to the order service that was not made: `acknowledged` or `away`."""
        ...

    def refund_decided(self, gateway: str, status: str, rule: str) -> None:
        """Count a refund that took a step; `rule` is empty unless one holds it."""
        ...

    def message_parked(self, queue: str) -> None:
        """Count a message that was put aside for a person."""
        ...

    def server_away(self, server: str) -> None:
        """Count a failed use of a server."""
        ...

    def application_answered(self, gateway: str, outcome: str) -> None:
        """Count an application by what came of it."""
        ...

    def order_lock_waited(self, outcome: str, seconds: float) -> None:
        """Observe how long an application waited for its order's lock, and how that went."""
        ...

    def order_lock_lost(self) -> None:
        """Count an order lock that ended before its holder was done."""
        ...


class PushMeter(Protocol):
    """What is counted of those who look at orders and listen to them."""

    def order_viewed(self, result: str) -> None:
        """Count an order that was shown to its shopper: `hit` where it was still as it was kept."""
        ...

    def listener_joined(self, transport: str) -> None:
        """Count a stream that begins, `sse` or `ws`."""
        ...

    def listener_left(self, transport: str) -> None:
        """Count a stream that has ended."""
        ...

    def state_pushed(self) -> None:
        """Count a state that was sent to a listener."""
        ...

    def pushes_healed(self, count: int) -> None:
        """Count changes that a look found, of which nobody had told."""
        ...
