"""Chance that can be repeated: every kind of fault, and every order, draws from a row of its own.

So one kind of fault, or one order, can be taken out of a run, and all others stay as they were.
"""

import random
from collections import Counter
from collections.abc import Collection, Mapping

PERCENT: Mapping[str, float] = {
    "worker.dies": 0.04,  # at any await at all
    "worker.sleeps": 0.4,  # right before it calls a gateway, past every lease
    "broker.lost": 3.0,  # the publish is lost, and no confirm comes
    "broker.unconfirmed": 2.0,  # it arrives, but the confirm is lost
    "broker.doubled": 2.0,  # it is delivered twice
    "broker.late": 2.0,  # it is delivered long after others
    "database.before": 1.5,  # the transaction is lost
    "database.after": 1.5,  # it is committed, but nobody hears of it
    "database.slow": 2.0,
    "redis.lost": 2.0,  # a use that fails
    "lock.lost": 10.0,  # a lock that keeps nobody out
    "gateway.slow": 3.0,
    "gateway.before": 4.0,  # a time-out: the call never arrived
    "gateway.after": 6.0,  # a time-out: the call took effect
    "gateway.stale": 4.0,  # an answer of some seconds ago
    "gateway.busy": 2.0,  # 429
    "gateway.close_lies": 8.0,  # closed, it says, and is not
    "gateway.forgets": 40.0,  # it forgets a refund's id
    "gateway.late_money": 30.0,  # money that was on its way when the charge was closed
    "gateway.refund_pends": 30.0,
    "gateway.refund_fails": 6.0,  # a pending refund fails in the end
    "gateway.capture_declines": 8.0,  # the shopper's instrument is declined
    "gateway.capture_pends": 6.0,  # captured, and the money takes its time
    "gateway.capture_overslept": 6.0,  # decided, and sent after minutes of sleep
    "gateway.capture_late": 35.0,  # a time-out: the capture takes effect minutes later
    "gateway.payer_late": 15.0,  # the shopper pays after the end
    "callback.lost": 25.0,
    "callback.doubled": 15.0,
    "callback.forged": 5.0,
    "callback.late": 15.0,
    "shop.repeats": 15.0,  # the shop sends its message again
    "shop.late": 10.0,  # it sends it long after the shopper began: callbacks come first
    "shop.fails": 15.0,  # the order service cannot book now
    "service.away": 8.0,  # the order service cannot be called
    "service.refuses": 5.0,
    "service.mute": 6.0,  # it booked, and its answer is lost
    "shop.mute": 10.0,  # its acknowledgement is lost
}
"""How often a kind of fault strikes where it could."""

SPELLS: Mapping[str, float] = {
    "worker.killed": 240.0,
    "worker.paused": 150.0,
    "clock.jumped": 200.0,
    "broker.purged": 600.0,
    "broker.away": 400.0,
    "database.away": 300.0,
    "redis.away": 250.0,
    "redis.flushed": 250.0,
    "redis.wrong": 500.0,
}
"""Faults that befall a whole server: the mean time between two of them, in seconds."""

KINDS = frozenset({*PERCENT, *SPELLS})


class Chance:
    """Says when a fault strikes, and counts those that did. `without`: kinds that never do."""

    def __init__(self, seed: str, without: Collection[str] = ()) -> None:
        self._seed = seed
        self._without = frozenset(without)
        self._rows: dict[str, random.Random] = {}
        self.fired: Counter[str] = Counter()
        self.calm = False

    def row(self, name: str) -> random.Random:
        """Return the row of this name."""
        if name not in self._rows:
            self._rows[name] = random.Random(f"{self._seed}/{name}")
        return self._rows[name]

    def strikes(self, kind: str) -> bool:
        """Draw; a calm world, or a kind that was taken out, has no faults."""
        hit = self.row(kind).random() * 100 < PERCENT[kind]
        if not hit or self.calm or kind in self._without:
            return False
        self.fired[kind] += 1
        return True

    def until_next(self, kind: str) -> float:
        """Return how long it is, in seconds, until a fault befalls a server again."""
        return self.row(kind).expovariate(1 / SPELLS[kind])

    def befalls(self, kind: str) -> bool:
        """Say whether the fault whose time has come is wanted."""
        if self.calm or kind in self._without:
            return False
        self.fired[kind] += 1
        return True
