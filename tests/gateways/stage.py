"""What a gateway of any kind must let the behavioural suite do behind its counter."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from gateway_mock.paypal import PaypalMock
from gateway_mock.server import Mock
from payonce.ports.gateway import Gateway
from tests.gateways.remembering import Remembering
from tests.gateways.rigs import NotingMeter


@dataclass(frozen=True)
class Nature:
    """In what a kind differs from the plainest gateway; the suite asserts the one or the other.

    `has_link`: a new charge has a link besides its code. `has_ref_at_once`: and an id of the
    gateway. `can_forbid_closing`: it can be one that closes nothing. `tells_paid_first`: a close of
    what is paid is answered so. `tells_closed_again`: and one of what is closed. `tells_parts`: it
    says how much somebody else sent back, not only that it was something. `sees_parts`: it says
    that it was something before it is all. `fails_for_good`: a declined shopper may not try again.
    `tells_refunds`: it says how a refund stands that has not succeeded. `finds_nothing`: how a
    question is answered about what is not there. `needs_capture`: who pays only agrees; the money
    moves when it is captured, or never. `calls`: what is asked of it for create, query, query of
    another, close and query_refund, where that is not one call each.
    """

    has_link: bool = True
    has_ref_at_once: bool = True
    can_forbid_closing: bool = True
    tells_paid_first: bool = True
    tells_closed_again: bool = True
    tells_parts: bool = True
    sees_parts: bool = True
    tells_refunds: bool = True
    fails_for_good: bool = True
    finds_nothing: str = "4xx"
    needs_capture: bool = False
    calls: tuple[tuple[str, str], ...] = ()


class Stage(Protocol):
    """A gateway as payonce sees it, and its shoppers' hands."""

    nature: Nature
    gateway: Gateway
    meter: NotingMeter

    def pay(self, payment_id: str) -> None:
        """Let the shopper pay."""
        ...

    def decline(self, payment_id: str) -> None:
        """Let the payment fail for good."""
        ...

    def forbid_closing(self) -> None:
        """Make the gateway one that closes nothing."""
        ...

    def let_refunds(self, payment_id: str, become: str) -> None:
        """Let refunds of this payment be pending, succeeded or failed."""
        ...

    def refund_outside(self, payment_id: str, amount: int) -> None:
        """Send money back past payonce."""
        ...

    def charges(self) -> int:
        """Return how many charges the gateway has."""
        ...

    def refunded(self, payment_id: str) -> int:
        """Return what went back, in minor units."""
        ...


class HttpStage:
    """The `http` adapter before the gateway mock."""

    nature = Nature()

    def __init__(self, gateway: Gateway, meter: NotingMeter, mock: Mock) -> None:
        self.gateway = gateway
        self.meter = meter
        self._mock = mock

    def pay(self, payment_id: str) -> None:
        """Let the shopper pay."""
        self._rewrite(payment_id, pays_after_s=self._age_s(payment_id))

    def decline(self, payment_id: str) -> None:
        """Let the payment fail for good."""
        self._rewrite(payment_id, declines_after_s=self._age_s(payment_id))

    def forbid_closing(self) -> None:
        """Make the gateway one that closes nothing."""
        self._mock.profile.can_close = False

    def let_refunds(self, payment_id: str, become: str) -> None:
        """Let refunds of this payment be pending, succeeded or failed."""
        self._rewrite(payment_id, refunds=become)

    def refund_outside(self, payment_id: str, amount: int) -> None:
        """Send money back past payonce."""
        self._mock.books.refund("outside", payment_id, amount, "outside", self._mock.clock())

    def charges(self) -> int:
        """Return how many charges the gateway has."""
        return len(self._mock.books.charges)

    def refunded(self, payment_id: str) -> int:
        """Return what went back, in minor units."""
        return self._mock.books.charges[payment_id].refunded

    def _age_s(self, payment_id: str) -> float:
        return self._mock.clock() - self._mock.books.charges[payment_id].created_at

    def _rewrite(self, payment_id: str, **changed: Any) -> None:
        charge = self._mock.books.charges[payment_id]
        charge.script = replace(charge.script, **changed)


class StripeStage(HttpStage):
    """The `stripe` adapter before its strict mock; it asks by Stripe's ids, as payonce does."""

    nature = Nature(fails_for_good=False, finds_nothing="2xx")

    def __init__(self, gateway: Gateway, meter: NotingMeter, mock: Mock) -> None:
        super().__init__(Remembering(gateway), meter, mock)

    def forbid_closing(self) -> None:
        """Give the shoppers vouchers, which no close takes back."""
        for payment_id in self._mock.books.charges:
            self._rewrite(payment_id, voucher_after_s=0.0)


class PaypalStage(HttpStage):
    """The `paypal` adapter before its strict mock, and what decides on its captures."""

    nature = Nature(
        can_forbid_closing=False,
        needs_capture=True,
        # A token first; without PayPal's id nothing is asked, and a close is ours alone.
        calls=(("token", "2xx"), ("create", "2xx"), ("query", "2xx"), ("query_refund", "2xx")),
    )

    def __init__(self, gateway: Gateway, meter: NotingMeter, mock: PaypalMock) -> None:
        super().__init__(gateway, meter, mock)
        self._paypal = mock

    def refund_outside(self, payment_id: str, amount: int) -> None:
        """Send captured money back past payonce."""
        self._paypal.take(payment_id)
        super().refund_outside(payment_id, amount)


class WechatPayStage(HttpStage):
    """The `wechatpay` adapter before its strict mock."""

    nature = Nature(
        has_link=False,
        has_ref_at_once=False,
        can_forbid_closing=False,
        tells_paid_first=False,
        tells_parts=False,
    )


class AlipayStage(HttpStage):
    """The `alipay` adapter before its strict mock, where every code is scanned at once."""

    nature = Nature(
        has_link=False,
        has_ref_at_once=False,
        can_forbid_closing=False,
        tells_paid_first=False,
        tells_closed_again=False,
        tells_parts=False,
        sees_parts=False,
        fails_for_good=False,
        tells_refunds=False,
        finds_nothing="2xx",
    )
