"""What Alipay says, and what is nonsense in it (opendocs.alipay.com, pages of the calls)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Literal, get_args

import msgspec

from payonce.domain.errors import InvalidField
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.gateways.alipay_numbers import id_of, number_of, refund_of
from payonce.gateways.alipay_signature import time_of, written
from payonce.gateways.http_words import Nonsense, decode, said
from payonce.gateways.money import Scale
from payonce.ports.gateway import (
    CallbackWord,
    ChargeWord,
    CloseAnswer,
    NewCharge,
    NewRefund,
    RefundWord,
)

CURRENCY = "CNY"
"""These calls' only currency; amounts are in yuan, with two decimals."""

SUCCESS, BUSY = "10000", "40005"
REFUSALS = frozenset({"20001", "40001", "40002", "40003", "40004", "40006"})
"""Codes that say no; 20000 says that Alipay does not know, and any other is new to us."""

NO_TRADE = "ACQ.TRADE_NOT_EXIST"
ENDED = frozenset({"ACQ.TRADE_HAS_SUCCESS", "ACQ.TRADE_HAS_CLOSE"})
"""The trade that was to be created exists, and has come to an end: which one, a query tells."""

_OPEN = re.compile(r"(aop|isp)\..*|.*SYSTEM_ERROR", re.IGNORECASE)
_TRADE_NUMBER = re.compile(r"[0-9A-Za-z_-]{1,64}")
_LONGEST_REFUND_NUMBER = 64
_LONGEST_REASON = 128
_SCALE = Scale()

State = Literal["WAIT_BUYER_PAY", "TRADE_SUCCESS", "TRADE_FINISHED", "TRADE_CLOSED"]
_OUTCOMES: Mapping[str, Outcome] = {
    "WAIT_BUYER_PAY": Outcome.PENDING,
    "TRADE_SUCCESS": Outcome.SUCCEEDED,
    "TRADE_FINISHED": Outcome.SUCCEEDED,
    "TRADE_CLOSED": Outcome.CLOSED,
}


class Result(msgspec.Struct):
    """What every answer says of itself."""

    code: str
    msg: str = ""
    sub_code: str = ""
    sub_msg: str = ""


class Created(msgspec.Struct):
    """The answer to a create."""

    out_trade_no: str
    qr_code: str


class Trade(msgspec.Struct):
    """A trade as a query tells it. The shopper may have paid less, with coupons of others."""

    out_trade_no: str
    trade_no: str
    trade_status: State
    total_amount: Decimal
    trans_currency: str = CURRENCY
    send_pay_date: str | None = None


class Named(msgspec.Struct):
    """The answer to a close."""

    out_trade_no: str | None = None


class Refund(msgspec.Struct):
    """The answer to a refund; `refund_fee`: all that went back so far."""

    out_trade_no: str
    fund_change: str
    refund_fee: Decimal | None = None


class FoundRefund(msgspec.Struct):
    """The answer to a question about a refund; without a status there is none, or not yet."""

    refund_status: str | None = None
    out_trade_no: str | None = None
    out_request_no: str | None = None


results = msgspec.json.Decoder(Result)
created = msgspec.json.Decoder(Created)
trades = msgspec.json.Decoder(Trade)
named = msgspec.json.Decoder(Named)
refunds = msgspec.json.Decoder(Refund)
found_refunds = msgspec.json.Decoder(FoundRefund)


@dataclass(frozen=True, slots=True)
class Proven:
    """An answer that Alipay signed: its code and sub_code, what it says of them, its bytes."""

    code: str
    sub_code: str
    words: str
    content: bytes

    @property
    def is_success(self) -> bool:
        """Say whether the call took effect, or the question was answered."""
        return self.code == SUCCESS

    @property
    def is_busy(self) -> bool:
        """Say whether Alipay did nothing because too much is asked of it."""
        return self.code == BUSY

    @property
    def is_refusal(self) -> bool:
        """Say whether Alipay did nothing, for good; ACQ.SYSTEM_ERROR and aop.* leave it open."""
        return self.code in REFUSALS and _OPEN.fullmatch(self.sub_code) is None

    def has_no_trade(self) -> bool:
        """Say whether Alipay knows no trade of this number."""
        return self.is_refusal and self.sub_code == NO_TRADE


