"""A meter that keeps what it was told."""


class FakeMeter:
    """Keeps what was counted, as tuples that begin with the method's name."""

    def __init__(self) -> None:
        self.counted: list[tuple[object, ...]] = []

    def of(self, name: str) -> list[tuple[object, ...]]:
        """Return what one method counted."""
        return [one[1:] for one in self.counted if one[0] == name]

    def payment_registered(self, gateway: str, outcome: str) -> None:
        """See the port."""
        self.counted.append(("payment_registered", gateway, outcome))

    def payment_decided(self, gateway: str, verdict: str, source: str) -> None:
        """See the port."""
        self.counted.append(("payment_decided", gateway, verdict, source))

    def poll_started(self, gateway: str, lateness_s: float) -> None:
        """See the port."""
        self.counted.append(("poll_started", gateway, lateness_s))

    def poll_dropped(self, gateway: str, reason: str) -> None:
        """See the port."""
        self.counted.append(("poll_dropped", gateway, reason))

    def event_published(self, event_type: str, age_s: float) -> None:
        """See the port."""
        self.counted.append(("event_published", event_type, age_s))

    def success_announced(self, delay_s: float) -> None:
        """See the port."""
        self.counted.append(("success_announced", delay_s))

    def gateway_asked(self, gateway: str, call: str, outcome: str, seconds: float) -> None:
        """See the port."""
        self.counted.append(("gateway_asked", gateway, call, outcome, seconds))

    def gateway_spared(self, gateway: str, call: str, reason: str) -> None:
        """See the port."""
        self.counted.append(("gateway_spared", gateway, call, reason))

    def gateway_state(self, gateway: str, code: int) -> None:
        """See the port."""
        self.counted.append(("gateway_state", gateway, code))

    def payment_revived(self, gateway: str) -> None:
        """See the port."""
        self.counted.append(("payment_revived", gateway))

    def callback_received(self, gateway: str, outcome: str) -> None:
        """See the port."""
        self.counted.append(("callback_received", gateway, outcome))

    def callback_processed(self, gateway: str, result: str) -> None:
        """See the port."""
        self.counted.append(("callback_processed", gateway, result))

    def orders_retold(self, count: int) -> None:
        """See the port."""
        self.counted.append(("orders_retold", count))

    def order_notified(self, outcome: str, seconds: float) -> None:
        """See the port."""
        self.counted.append(("order_notified", outcome, seconds))

    def notice_skipped(self, reason: str) -> None:
        """See the port."""
        self.counted.append(("notice_skipped", reason))

    def refund_decided(self, gateway: str, status: str, rule: str) -> None:
        """See the port."""
        self.counted.append(("refund_decided", gateway, status, rule))

    def message_parked(self, queue: str) -> None:
        """See the port."""
        self.counted.append(("message_parked", queue))

    def server_away(self, server: str) -> None:
        """See the port."""
        self.counted.append(("server_away", server))

    def application_answered(self, gateway: str, outcome: str) -> None:
        """See the port."""
        self.counted.append(("application_answered", gateway, outcome))

    def order_lock_waited(self, outcome: str, seconds: float) -> None:
        """See the port."""
        self.counted.append(("order_lock_waited", outcome, seconds))

    def order_lock_lost(self) -> None:
        """See the port."""
        self.counted.append(("order_lock_lost",))
