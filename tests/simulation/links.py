"""What lies between one worker and the servers: time, faults, and the worker's own death."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from payonce.adapters.codec import CLOUDEVENT, JSON, encode_due, encode_event
from payonce.adapters.memory.bus import Message
from payonce.adapters.rabbitmq.topology import DELAY, DUE, PAYMENTS, delay_routing_key
from payonce.domain.errors import Unavailable, Unroutable
from payonce.domain.events import Event
from payonce.domain.messages import CloseDue, NotifyDue, PollDue, RefundDue
from payonce.ports.bus import WorkQueue
from payonce.ports.cache import Seen
from payonce.ports.lock import LockOutcome, NoLock, OrderLock
from payonce.ports.notifier import NoticeAnswer, NoticeOutcome
from tests.simulation.world import World

LATE_S = 20.0
LOOK_S = 0.05


class Link:
    """One worker's way to everything else. Once the worker is dead, nothing passes any more."""

    def __init__(self, world: World, name: str) -> None:
        self.world = world
        self.name = name
        self.dead = False
        self.paused_until_s = 0.0
        self.skew = timedelta(0)
        self._row = world.chance.row(f"pace of {name}")

    async def pass_time(self) -> None:
        """Let a moment pass; a paused worker wakes later, a dead one never."""
        await asyncio.sleep(self._row.uniform(0.0005, 0.02))
        if not self.dead and self.world.chance.strikes("worker.dies"):
            self.world.on_death(self.name)
        while True:
            self.check_alive()
            rest_s = self.paused_until_s - asyncio.get_running_loop().time()
            if rest_s <= 0:
                return
            await asyncio.sleep(rest_s)

    def sleep(self, asleep_s: float) -> None:
        """Freeze the whole worker from its next step on."""
        self.paused_until_s = asyncio.get_running_loop().time() + asleep_s

    def check_alive(self) -> None:
        """End whatever still runs in a worker that was killed."""
        if self.dead:
            raise asyncio.CancelledError

    def note(self, what: str) -> None:
        """Write down a step of this worker."""
        self.world.trace.note(self.name, what)


