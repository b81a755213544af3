"""What the tests of views and streams are given: states in memory, which can be held back."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from payonce.domain.errors import Unavailable
from payonce.ports.states import Known, State


class CountingMeter:
    """Keeps what was counted."""

    def __init__(self) -> None:
        self.views: list[str] = []
        self.listeners = {"sse": 0, "ws": 0}
        self.pushed = 0
        self.healed = 0

    def order_viewed(self, result: str) -> None:
        """See the port."""
        self.views.append(result)

    def listener_joined(self, transport: str) -> None:
        """See the port."""
        self.listeners[transport] += 1

    def listener_left(self, transport: str) -> None:
        """See the port."""
        self.listeners[transport] -= 1

    def state_pushed(self) -> None:
        """See the port."""
        self.pushed += 1

    def pushes_healed(self, count: int) -> None:
        """See the port."""
        self.healed += count


@dataclass
class FakeStates:
    """Orders in memory. What is read is seen at once, and answered once `gate` is open."""

    orders: dict[str, Any] = field(default_factory=dict)
    reads: list[list[Known]] = field(default_factory=list)
    looks: int = 0
    away: bool = False
    broken: bool = False
    gate: asyncio.Event = field(default_factory=asyncio.Event)

    def __post_init__(self) -> None:
        self.gate.set()

    def put(self, order_id: str, status: str = "OPEN", *, filling: str = "") -> int:
        """Commit a change; return the version that the order has then."""
        version = int(self.orders.get(order_id, {"version": 0})["version"]) + 1
        payment = {"payment_id": f"p-{order_id}", "status": "PENDING", "epoch": version}
        self.orders[order_id] = {
            "order_id": order_id,
            "status": status,
            "version": version,
            "payments": [payment],
            "refunds": [],
            "filling": filling,
        }
        return version

    async def read(self, wanted: Sequence[Known], *, timeline: bool = False) -> list[State | None]:
        """See the port."""
        if self.away:
            raise Unavailable("postgresql", "it is away")
        if self.broken:
            raise LookupError("no such field")
        self.reads.append(list(wanted))
        states = [self._state(one, timeline=timeline) for one in wanted]
        await self.gate.wait()
        return states

    async def versions(self, order_ids: Sequence[str]) -> dict[str, int]:
        """See the port."""
        if self.away:
            raise Unavailable("postgresql", "it is away")
        self.looks += 1
        return {key: self.orders[key]["version"] for key in order_ids if key in self.orders}

    async def payments(self, payment_ids: Sequence[str]) -> list[Any]:
        """See the port."""
        by_id = {view["payments"][0]["payment_id"]: view for view in self.orders.values()}
        return [by_id[one]["payments"][0] if one in by_id else None for one in payment_ids]

    def _state(self, known: Known, *, timeline: bool) -> State | None:
        view = self.orders.get(known.order_id)
        if view is None:
            return None
        more: Any = {"timeline": []} if timeline else {}
        return State(view["version"], None if view["version"] == known.version else view | more)
