"""The kinds of gateways: one file each, with the kind's own keys and defaults."""

from collections.abc import Mapping

from payonce.settings.kinds.alipay import ALIPAY, AlipayCredentials
from payonce.settings.kinds.http import HTTP, HttpCredentials
from payonce.settings.kinds.kind import Kind
from payonce.settings.kinds.stripe import STRIPE, StripeCredentials

Credentials = AlipayCredentials | HttpCredentials | StripeCredentials

_ALL: tuple[Kind[Credentials], ...] = (HTTP, ALIPAY, STRIPE)
KINDS: Mapping[str, Kind[Credentials]] = {one.name: one for one in _ALL}

__all__ = ["KINDS", "Credentials", "Kind"]
