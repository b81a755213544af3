"""What gateways answer, call by call: no success that the answer does not tell of this payment."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC
from decimal import Decimal, InvalidOperation
from typing import Any, cast

import aiohttp
from hypothesis import strategies as st

from gateway_mock.paypal import PaypalMock
from payonce.domain.errors import GatewayAmbiguous, GatewayRefused, GatewayRetryable
from payonce.domain.money import MAX_AMOUNT
from payonce.domain.report import GatewayReport, Outcome, RefundOutcome
from payonce.gateways.alipay import AlipayGateway
from payonce.gateways.caller import Asking
from payonce.gateways.client import Answer
from payonce.gateways.http import HttpGateway
from payonce.gateways.paypal import PaypalGateway
from payonce.gateways.paypal_token import Token
from payonce.gateways.stripe import StripeGateway
from payonce.gateways.wechatpay import WechatPayGateway
from payonce.ports.gateway import ChargeRef, Gateway
from payonce.settings.kinds.http import HttpCredentials
from payonce.settings.secret import Secret
from tests.fuzz.mutating import hostile, said
from tests.fuzz.targets import target
from tests.gateways import alipay_rigs, stripe_rigs, wechatpay_rigs
from tests.gateways.rigs import (
    NEW_CHARGE,
    NEW_REFUND,
    SECRET,
    NotingMeter,
    charge_json,
    refund_json,
    settings_for,
)
from tests.support import alipay, wechatpay
from tests.support.paypal import KEYS, credentials_of

ORDER_ID = "5O190127TN364715T"
USD = {"currency_code": "USD", "value": "19.99"}
CAPTURED = {
    "id": ORDER_ID,
    "intent": "CAPTURE",
    "status": "COMPLETED",
    "purchase_units": [
        {
            "reference_id": "o-1",
            "custom_id": "p-1",
            "invoice_id": "p-1",
            "amount": USD,
            "payments": {
                "captures": [
                    {
                        "id": "3C679366HH908993F",
                        "status": "COMPLETED",
                        "amount": USD,
                        "custom_id": "p-1",
                        "create_time": "2026-01-31T08:00:00Z",
                    }
                ],
                "refunds": [
                    {
                        "id": "58K15806CS993444T",
                        "status": "COMPLETED",
                        "amount": {"currency_code": "USD", "value": "5.00"},
                        "custom_id": "rf-1,-p-1",
                    }
                ],
            },
        }
    ],
    "links": [{"rel": "payer-action", "href": "https://www.paypal.com/checkoutnow?token=5O1"}],
}
AGREED = {**CAPTURED, "status": "PAYER_ACTION_REQUIRED"}
PAID_BACK = {
    "id": "58K15806CS993444T",
    "status": "COMPLETED",
    "amount": USD,
    "custom_id": "rf-1,-p-1",
}

Sign = Callable[[Asking, bytes], tuple[bytes, Mapping[str, str]]]


def _plain(_asking: Asking, content: bytes) -> tuple[bytes, Mapping[str, str]]:
    return content, {}


def _wechatpay(_asking: Asking, content: bytes) -> tuple[bytes, Mapping[str, str]]:
    return content, wechatpay_rigs.KEY.sign(content, int(time.time()))


def _alipay(asking: Asking, content: bytes) -> tuple[bytes, Mapping[str, str]]:
    return alipay_rigs.signed(asking.url.query["method"], content), {}


@dataclass(frozen=True)
class Kind:
    """An adapter without a network; samples of its answers by call; how an answer is signed.

    `refund_ref`: what a charge is called where money goes back, if that is another name.
    `amounts` reads, past the adapter, every amount that an answer could mean, in our minor units.
    """

    gateway: Gateway
    charge: ChargeRef
    samples: Mapping[str, Any]
    amounts: Callable[[bytes], set[int]]
    names: tuple[str, ...]
    our_name: str
    currency: str = "CNY"
    sign: Sign = _plain
    refund_ref: str | None = None

    def paid(self) -> ChargeRef:
        """Return the charge as it is called where money goes back."""
        return replace(self.charge, gateway_ref=self.refund_ref or self.charge.gateway_ref)


SESSION = cast("aiohttp.ClientSession", None)
"""Nobody calls out: what is answered is put into the caller's mouth."""


def _numbers(*names: str) -> Callable[[bytes], set[int]]:
    def read(body: bytes) -> set[int]:
        told = [one for name in names for one in said(body, name)]
        return {int(one) for one in told if isinstance(one, int | float) and abs(one) < 2**60}

    return read