class Clock:
    """A worker's own clock, which may be wrong."""

    def __init__(self, link: Link) -> None:
        self._link = link

    def now(self) -> datetime:
        """Return what the worker takes for the present."""
        return self._link.world.clock.now() + self._link.skew

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` seconds, later where the worker was paused."""
        await asyncio.sleep(delay_s)
        await self._link.pass_time()


class Database:
    """Any port on the truth: each method is one transaction, which may fail at either end."""

    def __init__(self, link: Link, target: object) -> None:
        self._link = link
        self._target = target

    def __getattr__(self, name: str) -> Callable[..., Awaitable[Any]]:
        call = getattr(self._target, name)

        async def transaction(*arguments: Any, **named: Any) -> Any:
            link, chance = self._link, self._link.world.chance
            await link.pass_time()
            if chance.strikes("database.slow"):
                await asyncio.sleep(2.0)
                await link.pass_time()
            if "database" in link.world.away or chance.strikes("database.before"):
                raise Unavailable("postgresql", f"{name} was lost")
            result = await call(*arguments, **named)
            link.note(f"committed {name} {_about(arguments)}".rstrip())
            link.world.check()
            if chance.strikes("database.after"):
                raise Unavailable("postgresql", f"the outcome of {name} is unknown")
            await link.pass_time()
            return result

        return transaction


def _about(arguments: Sequence[Any]) -> str:
    """Return which payments or orders a transaction is about, as far as its first argument says."""
    first = arguments[0] if arguments else ""
    listed = first if isinstance(first, list | tuple) else [first]
    found = [_name_of(one) for one in listed]
    return " ".join(name for name in found if name)


def _name_of(one: Any) -> str:
    about = getattr(one, "message", one)
    for name in ("payment_id", "refund_id", "order_id"):
        if isinstance(found := getattr(about, name, None), str):
            return found
    return one if isinstance(one, str) else ""


class Broker:
    """ports.bus.Timer and ports.bus.EventBus on the broker that all workers share."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def poll_after(self, wait_ms: int, message: PollDue) -> None:
        """See the port."""
        await self._send_later(WorkQueue.POLL, wait_ms, message)

    async def close_after(self, wait_ms: int, message: CloseDue) -> None:
        """See the port."""
        await self._send_later(WorkQueue.CLOSE, wait_ms, message)

    async def refund_after(self, wait_ms: int, message: RefundDue) -> None:
        """See the port."""
        await self._send_later(WorkQueue.REFUND, wait_ms, message)

    async def notify_after(self, wait_ms: int, message: NotifyDue) -> None:
        """See the port."""
        await self._send_later(WorkQueue.NOTIFY, wait_ms, message)

    async def publish(self, event: Event) -> None:
        """See the port."""
        message = Message(event.type.value, encode_event(event), CLOUDEVENT, event.event_id)
        await self._send(PAYMENTS, message, event.order_id)

    async def _send_later(
        self, dest: WorkQueue, wait_ms: int, due: PollDue | CloseDue | RefundDue | NotifyDue
    ) -> None:
        key = delay_routing_key(dest.value, wait_ms)
        message = Message(key, encode_due(due), JSON)
        try:
            await self._send(DELAY if wait_ms else DUE, message, due.payment_id)
        except Unroutable as error:
            raise Unavailable("rabbitmq", str(error)) from None

    async def _send(self, exchange: str, message: Message, about: str) -> None:
        link, chance = self._link, self._link.world.chance
        await link.pass_time()
        if "broker" in link.world.away or chance.strikes("broker.lost"):
            raise Unavailable("rabbitmq", "no confirm")
        if chance.strikes("broker.late"):
            asyncio.get_running_loop().call_later(LATE_S, self._route_late, exchange, message)
        else:
            link.world.bus.route(exchange, message)
        link.note(f"published {message.routing_key} {about}".rstrip())
        if chance.strikes("broker.doubled"):
            self._route_late(exchange, message)
        if chance.strikes("broker.unconfirmed"):
            raise Unavailable("rabbitmq", "no confirm")
        await link.pass_time()

    def _route_late(self, exchange: str, message: Message) -> None:
        try:
            self._link.world.bus.route(exchange, message)
        except Unroutable:
            self._link.note(f"nobody listened for {message.routing_key}")


class Caller:
    """ports.notifier.Notifier: the order service's endpoint, which may be slow, away or mute."""

    def __init__(self, link: Link) -> None:
        self._link = link

    @property
    def address(self) -> str:
        """Where it calls."""
        return "http://orders.example/paid"

    async def notify(self, event: Event) -> NoticeAnswer:
        """Call the order service."""
        return NoticeAnswer(await self._called(event))

    async def _called(self, event: Event) -> NoticeOutcome:
        link, chance = self._link, self._link.world.chance
        await link.pass_time()
        if chance.strikes("service.away"):
            return NoticeOutcome.FAILED
        if chance.strikes("service.refuses"):
            return NoticeOutcome.REFUSED
        link.world.on_call(event)
        await link.pass_time()
        return NoticeOutcome.TIMEOUT if chance.strikes("service.mute") else NoticeOutcome.OK


class Redis:
    """ports.cache.Cache and ports.lock.OrderLocks on the Redis that all workers share."""

    def __init__(self, link: Link) -> None:
        self._link = link

    async def seen(self, payment_id: str, epoch: int, step: int) -> Seen:
        """See the port."""
        if await self._is_lost():
            return Seen()
        return await self._link.world.cache.seen(payment_id, epoch, step)

    async def mark_step(self, payment_id: str, epoch: int, step: int) -> None:
        """See the port."""
        if not await self._is_lost():
            await self._link.world.cache.mark_step(payment_id, epoch, step)

    async def remember_succeeded(
        self, payment_id: str, order_id: str, version: int, paid_by: str | None
    ) -> None:
        """See the port."""
        if not await self._is_lost():
            await self._link.world.cache.remember_succeeded(payment_id, order_id, version, paid_by)

    async def paid_by(self, order_id: str) -> str | None:
        """See the port."""
        if await self._is_lost():
            return None
        return await self._link.world.cache.paid_by(order_id)

    async def take(self, order_id: str, hold_s: float, wait_s: float) -> OrderLock:
        """Wait up to `wait_s` for the holder."""
        loop, held = asyncio.get_running_loop(), self._link.world.locked_until_s
        if await self._is_lost():
            return NoLock(LockOutcome.AWAY)
        if self._link.world.chance.strikes("lock.lost"):
            return NoLock(LockOutcome.TAKEN)
        until_s = loop.time() + wait_s
        while held.get(order_id, 0.0) > loop.time():
            if loop.time() >= until_s:
                return NoLock(LockOutcome.GIVEN_UP)
            await asyncio.sleep(LOOK_S)
            await self._link.pass_time()
        held[order_id] = loop.time() + hold_s
        return _Lock(held, order_id)

    async def _is_lost(self) -> bool:
        await self._link.pass_time()
        return "redis" in self._link.world.away or self._link.world.chance.strikes("redis.lost")


class _Lock:
    """One acquisition."""

    outcome = LockOutcome.TAKEN

    def __init__(self, held: dict[str, float], order_id: str) -> None:
        self._held = held
        self._order_id = order_id
        self._until_s = held[order_id]

    async def release(self) -> bool:
        """Give it back, unless somebody else holds it by now."""
        if self._held.get(self._order_id) != self._until_s:
            return False
        del self._held[self._order_id]
        return True
