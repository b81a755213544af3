"""A PayPal adapter with what decides on its captures, over rows in memory."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from gateway_mock.paypal import PaypalMock
from payonce.adapters.clock import SystemClock
from payonce.domain.order import Order, OrderStatus
from payonce.domain.payment import Payment, PaymentStatus
from payonce.gateways.capturing import Capturing
from payonce.gateways.paypal import PaypalGateway
from payonce.ports.clock import Clock
from payonce.ports.gateway import ChargeRef, CreatedCharge, NewCharge, NewRefund, RefundReport
from tests.gateways.rigs import NotingMeter, open_gateway
from tests.store.fake import FakeStore
from tests.store.fake_captures import FakeCaptures
from tests.support.paypal import credentials_of


class Kept(Capturing):
    """Keeps rows of what it creates, as an application does, and asks before it refunds."""

    store: FakeStore

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """See the port."""
        created = await super().create(charge)
        keep(self.store, charge, created.report.gateway_ref)
        return created

    async def refund(self, refund: NewRefund) -> RefundReport:
        """See the port."""
        await self.query(ChargeRef(refund.payment_id))
        return await super().refund(refund)


@dataclass(frozen=True)
class Rig:
    """The gateway as handlers know it, the adapter alone, and the rows."""

    gateway: Kept
    bare: PaypalGateway
    store: FakeStore
    captures: FakeCaptures


@asynccontextmanager
async def open_paypal(
    url: str,
    mock: PaypalMock,
    meter: NotingMeter | None = None,
    clock: Clock | None = None,
    **changed: Any,
) -> AsyncIterator[Rig]:
    """Give the gateway at `url`."""
    credentials = credentials_of(mock, url, **changed.pop("credentials", {}))
    settings = {"credentials": credentials, "timeout_s": 2.0, **changed}
    async with open_gateway(url, meter, **settings) as bare:
        assert isinstance(bare, PaypalGateway)
        store = FakeStore()
        captures = FakeCaptures(store)
        gateway = Kept(bare, captures, clock or SystemClock())
        gateway.store = store
        yield Rig(gateway, bare, store, captures)


def keep(store: FakeStore, charge: NewCharge, ref: str | None) -> None:
    """Write the rows of a charge."""
    price = (charge.amount, charge.currency)
    order = Order(charge.order_id, OrderStatus.OPEN, *price, None, 0)
    store.orders.setdefault(charge.order_id, order)
    payment = Payment(
        charge.payment_id,
        charge.order_id,
        "mock",
        *price,
        PaymentStatus.PENDING,
        ref,
        charge.expires_at,
    )
    store.payments.setdefault(charge.payment_id, payment)


def change(store: FakeStore, payment_id: str, **changed: Any) -> None:
    """Change a payment's row."""
    store.payments[payment_id] = replace(store.payments[payment_id], **changed)


def end_order(store: FakeStore, order_id: str, status: OrderStatus, by: str | None = None) -> None:
    """Let an order be paid or cancelled."""
    store.orders[order_id] = replace(store.orders[order_id], status=status, settled_by=by)
