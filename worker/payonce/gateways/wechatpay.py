"""WeChat Pay, API v3, Native: the shopper scans a code on the shop's page.

Built on the official documentation, never tried on a live gateway. Sources: pay.weixin.qq.com,
/doc/v3/merchant (Native: create 4012791877, query, close; refunds 4012552567; certificates;
callbacks), and the official libraries wechatpay-go and wechatpay-java. What is documented and what
is assumed: docs/gateways.md.

An answer whose signature does not hold is no answer: the call may have taken effect. A refusal
(4xx) need not be signed, one that is must be signed well: the official libraries check successes
alone, and a request that is signed wrongly is answered without a signature.
"""

import hashlib
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import quote

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
    Unavailable,
)
from payonce.domain.ids import refund_id as refund_id_of
from payonce.domain.report import GatewayReport, Outcome
from payonce.domain.times import from_ms
from payonce.gateways import wechatpay_words as words
from payonce.gateways.account import Account
from payonce.gateways.caller import TIMED_OUT, Asking, unknown
from payonce.gateways.client import Answer, NoAnswer
from payonce.gateways.http_words import Nonsense, decode, is_link
from payonce.gateways.wechatpay_keys import (
    SIGNATURE,
    TIMESTAMP,
    Keyring,
    Signer,
    lowered,
    mark_of,
)
from payonce.gateways.wechatpay_numbers import refund_number, trade_number
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
from payonce.settings.kinds.wechatpay import WechatPayCredentials

MOST_REFUNDS = 10
"""How many refunds of one payment are asked about: each follows one that failed."""

REFUND_AGAIN_AFTER_S = 60.0
"""Refunds of one order lie a minute apart (pay.weixin.qq.com, page "refunds")."""

_TRADES = "/v3/pay/transactions/out-trade-no"
_REFUNDS = "/v3/refund/domestic/refunds"
_EVENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,254}")


