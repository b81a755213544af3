"""Each kind of gateway as a town needs it: its mock, what the worker is told, its shoppers."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, cast

from gateway_mock.alipay import AlipayMock
from gateway_mock.paypal import PaypalMock
from gateway_mock.server import Mock
from gateway_mock.stripe import StripeMock
from gateway_mock.wechatpay import WechatPayMock
from tests.support import alipay
from tests.support.paypal import KEYS, variables_of
from tests.support.paypal_schema import check
from tests.support.wechatpay import environment_for, sandbox


def pay(mock: Mock, payment_id: str) -> None:
    """Let the shopper of a charge pay now, and the gateway call back."""
    charge = mock.books.charges[payment_id]
    charge.script = replace(charge.script, pays_after_s=mock.clock() - charge.created_at)
    mock.plan_callback(charge, 0.0)


@dataclass(frozen=True)
class KindOfGateway:
    """`variables`: of the gateway's table, by the mock and its URL.

    `listen`: tells the mock where callbacks go, where it is not told with each charge. `script`: of
    its charges, besides what a test says. `needs_capture`: who pays only agrees; what is not wanted
    any more is not captured.
    """

    make: Callable[[], Mock]
    variables: Callable[[Mock, str], Mapping[str, str]]
    listen: Callable[[Mock, str], None] = lambda _mock, _url: None
    pay: Callable[[Mock, str], None] = pay
    currency: str = "CNY"
    can_refund: bool = True
    needs_capture: bool = False
    script: Mapping[str, Any] = field(default_factory=dict)


def _http(mock: Mock, url: str) -> Mapping[str, str]:
    return {"KIND": "http", "BASE_URL": url, "SECRET": mock.secret}


def _paypal(mock: Mock, url: str) -> Mapping[str, str]:
    return variables_of(cast("PaypalMock", mock), url)


def _listen_paypal(mock: Mock, url: str) -> None:
    cast("PaypalMock", mock).webhook_url = url


def _alipay(mock: Mock, url: str) -> Mapping[str, str]:
    variables = alipay.variables_for(cast("AlipayMock", mock).sandbox)
    return {**variables, "BASE_URL": f"{url}/gateway.do"}


def _stripe(mock: Mock, url: str) -> Mapping[str, str]:
    key = cast("StripeMock", mock).door.secret_key
    return {
        "KIND": "stripe",
        "BASE_URL": url,
        "SECRET_KEY": key,
        "WEBHOOK_SECRET": mock.secret,
    }


def _intents(mock: Mock, url: str) -> Mapping[str, str]:
    return {**_stripe(mock, url), "MODE": "payment_intent"}


def _boleto(mock: Mock, url: str) -> Mapping[str, str]:
    return {**_stripe(mock, url), "PAYMENT_METHODS": '["boleto"]'}


def _listen_stripe(mock: Mock, url: str) -> None:
    cast("StripeMock", mock).webhook_url = url


def _wechatpay(mock: Mock, url: str) -> Mapping[str, str]:
    prefix = "PAYONCE_GATEWAYS__X__"
    found = environment_for(cast("WechatPayMock", mock).sandbox, "X")
    named = {name.removeprefix(prefix): value for name, value in found.items()}
    return {**named, "BASE_URL": url}


KINDS: dict[str, KindOfGateway] = {
    "alipay": KindOfGateway(
        lambda: AlipayMock(alipay.sandbox()), _alipay, script={"scanned_after_s": 0}
    ),
    "boleto": KindOfGateway(StripeMock, _boleto, _listen_stripe, currency="BRL", can_refund=False),
    "http": KindOfGateway(Mock, _http),
    "paypal": KindOfGateway(
        lambda: PaypalMock(keys=KEYS, check=check), _paypal, _listen_paypal, needs_capture=True
    ),
    "stripe": KindOfGateway(StripeMock, _stripe, _listen_stripe),
    "stripe-intents": KindOfGateway(StripeMock, _intents, _listen_stripe),
    "wechatpay": KindOfGateway(lambda: WechatPayMock(sandbox()), _wechatpay),
}
"""By a name of the tests; several may be of one kind."""


def environment_of(
    kind: KindOfGateway, mock: Mock, url: str, name: str, ladder: Sequence[str]
) -> dict[str, str]:
    """Return the variables of a worker's gateway called `name`."""
    told = {"LADDER": json.dumps(ladder), "TIMEOUT_S": "2", **kind.variables(mock, url)}
    return {f"PAYONCE_GATEWAYS__{name.upper()}__{key}": one for key, one in told.items()}
