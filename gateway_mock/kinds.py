"""The kinds of gateways that the mock can be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway_mock.alipay import AlipayMock
from gateway_mock.paypal import PaypalMock
from gateway_mock.paypal_keys import keys_in
from gateway_mock.server import Mock
from gateway_mock.shopper import Profile
from gateway_mock.stripe import StripeMock
from gateway_mock.wechatpay import WechatPayMock


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; `keys`: a folder of PEM files, None: keys of its own.

    `webhook_url`: where a gateway posts its callbacks that is not told so charge by charge.
    `public_url`: where shoppers reach the wallet; empty: where the gateway was called.
    """

    secret: str
    keys: Path | None
    make_profile: Callable[[], Profile]
    webhook_url: str | None = None
    public_url: str = ""


def _http(options: Options) -> Mock:
    return Mock(options.secret, make_profile=options.make_profile, public_url=options.public_url)


def _paypal(options: Options) -> Mock:
    keys = None if options.keys is None else keys_in(options.keys)
    mock = PaypalMock(keys=keys, make_profile=options.make_profile, public_url=options.public_url)
    mock.webhook_url = options.webhook_url
    return mock


def _alipay(options: Options) -> Mock:
    return AlipayMock.kept(options.keys, options.make_profile, options.public_url)


def _stripe(options: Options) -> Mock:
    return StripeMock(
        make_profile=options.make_profile,
        public_url=options.public_url,
        webhook_url=options.webhook_url,
    )


def _wechatpay(options: Options) -> Mock:
    return WechatPayMock.kept(options.keys, options.make_profile, options.public_url)


KINDS: Mapping[str, Callable[[Options], Mock]] = {
    "alipay": _alipay,
    "http": _http,
    "paypal": _paypal,
    "stripe": _stripe,
    "wechatpay": _wechatpay,
}
