"""Stripe: Checkout Sessions or PaymentIntents, through Stripe's own SDK.

Built on the official documentation and the SDK; never tried on a live account. Sources:
docs.stripe.com/api (objects, parameters, errors), /api/idempotent_requests, /rate-limits,
/currencies, /payments/paymentintents/lifecycle, /payments/checkout, /payments/boleto, /refunds,
/disputes, /webhooks, /search.

A payment is one Checkout Session (`cs_...`) or one PaymentIntent (`pi_...`): that id is its
gateway_ref, and what is asked by. Our ids lie in `metadata`, of the session and of its
PaymentIntent, so that a payment without a gateway_ref can be searched for.
"""

from collections.abc import Mapping
from datetime import datetime

import aiohttp

from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable, InvalidField
from payonce.domain.report import GatewayReport, Outcome
from payonce.gateways.account import Account
from payonce.gateways.client import Answer, NoAnswer
from payonce.gateways.http_words import Nonsense, decode
from payonce.gateways.stripe_files import Files
from payonce.gateways.stripe_line import Phone
from payonce.gateways.stripe_requests import (
    CHARGE_KEY,
    INTENT_EXPANDS,
    REFUND_KEY,
    SESSION_EXPANDS,
    check_currency,
    intent_params,
    refund_params,
    session_params,
)
from payonce.gateways.stripe_shapes import Found, Refund, Session, refunds
from payonce.gateways.stripe_signature import HEADER, verify
from payonce.gateways.stripe_words import (
    code_of,
    error_of,
    event_id_of,
    intent_of,
    is_disputed,
    is_ref,
    link_of,
    read_charge,
    read_event,
    refund_report,
    report_of,
    to_stripe,
    word_of,
    words_of,
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
from payonce.settings.kinds.stripe import StripeCredentials

IDEMPOTENCY_ERROR = "idempotency_error"
ENDED = frozenset({CloseAnswer.CLOSED, CloseAnswer.ALREADY_PAID})
BUSY_CODES = frozenset({"rate_limit", "lock_timeout", "idempotency_key_in_use"})


class StripeGateway(Account):
    """One Stripe account."""

    def __init__(
        self,
        settings: GatewaySettings,
        credentials: StripeCredentials,
        session: aiohttp.ClientSession,
        meter: GatewayMeter,
    ) -> None:
        self._credentials = credentials
        secrets = [one.reveal() for one in credentials.webhook_secrets]
        # Unlike those of Standard Webhooks, these are keys as they stand, prefix and all.
        self._keys = tuple(one.encode() for one in secrets)
        key = credentials.secret_key.reveal()
        super().__init__(settings, session, meter, [key, *secrets])
        self._phone = Phone(self._caller, settings.base_url, key)
        self._files = Files(self._phone)

    async def _query(self, charge: ChargeRef) -> GatewayReport:
        found = await self._files.find("query", charge)
        if isinstance(found, GatewayReport):
            return found
        report = report_of(found, charge.payment_id)
        if report.outcome is Outcome.SUCCEEDED and is_disputed(found):
            return await self._files.without_disputed("query", found, report)
        return report

    async def close(self, charge: ChargeRef) -> CloseAnswer:
        """Expire the session or cancel the PaymentIntent; never raises."""
        ref = charge.gateway_ref
        if ref is None:
            found = await self._files.find("close", charge)
            if isinstance(found, GatewayReport):
                is_absent = found.outcome is Outcome.NOT_FOUND
                return CloseAnswer.NOT_FOUND if is_absent else CloseAnswer.UNKNOWN
            if _close_answer(found, charge.payment_id) in ENDED:
                return _close_answer(found, charge.payment_id)
            ref = found.id
        if not is_ref(ref):
            return CloseAnswer.UNKNOWN
        if ref.startswith("cs_"):
            return await self._expire(ref, charge.payment_id)
        return await self._cancel(ref, charge.payment_id)

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """Create a session or a PaymentIntent; the same payment_id again is the same one."""
        credentials = self._credentials
        try:
            amount = to_stripe(charge.amount, charge.currency)
            check_currency(charge.currency, credentials)
        except InvalidField as error:
            raise GatewayRefused(self.name, error.field, str(error)) from None
        key = CHARGE_KEY + charge.payment_id
        if credentials.mode == "checkout":
            session = session_params(charge, amount, credentials)
            answer = await self._phone.ask(
                "create",
                lambda v1: v1.checkout.sessions.create_async(session, {"idempotency_key": key}),
            )
        else:
            intent = intent_params(charge, amount, credentials)
            answer = await self._phone.ask(
                "create",
                lambda v1: v1.payment_intents.create_async(intent, {"idempotency_key": key}),
            )
        found = read_charge(self._accepted(answer))
        if isinstance(found, Nonsense):
            raise GatewayAmbiguous(self.name, found.problem)
        return self._created(found, charge.payment_id)

    async def refund(self, refund: NewRefund) -> RefundReport:
        """Refund; the same refund_id again is the same refund."""
        charge = ChargeRef(refund.payment_id, refund.gateway_ref)
        intent_id = await self._intent_id("refund", charge)
        if isinstance(intent_id, GatewayReport):
            raise self._not_refundable(intent_id)
        try:
            params = refund_params(refund, intent_id)
            key = REFUND_KEY + refund.refund_id
            answer = await self._phone.ask(
                "refund",
                lambda v1: v1.refunds.create_async(params, {"idempotency_key": key}),
                refund.may_leave,
            )
            if isinstance(answer, Answer) and error_of(answer).type == IDEMPOTENCY_ERROR:
                # Something was sent under this id before, and it was not this: a query shall tell.
                return RefundReport(RefundOutcome.UNKNOWN, IDEMPOTENCY_ERROR)
            made = decode(refunds, self._accepted(answer).body)
        except GatewayAmbiguous as error:
            return RefundReport(RefundOutcome.UNKNOWN, error.problem)
        except InvalidField as error:
            raise GatewayRefused(self.name, "amount", str(error)) from None
        return _made(made, refund, params["amount"])

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """Look for our id among the refunds of the charge; never raises."""
        intent_id = await self._intent_id("query_refund", charge)
        if isinstance(intent_id, GatewayReport):
            if intent_id.outcome is Outcome.UNKNOWN:
                return RefundReport(
                    RefundOutcome.UNKNOWN, intent_id.reason, intent_id.retry_after_s
                )
            # Without a PaymentIntent nothing was paid, and nothing can have gone back.
            return RefundReport(RefundOutcome.NOT_FOUND)
        return await self._files.find_refund("query_refund", refund_id, intent_id)

    @property
    def callback_answer(self) -> CallbackAnswer:
        """What a callback is answered that was taken; any 2xx will do."""
        return CallbackAnswer(200, b'{"received":true}', "application/json")

    async def check_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> CheckedCallback:
        """Verify the signature; any of the secrets will do. Raises BadCallback."""
        given = {name.lower(): value for name, value in headers.items()}
        signature = given.get(HEADER, "")
        verify(self._keys, signature, body, now)
        return CheckedCallback(event_id_of(body), {HEADER: signature})

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackWord:
        """Return what a checked event is about; what it comes to is always asked."""
        del headers  # the body says it all
        return word_of(read_event(body))

    async def _intent_id(self, call: str, charge: ChargeRef) -> str | GatewayReport:
        """Return the PaymentIntent of a charge, else how a charge without one stands."""
        ref = charge.gateway_ref
        if ref is not None and is_ref(ref) and ref.startswith("pi_"):
            return ref
        found = await self._files.find(call, charge)
        if isinstance(found, GatewayReport):
            return found
        report, intent = report_of(found, charge.payment_id), intent_of(found)
        return report if intent is None or report.outcome is Outcome.UNKNOWN else intent.id

    def _not_refundable(self, report: GatewayReport) -> GatewayRefused | GatewayRetryable:
        """Return why a charge without a PaymentIntent is not refunded; a search may only lag."""
        if report.outcome in {Outcome.UNKNOWN, Outcome.NOT_FOUND}:
            return GatewayRetryable(self.name, report.reason, report.retry_after_s)
        return GatewayRefused(self.name, "not-paid", "there is no PaymentIntent")

    async def _expire(self, ref: str, payment_id: str) -> CloseAnswer:
        """Expire a session; where it is not open any more, look what became of it."""
        answer = await self._phone.ask(
            "close", lambda v1: v1.checkout.sessions.expire_async(ref, {"expand": SESSION_EXPANDS})
        )
        if isinstance(answer, NoAnswer) or answer.status not in {200, 400, 404}:
            return CloseAnswer.UNKNOWN
        if answer.status == 404:
            return CloseAnswer.NOT_FOUND
        if answer.status == 200:
            return _close_answer(read_charge(answer), payment_id)
        found = await self._files.find("close", ChargeRef(payment_id, ref))
        if isinstance(found, GatewayReport):
            return CloseAnswer.UNKNOWN
        return _close_answer(found, payment_id)

    async def _cancel(self, ref: str, payment_id: str) -> CloseAnswer:
        """Cancel a PaymentIntent; a refusal shows how it stands."""
        answer = await self._phone.ask(
            "close", lambda v1: v1.payment_intents.cancel_async(ref, {"expand": INTENT_EXPANDS})
        )
        if isinstance(answer, NoAnswer) or answer.status not in {200, 400, 404}:
            return CloseAnswer.UNKNOWN
        if answer.status == 404:
            return CloseAnswer.NOT_FOUND
        if answer.status == 200:
            return _close_answer(read_charge(answer), payment_id)
        intent = error_of(answer).payment_intent
        match intent and intent.status:
            case "succeeded":
                return CloseAnswer.ALREADY_PAID
            case "canceled":
                return CloseAnswer.CLOSED
            case _:
                return CloseAnswer.UNKNOWN

    def _created(self, found: Found, payment_id: str) -> CreatedCharge:
        report = report_of(found, payment_id)
        if report.outcome is Outcome.UNKNOWN:
            raise GatewayAmbiguous(self.name, report.reason)
        try:
            link = link_of(found)
        except InvalidField as error:
            raise GatewayAmbiguous(self.name, f"nonsense: {error.field} {error.problem}") from None
        return CreatedCharge(report, code_of(link), link)

    def _accepted(self, answer: Answer | NoAnswer) -> Answer:
        """Return an answer that says yes. Raises what any other one means, see the port."""
        if isinstance(answer, Answer) and answer.status >= 400:
            code = error_of(answer).code
            # Another call under the same key is being worked on, or holds the object.
            if answer.status == 409 or code in BUSY_CODES:
                raise GatewayRetryable(self.name, f"http-{answer.status}", answer.retry_after_s)
        return self._caller.accepted(answer, lambda refusal: words_of(error_of(refusal)))


def _close_answer(found: Found | Nonsense, payment_id: str) -> CloseAnswer:
    """Return what a close came to, by how the object stands afterwards."""
    if isinstance(found, Nonsense):
        return CloseAnswer.UNKNOWN
    report = report_of(found, payment_id)
    match report.outcome:
        case Outcome.CLOSED:
            return CloseAnswer.CLOSED
        case Outcome.SUCCEEDED:
            return CloseAnswer.ALREADY_PAID
        case Outcome.PENDING if isinstance(found, Session) and found.status == "complete":
            # Its voucher is out: Stripe expires open sessions alone, and cancels no PaymentIntent
            # of a session (docs.stripe.com/api/payment_intents/cancel).
            return CloseAnswer.CANNOT_CLOSE
        case _:
            return CloseAnswer.UNKNOWN


def _made(made: Refund | Nonsense, refund: NewRefund, amount: int) -> RefundReport:
    """Return what the answer to a refund means; one about another is nonsense."""
    if isinstance(made, Nonsense):
        return RefundReport(RefundOutcome.UNKNOWN, made.problem)
    if (made.metadata or {}).get("refund_id") != refund.refund_id:
        return RefundReport(RefundOutcome.UNKNOWN, "nonsense: the refund is another's")
    if (made.amount, made.currency.upper()) != (amount, refund.currency):
        return RefundReport(RefundOutcome.UNKNOWN, "nonsense: amount is another's")
    return refund_report(made)
