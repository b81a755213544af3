"""ports.changes.Changes within one process, for tests and where there is no Redis."""

import asyncio
from collections.abc import Mapping

from payonce.ports.changes import OnChange


class MemoryChanges:
    """Tells at once. `others`: the instances that stand for the processes of one installation."""

    def __init__(self, others: "list[MemoryChanges] | None" = None) -> None:
        self._is_away = False
        self._losses = 0
        self._listeners: list[OnChange] = []
        self._all = [] if others is None else others
        self._all.append(self)

    @property
    def is_away(self) -> bool:
        """Whether nothing arrives from the others, and nothing goes to them."""
        return self._is_away

    @is_away.setter
    def is_away(self, is_away: bool) -> None:
        self._losses += is_away and not self._is_away
        self._is_away = is_away

    def spread(self, versions: Mapping[str, int]) -> None:
        """Tell this process's listeners and, unless away, the others'."""
        for one in self._all:
            if one is self or not (self.is_away or one.is_away):
                one.take(versions)

    def take(self, versions: Mapping[str, int]) -> None:
        """Tell this process's listeners."""
        for listener in self._listeners:
            listener(versions)

    def subscribe(self, listener: OnChange) -> None:
        """Have `listener` told of every change from now on."""
        self._listeners.append(listener)

    def is_heard(self) -> bool:
        """Say whether changes of other processes arrive."""
        return not self.is_away

    def losses(self) -> int:
        """Return how often it went away."""
        return self._losses

    async def run(self) -> None:
        """Be there: nothing has to be waited for."""
        await asyncio.Event().wait()
