"""The `http` gateway: the JSON protocol of payonce's own making (docs/gateway-mock.md)."""

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal, TypeVar
from urllib.parse import quote

import aiohttp
import msgspec
from yarl import URL

from payonce.domain.errors import (
    GatewayAmbiguous,
    GatewayRefused,
    GatewayRetryable,
    InvalidField,
)
from payonce.domain.ids import check_id
from payonce.domain.money import MAX_AMOUNT
from payonce.domain.report import GatewayReport, Outcome
from payonce.domain.signature import SIGNED_HEADERS, signing_key, verify
from payonce.domain.times import format_time
from payonce.domain.watch import Terms
from payonce.gateways.client import Answer, NoAnswer, call
from payonce.gateways.places import LONG_S, Places
from payonce.ports.gateway import (
    CallbackAnswer,
    CallbackWord,
    ChargeRef,
    ChargeWord,
    CheckedCallback,
    CloseAnswer,
    CreatedCharge,
    NewCharge,
    NewRefund,
    RefundOutcome,
    RefundReport,
    RefundWord,
)
from payonce.ports.meter import GatewayMeter
from payonce.settings import GatewaySettings

_OK = frozenset({200, 201})
_TIMED_OUT = 408
_CURRENCY = re.compile("[A-Z]{3}")
_LONGEST_LINK = 4_096
_BUSY = GatewayReport(Outcome.UNKNOWN, reason="busy", retry_after_s=LONG_S, spared=True)


class _Charge(msgspec.Struct):
    """A charge as the protocol writes it; unknown fields are left alone."""

    payment_id: str
    status: Literal["pending", "succeeded", "failed", "closed"]
    amount: int
    currency: str
    gateway_ref: str | None = None
    paid_at: datetime | None = None
    refunded: int = 0
    reason: str | None = None
    qr: str | None = None
    pay_url: str | None = None


class _Refund(msgspec.Struct):
    """A refund as the protocol writes it."""

    refund_id: str
    payment_id: str
    amount: int
    status: Literal["pending", "succeeded", "failed"]
    reason: str | None = None


class _Closed(msgspec.Struct):
    """The answer to a close."""

    status: Literal["closed", "succeeded"]


class _Callback(msgspec.Struct):
    """A callback: what it is about, and that as the protocol writes it."""

    type: Literal["charge", "refund"]
    data: msgspec.Raw


_callbacks = msgspec.json.Decoder(_Callback)
_charges = msgspec.json.Decoder(_Charge)
_refunds = msgspec.json.Decoder(_Refund)
_closes = msgspec.json.Decoder(_Closed)

Shape = TypeVar("Shape")


@dataclass(frozen=True, slots=True)
class _Nonsense:
    """An answer that is not what the protocol says; concludes nothing."""

    problem: str


