"""The board in memory: each method is one step that nothing interrupts."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from payonce.domain.errors import Unavailable
from payonce.ports.board import GatewayState, JournalLine, Reading


@dataclass
class FakeBoard:
    """See the port; `away`: every use raises Unavailable; `meanwhile` happens once during one."""

    by_name: dict[str, GatewayState] = field(default_factory=dict)
    lines: list[JournalLine] = field(default_factory=list)
    seen_at: dict[str, datetime] = field(default_factory=dict)
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    away: bool = False
    meanwhile: Callable[[], Awaitable[object]] | None = None

    async def read(self, worker_id: str | None, now: datetime, alive_since: datetime) -> Reading:
        """See the port."""
        self._be_there()
        if worker_id is not None:
            self.seen_at[worker_id] = now
        states = dict(self.by_name)
        await self._pass_time()
        alive = {key for key, at in self.seen_at.items() if at >= alive_since or key == worker_id}
        return Reading(states, len(alive))

    async def leave(self, worker_id: str) -> None:
        """See the port."""
        self._be_there()
        self.seen_at.pop(worker_id, None)

    async def open(self, gateway: str, length: timedelta, why: str) -> bool:
        """See the port."""
        state, now = self._state(gateway), self.now()
        if state.open_until and state.open_until > now:
            return False
        self.by_name[gateway] = replace(state, open_until=now + length, openings=state.openings + 1)
        return self._note(gateway, now, "opened", None, why)

    async def close(self, gateway: str, now: datetime) -> bool:
        """See the port."""
        state = self._state(gateway)
        if state.open_until is None:
            return False
        await self._pass_time()
        self.by_name[gateway] = replace(state, open_until=None, openings=0)
        return self._note(gateway, now, "closed", None, "a call was answered")

    async def pause(self, gateway: str, by: str, why: str, now: datetime) -> bool:
        """See the port."""
        state = self._state(gateway)
        if (state.paused_by, state.paused_why) == (by, why):
            return False
        at = state.paused_at or now
        self.by_name[gateway] = replace(state, paused_at=at, paused_by=by, paused_why=why)
        return self._note(gateway, now, "paused", by, why)

    async def resume(self, gateway: str, by: str, why: str | None, now: datetime) -> bool:
        """See the port."""
        state = self._state(gateway)
        if state.paused_at is None:
            return False
        self.by_name[gateway] = replace(state, paused_at=None, paused_by=None, paused_why=None)
        return self._note(gateway, now, "resumed", by, why)

    async def states(self) -> list[GatewayState]:
        """See the port."""
        self._be_there()
        return [self.by_name[name] for name in sorted(self.by_name)]

    async def journal(self, gateways: Sequence[str], lines: int) -> list[JournalLine]:
        """See the port."""
        self._be_there()
        latest: list[JournalLine] = []
        for name in gateways:
            latest += [one for one in self.lines if one.gateway == name][-lines:]
        return [one for one in self.lines if one in latest]

    async def _pass_time(self) -> None:
        happening, self.meanwhile = self.meanwhile, None
        if happening is not None:
            await happening()

    def _state(self, gateway: str) -> GatewayState:
        self._be_there()
        return self.by_name.get(gateway, GatewayState(gateway))

    def _note(self, gateway: str, at: datetime, kind: str, by: str | None, why: str | None) -> bool:
        self.lines.append(JournalLine(gateway, at, kind, by, why))
        return True

    def _be_there(self) -> None:
        if self.away:
            raise Unavailable("test", "the board is away")
