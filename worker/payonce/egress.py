"""The way out: names are resolved for HTTP clients here, and what they may not lead to is refused.

The check sits in the resolver, so that what was checked is what is connected to: a name that
answers differently a moment later (DNS rebinding) gains nothing.
"""

import socket
from collections.abc import Iterable

import structlog
from aiohttp import ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from payonce.domain.addresses import why_refused

log = structlog.get_logger(__name__)


class AddressRefused(OSError):
    """A name leads to an address that is not called. aiohttp takes it for a failed look-up."""

    def __init__(self, host: str, address: str, why: str) -> None:
        super().__init__(f"{host} leads to {address}: {why}")
        self.address = address


class CheckedResolver(AbstractResolver):
    """Resolves names; `allowed` ones may lead into a private network (`domain.addresses`)."""

    def __init__(self, allowed: Iterable[str] = (), inner: AbstractResolver | None = None) -> None:
        self._allowed = tuple(allowed)
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return where a name leads to. Raises AddressRefused on one bad address among them."""
        found = await self._inner.resolve(host, port, family)
        for one in found:
            why = why_refused(host, one["host"], self._allowed)
            if why is not None:
                log.warning("address.refused", host=host, address=one["host"], reason=why)
                raise AddressRefused(host, one["host"], why)
        return found

    async def close(self) -> None:
        """Release what the resolver holds."""
        await self._inner.close()