class HttpGateway:
    """One gateway that speaks the `http` protocol."""

    def __init__(
        self, settings: GatewaySettings, session: aiohttp.ClientSession, meter: GatewayMeter
    ) -> None:
        self._settings = settings
        self._session = session
        self._meter = meter
        self._base = settings.base_url
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        secrets = [one.reveal() for one in settings.secrets]
        self._headers = {"Authorization": f"Bearer {secrets[0]}"}
        self._echoes = tuple(form.encode() for one in secrets for form in _written(one))
        self._keys = tuple(signing_key(one) for one in secrets)
        self._places = Places(settings.max_in_flight)

    @property
    def name(self) -> str:
        """The name in the configuration."""
        return self._settings.name

    @property
    def terms(self) -> Terms:
        """How its payments are watched."""
        return self._settings.terms

    async def query(self, charge: ChargeRef) -> GatewayReport:
        """Ask how a charge stands; UNKNOWN on a time-out, an error or nonsense.

        Spared where all places have been taken for long: whoever waits keeps others from theirs.
        """
        if self._places.long_full():
            return _BUSY
        answer = await self._ask("query", "GET", f"/charges/{_part(charge.payment_id)}")
        if isinstance(answer, NoAnswer):
            return GatewayReport(Outcome.UNKNOWN, reason=answer.problem)
        if answer.status == 404:
            return GatewayReport(Outcome.NOT_FOUND, reason="not-known")
        if answer.status != 200:
            return _unknown(answer)
        found = _decode(_charges, answer.body)
        return _report(found, charge.payment_id)

    async def close(self, charge: ChargeRef) -> CloseAnswer:
        """Ask to close a charge; never raises."""
        answer = await self._ask("close", "POST", f"/charges/{_part(charge.payment_id)}/close")
        if isinstance(answer, NoAnswer):
            return CloseAnswer.UNKNOWN
        if answer.status in {404, 405}:
            return CloseAnswer.NOT_FOUND if answer.status == 404 else CloseAnswer.CANNOT_CLOSE
        closed = _decode(_closes, answer.body)
        match closed, answer.status:
            case _Closed(status="closed"), 200:
                return CloseAnswer.CLOSED
            case _Closed(status="succeeded"), 409:
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
        created = _decode(_charges, answer.body)
        if isinstance(created, _Nonsense):
            raise GatewayAmbiguous(self.name, created.problem)
        report = _report(created, charge.payment_id)
        if report.outcome is Outcome.UNKNOWN:
            raise GatewayAmbiguous(self.name, report.reason)
        if not (_is_link(created.qr) and _is_link(created.pay_url)):
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
        made = _decode(_refunds, answer.body)
        if isinstance(made, _Refund) and made.amount != refund.amount:
            return RefundReport(RefundOutcome.UNKNOWN, "nonsense: amount is another's")
        return _refund_report(made, refund.refund_id, refund.payment_id)

    async def query_refund(self, refund_id: str, charge: ChargeRef) -> RefundReport:
        """Ask how a refund stands; never raises."""
        answer = await self._ask("query_refund", "GET", f"/refunds/{_part(refund_id)}")
        if isinstance(answer, NoAnswer):
            return RefundReport(RefundOutcome.UNKNOWN, answer.problem)
        if answer.status == 404:
            return RefundReport(RefundOutcome.NOT_FOUND)
        if answer.status != 200:
            return RefundReport(RefundOutcome.UNKNOWN, f"http-{answer.status}")
        found = _decode(_refunds, answer.body)
        return _refund_report(found, refund_id, charge.payment_id)

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
        callback = _read(_callbacks, body, "body")
        data = bytes(callback.data)
        if callback.type == "refund":
            return _refund_word(_read(_refunds, data, "data"))
        return _charge_word(_read(_charges, data, "data"))

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
        async with self._places:
            if may_leave is not None and not may_leave():
                return NoAnswer("decided too long ago", sent=False)
            started = time.perf_counter()
            try:
                answer: Answer | NoAnswer = self._without_echo(
                    await call(self._session, method, url, headers, self._timeout, content)
                )
            except NoAnswer as error:
                answer = error
        seconds = time.perf_counter() - started
        self._meter.gateway_asked(self.name, name, _outcome_of(answer), seconds)
        return answer

    def _accepted(self, answer: Answer | NoAnswer) -> Answer:
        """Return an answer that says yes; raise what any other one means for a call that acts."""
        if isinstance(answer, NoAnswer):
            if answer.sent:
                raise GatewayAmbiguous(self.name, answer.problem)
            raise GatewayRetryable(self.name, answer.problem)
        if answer.status in _OK:
            return answer
        code = f"http-{answer.status}"
        if _is_not_taken(answer):
            raise GatewayRetryable(self.name, code, answer.retry_after_s)
        if 400 <= answer.status < 500 and answer.status != _TIMED_OUT:
            raise GatewayRefused(self.name, code, _said(answer.body.decode(errors="replace")))
        raise GatewayAmbiguous(self.name, code)

    def _without_echo(self, answer: Answer) -> Answer:
        """Return the answer without our secrets, which some servers repeat in what they say."""
        body = answer.body
        for echo in self._echoes:
            if echo in body:
                body = body.replace(echo, b"***")
        return answer if body is answer.body else replace(answer, body=body)


def _written(secret: str) -> set[str]:
    """Return the ways in which JSON writes a secret."""
    return {secret, secret.replace("/", "\\/")}


def _outcome_of(answer: Answer | NoAnswer) -> str:
    """Return how a call ended, for metrics and breaker: being busy is no failure."""
    if isinstance(answer, NoAnswer):
        return "no-answer"
    return "busy" if _is_not_taken(answer) else f"{answer.status // 100}xx"


