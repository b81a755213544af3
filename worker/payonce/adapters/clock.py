"""The machine's clock."""

import asyncio
from datetime import UTC, datetime


class SystemClock:
    """Tells the machine's time and waits on the event loop."""

    def now(self) -> datetime:
        """Return the present, aware, in UTC."""
        return datetime.now(UTC)

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` seconds."""
        await asyncio.sleep(delay_s)
