"""Alipay's open platform: the shopper scans a code on the shop's page (precreate).

Built on the official documentation, never tried on a live gateway. Sources: opendocs.alipay.com,
the pages of alipay.trade.precreate, .query, .close, .refund, .fastpay.refund.query, of signing
(key mode, RSA2) and of asynchronous notifications. What is documented and what is assumed:
docs/gateways.md.

An answer without a good signature is no word, whatever it says: the call may have taken effect. A
paid trade is never cancelled (alipay.trade.cancel would send its money back), it is closed.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import aiohttp
import msgspec
from yarl import URL

from payonce import __version__
from payonce.domain.errors import (
    BadCallback,
    GatewayAmbiguous,
    GatewayRefused,
    GatewayRetryable,
    InvalidField,
)
from payonce.domain.ids import refund_id as refund_id_of
from payonce.domain.report import GatewayReport, Outcome
from payonce.domain.times import from_ms
from payonce.gateways import alipay_words as words
from payonce.gateways.account import Account
from payonce.gateways.alipay_numbers import number_of
from payonce.gateways.alipay_signature import (
    SIGN_TYPE,
    check_age,
    check_form,
    event_id_of,
    open_answer,
    read_form,
    to_sign,
    written,
)
from payonce.gateways.alipay_words import Proven
from payonce.gateways.caller import Asking, is_not_taken, unknown
from payonce.gateways.client import Answer, NoAnswer
from payonce.gateways.http_words import Nonsense, decode, is_link
from payonce.gateways.rsa import sign
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
from payonce.settings.kinds.alipay import AlipayCredentials

MOST_REFUNDS = 3
"""How many refunds of a closed trade are asked about: each follows one that failed."""

LONGEST = timedelta(days=15)
"""How long a trade can be paid at most (opendocs.alipay.com, precreate, time_expire)."""

_HEADERS = {
    "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
    "User-Agent": f"payonce/{__version__}",
}


class AlipayGateway(Account):
    """One seller of Alipay, through one app."""

    def __init__(
        self,
        settings: GatewaySettings,
        credentials: AlipayCredentials,
        session: aiohttp.ClientSession,
        meter: GatewayMeter,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._credentials = credentials
        self._clock = clock
        super().__init__(settings, session, meter)

    async def _query(self, charge: ChargeRef) -> GatewayReport:
        """Ask how a charge stands.

        Before the scan of its code there is no trade: NOT_FOUND. A closed trade that does not say
        when it was paid may have been sent back all the same: its refunds are asked about.
        """
        asked = {"out_trade_no": number_of(charge.payment_id)}
        answer = await self._ask("query", "alipay.trade.query", asked)
        if not isinstance(answer, Proven):
            return unknown(answer)
        if answer.has_no_trade():
            return GatewayReport(Outcome.NOT_FOUND, reason="not-known")
        if not answer.is_success:
            return GatewayReport(Outcome.UNKNOWN, reason=answer.words)
        report = words.report_of(answer.content, charge.payment_id)
        if report.outcome is Outcome.CLOSED:
            return await self._told_apart(report, charge)
        return report

    async def close(self, charge: ChargeRef) -> CloseAnswer:
        """Ask to close a charge; never raises. NOT_FOUND: its code can be scanned still."""
        asked = {"out_trade_no": number_of(charge.payment_id)}
        answer = await self._ask("close", "alipay.trade.close", asked)
        if not isinstance(answer, Proven):
            return CloseAnswer.UNKNOWN
        return words.close_answer(answer, charge.payment_id)

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """Create a charge; the same payment_id again is the same charge."""
        self._check_currency(charge.currency)
        order = words.order_of(charge, self._credentials.seller_id, self._now() + LONGEST)
        answer = self._accepted(
            await self._ask("create", "alipay.trade.precreate", order, charge.notify_url),
            words.ENDED,
        )
        made = decode(words.created, answer.content)
        if isinstance(made, Nonsense):
            raise GatewayAmbiguous(self.name, made.problem)
        if made.out_trade_no != number_of(charge.payment_id):
            raise GatewayAmbiguous(self.name, "nonsense: out_trade_no is another's")
        if not (made.qr_code and is_link(made.qr_code)):
            raise GatewayAmbiguous(self.name, "nonsense: qr_code is not usable")
        report = GatewayReport(Outcome.PENDING, amount=charge.amount, currency=charge.currency)
        return CreatedCharge(report, qr=made.qr_code, pay_url=None)

    async def refund(self, refund: NewRefund) -> RefundReport:
        """Refund; the same refund_id with the same amount is the same refund.

        What is refused, and what moved no money, may be the repeat of one that succeeded.
        """
        self._check_currency(refund.currency)
        charge, order = ChargeRef(refund.payment_id), words.refund_order_of(refund)
        asked = await self._ask("refund", "alipay.trade.refund", order, may_leave=refund.may_leave)
        try:
            answer = self._accepted(asked)
        except GatewayAmbiguous as error:
            return RefundReport(RefundOutcome.UNKNOWN, error.problem)
        except GatewayRefused:
            known = await self.query_refund(refund.refund_id, charge)
            if known.outcome is RefundOutcome.NOT_FOUND:
                raise
            return known
        made = decode(words.refunds, answer.content)
        problem = words.refund_problem(made, refund)
        if problem:
            return RefundReport(RefundOutcome.UNKNOWN, problem)
        if isinstance(made, words.Refund) and made.fund_change == "Y":
            return RefundReport(RefundOutcome.SUCCEEDED)
        known = await self.query_refund(refund.refund_id, charge)
        if known.outcome is RefundOutcome.SUCCEEDED:
            return known
        return RefundReport(RefundOutcome.PENDING, "taken; no money has moved yet")

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """Ask how a refund stands; never raises."""
        asked = {
            "out_trade_no": number_of(charge.payment_id),
            "out_request_no": number_of(refund_id),
        }
        answer = await self._ask("query_refund", "alipay.trade.fastpay.refund.query", asked)
        if not isinstance(answer, Proven):
            no_word = unknown(answer)
            return RefundReport(RefundOutcome.UNKNOWN, no_word.reason, no_word.retry_after_s)
        if answer.has_no_trade():
            return RefundReport(RefundOutcome.NOT_FOUND)
        if not answer.is_success:
            return RefundReport(RefundOutcome.UNKNOWN, answer.words)
        found = decode(words.found_refunds, answer.content)
        return words.refund_report(found, refund_id, charge.payment_id)

    @property
    def callback_answer(self) -> CallbackAnswer:
        """What a callback is answered that was taken: these seven letters, and nothing else."""
        return CallbackAnswer(200, b"success", "text/plain")

    async def check_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> CheckedCallback:
        """Verify the signature over the decoded form, and that it is about this seller.

        Raises BadCallback.
        """
        del headers  # all of it stands in the form
        form = read_form(body)
        check_form(form, self._credentials.public_keys)
        check_age(form, now, self._credentials.callbacks_for)
        ours = {"app_id": self._credentials.app_id, "seller_id": self._credentials.seller_id}
        for name, value in ours.items():
            if form.get(name) != value:
                raise BadCallback("bad-signature", f"{name} is another's")
        return CheckedCallback(event_id_of(form), {})

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackWord:
        """Return what a checked callback says: a hint."""
        del headers
        try:
            form = read_form(body)
        except BadCallback as error:
            raise InvalidField("body", error.problem, "a callback of Alipay") from None
        return words.word_of(form)

    async def _told_apart(self, report: GatewayReport, charge: ChargeRef) -> GatewayReport:
        """Return what a trade came to that is closed: unpaid, or sent back by us."""
        for attempt in range(1, MOST_REFUNDS + 1):
            known = await self.query_refund(refund_id_of(charge.payment_id, attempt), charge)
            match known.outcome:
                case RefundOutcome.SUCCEEDED:
                    return words.gone_back(report)
                case RefundOutcome.NOT_FOUND:
                    continue  # it may have been refused, and the next one not
                case _:
                    problem = "its refunds could not be asked about"
                    return GatewayReport(Outcome.UNKNOWN, reason=problem)
        return replace(report, reason="closed unpaid")

    def _check_currency(self, currency: str) -> None:
        if currency != words.CURRENCY:
            problem = f"{currency}; Alipay takes {words.CURRENCY} alone"
            raise GatewayRefused(self.name, "unsupported-currency", problem)

    def _accepted(
        self, answer: Proven | Answer | NoAnswer, unclear: frozenset[str] = frozenset()
    ) -> Proven:
        """Return an answer that says yes; raise what another one means for a call that acts.

        `unclear`: refusals that leave open what became of the thing that was asked for.
        """
        if isinstance(answer, Proven):
            return self._agreed(answer, unclear)
        if isinstance(answer, NoAnswer) and not answer.sent:
            raise GatewayRetryable(self.name, answer.problem)
        if isinstance(answer, Answer) and is_not_taken(answer):
            raise GatewayRetryable(self.name, f"http-{answer.status}", answer.retry_after_s)
        raise GatewayAmbiguous(self.name, unknown(answer).reason)

    def _agreed(self, answer: Proven, unclear: frozenset[str]) -> Proven:
        if answer.is_success:
            return answer
        if answer.is_busy:
            raise GatewayRetryable(self.name, answer.words)
        if answer.is_refusal and answer.sub_code not in unclear:
            raise GatewayRefused(self.name, answer.sub_code or answer.code, answer.words)
        raise GatewayAmbiguous(self.name, answer.words)

    async def _ask(
        self,
        name: str,
        method: str,
        asked: Mapping[str, object],
        notify_url: str = "",
        may_leave: Callable[[], bool] | None = None,
    ) -> Proven | Answer | NoAnswer:
        """Return what Alipay signed; else an answer that is no 200, or why there is no word."""
        answer = await self._call(name, method, asked, notify_url, may_leave)
        if isinstance(answer, NoAnswer) or answer.status != 200:
            return answer
        value = f"{method.replace('.', '_')}_response"
        content = open_answer(answer.body, value, self._credentials.public_keys)
        told = content if isinstance(content, Nonsense) else words.proven(content)
        return NoAnswer(told.problem, sent=True) if isinstance(told, Nonsense) else told

    async def _call(
        self,
        name: str,
        method: str,
        asked: Mapping[str, object],
        notify_url: str,
        may_leave: Callable[[], bool] | None,
    ) -> Answer | NoAnswer:
        """Sign and send; what is common to all calls in the address, the rest as a form."""
        content = msgspec.json.encode(asked).decode()
        common = {
            "app_id": self._credentials.app_id,
            "method": method,
            "format": "JSON",
            "charset": "utf-8",
            "sign_type": SIGN_TYPE,
            "timestamp": written(self._now()),
            "version": "1.0",
            "notify_url": notify_url,
        }
        signature = sign(self._credentials.private_key, to_sign({**common, "biz_content": content}))
        parameters = {key: value for key, value in common.items() if value} | {"sign": signature}
        url = URL(f"{self._base}?{urlencode(parameters)}", encoded=True)
        form = urlencode({"biz_content": content}).encode()
        return await self._caller.ask(Asking(name, "POST", url, _HEADERS, form, may_leave))

    def _now(self) -> datetime:
        return from_ms(int(self._clock() * 1000)).astimezone(UTC)
