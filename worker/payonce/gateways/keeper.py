"""The keeper: carries what this process sees to the board, and the board to its gates."""

from collections.abc import Mapping
from datetime import timedelta

import structlog

from payonce.domain.errors import Unavailable
from payonce.gateways.gate import Gate
from payonce.looping import repeat
from payonce.ports.board import Board, GatewayState
from payonce.ports.clock import Clock
from payonce.ports.meter import Meter

log = structlog.get_logger(__name__)

EVERY = timedelta(seconds=1)
DEAD_AFTER = timedelta(seconds=10)
"""A process that was not seen for so long no longer has a share of the rates."""


class Keeper:
    """One statement a turn, whatever the load; while the database is away, nothing changes."""

    def __init__(
        self, board: Board, gates: Mapping[str, Gate], worker_id: str, clock: Clock, meter: Meter
    ) -> None:
        self._board = board
        self._gates = gates
        self._worker_id = worker_id
        self._clock = clock
        self._meter = meter
        self._asks = False

    async def run(self, *, asks: bool = True) -> None:
        """Keep for ever; `asks`: this process takes its share of the rates."""
        self._asks = asks
        await repeat("gateways", self.run_once, EVERY, self._clock)

    async def run_once(self) -> bool:
        """Tell the board what changed here, then read it."""
        for gate in self._gates.values():
            await self._tell(gate)
        now = self._clock.now()
        worker_id = self._worker_id if self._asks else None
        reading = await self._board.read(worker_id, now, now - DEAD_AFTER)
        # One that does not ask yet may begin any moment: it takes no more than its share would be.
        workers = reading.workers + (worker_id is None)
        for name, gate in self._gates.items():
            before, after = gate.state, reading.states.get(name, GatewayState(name))
            gate.learn(after, workers)
            _log_change(before, after)
            self._meter.gateway_state(name, gate.code())
        return False

    async def leave(self) -> None:
        """Give up this process's share of the rates."""
        self._asks = False
        try:
            await self._board.leave(self._worker_id)
        except Unavailable as error:
            log.info("worker.not_signed_off", reason=str(error))

    def spared(self) -> frozenset[str]:
        """Return the gateways that no call may go to right now."""
        return frozenset(name for name, gate in self._gates.items() if gate.is_closed_to_all())

    def paused(self) -> frozenset[str]:
        """Return the gateways that a person has paused."""
        return frozenset(name for name, gate in self._gates.items() if gate.is_paused())

    async def _tell(self, gate: Gate) -> None:
        wish = gate.wish
        if wish is None:
            return
        if wish.length is None:
            await self._board.close(gate.name, self._clock.now())
        else:
            log.warning("gateway.failing", gateway=gate.name, why=wish.why)
            await self._board.open(gate.name, wish.length, wish.why)
        if gate.wish is wish:
            gate.wish = None


def _log_change(before: GatewayState, after: GatewayState) -> None:
    """Log what every process sees of a gateway's treatment."""
    was, now = before.paused_by, after.paused_by
    if (was, before.paused_why) != (now, after.paused_why):
        event = "gateway.paused" if now else "gateway.resumed"
        log.warning(event, gateway=after.gateway, by=now, why=after.paused_why)
    if after.open_until and before.open_until != after.open_until:
        until, openings = after.open_until.isoformat(), after.openings
        log.warning("gateway.opened", gateway=after.gateway, until=until, openings=openings)
    elif before.open_until and not after.open_until:
        log.warning("gateway.closed", gateway=after.gateway)
