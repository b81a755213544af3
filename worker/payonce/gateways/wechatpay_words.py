"""What WeChat Pay says, and what is nonsense in it (pay.weixin.qq.com/doc/v3/merchant, Native)."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, timezone
from typing import Literal

import msgspec

from payonce.domain.errors import InvalidField
from payonce.domain.money import MAX_AMOUNT
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome, RefundReport
from payonce.gateways.client import Answer
from payonce.gateways.http_words import Nonsense, decode, said
from payonce.gateways.wechatpay_keys import Sealed
from payonce.gateways.wechatpay_numbers import (
    payment_of,
    refund_number,
    refund_of,
    trade_number,
)
from payonce.ports.gateway import ChargeWord, CloseAnswer, NewCharge, NewRefund, RefundWord

CURRENCY = "CNY"
"""This API's only currency; amounts are in fen, its hundredths."""

BUSY = frozenset({"FREQUENCYLIMITED", "FREQUENCYLIMITEXCEED", "RATELIMITEXCEEDED"})
PAID = frozenset({"ORDERPAID"})
REFUND_LATER = frozenset({"RESOURCENOTEXISTS"})
"""A refund was answered so minutes after its payment, and taken when it was asked for again."""

BELIEVED_FOR = timedelta(minutes=1)
"""How long after the payment a callback of it is believed: a later repeat does not say whether the
money went back meanwhile."""

_BEIJING = timezone(timedelta(hours=8))
_TRANSACTION = re.compile(r"[0-9A-Za-z_-]{1,64}")
_LONGEST_REASON_BYTES = 80
_LONGEST_DESCRIPTION = 127

State = Literal[
    "SUCCESS", "REFUND", "NOTPAY", "USERPAYING", "ACCEPT", "CLOSED", "REVOKED", "PAYERROR"
]
_OUTCOMES: Mapping[State, Outcome] = {
    "SUCCESS": Outcome.SUCCEEDED,
    "REFUND": Outcome.SUCCEEDED,
    "NOTPAY": Outcome.PENDING,
    "USERPAYING": Outcome.PENDING,
    "ACCEPT": Outcome.PENDING,
    "CLOSED": Outcome.CLOSED,
    "REVOKED": Outcome.CLOSED,
    "PAYERROR": Outcome.FAILED,
}
RefundState = Literal["PROCESSING", "SUCCESS", "CLOSED", "ABNORMAL"]
_REFUNDS: Mapping[RefundState, RefundReport] = {
    "PROCESSING": RefundReport(RefundOutcome.PENDING),
    "SUCCESS": RefundReport(RefundOutcome.SUCCEEDED),
    "CLOSED": RefundReport(RefundOutcome.FAILED, "closed by WeChat Pay: nothing was paid back"),
    "ABNORMAL": RefundReport(
        RefundOutcome.FAILED,
        "abnormal: the shopper's account takes no money; pay it back by hand on WeChat Pay's "
        "merchant platform",
    ),
}


class Amount(msgspec.Struct):
    """An order's amount. The shopper may have paid less, with coupons; the shop gets the total."""

    total: int | None = None
    currency: str = CURRENCY


class Transaction(msgspec.Struct):
    """An order at WeChat Pay; unknown fields are left alone."""

    mchid: str
    out_trade_no: str
    trade_state: State
    trade_state_desc: str = ""
    transaction_id: str | None = None
    amount: Amount | None = None
    success_time: datetime | None = None
    attach: str | None = None


class RefundAmount(msgspec.Struct):
    """What goes back, in fen."""

    refund: int
    total: int


class Refund(msgspec.Struct):
    """A refund; a callback writes its status under another name."""

    out_trade_no: str
    out_refund_no: str
    amount: RefundAmount
    status: RefundState | None = None
    refund_status: RefundState | None = None

    @property
    def state(self) -> RefundState | None:
        """How it stands."""
        return self.status or self.refund_status


class Created(msgspec.Struct):
    """The answer to a create."""

    code_url: str


