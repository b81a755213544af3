"""Every kind of gateway in a whole payonce: its mock, and the worker's variables for it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from gateway_mock.server import Mock
from gateway_mock.wechatpay import WechatPayMock
from tests.support import wechatpay


@dataclass(frozen=True)
class KindOfGateway:
    """One kind: `variables` of its table, `base_url` left out, begin with the key.

    `refund_ends`: how a refund of a duplicate ends. `ages`: its callbacks are refused when old.
    """

    make: Callable[[], Mock]
    variables: Callable[[Mock], dict[str, str]]
    refund_ends: str = "SUCCEEDED"
    ages: bool = True

    def environment(self, mock: Mock, url: str, name: str) -> dict[str, str]:
        """Return the variables of a worker whose gateway `name` is this mock."""
        values = {**self.variables(mock), "BASE_URL": url, "TIMEOUT_S": "2"}
        return {f"PAYONCE_GATEWAYS__{name.upper()}__{key}": one for key, one in values.items()}


def _http(mock: Mock) -> dict[str, str]:
    return {"KIND": "http", "SECRET": mock.secret}


def _wechatpay(mock: Mock) -> dict[str, str]:
    assert isinstance(mock, WechatPayMock)
    prefix = "PAYONCE_GATEWAYS__X__"
    found = wechatpay.environment_for(mock.sandbox, "X")
    return {name.removeprefix(prefix): value for name, value in found.items()}


KINDS: Mapping[str, KindOfGateway] = {
    "http": KindOfGateway(Mock, _http),
    "wechatpay": KindOfGateway(lambda: WechatPayMock(wechatpay.sandbox()), _wechatpay),
}