def _is_not_taken(answer: Answer) -> bool:
    """Say whether the gateway did not act. A 503 without Retry-After may be any proxy's."""
    return answer.status == 429 or (answer.status == 503 and answer.retry_after_s is not None)


def _report(charge: _Charge | _Nonsense, payment_id: str) -> GatewayReport:
    if isinstance(charge, _Nonsense):
        return GatewayReport(Outcome.UNKNOWN, reason=charge.problem)
    problem = _charge_problem(charge, payment_id)
    if problem:
        return GatewayReport(Outcome.UNKNOWN, reason=f"nonsense: {problem}")
    return GatewayReport(
        outcome=Outcome(charge.status),
        gateway_ref=charge.gateway_ref,
        amount=charge.amount,
        currency=charge.currency,
        paid_at=charge.paid_at,
        refunded=charge.refunded,
        reason=_said(charge.reason or ""),
    )


def _charge_problem(charge: _Charge, payment_id: str) -> str:
    """Return the field of a well-formed charge that cannot be meant; empty: none."""
    ref = charge.gateway_ref
    if charge.payment_id != payment_id:
        return "payment_id is another's"
    if ref is not None and not (1 <= len(ref) <= 255 and ref.isprintable()):
        return "gateway_ref is not usable"
    if not 1 <= charge.amount <= MAX_AMOUNT:
        return "amount is out of range"
    if _CURRENCY.fullmatch(charge.currency) is None:
        return "currency is not a code"
    if charge.paid_at is not None and not _is_time(charge.paid_at):
        return "paid_at is not usable"
    return "refunded is out of range" if not 0 <= charge.refunded <= charge.amount else ""


def _is_time(time: datetime) -> bool:
    """Say whether `time` has a zone and can be told in UTC."""
    try:
        time.astimezone(UTC)
    except OverflowError:
        return False
    return time.tzinfo is not None


def _is_link(text: str | None) -> bool:
    """Say whether a shopper can be shown `text`, or that there is none."""
    return text is None or (len(text) <= _LONGEST_LINK and text.isprintable())


def _refund_report(refund: _Refund | _Nonsense, refund_id: str, payment_id: str) -> RefundReport:
    if isinstance(refund, _Nonsense):
        return RefundReport(RefundOutcome.UNKNOWN, refund.problem)
    if (refund.refund_id, refund.payment_id) != (refund_id, payment_id):
        return RefundReport(RefundOutcome.UNKNOWN, "nonsense: the refund is another's")
    return RefundReport(RefundOutcome(refund.status), _said(refund.reason or ""))


def _read(decoder: "msgspec.json.Decoder[Shape]", body: bytes, field: str) -> Shape:
    found = _decode(decoder, body)
    if isinstance(found, _Nonsense):
        raise InvalidField(field, found.problem, "docs/gateway-mock.md, callbacks")
    return found


def _charge_word(charge: _Charge) -> ChargeWord:
    payment_id = check_id(charge.payment_id, "data.payment_id")
    problem = _charge_problem(charge, payment_id)
    if problem:
        raise InvalidField("data", problem, "docs/gateway-mock.md, callbacks")
    report = _report(charge, payment_id)
    paid = report.outcome is Outcome.SUCCEEDED and not report.refunded
    return ChargeWord(payment_id, report, authoritative=paid)


def _refund_word(refund: _Refund) -> RefundWord:
    payment_id = check_id(refund.payment_id, "data.payment_id")
    if not (1 <= len(refund.refund_id) <= 255 and refund.refund_id.isprintable()):
        raise InvalidField("data.refund_id", "is not usable", "1 to 255 printable characters")
    report = _refund_report(refund, refund.refund_id, payment_id)
    return RefundWord(payment_id, refund.refund_id, report)


def _decode(decoder: "msgspec.json.Decoder[Shape]", body: bytes) -> "Shape | _Nonsense":
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        return _Nonsense(_said(f"nonsense: {error}"))


def _unknown(answer: Answer) -> GatewayReport:
    return GatewayReport(
        Outcome.UNKNOWN, reason=f"http-{answer.status}", retry_after_s=answer.retry_after_s
    )


def _said(text: str) -> str:
    """Return what a gateway said in one printable line of at most 200 characters."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text[:200])


def _part(text: str) -> str:
    return quote(text, safe=":")
