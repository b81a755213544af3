"""The desk where people see how gateways are treated, pause them and resume them."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from payonce.domain.errors import InvalidField, UnknownGateway
from payonce.domain.times import format_time
from payonce.ports import views
from payonce.ports.board import Board, GatewayState, JournalLine
from payonce.ports.clock import Clock

LINES = 5
"""So many of the latest lines of each gateway's journal are shown."""
_LONGEST_NAME = 64
_LONGEST_WHY = 500


class GatewayDesk:
    """Shows and changes the board. `rates`: calls a second of configured gateways, 0: no limit."""

    def __init__(self, board: Board, rates: Mapping[str, float], clock: Clock) -> None:
        self._board = board
        self._rates = rates
        self._clock = clock

    async def list(self) -> list[views.GatewayStanding]:
        """Return every gateway that is configured, or was ever treated, by name."""
        states = {one.gateway: one for one in await self._board.states()}
        names = sorted(self._rates.keys() | states.keys())
        journal = await self._board.journal(names, LINES)
        return [self._view(states.get(name, GatewayState(name)), journal) for name in names]

    async def pause(self, name: str, by: str, why: str) -> views.GatewayTreated:
        """Pause a gateway and return how it stands. Raises UnknownGateway, InvalidField."""
        _check("by", by, _LONGEST_NAME)
        _check("why", why, _LONGEST_WHY)
        await self._refuse_unknown(name)
        changed = await self._board.pause(name, by, why, self._clock.now())
        return await self._treated(name, changed=changed)

    async def resume(self, name: str, by: str, why: str | None = None) -> views.GatewayTreated:
        """End a pause and return how the gateway stands. Raises UnknownGateway, InvalidField."""
        _check("by", by, _LONGEST_NAME)
        if why is not None:
            _check("why", why, _LONGEST_WHY)
        await self._refuse_unknown(name)
        changed = await self._board.resume(name, by, why, self._clock.now())
        return await self._treated(name, changed=changed)

    async def _refuse_unknown(self, name: str) -> None:
        if name not in self._rates:
            known = {one.gateway for one in await self._board.states()} | self._rates.keys()
            if name not in known:
                raise UnknownGateway(name, tuple(sorted(known)))

    async def _treated(self, name: str, *, changed: bool) -> views.GatewayTreated:
        [view] = [one for one in await self.list() if one["gateway"] == name]
        return {**view, "changed": changed}

    def _view(self, state: GatewayState, journal: Sequence[JournalLine]) -> views.GatewayStanding:
        name = state.gateway
        return {
            "gateway": name,
            "configured": name in self._rates,
            "state": state_of(state, self._clock.now()),
            "paused_by": state.paused_by,
            "paused_why": state.paused_why,
            "paused_at": _time(state.paused_at),
            "open_until": _time(state.open_until),
            "openings": state.openings,
            "rate_per_s": self._rates.get(name),
            "journal": [
                {"at": format_time(one.at), "kind": one.kind, "by": one.by, "why": one.why}
                for one in journal
                if one.gateway == name
            ],
        }


def state_of(state: GatewayState, now: datetime) -> views.GatewayState:
    """Return `paused`, `open`, `half-open` (a single call at a time is let through) or `ok`."""
    if state.paused_at is not None:
        return "paused"
    if state.open_until is None:
        return "ok"
    return "open" if state.open_until > now else "half-open"


def told(view: views.GatewayStanding) -> str:
    """Return in a few words how a gateway stands."""
    match view["state"]:
        case "paused":
            return f"paused by {view['paused_by']} since {view['paused_at']}: {view['paused_why']}"
        case "open":
            return f"spared until {view['open_until']}: its calls fail"
        case "half-open":
            return "its calls failed; single ones are let through"
        case _:
            return "ok"


def _check(field: str, text: object, longest: int) -> None:
    if not isinstance(text, str) or not text.strip() or len(text) > longest:
        raise InvalidField(field, "is missing or too long", f"1 to {longest} characters")
    if not text.isprintable():
        raise InvalidField(field, "holds characters that cannot be printed", "one line of text")


def _time(time: datetime | None) -> str | None:
    return None if time is None else format_time(time)
