"""ports.cache.Cache within one process, for tests and for a demo without Redis."""

from collections import OrderedDict

from payonce.ports.cache import Seen

MAX_ENTRIES = 100_000


class MemoryCache:
    """Remembers the latest 100,000 steps and successes."""

    def __init__(self, max_entries: int = MAX_ENTRIES) -> None:
        self._max_entries = max_entries
        self._steps: OrderedDict[tuple[str, int, int], None] = OrderedDict()
        self._versions: OrderedDict[str, int] = OrderedDict()
        self._paid: OrderedDict[str, tuple[int, str]] = OrderedDict()

    async def seen(self, payment_id: str, epoch: int, step: int) -> Seen:
        """Return what is remembered of this poll."""
        return Seen((payment_id, epoch, step) in self._steps, payment_id in self._versions)

    async def mark_step(self, payment_id: str, epoch: int, step: int) -> None:
        """Remember that the poll after this one is scheduled."""
        self._steps[payment_id, epoch, step] = None
        if len(self._steps) > self._max_entries:
            self._steps.popitem(last=False)

    async def remember_succeeded(
        self, payment_id: str, order_id: str, version: int, paid_by: str | None
    ) -> None:
        """Remember a committed success, and the payment that its order is paid by."""
        self._versions[payment_id] = max(version, self._versions.get(payment_id, version))
        if len(self._versions) > self._max_entries:
            self._versions.popitem(last=False)
        if paid_by and version > self._paid.get(order_id, (-1, ""))[0]:
            self._paid[order_id] = (version, paid_by)
            if len(self._paid) > self._max_entries:
                self._paid.popitem(last=False)

    async def paid_by(self, order_id: str) -> str | None:
        """Return the payment that an order is known to be paid by."""
        return self._paid[order_id][1] if order_id in self._paid else None
