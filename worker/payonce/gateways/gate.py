"""The gate before one gateway: what this process knows of when it may be asked."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from payonce.gateways.breaker import LONGEST, Breaker, open_for
from payonce.gateways.bucket import Bucket
from payonce.ports.board import GatewayState
from payonce.ports.clock import Clock
from payonce.ports.meter import GatewayMeter, Meter

TURN_WITHIN_S = 1.0
"""How long a call waits for its turn at the rate before it is put off."""
LONGEST_QUIET_S = 60.0
"""How long the whole gateway is left alone; the payment it said so of waits as long as asked."""
LONGEST_PAUSE_WAIT_S = 180.0
OK, OPEN, PAUSED = 0, 1, 2

_WHY = "calls fail, the last one with {}"
_FAILURES = frozenset({"no-answer", "5xx"})


@dataclass(frozen=True, slots=True)
class Sparing:
    """Why a call does not go: one word, a sentence, and when to come back."""

    reason: str
    problem: str
    retry_after_s: float


@dataclass(slots=True)
class Wish:
    """A change of the breaker that the board shall hear of; `why` is empty where it closes."""

    length: timedelta | None
    why: str


class Gate:
    """Lets calls to one gateway through, or says why not. In good times it looks at one flag."""

    def __init__(self, name: str, rate_per_s: float, meter: Meter, clock: Clock) -> None:
        self.name = name
        self.free = rate_per_s == 0
        self.wish: Wish | None = None
        self.state = GatewayState(name)
        self._rate_per_s = rate_per_s
        self._meter = meter
        self._clock = clock
        self._breaker = Breaker()
        self._bucket = Bucket(rate_per_s, self._now_s()) if rate_per_s else None
        self._quiet_until_s = 0.0
        self._heard: tuple[datetime | None, float] = (None, 0.0)

    async def enter(self, call: str) -> Sparing | None:
        """Return None where the call may go now, perhaps after a short wait for its turn."""
        if self.free:
            return None
        sparing = self._why_spared() or await self._take_turn()
        if sparing is None:
            self._breaker.let_through(self._now_s())
        else:
            self._meter.gateway_spared(self.name, call, sparing.reason)
        return sparing

    def note_outcome(self, outcome: str) -> None:
        """Hear how a call ended: a class of status, `busy`, or `no-answer`."""
        failed = outcome in _FAILURES
        if not failed and self._breaker.is_calm:
            return
        now_s = self._now_s()
        if failed and self._breaker.note_failure(now_s):
            self._wish(Wish(open_for(self.state.openings), _WHY.format(outcome)))
        elif not failed and self._breaker.note_answer(now_s):
            self._wish(Wish(None, ""))

    def note_retry_after(self, wait_s: float) -> None:
        """Hear that the gateway wants to be left alone."""
        until_s = self._now_s() + min(wait_s, LONGEST_QUIET_S)
        self._quiet_until_s = max(self._quiet_until_s, until_s)
        self._refresh()

    def learn(self, state: GatewayState, workers: int) -> None:
        """Take over what the board says; what it has not heard from here yet stays as it is."""
        if self.wish is None:
            self._breaker.move(self._own_time(state.open_until))
        if self._bucket is not None:
            self._bucket.rate_per_s = self._rate_per_s / max(workers, 1)
        self.state = state
        self._refresh()

    def is_paused(self) -> bool:
        """Say whether a person has paused the gateway."""
        return self.state.paused_at is not None

    def is_closed_to_all(self) -> bool:
        """Say whether no call goes, not even a trial."""
        return self.is_paused() or self._breaker.is_open(self._now_s())

    def code(self) -> int:
        """Return the state as the metric writes it."""
        if self.is_paused():
            return PAUSED
        return OK if self._breaker.open_until_s is None else OPEN

    def _own_time(self, open_until: datetime | None) -> float | None:
        """Return when an opening ends here: soon, however far this clock and the board's differ."""
        if open_until is None:
            return None
        if self._heard[0] != open_until:
            longest_s = self._now_s() + LONGEST.total_seconds()
            self._heard = (open_until, min(open_until.timestamp(), longest_s))
        return self._heard[1]

    def _wish(self, wish: Wish) -> None:
        self.wish = wish
        length = wish.length
        self._breaker.move(None if length is None else self._now_s() + length.total_seconds())
        self._refresh()

    def _refresh(self) -> None:
        self.free = (
            self._bucket is None
            and self.state.paused_at is None
            and self._breaker.open_until_s is None
            and not self._quiet_until_s
        )

    def _why_spared(self) -> Sparing | None:
        if self.is_paused():
            return self._paused()
        now_s = self._now_s()
        if now_s < self._quiet_until_s:
            wait_s = self._quiet_until_s - now_s
            return Sparing("retry-after", "asked to come back later", wait_s)
        if self._quiet_until_s:
            self._quiet_until_s = 0.0
            self._refresh()
        wait_s = self._breaker.spare_s(now_s)
        if not wait_s:
            return None
        return Sparing("breaker-open", "fails and is spared for a while", wait_s)

    def _paused(self) -> Sparing:
        """Come back after about as long as the pause has lasted: a long one costs few messages."""
        state = self.state
        problem = f"paused by {state.paused_by}: {state.paused_why}"
        since = self._clock.now() - (state.paused_at or self._clock.now())
        lasted_s = min(max(since / timedelta(seconds=1), 1.0), LONGEST_PAUSE_WAIT_S)
        return Sparing("paused", problem, lasted_s)

    async def _take_turn(self) -> Sparing | None:
        if self._bucket is None:
            return None
        wait_s = self._bucket.book(self._now_s(), TURN_WITHIN_S)
        if wait_s is None:
            return Sparing("rate", f"its rate of {self._rate_per_s:g}/s is used up", TURN_WITHIN_S)
        if not wait_s:
            return None
        await self._clock.sleep(wait_s)
        return self._why_spared()

    def _now_s(self) -> float:
        return self._clock.now().timestamp()


class Ear:
    """Listens to how an adapter's calls end on their way to the meter."""

    def __init__(self, gate: Gate, meter: GatewayMeter) -> None:
        self._gate = gate
        self._meter = meter

    def gateway_asked(self, gateway: str, call: str, outcome: str, seconds: float) -> None:
        """Observe one call to a gateway."""
        self._meter.gateway_asked(gateway, call, outcome, seconds)
        self._gate.note_outcome(outcome)
