"""A meter that also keeps a tally for the operators' page: one more addition a message."""

from bisect import bisect_left

from payonce.adapters.metrics import PrometheusMeter
from payonce.ports.activity import LATENESS_S, Key, Kind

_REGISTERED, _DECIDED, _LATE = Kind.REGISTERED.value, Kind.DECIDED.value, Kind.LATE.value
_CLASSES = tuple(str(number) for number in range(len(LATENESS_S) + 1))


class TallyMeter(PrometheusMeter):
    """Counts for Prometheus and, until the next `take`, for the page.

    The gateways, names and sources are those of the configuration and the code, so it stays small.
    """

    def __init__(self) -> None:
        super().__init__()
        self._counts: dict[Key, int] = {}

    def take(self) -> dict[Key, int]:
        """Return what was counted since the last call."""
        taken, self._counts = self._counts, {}
        return taken

    def payment_registered(self, gateway: str, outcome: str) -> None:
        """Count a registration."""
        super().payment_registered(gateway, outcome)
        self._add((_REGISTERED, gateway, outcome, ""))

    def payment_decided(self, gateway: str, verdict: str, source: str) -> None:
        """Count a decision."""
        super().payment_decided(gateway, verdict, source)
        self._add((_DECIDED, gateway, verdict, source))

    def poll_started(self, gateway: str, lateness_s: float) -> None:
        """Count a poll by how late it came."""
        super().poll_started(gateway, lateness_s)
        self._add((_LATE, gateway, _CLASSES[bisect_left(LATENESS_S, lateness_s)], ""))

    def _add(self, key: Key) -> None:
        self._counts[key] = self._counts.get(key, 0) + 1
