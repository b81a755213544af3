"""payonce check --online: one harmless call tells whether a gateway of any kind takes our keys."""

from collections.abc import Callable, Mapping

import pytest

from gateway_mock.alipay import AlipayMock
from gateway_mock.app import serving
from gateway_mock.paypal import PaypalMock
from gateway_mock.paypal_keys import Account
from gateway_mock.server import Mock
from gateway_mock.stripe import StripeMock
from gateway_mock.wechatpay import WechatPayMock
from gateway_mock.wechatpay_keys import make_sandbox
from payonce.bootstrap import CheckResult, check
from payonce.settings import load_settings
from tests.cli.conftest import NOWHERE
from tests.support import alipay
from tests.support.kinds import KINDS, environment_of
from tests.support.paypal import KEYS

STRANGERS: Mapping[str, Callable[[], Mock]] = {
    "alipay": lambda: AlipayMock(alipay.strangers()),
    "boleto": lambda: StripeMock(secret_key="sk_test_of_somebody_else"),
    "http": lambda: Mock("whsec_b2Ygc29tZWJvZHkgZWxzZQ=="),
    "paypal": lambda: PaypalMock(Account(client_secret="of-somebody-else"), KEYS),
    "stripe": lambda: StripeMock(secret_key="sk_test_of_somebody_else"),
    "stripe-intents": lambda: StripeMock(secret_key="sk_test_of_somebody_else"),
    "wechatpay": lambda: WechatPayMock(make_sandbox()),
}
"""Gateways that know somebody else."""


async def asked(name: str, serve: Mock) -> CheckResult:
    """Return what is said of a gateway at `serve` by who has the kind's usual keys."""
    kind = KINDS[name]
    async with serving(serve) as url:
        told = environment_of(kind, kind.make(), url, "real", ["1m"])
        results = await check(load_settings({**NOWHERE, **told}), online=True)
    [found] = [one for one in results if one.name == "gateway real"]
    assert 0 == len(serve.books.charges), "it was harmless"
    return found


@pytest.mark.parametrize("name", sorted(KINDS))
async def test_keys_that_are_right_are_taken(name: str) -> None:
    """The gateway says that it knows no such charge."""
    assert CheckResult("gateway real", ok=True, detail="ok") == await asked(
        name, KINDS[name].make()
    )


@pytest.mark.parametrize("name", sorted(KINDS))
async def test_keys_of_somebody_else_are_told(name: str) -> None:
    """Where they are refused, in words, none of which is a secret."""
    found = await asked(name, STRANGERS[name]())
    assert not found.ok
    assert found.required
    assert found.detail.startswith("no usable answer: ")
    assert len(found.detail) > len("no usable answer: ")
    assert "somebody" not in found.detail
