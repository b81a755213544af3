"""The kinds of gateways that the mock can be."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway_mock.server import Mock
from gateway_mock.shopper import Profile
from gateway_mock.wechatpay import WechatPayMock


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line says; `keys`: a folder of PEM files, None: keys of its own."""

    secret: str
    keys: Path | None
    make_profile: Callable[[], Profile]


def _http(options: Options) -> Mock:
    return Mock(options.secret, make_profile=options.make_profile)


def _wechatpay(options: Options) -> Mock:
    return WechatPayMock.kept(options.keys, options.make_profile)


KINDS: Mapping[str, Callable[[Options], Mock]] = {
    "http": _http,
    "wechatpay": _wechatpay,
}