class Fault(msgspec.Struct):
    """An answer that is no success."""

    code: str
    message: str = ""


class Envelope(msgspec.Struct):
    """A callback, with what it is about sealed in it."""

    id: str
    resource: Sealed


transactions = msgspec.json.Decoder(Transaction)
refunds = msgspec.json.Decoder(Refund)
created = msgspec.json.Decoder(Created)
envelopes = msgspec.json.Decoder(Envelope)
_faults = msgspec.json.Decoder(Fault)


def order_of(charge: NewCharge, mchid: str, appid: str) -> dict[str, object]:
    """Return the body that creates an order. It says when it ends in Beijing's time."""
    return {
        "appid": appid,
        "mchid": mchid,
        "description": f"Order {charge.order_id}"[:_LONGEST_DESCRIPTION],
        "out_trade_no": trade_number(charge.payment_id),
        "time_expire": charge.expires_at.astimezone(_BEIJING).isoformat(timespec="seconds"),
        "attach": charge.payment_id,
        "notify_url": charge.notify_url,
        "amount": {"total": charge.amount, "currency": CURRENCY},
    }


def refund_order_of(refund: NewRefund) -> dict[str, object]:
    """Return the body that refunds."""
    reason = refund.reason.encode()[:_LONGEST_REASON_BYTES].decode(errors="ignore")
    return {
        "out_trade_no": trade_number(refund.payment_id),
        "out_refund_no": refund_number(refund.refund_id),
        "reason": reason or "refund",
        "amount": {"refund": refund.amount, "total": refund.captured, "currency": CURRENCY},
    }


def code_of(answer: Answer) -> str | None:
    """Return the code of an answer that is no success; None: it has none, who knows whose it is.

    Some pages write codes with `_` and some without (ORDER_NOT_EXIST, ORDERNOTEXIST): without.
    """
    fault = decode(_faults, answer.body)
    return None if isinstance(fault, Nonsense) else said(fault.code.replace("_", "").upper())


def words_of(answer: Answer) -> str:
    """Return what an answer that is no success says."""
    fault = decode(_faults, answer.body)
    return "" if isinstance(fault, Nonsense) else said(f"{fault.code} {fault.message}".strip())


def close_answer(answer: Answer) -> CloseAnswer:
    """Return what a close was answered; a query must follow, also after a 204."""
    match answer.status, code_of(answer):
        case (204, _) | (400, "ORDERCLOSED"):
            return CloseAnswer.CLOSED
        case 404, "ORDERNOTEXIST":
            return CloseAnswer.NOT_FOUND
        case _, "ORDERPAID":
            return CloseAnswer.ALREADY_PAID
        case _:
            return CloseAnswer.UNKNOWN


def report_of(transaction: Transaction | Nonsense, payment_id: str, mchid: str) -> GatewayReport:
    """Return what an order means; nonsense is UNKNOWN. What went back is not in it."""
    if isinstance(transaction, Nonsense):
        return GatewayReport(Outcome.UNKNOWN, reason=transaction.problem)
    problem = _problem_of(transaction, mchid)
    if not problem and transaction.out_trade_no != trade_number(payment_id):
        problem = "out_trade_no is another's"
    if problem:
        return GatewayReport(Outcome.UNKNOWN, reason=f"nonsense: {problem}")
    return _plain_report(transaction)


def _plain_report(transaction: Transaction) -> GatewayReport:
    amount = transaction.amount or Amount()
    outcome = _OUTCOMES[transaction.trade_state]
    succeeded = outcome is Outcome.SUCCEEDED
    return GatewayReport(
        outcome=outcome,
        gateway_ref=transaction.transaction_id or None,
        amount=amount.total,
        currency=amount.currency if amount.total is not None else None,
        paid_at=transaction.success_time if succeeded else None,
        reason="" if succeeded else said(transaction.trade_state_desc),
    )


