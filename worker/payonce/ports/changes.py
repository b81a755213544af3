"""What an order's listeners are told by: it has changed, and to which version."""

from collections.abc import Callable, Mapping
from typing import Protocol

OnChange = Callable[[Mapping[str, int]], None]
"""Takes orders by id, each with the version that a commit brought it to; never raises or waits."""


class Changes(Protocol):
    """Carries changes of orders to every process. Any may be lost: whoever listens looks, too."""

    def spread(self, versions: Mapping[str, int]) -> None:
        """Tell this process's listeners at once, the other processes' soon. Never raises."""
        ...

    def subscribe(self, listener: OnChange) -> None:
        """Have `listener` told of every change from now on, wherever it was made."""
        ...

    def is_heard(self) -> bool:
        """Say whether changes of other processes arrive at present, as far as is known."""
        ...

    def losses(self) -> int:
        """Return how often it was found that they did not arrive; they may have since."""
        ...

    async def run(self) -> None:
        """Hear the other processes, for ever; needed only where somebody subscribes."""
        ...
