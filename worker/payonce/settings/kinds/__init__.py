"""The kinds of gateways: one file each, with the kind's own keys and defaults."""

from collections.abc import Mapping

from payonce.settings.kinds.http import HTTP, HttpCredentials
from payonce.settings.kinds.kind import Kind
from payonce.settings.kinds.paypal import PAYPAL, PaypalCredentials
from payonce.settings.kinds.stripe import STRIPE, StripeCredentials
from payonce.settings.kinds.wechatpay import WECHATPAY, WechatPayCredentials

Credentials = HttpCredentials | PaypalCredentials | StripeCredentials | WechatPayCredentials

_ALL: tuple[Kind[Credentials], ...] = (HTTP, PAYPAL, STRIPE, WECHATPAY)
KINDS: Mapping[str, Kind[Credentials]] = {one.name: one for one in _ALL}

__all__ = ["KINDS", "Credentials", "Kind"]
