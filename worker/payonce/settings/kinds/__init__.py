"""The kinds of gateways: one file each, with the kind's own keys and defaults."""

from collections.abc import Mapping

from payonce.settings.kinds.alipay import ALIPAY, AlipayCredentials
from payonce.settings.kinds.http import HTTP, HttpCredentials
from payonce.settings.kinds.kind import Kind
from payonce.settings.kinds.paypal import PAYPAL, PaypalCredentials
from payonce.settings.kinds.stripe import STRIPE, StripeCredentials
from payonce.settings.kinds.wechatpay import WECHATPAY, WechatPayCredentials

Credentials = (
    AlipayCredentials
    | HttpCredentials
    | PaypalCredentials
    | StripeCredentials
    | WechatPayCredentials
)

_ALL: tuple[Kind[Credentials], ...] = (HTTP, ALIPAY, PAYPAL, STRIPE, WECHATPAY)
KINDS: Mapping[str, Kind[Credentials]] = {one.name: one for one in _ALL}

__all__ = ["KINDS", "Credentials", "Kind"]
