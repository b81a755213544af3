"""The handlers of one worker on fakes, and short ways to say what a test needs of them."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

from payonce.domain.effects import Effects
from payonce.domain.judge import Hearing
from payonce.domain.messages import CloseDue, PollDue
from payonce.domain.payment import Payment
from payonce.domain.times import format_time, to_ms
from payonce.handlers.acknowledge import Acknowledge
from payonce.handlers.announce import Announcer
from payonce.handlers.cancel import Cancel
from payonce.handlers.close import Close
from payonce.handlers.poll import Poll
from payonce.handlers.register import Register
from payonce.handlers.settle import Settler
from payonce.ports.gateway import Gateway
from payonce.ports.store import Registration
from payonce.relay import Relay
from payonce.sweeper import Sweeper
from tests.handlers.fake_meter import FakeMeter
from tests.handlers.fakes import (
    FakeCallbacks,
    FakeClock,
    FakeGateway,
    Journal,
    WatchedBus,
    WatchedCache,
    WatchedStore,
)
from tests.store.making import EXPIRES, NOW, registration

EVERY_S = 60.0


class Bench:
    """One worker: its handlers, and the fakes that they were given."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.clock = FakeClock()
        self.meter = FakeMeter()
        self.store = WatchedStore(self.journal)
        self.store.now = self.clock.now
        self.bus = WatchedBus(self.clock, self.journal)
        self.cache = WatchedCache(self.journal)
        self.gateway = FakeGateway(self.journal)
        self.gateways: dict[str, Gateway] = {"mock": self.gateway}
        bus, clock, meter, store = self.bus, self.clock, self.meter, self.store
        self.announcer = Announcer(bus, store, clock, meter)
        self.settler = Settler(store, self.announcer, bus, self.cache, clock, meter)
        self.callbacks = FakeCallbacks()
        self.register = Register(
            store, bus, self.gateways, self.callbacks, clock, meter, supersede=True
        )
        self.poll = Poll(store, self.settler, bus, self.cache, self.gateways, clock, meter)
        self.close = Close(self.settler, store, bus, self.gateways, clock)
        self.cancel = Cancel(store, bus, clock)
        self.acknowledge = Acknowledge(store, clock)
        self.relay = Relay(store, self.announcer, clock)
        every = timedelta(seconds=EVERY_S)
        self.spared: set[str] = set()
        self.sweeper = Sweeper(
            store, bus, self.gateways, every, clock, meter, spared=lambda: self.spared
        )

    async def registered(self, *wanted: Registration) -> None:
        """Register behind the handlers' backs, and forget that the store was used."""
        await self.store.register(wanted or [registration()])
        self.journal.calls.clear()

    async def heard(self, hearing: Hearing) -> Effects:
        """Settle any report of a registered payment through the handlers."""
        effects = await self.settler.settle(hearing)
        assert effects is not None
        return effects

    def payment(self, payment_id: str = "p1") -> Payment:
        """Return a payment as the store holds it."""
        return self.store.payments[payment_id]

    def change(self, payment_id: str, **changes: Any) -> None:
        """Change a payment behind the handlers' backs."""
        self.store.payments[payment_id] = replace(self.payment(payment_id), **changes)

    def told(self) -> list[str]:
        """Return the types of the events that were published, in order."""
        return [event.type.value for event in self.bus.told]


@asynccontextmanager
async def opened_bench() -> AsyncIterator[Bench]:
    """Return a bench whose events all have a listener."""
    bench = Bench()
    bench.bus.listen("payment.*", "refund.*")
    yield bench
    await bench.bus.close()


def initiated(**changes: object) -> Mapping[str, Any]:
    """Return the data of a `payment.initiated` with everything ordinary but what is given."""
    return {
        "payment_id": "p1",
        "order_id": "o1",
        "gateway": "mock",
        "amount": 100,
        "currency": "CNY",
        "expires_at": format_time(EXPIRES),
        **changes,
    }


def due(step: int = 0, **changes: Any) -> PollDue:
    """Return a poll of p1 that is due now."""
    message = PollDue("p1", "o1", "mock", 100, "CNY", step, to_ms(NOW), to_ms(EXPIRES))
    return replace(message, **changes)


def close_due(attempt: int = 0, **changes: Any) -> CloseDue:
    """Return an order to close p1."""
    message = CloseDue("p1", "o1", "mock", 100, "CNY", "order-paid", attempt=attempt)
    return replace(message, **changes)


def next_poll(bench: Bench) -> tuple[int, PollDue]:
    """Return the wait and the message of the only poll that was scheduled."""
    [found] = bench.bus.polls
    return found
