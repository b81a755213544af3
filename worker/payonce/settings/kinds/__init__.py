"""The kinds of gateways: one file each, with the kind's own keys and defaults."""

from collections.abc import Mapping

from payonce.settings.kinds.http import HTTP, HttpCredentials
from payonce.settings.kinds.kind import Kind
from payonce.settings.kinds.wechatpay import WECHATPAY, WechatPayCredentials

Credentials = HttpCredentials | WechatPayCredentials

_ALL: tuple[Kind[Credentials], ...] = (HTTP, WECHATPAY)
KINDS: Mapping[str, Kind[Credentials]] = {one.name: one for one in _ALL}

__all__ = ["KINDS", "Credentials", "Kind"]
