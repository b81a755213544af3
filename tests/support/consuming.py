"""`payonce consume` as a process of its own, which a signal ends."""

import asyncio
import signal
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager


@asynccontextmanager
async def consuming(env: Mapping[str, str], url: str, *switches: str) -> AsyncIterator[None]:
    """Run it for the service "billing"; at the end it finishes what is in hand and ends well."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "payonce", "consume", "--service", "billing", "--url", url, *switches),
        env=env,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield
        process.send_signal(signal.SIGTERM)
        assert 0 == await asyncio.wait_for(process.wait(), 30)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
