"""The states of orders, as they are shown: each belongs to one version of its order."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from payonce.ports import views

NOTHING_KNOWN = -1


@dataclass(frozen=True, slots=True)
class Known:
    """An order, and the version at which its state is known; NOTHING_KNOWN: at none."""

    order_id: str
    version: int = NOTHING_KNOWN


@dataclass(frozen=True, slots=True)
class State:
    """An order's version, and its state; None: it is the one that is known."""

    version: int
    view: views.Order | None


class States(Protocol):
    """Reads many at once, all of one moment. Every method may raise Unavailable."""

    async def read(self, wanted: Sequence[Known], *, timeline: bool = False) -> list[State | None]:
        """Return the state of each order in order, None where there is no such order.

        A version names one state and no other, except for the timeline and for how watches go,
        which change without it: ask for those with nothing known.
        """
        ...

    async def versions(self, order_ids: Sequence[str]) -> dict[str, int]:
        """Return the versions of the orders that there are."""
        ...

    async def payments(self, payment_ids: Sequence[str]) -> list[views.Payment | None]:
        """Return payments in order, None where there is no such payment."""
        ...
