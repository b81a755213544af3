"""Which waits the configuration asks for, and how the broker follows when they change."""

from datetime import timedelta

import structlog

from payonce.adapters.postgres.delay_queues import DelayQueues
from payonce.adapters.rabbitmq.declare import (
    MessageCount,
    RetiredDelay,
    delete_drained,
    unbind_delay,
)
from payonce.adapters.rabbitmq.management import Management
from payonce.adapters.rabbitmq.topology import Topology, payonce_topology
from payonce.handlers.close import CLOSE_WAITS_MS
from payonce.handlers.notify import NOTIFY_WAITS_MS
from payonce.looping import repeat
from payonce.ports.bus import WorkQueue
from payonce.ports.clock import Clock
from payonce.settings import Settings

log = structlog.get_logger(__name__)

_TIDY_EVERY = timedelta(minutes=1)


def waits_of(settings: Settings) -> dict[WorkQueue, tuple[int, ...]]:
    """Return the waits of every ladder in ms, by the queue that they lead to."""
    polls = {wait for one in settings.gateways.values() for wait in one.terms.ladder.waits_ms}
    return {
        WorkQueue.POLL: tuple(sorted(polls)),
        WorkQueue.CLOSE: CLOSE_WAITS_MS,
        WorkQueue.REFUND: tuple(sorted(set(settings.refund.ladder.waits_ms))),
        WorkQueue.NOTIFY: NOTIFY_WAITS_MS,
    }


def topology_of(settings: Settings) -> Topology:
    """Return all that payonce has on the broker."""
    return payonce_topology(waits_of(settings))


class DelayKeeper:
    """Takes waits that no ladder holds any more out of use, and deletes their queues when empty."""

    def __init__(self, settings: Settings, delays: DelayQueues, clock: Clock) -> None:
        self._settings = settings
        self._url = settings.servers.amqp_url
        self._delays = delays
        self._clock = clock

    async def run(self) -> None:
        """Tidy for ever."""
        await repeat("delays", self.run_once, _TIDY_EVERY, self._clock)

    async def run_once(self) -> bool:
        """Unbind what is retired, delete what has drained."""
        now = self._clock.now()
        wanted = [
            (queue.value, wait_ms)
            for queue, waits in waits_of(self._settings).items()
            for wait_ms in waits
        ]
        retired = [
            RetiredDelay(one.dest, one.wait_ms, one.retired_at)
            for one in await self._delays.sync(wanted, now)
        ]
        for one in retired:
            await unbind_delay(self._url, one.dest, one.wait_ms)
        gone = await delete_drained(self._url, retired, now, self._counts())
        await self._delays.forget((one.dest, one.wait_ms) for one in gone)
        return False

    def _counts(self) -> MessageCount | None:
        url = self._settings.broker.management_url
        return Management(url, self._url).messages if url else None