def proven(content: bytes) -> Proven | Nonsense:
    """Return what an answer says of itself."""
    result = decode(results, content)
    if isinstance(result, Nonsense):
        return result
    told = f"{result.code} {result.sub_code or result.msg} {result.sub_msg}"
    return Proven(result.code, result.sub_code, said(" ".join(told.split())), content)


def order_of(charge: NewCharge, seller_id: str, latest: datetime) -> dict[str, object]:
    """Return what creates a trade; it takes no money after its end, or `latest`."""
    return {
        "out_trade_no": number_of(charge.payment_id),
        "total_amount": _SCALE.to_decimal(charge.amount, CURRENCY),
        "subject": f"Order {charge.order_id}",
        "body": charge.payment_id,
        "seller_id": seller_id,
        "time_expire": written(min(charge.expires_at, latest)),
    }


def refund_order_of(refund: NewRefund) -> dict[str, object]:
    """Return what refunds."""
    return {
        "out_trade_no": number_of(refund.payment_id),
        "out_request_no": number_of(refund.refund_id),
        "refund_amount": _SCALE.to_decimal(refund.amount, CURRENCY),
        "refund_reason": refund.reason[:_LONGEST_REASON] or "refund",
    }


def close_answer(answer: Proven, payment_id: str) -> CloseAnswer:
    """Return what a close was answered; a query must follow.

    The codes about a trade's status (ACQ.TRADE_STATUS_ERROR, ACQ.REASON_TRADE_STATUS_INVALID,
    ACQ.REASON_ILLEGAL_STATUS) stand for paid and for closed.
    """
    if answer.has_no_trade():
        return CloseAnswer.NOT_FOUND
    made = decode(named, answer.content)
    if isinstance(made, Nonsense) or made.out_trade_no not in {None, number_of(payment_id)}:
        return CloseAnswer.UNKNOWN
    return CloseAnswer.CLOSED if answer.is_success else CloseAnswer.UNKNOWN


def report_of(content: bytes, payment_id: str) -> GatewayReport:
    """Return what a trade means; nonsense is UNKNOWN. What went back in part is not in it."""
    trade = decode(trades, content)
    if isinstance(trade, Nonsense):
        return GatewayReport(Outcome.UNKNOWN, reason=trade.problem)
    try:
        amount = _amount(str(trade.total_amount), trade.trans_currency)
    except InvalidField as error:
        return GatewayReport(Outcome.UNKNOWN, reason=said(f"nonsense: {error}"))
    problem = _problem_of(trade, payment_id)
    if problem:
        return GatewayReport(Outcome.UNKNOWN, reason=f"nonsense: {problem}")
    outcome = _OUTCOMES[trade.trade_status]
    paid_at = time_of(trade.send_pay_date or "")
    report = GatewayReport(
        outcome,
        gateway_ref=trade.trade_no,
        amount=amount,
        currency=trade.trans_currency,
        paid_at=paid_at if outcome is Outcome.SUCCEEDED else None,
    )
    if trade.trade_status == "TRADE_CLOSED" and paid_at is not None:
        return gone_back(report, paid_at)
    return report


def gone_back(report: GatewayReport, paid_at: datetime | None = None) -> GatewayReport:
    """Return the report of a closed trade that was paid: all of it went back."""
    return GatewayReport(
        Outcome.SUCCEEDED,
        gateway_ref=report.gateway_ref,
        amount=report.amount,
        currency=report.currency,
        paid_at=paid_at,
        refunded=report.amount or 0,
    )


def _problem_of(trade: Trade, payment_id: str) -> str:
    """Return the field of a trade that cannot be meant; empty: none."""
    if trade.out_trade_no != number_of(payment_id):
        return "out_trade_no is another's"
    if _TRADE_NUMBER.fullmatch(trade.trade_no) is None:
        return "trade_no is not usable"
    if trade.send_pay_date and time_of(trade.send_pay_date) is None:
        return "send_pay_date is not usable"
    return ""


