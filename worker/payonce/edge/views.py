"""What is shown of orders and payments: read for many at once, encoded once for each version."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from payonce.batching import Batcher
from payonce.ports import views
from payonce.ports.meter import PushMeter
from payonce.ports.states import NOTHING_KNOWN, Known, State, States

MOST_KEPT = 5_000
LARGEST_KEPT_BYTES = 16_384
"""So much of so many orders: 80 MB at the very most, 8 MB where orders are ordinary."""

WAIT_S = 0.001
"""How long a question waits for others that are asked in the same statement."""

_PAYMENT = views.ShoppersPayment.__required_keys__ | views.ShoppersPayment.__optional_keys__
_REFUND = views.ShoppersRefund.__required_keys__ | views.ShoppersRefund.__optional_keys__
"""What a shopper is shown: no names and words of people, not how the watch goes."""

_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Shown:
    """An order as it is shown, in JSON, and the version that this is."""

    version: int
    body: bytes


class Views:
    """Shows orders and payments. Every method may raise Unavailable.

    An order as its shopper sees it is kept, and shown again for as long as its version is the same,
    which PostgreSQL is asked each time: what is kept can be of use, and never out of date. With
    api_token more is shown, which changes without the version: it is read each time.
    """

    def __init__(self, states: States, meter: PushMeter) -> None:
        self._states = states
        self._meter = meter
        self._kept: OrderedDict[str, Shown] = OrderedDict()
        self._for_shoppers: Batcher[Known, State | None] = Batcher(states.read, max_wait_s=WAIT_S)
        self._for_shop: Batcher[Known, State | None] = Batcher(self._read_whole, max_wait_s=WAIT_S)
        self._payments: Batcher[str, views.Payment | None] = Batcher(
            states.payments, max_wait_s=WAIT_S
        )

    async def order(self, order_id: str, *, for_shop: bool) -> Shown | None:
        """Return an order as it is now; None where there is no such order."""
        return await (self._for_the_shop(order_id) if for_shop else self._for_shopper(order_id))

    async def payment(self, payment_id: str) -> views.Payment | None:
        """Return a payment, whole; None where there is no such payment."""
        return await self._payments.submit(payment_id)

    async def versions(self, order_ids: Sequence[str]) -> dict[str, int]:
        """Return the versions of the orders that there are."""
        return await self._states.versions(order_ids)

    async def _for_the_shop(self, order_id: str) -> Shown | None:
        state = await self._for_shop.submit(Known(order_id))
        if state is None:
            return None
        return Shown(state.version, _encoder.encode(state.view))

    async def _for_shopper(self, order_id: str) -> Shown | None:
        kept = self._kept.get(order_id)
        known = Known(order_id, kept.version if kept else NOTHING_KNOWN)
        state = await self._for_shoppers.submit(known)
        if state is None:
            return None
        is_hit = kept is not None and state.version == kept.version
        self._meter.order_viewed("hit" if is_hit else "miss")
        if kept is not None and is_hit:
            return kept
        if state.view is None:
            raise LookupError(f"order {order_id} was not read at version {state.version}")
        shown = Shown(state.version, _encoder.encode(order_for_shopper(state.view)))
        self._keep(order_id, shown)
        return shown

    def _keep(self, order_id: str, shown: Shown) -> None:
        """Keep what is shown, unless something newer was read meanwhile."""
        before = self._kept.get(order_id)
        if before is not None and before.version >= shown.version:
            return
        if len(shown.body) > LARGEST_KEPT_BYTES:
            self._kept.pop(order_id, None)
            return
        self._kept[order_id] = shown
        self._kept.move_to_end(order_id)
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    async def _read_whole(self, wanted: Sequence[Known]) -> list[State | None]:
        return await self._states.read(wanted, timeline=True)


def order_for_shopper(view: views.Order) -> Mapping[str, object]:
    """Return an order as its shopper is shown it."""
    payments = [payment_for_shopper(one) for one in view["payments"]]
    return {
        **view,
        "payments": payments,
        "refunds": [_cut(one, _REFUND) for one in view["refunds"]],
    }


def payment_for_shopper(view: views.Payment) -> Mapping[str, object]:
    """Return a payment as its shopper is shown it."""
    return _cut(view, _PAYMENT)


def _cut(view: Mapping[str, object], shown: frozenset[str]) -> Mapping[str, object]:
    return {name: value for name, value in view.items() if name in shown}
