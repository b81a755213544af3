"""The `http` gateway: the JSON protocol of payonce's own making (docs/gateway-mock.md)."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from payonce.domain.errors import GatewayAmbiguous
from payonce.domain.report import GatewayReport, Outcome
from payonce.domain.signature import SIGNED_HEADERS, signing_key, verify
from payonce.domain.times import format_time
from payonce.gateways.account import Account
from payonce.gateways.caller import Asking, unknown
from payonce.gateways.client import Answer, NoAnswer
from payonce.gateways.http_words import (
    Closed,
    Nonsense,
    RefundOf,
    callbacks,
    charge_word,
    charges,
    closes,
    decode,
    is_link,
    read,
    refund_report,
    refund_word,
    refunds,
    report_of,
    said,
)
from payonce.ports.gateway import (
    CallbackAnswer,
    CallbackWord,
    ChargeRef,
    CheckedCallback,
    CloseAnswer,
    CreatedCharge,
    NewCharge,
    NewRefund,
    RefundOutcome,
    RefundReport,
)
from payonce.ports.meter import GatewayMeter
from payonce.settings import GatewaySettings
from payonce.settings.kinds.http import HttpCredentials


class HttpGateway(Account):
    """One gateway that speaks the `http` protocol."""

    def __init__(
        self,
        settings: GatewaySettings,
        credentials: HttpCredentials,
        session: aiohttp.ClientSession,
        meter: GatewayMeter,
    ) -> None:
        secrets = [one.reveal() for one in credentials.secrets]
        self._headers = {"Authorization": f"Bearer {secrets[0]}"}
        self._keys = tuple(signing_key(one) for one in secrets)
        super().__init__(settings, session, meter, secrets)

    async def _query(self, charge: ChargeRef) -> GatewayReport:
        answer = await self._ask("query", "GET", f"/charges/{_part(charge.payment_id)}")
        if isinstance(answer, NoAnswer):
            return unknown(answer)
        if answer.status == 404:
            return GatewayReport(Outcome.NOT_FOUND, reason="not-known")
        if answer.status != 200:
            return unknown(answer)
        found = decode(charges, answer.body)
        return report_of(found, charge.payment_id)

    async def close(self, charge: ChargeRef) -> CloseAnswer:
        """Ask to close a charge; never raises."""
        answer = await self._ask("close", "POST", f"/charges/{_part(charge.payment_id)}/close")
        if isinstance(answer, NoAnswer):
            return CloseAnswer.UNKNOWN
        if answer.status in {404, 405}:
            return CloseAnswer.NOT_FOUND if answer.status == 404 else CloseAnswer.CANNOT_CLOSE
        closed = decode(closes, answer.body)
        match closed, answer.status:
            case Closed(status="closed"), 200:
                return CloseAnswer.CLOSED
            case Closed(status="succeeded"), 409:
                return CloseAnswer.ALREADY_PAID
            case _:
                return CloseAnswer.UNKNOWN

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """Create a charge; the same payment_id again is the same charge."""
        body = {
            "payment_id": charge.payment_id,
            "order_id": charge.order_id,
            "amount": charge.amount,
            "currency": charge.currency,
            "expires_at": format_time(charge.expires_at),
            "notify_url": charge.notify_url,
        }
        answer = self._accepted(await self._ask("create", "POST", "/charges", body))
        created = decode(charges, answer.body)
        if isinstance(created, Nonsense):
            raise GatewayAmbiguous(self.name, created.problem)
        report = report_of(created, charge.payment_id)
        if report.outcome is Outcome.UNKNOWN:
            raise GatewayAmbiguous(self.name, report.reason)
        if not (is_link(created.qr) and is_link(created.pay_url)):
            raise GatewayAmbiguous(self.name, "nonsense: qr or pay_url is not usable")
        return CreatedCharge(report, created.qr, created.pay_url)

    async def refund(self, refund: NewRefund) -> RefundReport:
        """Refund; the same refund_id again is the same refund."""
        body = {
            "refund_id": refund.refund_id,
            "payment_id": refund.payment_id,
            "amount": refund.amount,
            "reason": refund.reason,
        }
        try:
            asked = await self._ask("refund", "POST", "/refunds", body, refund.may_leave)
            answer = self._accepted(asked)
        except GatewayAmbiguous as error:
            return RefundReport(RefundOutcome.UNKNOWN, error.problem)
        made = decode(refunds, answer.body)
        if isinstance(made, RefundOf) and made.amount != refund.amount:
            return RefundReport(RefundOutcome.UNKNOWN, "nonsense: amount is another's")
        return refund_report(made, refund.refund_id, refund.payment_id)

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """Ask how a refund stands; never raises."""
        answer = await self._ask("query_refund", "GET", f"/refunds/{_part(refund_id)}")
        if isinstance(answer, NoAnswer):
            return RefundReport(RefundOutcome.UNKNOWN, answer.problem)
        if answer.status == 404:
            return RefundReport(RefundOutcome.NOT_FOUND)
        if answer.status != 200:
            wait_s = answer.retry_after_s
            return RefundReport(RefundOutcome.UNKNOWN, f"http-{answer.status}", wait_s)
        found = decode(refunds, answer.body)
        return refund_report(found, refund_id, charge.payment_id)

    @property
    def callback_answer(self) -> CallbackAnswer:
        """What a callback is answered that was taken."""
        return CallbackAnswer(200, b'{"status":"ok"}', "application/json")

    async def check_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> CheckedCallback:
        """Verify by Standard Webhooks; any of the secrets will do. Raises BadCallback."""
        given = {name.lower(): value for name, value in headers.items()}
        event_id = verify(self._keys, given, body, now)
        return CheckedCallback(event_id, {name: given[name] for name in SIGNED_HEADERS})

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackWord:
        """Return what a checked callback says; only an unrefunded success needs no query."""
        del headers  # the body says it all
        callback = read(callbacks, body, "body")
        data = bytes(callback.data)
        if callback.type == "refund":
            return refund_word(read(refunds, data, "data"))
        return charge_word(read(charges, data, "data"))

    async def _ask(
        self,
        name: str,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        may_leave: Callable[[], bool] | None = None,
    ) -> Answer | NoAnswer:
        url = URL(self._base + path, encoded=True)
        headers, content = self._headers, None
        if body is not None:
            headers = {**headers, "Content-Type": "application/json"}
            content = msgspec.json.encode(body)
        return await self._caller.ask(Asking(name, method, url, headers, content, may_leave))

    def _accepted(self, answer: Answer | NoAnswer) -> Answer:
        return self._caller.accepted(answer, _words)


def _words(answer: Answer) -> str:
    return said(answer.body.decode(errors="replace"))


def _part(text: str) -> str:
    return quote(text, safe=":")