def _amount(text: str, currency: str) -> int:
    """Return yuan in fen, at least one. Raises InvalidField."""
    if re.fullmatch("[A-Z]{3}", currency) is None:
        raise InvalidField("trans_currency", "is not a code", "an ISO 4217 code")
    amount = _SCALE.from_decimal(text, currency)
    if amount < 1:
        raise InvalidField("total_amount", "is nothing", "at least 0.01")
    return amount


def refund_problem(made: Refund | Nonsense, refund: NewRefund) -> str:
    """Return what cannot be meant in the answer to a refund; empty: nothing."""
    if isinstance(made, Nonsense):
        return made.problem
    if made.out_trade_no != number_of(refund.payment_id):
        return "nonsense: out_trade_no is another's"
    if made.fund_change not in {"Y", "N"}:
        return "nonsense: fund_change is neither Y nor N"
    if made.refund_fee is None:
        return ""
    try:
        gone = _SCALE.from_decimal(str(made.refund_fee), CURRENCY)
    except InvalidField as error:
        return said(f"nonsense: {error}")
    paid_back = made.fund_change == "N" or gone >= refund.amount
    return "" if paid_back else "nonsense: refund_fee is below what was to be refunded"


def refund_report(found: FoundRefund | Nonsense, refund_id: str, payment_id: str) -> RefundReport:
    """Return what is known of a refund.

    Without a status it was not heard of, did not succeed, or is under way still: it is asked for
    again under its number, which pays once.
    """
    if isinstance(found, Nonsense):
        return RefundReport(RefundOutcome.UNKNOWN, found.problem)
    if not found.refund_status:
        return RefundReport(RefundOutcome.NOT_FOUND)
    if found.refund_status != "REFUND_SUCCESS":
        told = said(f"refund_status {found.refund_status}")
        return RefundReport(RefundOutcome.UNKNOWN, told)
    ours = number_of(payment_id), number_of(refund_id)
    if (found.out_trade_no, found.out_request_no) != ours:
        return RefundReport(RefundOutcome.UNKNOWN, "nonsense: the refund is another's")
    return RefundReport(RefundOutcome.SUCCEEDED)


def word_of(form: Mapping[str, str]) -> CallbackWord:
    """Return what a callback says: a reason to ask. Raises InvalidField."""
    payment_id = id_of(form.get("out_trade_no", ""), form.get("body"))
    number = form.get("out_biz_no", "")
    if number and form.get("gmt_refund"):
        if not (len(number) <= _LONGEST_REFUND_NUMBER and number.isprintable()):
            raise InvalidField("out_biz_no", "is not usable", "1 to 64 characters")
        report = RefundReport(RefundOutcome.SUCCEEDED)
        return RefundWord(payment_id, refund_of(number), report)
    return ChargeWord(payment_id, _report_of(form))


def _report_of(form: Mapping[str, str]) -> GatewayReport:
    state, trade_no = form.get("trade_status", ""), form.get("trade_no", "")
    if state not in _OUTCOMES:
        allowed = ", ".join(get_args(State))
        raise InvalidField("trade_status", f"{state[:40]!r} is unknown", allowed)
    if _TRADE_NUMBER.fullmatch(trade_no) is None:
        raise InvalidField("trade_no", "is not usable", "1 to 64 letters and digits")
    paid_at = time_of(form.get("gmt_payment", ""))
    outcome = Outcome.SUCCEEDED if paid_at and state == "TRADE_CLOSED" else _OUTCOMES[state]
    return GatewayReport(
        outcome,
        gateway_ref=trade_no,
        amount=_amount(form.get("total_amount", ""), CURRENCY),
        currency=CURRENCY,
        paid_at=paid_at,
        refunded=_SCALE.from_decimal(form.get("refund_fee") or "0", CURRENCY),
    )
