"""How much left lately, against what may: read from the database every 10 s."""

from datetime import timedelta

import structlog
from prometheus_client import CollectorRegistry, Gauge

from payonce.adapters.metrics import REFRESH_EVERY
from payonce.domain.errors import PayonceError
from payonce.domain.risk import Policy
from payonce.looping import repeat
from payonce.ports.clock import Clock
from payonce.ports.refunds import RefundHours

log = structlog.get_logger(__name__)

HOUR = timedelta(hours=1)
ALL = "*"
"""In place of a gateway: the cap of all together."""


class RefundGauges:
    """Refunds that were sent within the hour, by gateway, and the caps."""

    def __init__(
        self, registry: CollectorRegistry, hours: RefundHours, policy: Policy, clock: Clock
    ) -> None:
        self._hours = hours
        self._clock = clock
        self._sent = Gauge(
            "payonce_refunds_hour", "Refunds sent in an hour.", ["gateway"], registry=registry
        )
        self._amount = Gauge(
            "payonce_refunds_hour_amount",
            "Minor units sent back in an hour.",
            ["gateway", "currency"],
            registry=registry,
        )
        caps = Gauge(
            "payonce_refunds_hour_cap", "Refunds allowed an hour.", ["gateway"], registry=registry
        )
        caps.labels(ALL).set(policy.max_per_hour)
        for name, gateway in policy.gateways.items():
            if gateway.max_per_hour is not None:
                caps.labels(name).set(gateway.max_per_hour)

    async def run(self) -> None:
        """Refresh for ever."""
        await repeat("refund-gauges", self.run_once, REFRESH_EVERY, self._clock)

    async def run_once(self) -> bool:
        """Refresh once; while the database is away the gauges stay as they were."""
        try:
            found = await self._hours.refunds_since(self._clock.now() - HOUR)
        except PayonceError as error:
            log.info("gauges.stale", reason=str(error))
            return False
        self._sent.clear()
        self._amount.clear()
        self._sent.labels(ALL).set(sum(one.sent for one in found))
        for one in found:
            self._sent.labels(one.gateway).inc(one.sent)
            self._amount.labels(one.gateway, one.currency).set(one.amount)
        return False