def _problem_of(transaction: Transaction, mchid: str) -> str:
    """Return the field of an order that cannot be meant; empty: none."""
    ref, amount = transaction.transaction_id, transaction.amount
    if transaction.mchid != mchid:
        return "mchid is another's"
    if ref and _TRANSACTION.fullmatch(ref) is None:
        return "transaction_id is not usable"
    if amount is not None and amount.total is not None and not 1 <= amount.total <= MAX_AMOUNT:
        return "amount.total is out of range"
    if amount is not None and re.fullmatch("[A-Z]{3}", amount.currency) is None:
        return "amount.currency is not a code"
    return _success_problem(transaction)


def _success_problem(transaction: Transaction) -> str:
    """Return what a success leaves out; empty: nothing, or it is none."""
    if transaction.success_time is not None and not _is_time(transaction.success_time):
        return "success_time is not usable"
    if _OUTCOMES[transaction.trade_state] is not Outcome.SUCCEEDED:
        return ""
    amount = transaction.amount and transaction.amount.total
    whole = transaction.transaction_id and amount and transaction.success_time
    return "" if whole else "a success without transaction_id, amount or success_time"


def _is_time(time: datetime) -> bool:
    try:
        time.astimezone(UTC)
    except OverflowError:
        return False
    return time.tzinfo is not None


def refund_problem(refund: Refund, payment_id: str) -> str:
    """Return the field of a refund that cannot be meant; empty: none."""
    if refund.out_trade_no != trade_number(payment_id):
        return "out_trade_no is another's"
    if not 1 <= refund.amount.refund <= refund.amount.total <= MAX_AMOUNT:
        return "amount is out of range"
    return "" if refund.state else "status is missing"


def refund_report(refund: Refund | Nonsense, refund_id: str, payment_id: str) -> RefundReport:
    """Return what an answer about a refund means; nonsense is UNKNOWN."""
    if isinstance(refund, Nonsense):
        return RefundReport(RefundOutcome.UNKNOWN, refund.problem)
    problem = refund_problem(refund, payment_id)
    if not problem and refund.out_refund_no != refund_number(refund_id):
        problem = "out_refund_no is another's"
    if problem or refund.state is None:
        return RefundReport(RefundOutcome.UNKNOWN, f"nonsense: {problem}")
    return _REFUNDS[refund.state]


def is_going_back(refund: Refund) -> bool:
    """Say whether a refund's money has left the shop, also where it has not arrived."""
    return refund.state != "CLOSED"


def charge_word(
    transaction: Transaction | Nonsense, mchid: str, told_at: datetime | None
) -> ChargeWord:
    """Return what a callback says of an order. Raises InvalidField.

    A success is believed that is told at once; all else is a reason to ask.
    """
    if isinstance(transaction, Nonsense):
        raise InvalidField("resource", transaction.problem, "an order of WeChat Pay")
    payment_id = payment_of(transaction.out_trade_no, transaction.attach)
    report = report_of(transaction, payment_id, mchid)
    if report.outcome is Outcome.UNKNOWN:
        raise InvalidField("resource", report.reason, "an order of this merchant")
    paid_at = transaction.success_time
    at_once = told_at is not None and paid_at is not None and told_at - paid_at <= BELIEVED_FOR
    authoritative = transaction.trade_state == "SUCCESS" and at_once
    return ChargeWord(payment_id, report, authoritative=authoritative)


def refund_word(refund: Refund | Nonsense) -> RefundWord:
    """Return what a callback says of a refund. Raises InvalidField."""
    if isinstance(refund, Nonsense):
        raise InvalidField("resource", refund.problem, "a refund of WeChat Pay")
    payment_id = payment_of(refund.out_trade_no, None)
    number = refund.out_refund_no
    if not (1 <= len(number) <= 64 and number.isprintable()):
        raise InvalidField("resource.out_refund_no", "is not usable", "1 to 64 characters")
    problem = refund_problem(refund, payment_id)
    if problem or refund.state is None:
        raise InvalidField("resource", problem, "a refund of WeChat Pay")
    return RefundWord(payment_id, refund_of(number), _REFUNDS[refund.state])