class WechatPayGateway(Account):
    """One merchant of WeChat Pay."""

    def __init__(
        self,
        settings: GatewaySettings,
        credentials: WechatPayCredentials,
        session: aiohttp.ClientSession,
        meter: GatewayMeter,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._clock = clock
        self._mchid = credentials.mchid
        self._appid = credentials.appid
        self._signer = Signer(credentials, clock)
        self._keyring = Keyring(credentials, self._fetch_certificates, clock)
        secrets = [one.reveal() for one in credentials.api_v3_keys]
        super().__init__(settings, session, meter, secrets)

    async def _query(self, charge: ChargeRef) -> GatewayReport:
        """Ask how a charge stands.

        Where money went back, its refunds are asked about too: the order does not say how much.
        """
        path = f"{_TRADES}/{_part(trade_number(charge.payment_id))}?mchid={self._mchid}"
        answer = await self._ask("query", "GET", path)
        if isinstance(answer, NoAnswer):
            return unknown(answer)
        if answer.status == 404 and words.code_of(answer) == "ORDERNOTEXIST":
            return GatewayReport(Outcome.NOT_FOUND, reason="not-known")
        if answer.status != 200:
            return replace(unknown(answer), reason=_no_success(answer))
        found = decode(words.transactions, answer.body)
        report = words.report_of(found, charge.payment_id, self._mchid)
        if isinstance(found, Nonsense) or found.trade_state != "REFUND":
            return report
        return await self._with_refunds(report, charge.payment_id)

    async def close(self, charge: ChargeRef) -> CloseAnswer:
        """Ask to close a charge; never raises."""
        path = f"{_TRADES}/{_part(trade_number(charge.payment_id))}/close"
        answer = await self._ask("close", "POST", path, {"mchid": self._mchid})
        return CloseAnswer.UNKNOWN if isinstance(answer, NoAnswer) else words.close_answer(answer)

    async def create(self, charge: NewCharge) -> CreatedCharge:
        """Create a charge; the same payment_id again is the same charge."""
        self._check_currency(charge.currency)
        order = words.order_of(charge, self._mchid, self._appid)
        answer = self._accepted(
            await self._ask("create", "POST", "/v3/pay/transactions/native", order)
        )
        made = decode(words.created, answer.body)
        if isinstance(made, Nonsense):
            raise GatewayAmbiguous(self.name, made.problem)
        if not (made.code_url and is_link(made.code_url)):
            raise GatewayAmbiguous(self.name, "nonsense: code_url is not usable")
        report = GatewayReport(Outcome.PENDING, amount=charge.amount, currency=charge.currency)
        return CreatedCharge(report, qr=made.code_url, pay_url=None)

    async def refund(self, refund: NewRefund) -> RefundReport:
        """Refund; the same refund_id again is the same refund, for as long as there are refunds."""
        self._check_currency(refund.currency)
        order, may_leave = words.refund_order_of(refund), refund.may_leave
        try:
            asked = await self._ask("refund", "POST", _REFUNDS, order, may_leave)
            answer = self._accepted(asked, words.REFUND_LATER, REFUND_AGAIN_AFTER_S)
        except GatewayAmbiguous as error:
            return RefundReport(RefundOutcome.UNKNOWN, error.problem)
        made = decode(words.refunds, answer.body)
        if isinstance(made, words.Refund) and made.amount.refund != refund.amount:
            return RefundReport(RefundOutcome.UNKNOWN, "nonsense: amount is another's")
        return words.refund_report(made, refund.refund_id, refund.payment_id)

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """Ask how a refund stands; never raises."""
        found = await self._find_refund(refund_id)
        if isinstance(found, RefundReport):
            return found
        return words.refund_report(found, refund_id, charge.payment_id)

    @property
    def callback_answer(self) -> CallbackAnswer:
        """What a callback is answered that was taken."""
        return CallbackAnswer(200, b'{"code":"SUCCESS"}', "application/json")

    async def check_callback(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> CheckedCallback:
        """Verify the signature, with certificates fetched anew where its serial is unknown.

        Raises BadCallback, and Unavailable where the key is not to be had: come again.
        """
        signed = lowered(headers)
        mark = mark_of(signed)
        key = await self._keyring.find(mark.serial)
        if key is None:
            raise Unavailable(f"gateway {self.name}", f"the key {mark.serial} is not known")
        if not mark.is_by(key, body):
            raise BadCallback("bad-signature", f"{SIGNATURE} is not by the key {mark.serial}")
        mark.check_age(now.timestamp())
        return CheckedCallback(_event_id(body), signed)

    def read_callback(self, headers: Mapping[str, str], body: bytes) -> CallbackWord:
        """Return what a checked callback says; only a success that is told at once is believed."""
        envelope = decode(words.envelopes, body)
        if isinstance(envelope, Nonsense):
            raise InvalidField("body", envelope.problem, "a callback of WeChat Pay")
        content = self._keyring.open(envelope.resource)
        match envelope.resource.original_type:
            case "transaction":
                transaction = decode(words.transactions, content)
                return words.charge_word(transaction, self._mchid, _told_at(headers))
            case "refund":
                refund = decode(words.refunds, content)
                return words.refund_word(refund)
            case other:
                problem = f"{other[:40]!r} is unknown"
                raise InvalidField("resource.original_type", problem, "transaction, refund")

    async def _with_refunds(self, report: GatewayReport, payment_id: str) -> GatewayReport:
        """Return the report with what went back by our refunds.

        Of another's refund WeChat Pay tells nothing without its number: all of it may be gone.
        """
        refunded, ours = 0, 0
        for attempt in range(1, MOST_REFUNDS + 1):
            found = await self._find_refund(refund_id_of(payment_id, attempt))
            if isinstance(found, RefundReport) and found.outcome is RefundOutcome.NOT_FOUND:
                continue  # it may have been refused or rejected, and the next one not
            if not isinstance(found, words.Refund) or words.refund_problem(found, payment_id):
                return GatewayReport(Outcome.UNKNOWN, reason="its refunds could not be asked about")
            ours += 1
            refunded += found.amount.refund if words.is_going_back(found) else 0
        if ours:
            return replace(report, refunded=min(refunded, report.amount or 0))
        return replace(report, refunded=report.amount or 0, reason="refunded elsewhere, or in part")

    async def _find_refund(self, refund_id: str) -> "words.Refund | Nonsense | RefundReport":
        """Return a refund as it is told, or the report that there is none or no word of it."""
        path = f"{_REFUNDS}/{_part(refund_number(refund_id))}"
        answer = await self._ask("query_refund", "GET", path)
        if isinstance(answer, NoAnswer):
            return RefundReport(RefundOutcome.UNKNOWN, answer.problem)
        if answer.status == 404 and words.code_of(answer) == "RESOURCENOTEXISTS":
            return RefundReport(RefundOutcome.NOT_FOUND)
        if answer.status != 200:
            wait_s = answer.retry_after_s
            return RefundReport(RefundOutcome.UNKNOWN, _no_success(answer), wait_s)
        return decode(words.refunds, answer.body)

    def _check_currency(self, currency: str) -> None:
        if currency != words.CURRENCY:
            problem = f"{currency}; WeChat Pay takes {words.CURRENCY} alone"
            raise GatewayRefused(self.name, "unsupported-currency", problem)

    def _accepted(
        self,
        answer: Answer | NoAnswer,
        later: frozenset[str] = frozenset(),
        wait_s: float | None = None,
    ) -> Answer:
        """Return an answer that says yes; raise what another one means, by its code.

        `later`: codes after which the same may be asked for again, `wait_s`: so much later. That is
        our own pace for it: nobody asked for the gateway to be spared.
        """
        if isinstance(answer, Answer) and 400 <= answer.status < 500:
            code = words.code_of(answer)
            if answer.status == 429 or code in words.BUSY | later:
                problem = words.words_of(answer) or f"http-{answer.status}"
                asked_s = answer.retry_after_s
                raise GatewayRetryable(self.name, problem, asked_s or wait_s, alone=not asked_s)
            if code is None and answer.status != TIMED_OUT:
                raise GatewayAmbiguous(self.name, f"http-{answer.status} without a code")
            if code in words.PAID:
                raise GatewayAmbiguous(self.name, "paid already")
        return self._caller.accepted(answer, words.words_of)

    async def _ask(
        self,
        name: str,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        may_leave: Callable[[], bool] | None = None,
    ) -> Answer | NoAnswer:
        """Return an answer that is proven to be WeChat Pay's."""
        answer = await self._call(name, method, path, body, may_leave)
        if isinstance(answer, NoAnswer):
            return answer
        signed = lowered(answer.headers)
        if SIGNATURE not in signed and answer.status >= 300:
            return answer
        return answer if await self._is_proven(signed, answer.body) else NOT_PROVEN

    async def _is_proven(self, signed: Mapping[str, str], body: bytes) -> bool:
        try:
            mark = mark_of(signed)
            mark.check_age(self._clock())
        except BadCallback:
            return False
        key = await self._keyring.find(mark.serial)
        return key is not None and mark.is_by(key, body)

    async def _fetch_certificates(self) -> Answer | NoAnswer:
        return await self._call("certificates", "GET", "/v3/certificates")

    async def _call(
        self,
        name: str,
        method: str,
        path: str,
        body: Mapping[str, object] | None = None,
        may_leave: Callable[[], bool] | None = None,
    ) -> Answer | NoAnswer:
        """Sign and send; what is signed is the path at WeChat Pay, also through a proxy's."""
        content = None if body is None else msgspec.json.encode(body)
        headers = {
            "Authorization": self._signer.authorization(method, path, content or b""),
            "Accept": "application/json",
            "User-Agent": f"payonce/{__version__}",
        }
        if content is not None:
            headers["Content-Type"] = "application/json"
        if self._keyring.preferred is not None:
            headers["Wechatpay-Serial"] = self._keyring.preferred
        url = URL(self._base + path, encoded=True)
        return await self._caller.ask(Asking(name, method, url, headers, content, may_leave))


NOT_PROVEN = NoAnswer("the answer is not signed, or not well, or not now", sent=True)


def _no_success(answer: Answer) -> str:
    return f"http-{answer.status} {words.words_of(answer)}".strip()


def _part(number: str) -> str:
    return quote(number, safe="")


def _event_id(body: bytes) -> str:
    """Return the callback's own id; one that has none is known by what stands in it."""
    envelope = decode(words.envelopes, body)
    if isinstance(envelope, Nonsense) or _EVENT_ID.fullmatch(envelope.id) is None:
        return f"sha256-{hashlib.sha256(body).hexdigest()}"
    return envelope.id


def _told_at(headers: Mapping[str, str]) -> datetime | None:
    """Return when a callback was signed."""
    text = lowered(headers).get(TIMESTAMP, "")
    return from_ms(int(text) * 1000).astimezone(UTC) if re.fullmatch("[0-9]{1,11}", text) else None
