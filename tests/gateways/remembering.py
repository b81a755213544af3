"""A gateway whose own ids are remembered, as payonce's rows do."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from payonce.domain.report import GatewayReport
from payonce.domain.watch import Terms
from payonce.ports.gateway import (
    CallbackAnswer,
    CallbackWord,
    ChargeRef,
    CheckedCallback,
    CloseAnswer,
    CreatedCharge,
    Gateway,
    NewCharge,
    NewRefund,
    RefundReport,
)


class Remembering:
    """Passes every call on, with the gateway_ref that the create was answered."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self.refs: dict[str, str | None] = {}

    @property
    def name(self) -> str:
        """See the port."""
        return self._gateway.name

    @property
    def terms(self) -> Terms:
        """See the port."""
        return self._gateway.terms

    async def query(self, charge: ChargeRef) -> GatewayReport:
        """See the port."""
        return await self._gateway.query(self._known(charge))

    async def close(self, charge: ChargeRef) -> CloseAnswer:
        """See the port."""
        return await self._gateway.close(self._known(charge))

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """See the port."""
        created = await self._gateway.create(charge)
        self.refs[charge.payment_id] = created.report.gateway_ref
        return created

    async def refund(self, refund: NewRefund) -> RefundReport:
        """See the port."""
        ref = refund.gateway_ref or self.refs.get(refund.payment_id)
        return await self._gateway.refund(replace(refund, gateway_ref=ref))

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """See the port."""
        return await self._gateway.query_refund(refund_id, self._known(charge))

    @property
    def callback_answer(self) -> CallbackAnswer:
        """See the port."""
        return self._gateway.callback_answer

    async def check_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> CheckedCallback:
        """See the port."""
        return await self._gateway.check_callback(headers, body, now)

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackWord:
        """See the port."""
        return self._gateway.read_callback(headers, body)

    def _known(self, charge: ChargeRef) -> ChargeRef:
        ref = charge.gateway_ref or self.refs.get(charge.payment_id)
        return replace(charge, gateway_ref=ref)
