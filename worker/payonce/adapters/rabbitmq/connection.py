"""A connection to the broker that comes back by itself."""

import asyncio
from collections.abc import Awaitable, Callable

import aiormq
import aiormq.abc
import structlog
from yarl import URL

from payonce.adapters.backoff import Backoff
from payonce.adapters.rabbitmq.errors import SERVER, as_unavailable, describe, shown
from payonce.adapters.rabbitmq.transport import HotChannel, SplittingTransport
from payonce.adapters.until import until
from payonce.domain.errors import Unavailable
from payonce.ports.meter import OnAway

log = structlog.get_logger(__name__)

HEARTBEAT_S = 10
"""aiormq notices a silent broker after about three times that."""
CONNECT_TIMEOUT_S = 10.0
CLOSE_TIMEOUT_S = 5.0
RECONNECT_LEAST_S, RECONNECT_MOST_S = 0.2, 10.0
_DEFAULT_FRAME_MAX = 131_072

Prepare = Callable[[], Awaitable[object]]


class Link:
    """One live connection."""

    def __init__(
        self, url: str, connection: aiormq.abc.AbstractConnection, transport: SplittingTransport
    ) -> None:
        self._url = url
        self._connection = connection
        self._transport = transport

    @property
    def is_open(self) -> bool:
        """Whether the connection stands."""
        return bool(self._connection.is_opened)

    async def open_channel(self, *, confirms: bool) -> HotChannel:
        """Open a channel. Raises Unavailable."""
        with as_unavailable(self._url):
            rare = await self._connection.channel(
                publisher_confirms=confirms, timeout=CONNECT_TIMEOUT_S
            )
        frame_max = self._connection.connection_tune.frame_max or _DEFAULT_FRAME_MAX
        return HotChannel(rare, self._transport, frame_max)

    async def lost(self) -> str:
        """Return why, once the connection is lost."""
        closing = self._connection.closing
        await asyncio.wait([closing])
        error = None if closing.cancelled() else closing.exception()
        return describe(error) if error is not None else "closed"

    async def close(self) -> None:
        """Say good-bye to the broker, within some seconds."""
        with as_unavailable(self._url):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._connection.close()


class BrokerConnection:
    """Keeps one connection up: `run` connects, waits for its loss, and connects again.

    `prepare` (the declaration of the topology) runs after every connecting, before `connected`.
    `on_away` is told of each loss and of each failure to connect; `connects` counts connections.
    """

    def __init__(
        self,
        url: str,
        purpose: str,
        prepare: Prepare | None = None,
        backoff: Backoff | None = None,
        on_away: OnAway | None = None,
    ) -> None:
        self._url = url
        self._purpose = purpose
        self._prepare = prepare
        self._backoff = backoff or Backoff(RECONNECT_LEAST_S, RECONNECT_MOST_S)
        self._on_away = on_away
        self._link: Link | None = None
        self._ready = asyncio.Event()
        self._stop = asyncio.Event()
        self.connects = 0

    @property
    def server(self) -> str:
        """Host, port and virtual host, without credentials."""
        return shown(self._url)

    def connected(self) -> bool:
        """Whether the broker can be used right now."""
        return self._link is not None and self._link.is_open

    async def run(self) -> None:
        """Stay connected until `close`. Raises BrokerConflict where the topology does not fit."""
        await until(self._stop, self._stay_connected())

    async def link(self) -> Link:
        """Return the live connection, once there is one."""
        while self._link is None or not self._link.is_open:
            self._ready.clear()
            await self._ready.wait()
        return self._link

    async def prepare(self) -> None:
        """Declare again what a channel found missing. Raises Unavailable, BrokerConflict."""
        if self._prepare is not None:
            await self._prepare()

    def count_failure(self) -> None:
        """Tell that a use of the broker failed."""
        if self._on_away is not None:
            self._on_away(SERVER)

    async def close(self) -> None:
        """Close the connection and let `run` end."""
        self._stop.set()
        link, self._link = self._link, None
        self._ready.clear()
        if link is not None and link.is_open:
            try:
                await link.close()
            except Unavailable as error:
                log.info("broker.close_failed", purpose=self._purpose, reason=str(error))

    async def _stay_connected(self) -> None:
        while True:
            link = await self._connect()
            self._backoff.reset()
            self._link = link
            self.connects += 1
            self._ready.set()
            log.info("broker.connected", server=self.server, purpose=self._purpose)
            reason = await link.lost()
            self._ready.clear()
            self._link = None
            log.warning("broker.lost", server=self.server, purpose=self._purpose, reason=reason)
            self.count_failure()

    async def _connect(self) -> Link:
        while True:
            try:
                return await self._connect_once()
            except Unavailable as error:
                self.count_failure()
                wait_s = self._backoff.next_s()
                log.warning(
                    "broker.unreachable",
                    purpose=self._purpose,
                    reason=str(error),
                    again_in_s=round(wait_s, 1),
                )
            await asyncio.sleep(wait_s)

    async def _connect_once(self) -> Link:
        link = await connect(self._url, self._purpose)
        try:
            await self.prepare()
        except BaseException:
            await asyncio.shield(_close_quietly(link))
            raise
        if not link.is_open:
            raise Unavailable(SERVER, f"{self.server}: connection lost while declaring")
        return link


async def connect(url: str, purpose: str) -> Link:
    """Open one connection, named after its purpose. Raises Unavailable."""
    transport = SplittingTransport()
    target = URL(url)
    extra = {"heartbeat": str(HEARTBEAT_S), "name": f"payonce {purpose}"}
    target = target.update_query({**extra, **target.query})
    with as_unavailable(url):
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            connection = await aiormq.connect(target, transport_factory=transport)
    return Link(url, connection, transport)


async def _close_quietly(link: Link) -> None:
    try:
        await link.close()
    except Unavailable as error:
        log.info("broker.close_failed", reason=str(error))
