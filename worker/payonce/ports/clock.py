"""Time, injected."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Tells the time; `sleep` is the only way to wait."""

    def now(self) -> datetime:
        """Return the present, aware, in UTC."""
        ...

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` seconds."""
        ...
