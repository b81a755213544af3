"""Publishing with confirms: a publish has happened once the broker says so."""

import asyncio

import structlog

from payonce.adapters.rabbitmq.channels import close_channel, keep_channel
from payonce.adapters.rabbitmq.connection import BrokerConnection
from payonce.adapters.rabbitmq.errors import SERVER
from payonce.adapters.rabbitmq.transport import HotChannel
from payonce.adapters.rabbitmq.wire import Confirm, Outgoing, Received, read_properties
from payonce.adapters.until import until
from payonce.domain.errors import Unavailable, Unroutable

log = structlog.get_logger(__name__)

CONFIRM_TIMEOUT_S = 5.0
MAX_UNCONFIRMED = 2_000
_LOOK_AT_TIMEOUTS_EVERY_S = 0.2


class _Pending:
    """A publish that the broker has not confirmed yet."""

    __slots__ = ("deadline", "message", "outcome")

    def __init__(self, message: Outgoing, deadline: float, outcome: "asyncio.Future[None]") -> None:
        self.message = message
        self.deadline = deadline
        self.outcome = outcome

    def end(self, error: Exception | None) -> None:
        """Tell the publisher, unless it was told already or has gone away."""
        if self.outcome.done():
            return
        if error is None:
            self.outcome.set_result(None)
        else:
            self.outcome.set_exception(error)


class _Window:
    """The unconfirmed publishes of one channel, in order of their delivery tags."""

    def __init__(self, channel: HotChannel, timeout_s: float) -> None:
        self._channel = channel
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._pending: dict[int, _Pending] = {}
        self._last_tag = 0
        self._watch: asyncio.TimerHandle | None = None
        self.room = asyncio.Event()
        self.room.set()
        self.empty = asyncio.Event()
        self.empty.set()
        channel.on_confirmed = self._on_confirmed
        channel.on_returned = self._on_returned

    @property
    def is_open(self) -> bool:
        """Whether publishes can still be sent here."""
        return self._channel.is_open

    def send(self, message: Outgoing) -> "asyncio.Future[None]":
        """Publish and return the future outcome: None, Unroutable or Unavailable."""
        outcome: asyncio.Future[None] = self._loop.create_future()
        self._channel.publish(message)
        self._last_tag += 1
        deadline = self._loop.time() + self._timeout_s
        self._pending[self._last_tag] = _Pending(message, deadline, outcome)
        self.empty.clear()
        if len(self._pending) >= MAX_UNCONFIRMED:
            self.room.clear()
        if self._watch is None:
            self._watch = self._loop.call_later(_LOOK_AT_TIMEOUTS_EVERY_S, self._look_at_timeouts)
        return outcome

    def fail(self) -> None:
        """End every publish: the channel is gone and whether they arrived is unknown."""
        error = Unavailable(SERVER, "connection lost before the publish was confirmed")
        for pending in self._pending.values():
            pending.end(error)
        self._pending.clear()
        self.room.set()
        self.empty.set()
        if self._watch is not None:
            self._watch.cancel()

    def _on_confirmed(self, confirm: Confirm) -> None:
        error = None if confirm.taken else Unavailable(SERVER, "refused to take a message")
        for tag in self._tags(confirm):
            pending = self._pending.pop(tag, None)
            if pending is not None:
                pending.end(error)
        if len(self._pending) < MAX_UNCONFIRMED:
            self.room.set()
        if not self._pending:
            self.empty.set()

    def _tags(self, confirm: Confirm) -> list[int]:
        if not confirm.multiple:
            return [confirm.delivery_tag]
        tags = []
        for tag in self._pending:
            if tag > confirm.delivery_tag:
                break
            tags.append(tag)
        return tags

    def _on_returned(self, returned: Received) -> None:
        """Match a return to its publish: the broker names no tag, but its confirm comes later.

        Equal publishes in flight share their fate, so the first of them that is open is as good.
        """
        _, message_id, _ = read_properties(returned.header)
        for pending in self._pending.values():
            message = pending.message
            if (
                not pending.outcome.done()
                and message.message_id == message_id
                and message.routing_key == returned.routing_key
                and message.exchange == returned.exchange
            ):
                pending.end(Unroutable(message.exchange, message.routing_key))
                return

    def _look_at_timeouts(self) -> None:
        self._watch = None
        now = self._loop.time()
        error = Unavailable(SERVER, f"no confirm within {self._timeout_s:g} s")
        for pending in self._pending.values():
            if pending.deadline > now:
                break
            pending.end(error)
        if self._pending:
            self._watch = self._loop.call_later(_LOOK_AT_TIMEOUTS_EVERY_S, self._look_at_timeouts)


class Publisher:
    """Publishes on a connection of its own, so that a blocked one holds up no acknowledgement.

    `run` keeps its channel open. At most 2,000 publishes are unconfirmed; more wait.
    """

    def __init__(
        self, connection: BrokerConnection, *, timeout_s: float = CONFIRM_TIMEOUT_S
    ) -> None:
        self._connection = connection
        self._timeout_s = timeout_s
        self._window: _Window | None = None
        self._channel: HotChannel | None = None
        self._opened = asyncio.Event()
        self._stop = asyncio.Event()

    async def run(self) -> None:
        """Stay ready to publish until `drain`."""
        work = keep_channel(self._connection, "publishing", self._serve, confirms=True)
        await until(self._stop, work)

    def ready(self) -> bool:
        """Whether a publish would be sent at once."""
        return self._window is not None and self._window.is_open

    async def publish(self, message: Outgoing) -> None:
        """Publish and return once the broker has confirmed.

        Raises Unroutable where no queue is bound; Unavailable where no confirm comes in time, the
        broker refuses, or there is no connection: the message may have arrived all the same.
        """
        try:
            window = self._window
            if window is None or not window.is_open or not window.room.is_set():
                window = await self._wait_for_window()
            await window.send(message)
        except Unavailable:
            self._connection.count_failure()
            raise

    async def drain(self, timeout_s: float) -> None:
        """Wait for the confirms that are still to come, then close the channel."""
        if self._window is not None:
            try:
                async with asyncio.timeout(timeout_s):
                    await self._window.empty.wait()
            except TimeoutError:
                log.warning("publisher.drain_cut_off", after_s=timeout_s)
        self._stop.set()
        if self._channel is not None and self._channel.is_open:
            await close_channel(self._connection, self._channel)

    async def _wait_for_window(self) -> _Window:
        try:
            async with asyncio.timeout(self._timeout_s):
                while True:
                    window = self._window
                    if window is None or not window.is_open:
                        self._opened.clear()
                        await self._opened.wait()
                    elif not window.room.is_set():
                        await window.room.wait()
                    else:
                        return window
        except TimeoutError:
            state = "is slow to confirm" if self._connection.connected() else "is not connected"
            problem = f"{self._connection.server} {state}"
            raise Unavailable(SERVER, problem) from None

    async def _serve(self, channel: HotChannel) -> None:
        window = _Window(channel, self._timeout_s)
        self._channel, self._window = channel, window
        self._opened.set()
        try:
            await channel.closed
        finally:
            self._window = None
            window.fail()
