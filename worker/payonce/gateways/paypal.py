"""PayPal: Orders v2 with intent CAPTURE, Payments v2 for refunds, webhooks verified on the spot.

Built on PayPal's official documentation and OpenAPI documents (Orders v2 2.13, Payments v2 2.5);
never tried on a live gateway. Facts, and where they stand:

- A charge is an order with one purchase unit; its money moves at `POST .../capture` alone, as long
  as `processing_instruction` is not ORDER_COMPLETE_ON_PAYMENT_APPROVAL (Orders v2). There is no
  call that cancels an order: what is never captured is never paid (gateways/capturing.py).
- Orders can be asked about by PayPal's id alone (Orders v2): without it a query finds nothing. Our
  ids stand in `custom_id` and `invoice_id`, 127 characters each.
- `PayPal-Request-Id`: kept for 6 hours by Orders v2, for 45 days by Payments v2.
- A completed order says nothing of money yet: its capture does (Orders v2, order_status).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import Any, NoReturn

import aiohttp
import msgspec
from yarl import URL

from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable, InvalidField
from payonce.domain.report import GatewayReport, Outcome
from payonce.gateways import paypal_words as words
from payonce.gateways.account import Account
from payonce.gateways.caller import OK, Asking, is_not_taken, unknown
from payonce.gateways.client import Answer, NoAnswer
from payonce.gateways.paypal_certs import Certificates
from payonce.gateways.paypal_events import word_of
from payonce.gateways.paypal_token import Token, Tokens
from payonce.gateways.paypal_webhooks import Webhooks
from payonce.ports.gateway import (
    CallbackAnswer,
    CallbackWord,
    ChargeRef,
    CheckedCallback,
    CloseAnswer,
    CreatedCharge,
    NewCapture,
    NewCharge,
    NewRefund,
    RefundOutcome,
    RefundReport,
)
from payonce.ports.meter import GatewayMeter
from payonce.settings import GatewaySettings
from payonce.settings.kinds.paypal import PaypalCredentials

IN_PROGRESS = 409
"""Another call with the same key is under way (Payments v2, 409)."""


@dataclass(frozen=True, slots=True)
class NoToken:
    """What was meant to be asked was not sent: there was no access token for it."""

    answer: Answer | NoAnswer


Asked = Answer | NoAnswer | NoToken


class PaypalGateway(Account):
    """One account at PayPal, without what decides on captures."""

    def __init__(
        self,
        settings: GatewaySettings,
        credentials: PaypalCredentials,
        session: aiohttp.ClientSession,
        meter: GatewayMeter,
    ) -> None:
        secrets = credentials.client_secrets
        super().__init__(settings, session, meter, [one.reveal() for one in secrets])
        client_id, base_url = credentials.client_id, settings.base_url
        self._tokens = Tokens(self._caller, base_url, client_id, secrets)
        certificates = Certificates(
            credentials.cert_hosts, credentials.cert_roots, self._fetch_certificate
        )
        self._webhooks = Webhooks(certificates, credentials.webhook_ids, credentials.callbacks_for)

    async def _query(self, charge: ChargeRef) -> GatewayReport:
        """Ask how a charge stands; without PayPal's id for it, it is not known.

        Its link was never shown then, and cannot be approved.
        """
        if charge.gateway_ref is None:
            token = await self._tokens.get()
            return _NO_REF if isinstance(token, Token) else unknown(token)
        answer = _plain(await self._get_order("query", charge.gateway_ref))
        if isinstance(answer, NoAnswer) or answer.status not in {200, 404}:
            return unknown(answer)
        if answer.status == 404:
            return GatewayReport(Outcome.NOT_FOUND, reason="not-known")
        return _report_in(answer, charge)

    async def close(self, charge: ChargeRef) -> CloseAnswer:
        """Say that PayPal closes nothing: who captures has to leave it."""
        del charge  # no order can be cancelled
        return CloseAnswer.CANNOT_CLOSE

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """Create an order; the same payment_id again is the same order, for 6 hours."""
        content = msgspec.json.encode(_new_order(self.name, charge))
        path, key = "/v2/checkout/orders", charge.payment_id
        answer = self._accepted(await self._post("create", path, key, content))
        order = words.read_order(answer.body, charge.payment_id)
        if isinstance(order, str):
            raise GatewayAmbiguous(self.name, order)
        report = words.report_of(order)
        link = words.approve_link(order)
        if report.outcome is Outcome.UNKNOWN:
            raise GatewayAmbiguous(self.name, report.reason)
        if link is None and report.outcome is Outcome.PENDING:
            raise GatewayAmbiguous(self.name, "nonsense: no link to approve by")
        return CreatedCharge(report, link, link)

    async def capture(self, capture: NewCapture) -> GatewayReport:
        """Take the money of an approved order."""
        charge = capture.charge
        if charge.gateway_ref is None:
            return replace(_NO_REF, outcome=Outcome.UNKNOWN, spared=True)
        path = f"/v2/checkout/orders/{_part(charge.gateway_ref)}/capture"
        key = f"capture-{charge.payment_id}-{capture.attempt}"
        answer = await self._post("capture", path, key, b"{}", capture.may_leave)
        match answer:
            case NoToken():
                return replace(unknown(answer.answer), spared=True)
            case NoAnswer():
                return replace(unknown(answer), spared=not answer.sent)
            case Answer():
                return _capture_report(answer, charge, is_repeat=capture.is_repeat)

    async def refund(self, refund: NewRefund) -> RefundReport:
        """Refund the order's capture; the same refund_id again is the same refund, for 45 days."""
        capture = await self._capture_of(refund)
        money = _money(self.name, refund.amount, refund.currency)
        body = {
            "amount": money,
            "custom_id": words.pack(refund.refund_id, refund.payment_id),
            "invoice_id": refund.refund_id,
            "note_to_payer": refund.reason[:255] or "refund",
        }
        path = f"/v2/payments/captures/{_part(capture.id)}/refund"
        content = msgspec.json.encode(body)
        asked = await self._post("refund", path, refund.refund_id, content, refund.may_leave)
        try:
            answer = self._accepted(asked)
        except GatewayAmbiguous as error:
            return RefundReport(RefundOutcome.UNKNOWN, error.problem)
        made = words.read_refund(answer.body, refund.refund_id)
        if isinstance(made, str):
            return RefundReport(RefundOutcome.UNKNOWN, made)
        if made.amount is not None and words.minor_of(made.amount) != refund.amount:
            return RefundReport(RefundOutcome.UNKNOWN, "nonsense: amount is another's")
        return words.refund_report(made)

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """Look for a refund among those of the order; never raises."""
        if charge.gateway_ref is None:
            # Without PayPal's id for the order none can have been sent.
            return RefundReport(RefundOutcome.NOT_FOUND)
        answer = _plain(await self._get_order("query_refund", charge.gateway_ref))
        if isinstance(answer, NoAnswer):
            return RefundReport(RefundOutcome.UNKNOWN, answer.problem)
        if answer.status != 200:
            problem = f"http-{answer.status}"
            return RefundReport(RefundOutcome.UNKNOWN, problem, answer.retry_after_s)
        order = words.read_order(answer.body, charge.payment_id, charge.gateway_ref)
        if isinstance(order, str):
            return RefundReport(RefundOutcome.UNKNOWN, order)
        found = words.find_refund(order, refund_id)
        return words.refund_report(found) if found else RefundReport(RefundOutcome.NOT_FOUND)

    @property
    def callback_answer(self) -> CallbackAnswer:
        """What a callback is answered that was taken: any 2xx (PayPal, Integrate webhooks)."""
        return CallbackAnswer(200, b"{}", "application/json")

    async def check_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> CheckedCallback:
        """Verify a callback. Raises BadCallback, Unavailable."""
        return await self._webhooks.check(headers, body, now)

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackWord:
        """Return what a checked callback says, as a hint. Raises InvalidField."""
        del headers  # the body says it all
        return word_of(body)

    async def _capture_of(self, refund: NewRefund) -> words.CaptureOf:
        """Return the capture that is refunded. Raises GatewayRetryable, GatewayRefused."""
        if refund.gateway_ref is None:
            raise GatewayRefused(self.name, "no-order", "no PayPal id is known of its payment")
        asked = await self._get_order("refund_capture", refund.gateway_ref)
        try:
            answer = self._accepted(asked)
        except GatewayAmbiguous as error:
            raise GatewayRetryable(self.name, error.problem) from None
        order = words.read_order(answer.body, refund.payment_id, refund.gateway_ref)
        if isinstance(order, str):
            raise GatewayRetryable(self.name, order)
        payments = order.purchase_units[0].payments or words.Payments()
        capture = words.main_capture(payments.captures)
        if capture is None:
            raise GatewayRefused(self.name, "not-captured", "nothing was captured")
        return capture

    async def _get_order(self, name: str, ref: str) -> Asked:
        url = URL(f"{self._base}/v2/checkout/orders/{_part(ref)}", encoded=True)
        return await self._call(partial(Asking, name, "GET", url), {})

    async def _post(
        self,
        name: str,
        path: str,
        key: str,
        content: bytes,
        may_leave: Callable[[], bool] | None = None,
    ) -> Asked:
        headers = {
            "Content-Type": "application/json",
            "PayPal-Request-Id": key,
            "Prefer": "return=representation",
        }
        url = URL(self._base + path, encoded=True)
        make = partial(Asking, name, "POST", url, content=content, may_leave=may_leave)
        return await self._call(make, headers)

    async def _call(
        self, make: Callable[[dict[str, str]], Asking], headers: Mapping[str, str]
    ) -> Asked:
        """Call with a token; once more with a new one where PayPal does not take it."""
        token = await self._tokens.get()
        for is_last in (False, True):
            if not isinstance(token, Token):
                return NoToken(token)
            bearer = {"Authorization": f"Bearer {token.secret.reveal()}"}
            answer = await self._caller.ask(make({**headers, **bearer}))
            if is_last or isinstance(answer, NoAnswer) or answer.status != 401:
                break
            token = await self._tokens.get(refused=token)
        return answer

    def _accepted(self, asked: Asked) -> Answer:
        """Return an answer that says yes.

        Raises GatewayRetryable, GatewayRefused, GatewayAmbiguous.
        """
        if isinstance(asked, NoToken):
            self._refuse_without_token(asked.answer)
        if isinstance(asked, Answer) and asked.status == IN_PROGRESS:
            raise GatewayAmbiguous(self.name, f"http-{asked.status}")
        return self._caller.accepted(asked, words.said)

    def _refuse_without_token(self, answer: Answer | NoAnswer) -> NoReturn:
        """Raise what no token means: bad credentials are refused for good, nothing else is."""
        if isinstance(answer, NoAnswer):
            raise GatewayRetryable(self.name, answer.problem)
        code = f"token-http-{answer.status}"
        if 400 <= answer.status < 500 and not is_not_taken(answer):
            raise GatewayRefused(self.name, code, "client_id or client_secret is not accepted")
        raise GatewayRetryable(self.name, code, answer.retry_after_s)

    async def _fetch_certificate(self, url: URL) -> Answer | NoAnswer:
        return await self._caller.ask(Asking("certificate", "GET", url, {}))