def _decimals(*names: str) -> Callable[[bytes], set[int]]:
    def read(body: bytes) -> set[int]:
        found: set[int] = set()
        for one in (one for name in names for one in said(body, name)):
            with suppress(InvalidOperation, ValueError, OverflowError):
                major = Decimal(str(one))
                found |= {int(major.scaleb(digits)) for digits in (0, 2, 3) if abs(major) < 10**18}
        return found

    return read


def _paypal() -> PaypalGateway:
    mock = PaypalMock(keys=KEYS)
    url = "http://127.0.0.1:1"
    gateway = PaypalGateway(settings_for(url), credentials_of(mock, url), SESSION, NotingMeter())
    gateway._tokens._token = Token(Secret("x"), float("inf"))
    return gateway


_SETTINGS, _METER = settings_for("http://127.0.0.1:1"), NotingMeter()


def _http_kind() -> Kind:
    secrets = HttpCredentials((Secret(SECRET),))
    return Kind(
        HttpGateway(_SETTINGS, secrets, SESSION, _METER),
        ChargeRef("p-1"),
        {
            "query": charge_json(),
            "create": charge_json(status="pending", qr="x", pay_url="https://pay.example/1"),
            "close": {"status": "closed"},
            "refund": refund_json(),
            "query_refund": refund_json(),
        },
        _numbers("amount"),
        ("payment_id",),
        "p-1",
    )


def _stripe_kind() -> Kind:
    session = stripe_rigs.session_object()
    return Kind(
        StripeGateway(_SETTINGS, stripe_rigs.CREDENTIALS, SESSION, _METER),
        ChargeRef("p-1", "cs_test_1"),
        {
            "query": session,
            "create": stripe_rigs.open_session_object(),
            "close": stripe_rigs.session_object(status="expired", payment_status="unpaid"),
            "refund": stripe_rigs.refund_object(),
            "query_refund": stripe_rigs.listed(stripe_rigs.refund_object()),
        },
        _numbers("amount_received"),
        ("id",),
        "cs_test_1",
        refund_ref="pi_1",
    )


def _paypal_kind() -> Kind:
    return Kind(
        _paypal(),
        ChargeRef("p-1", ORDER_ID),
        {
            "query": CAPTURED,
            "create": AGREED,
            "close": {},
            "refund": PAID_BACK,
            "refund_capture": CAPTURED,
            "query_refund": CAPTURED,
        },
        _decimals("value"),
        ("custom_id", "invoice_id"),
        "p-1",
        "USD",
    )


def _wechatpay_kind() -> Kind:
    made = wechatpay.sandbox()
    return Kind(
        WechatPayGateway(_SETTINGS, wechatpay.credentials_for(made), SESSION, _METER),
        ChargeRef("p-1"),
        {
            "query": wechatpay_rigs.order(made),
            "create": {"code_url": "weixin://wxpay/bizpayurl?pr=1"},
            "close": {"code": "ORDERPAID", "message": "paid"},
            "refund": wechatpay_rigs.refund(),
            "query_refund": wechatpay_rigs.refund(),
        },
        _numbers("total"),
        ("out_trade_no",),
        wechatpay_rigs.NUMBER,
        sign=_wechatpay,
    )


def _alipay_kind() -> Kind:
    seller = alipay.sandbox()
    return Kind(
        AlipayGateway(_SETTINGS, alipay.credentials_for(seller), SESSION, _METER),
        ChargeRef("p_1"),
        {
            "query": dict(alipay_rigs.TRADE),
            "create": dict(alipay_rigs.CREATED),
            "close": {"code": "10000", "out_trade_no": "p_1"},
            "refund": dict(alipay_rigs.REFUNDED),
            "query_refund": dict(alipay_rigs.FOUND_REFUND),
        },
        _decimals("total_amount"),
        ("out_trade_no",),
        "p_1",
        sign=_alipay,
    )


KINDS = {
    "http": _http_kind(),
    "stripe": _stripe_kind(),
    "paypal": _paypal_kind(),
    "wechatpay": _wechatpay_kind(),
    "alipay": _alipay_kind(),
}
statuses = st.sampled_from([200] * 6 + [201, 204, 302, 400, 401, 404, 408, 409, 422, 429, 500, 503])
_CURRENCY = re.compile("[A-Z]{3}")


