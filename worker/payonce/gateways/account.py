"""What every kind of gateway has in common: its settings, and when it is not even asked."""

from abc import ABC, abstractmethod
from collections.abc import Iterable

import aiohttp

from payonce.domain.report import GatewayReport, Outcome
from payonce.gateways.caller import Caller
from payonce.gateways.places import LONG_S
from payonce.ports.gateway import ChargeRef
from payonce.ports.meter import GatewayMeter
from payonce.settings import GatewaySettings

BUSY = GatewayReport(Outcome.UNKNOWN, reason="busy", retry_after_s=LONG_S, spared=True)
"""The answer to a query that had to wait too long for a place."""


class Account(ABC):
    """One account at a gateway. `secrets`: what its answers may not repeat to anybody."""

    def __init__(
        self,
        settings: GatewaySettings,
        session: aiohttp.ClientSession,
        meter: GatewayMeter,
        secrets: Iterable[str] = (),
    ) -> None:
        self.name = settings.name
        self.terms = settings.terms
        self._base = settings.base_url
        self._caller = Caller(settings, session, meter, secrets)

    async def query(self, charge: ChargeRef) -> GatewayReport:
        """Ask how a charge stands; UNKNOWN on a time-out, an error or nonsense; never raises.

        Spared where all places have been taken for long: whoever waits keeps others from theirs.
        """
        return BUSY if self._caller.long_full() else await self._query(charge)

    @abstractmethod
    async def _query(self, charge: ChargeRef) -> GatewayReport: ...