_NO_REF = GatewayReport(Outcome.NOT_FOUND, reason="no-paypal-id")


def _plain(asked: Asked) -> Answer | NoAnswer:
    return asked.answer if isinstance(asked, NoToken) else asked


def _report_in(answer: Answer, charge: ChargeRef) -> GatewayReport:
    order = words.read_order(answer.body, charge.payment_id, charge.gateway_ref)
    if isinstance(order, str):
        return GatewayReport(Outcome.UNKNOWN, reason=order)
    return words.report_of(order)


def _capture_report(answer: Answer, charge: ChargeRef, *, is_repeat: bool) -> GatewayReport:
    """Return what a capture was answered: APPROVED where it took nothing and may be repeated.

    Of a repeat that only a refusal which names its reason says: PayPal weighed the order, so what
    was sent before under this key is over. A repeat that was not let in tells nothing of that.
    """
    if answer.status in OK:
        report = _report_in(answer, charge)
        if report.outcome in {Outcome.SUCCEEDED, Outcome.FAILED}:
            return report
        # An order that is not completed has no capture yet that could be on its way.
        is_taken = report.outcome is Outcome.PENDING and report.reason.startswith("capture-")
        return report if is_taken else replace(report, outcome=Outcome.UNKNOWN)
    ref, issues = charge.gateway_ref, words.issues(answer)
    reason = words.said(answer).lower() or f"http-{answer.status}"
    is_weighed = answer.status == 422 and bool(issues)
    not_taken = Outcome.UNKNOWN if is_repeat and not is_weighed else Outcome.APPROVED
    if is_not_taken(answer):
        wait_s = answer.retry_after_s
        return GatewayReport(not_taken, ref, reason=reason, retry_after_s=wait_s)
    if answer.status == 422 and issues & words.DECLINES:
        return GatewayReport(Outcome.FAILED, ref, reason=reason)
    is_refused = answer.status in {400, 401, 403, 404, 422}
    if is_refused and not issues & words.MAYBE_CAPTURED:
        return GatewayReport(not_taken, ref, reason=reason)
    return GatewayReport(Outcome.UNKNOWN, ref, reason=reason)


def _new_order(name: str, charge: NewCharge) -> dict[str, Any]:
    money = _money(name, charge.amount, charge.currency)
    unit = {
        "reference_id": charge.order_id,
        "custom_id": charge.payment_id,
        "invoice_id": charge.payment_id,
        "amount": money,
    }
    experience = {
        "return_url": charge.return_url,
        "cancel_url": charge.return_url,
        "user_action": "PAY_NOW",
        "shipping_preference": "NO_SHIPPING",
    }
    return {
        "intent": "CAPTURE",
        "purchase_units": [unit],
        "payment_source": {"paypal": {"experience_context": experience}},
    }


def _money(name: str, amount: int, currency: str) -> dict[str, str]:
    """Return an amount as PayPal takes it. Raises GatewayRefused where it takes none like it."""
    try:
        value = words.SCALE.to_decimal(amount, currency)
    except InvalidField as error:
        raise GatewayRefused(name, "amount", str(error)) from None
    return {"currency_code": currency, "value": value}


def _part(text: str) -> str:
    return URL.build(path=text).raw_path.replace("/", "%2F")