def _answering(kind: Kind, call: str, status: int, body: bytes) -> None:
    """Have the call answered so, and every other one well."""

    async def ask(asking: Asking) -> Answer:
        if asking.name == call:
            content, headers = kind.sign(asking, body)
            return Answer(status, content, None, headers)
        sample = json.dumps(kind.samples.get(asking.name, {})).encode()
        content, headers = kind.sign(asking, sample)
        return Answer(200, content, None, headers)

    cast("Any", kind.gateway)._caller.ask = ask


def check_report(report: GatewayReport) -> None:
    """Raise unless everything that a report holds can be used."""
    assert report.reason.isprintable()
    assert len(report.reason) <= 400
    ref = report.gateway_ref
    assert ref is None or (1 <= len(ref) <= 255 and ref.isprintable())
    assert report.amount is None or type(report.amount) is int
    assert report.paid_at is None or report.paid_at.astimezone(UTC)
    if report.outcome is Outcome.SUCCEEDED:
        assert report.amount is not None
        assert 1 <= report.amount <= MAX_AMOUNT
        assert _CURRENCY.fullmatch(report.currency or "")
        assert 0 <= report.refunded <= report.amount


@st.composite
def answers(draw: st.DrawFn, *calls: str) -> tuple[str, str, int, bytes]:
    """Return a kind, a call, and what it is answered."""
    name = draw(st.sampled_from(sorted(KINDS)))
    call = draw(st.sampled_from([one for one in calls if one in KINDS[name].samples]))
    return name, call, draw(statuses), draw(hostile(KINDS[name].samples[call]))


@target(answer=answers("query"))
def query(answer: tuple[str, str, int, bytes]) -> None:
    """A success is one of this payment, at an amount that stands in the answer."""
    name, call, status, body = answer
    kind = KINDS[name]
    _answering(kind, call, status, body)
    report = asyncio.run(kind.gateway.query(kind.charge))
    check_report(report)
    if report.outcome is Outcome.SUCCEEDED:
        assert status == 200
        assert kind.our_name in [one for field in kind.names for one in said(body, field)]
        assert report.amount in kind.amounts(body)


@target(answer=answers("create"))
def create(answer: tuple[str, str, int, bytes]) -> None:
    """What a shopper is shown is one printable line; else the create is unclear or refused."""
    name, call, status, body = answer
    kind = KINDS[name]
    _answering(kind, call, status, body)
    charge = replace(NEW_CHARGE, payment_id=kind.charge.payment_id, currency=kind.currency)
    with suppress(GatewayRetryable, GatewayRefused, GatewayAmbiguous):
        made = asyncio.run(kind.gateway.create(charge))
        check_report(made.report)
        for shown in (made.qr, made.pay_url):
            assert shown is None or (len(shown) <= 4_096 and shown.isprintable())


@target(answer=answers("close"))
def close(answer: tuple[str, str, int, bytes]) -> None:
    """Whatever is answered, a close has an answer."""
    name, call, status, body = answer
    kind = KINDS[name]
    _answering(kind, call, status, body)
    asyncio.run(kind.gateway.close(kind.charge))


@target(answer=answers("refund", "refund_capture"))
def refund(answer: tuple[str, str, int, bytes]) -> None:
    """A refund succeeded where the answer names it, and not otherwise."""
    name, call, status, body = answer
    kind = KINDS[name]
    _answering(kind, call, status, body)
    ours = _refund_id(name)
    order = replace(
        NEW_REFUND,
        refund_id=ours,
        payment_id=kind.charge.payment_id,
        currency=kind.currency,
        gateway_ref=kind.paid().gateway_ref,
    )
    with suppress(GatewayRetryable, GatewayRefused):
        report = asyncio.run(kind.gateway.refund(order))
        assert report.reason.isprintable()
        if report.outcome is RefundOutcome.SUCCEEDED and call == "refund" and name != "alipay":
            assert _names_refund(name, body)


@target(answer=answers("query_refund"))
def query_refund(answer: tuple[str, str, int, bytes]) -> None:
    """The same for a question about it."""
    name, call, status, body = answer
    kind = KINDS[name]
    _answering(kind, call, status, body)
    report = asyncio.run(kind.gateway.query_refund(_refund_id(name), kind.paid()))
    assert report.reason.isprintable()
    if report.outcome is RefundOutcome.SUCCEEDED:
        assert status == 200
        assert _names_refund(name, body)


def _refund_id(name: str) -> str:
    return "rf_1" if name == "alipay" else "rf-1"


def _names_refund(name: str, body: bytes) -> bool:
    fields = ("refund_id", "custom_id", "out_refund_no", "out_request_no")
    told = [one for field in fields for one in said(body, field)]
    return any(isinstance(one, str) and one.startswith(_refund_id(name)) for one in told)
