"""What WeChat Pay demands of requests (pay.weixin.qq.com/doc/v3/merchant)."""

import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from gateway_mock.wechatpay_keys import SIGNATURE_TYPE, Sandbox

TOLERANCE_S = 300
_AUTHORIZATION = re.compile(r'([a-z_]+)="([^"]*)"')
_PARTS = {"mchid", "serial_no", "nonce_str", "timestamp", "signature"}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d\d:\d\d")
_TRADE_NUMBER = re.compile(r"[0-9A-Za-z_\-|*]{6,32}")
_REFUND_NUMBER = re.compile(r"[0-9A-Za-z_\-|*@]{1,64}")

Check = Callable[[Any], bool]


class Fault(Exception):
    """An answer that is no success: its status, code and words."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


def check_signature(
    sandbox: Sandbox,
    now: float,
    authorization: str,
    lines: str,
    body: bytes,
) -> None:
    """Raise Fault unless the merchant signed the request, not long ago.

    `lines`: what is signed before the time, method and path with query.
    """
    scheme, _, rest = authorization.partition(" ")
    parts = dict(_AUTHORIZATION.findall(rest))
    if scheme != SIGNATURE_TYPE or set(parts) != _PARTS:
        raise Fault(401, "SIGN_ERROR", "Authorization is not of its shape")
    if (parts["mchid"], parts["serial_no"]) != (sandbox.mchid, sandbox.serial):
        raise Fault(401, "SIGN_ERROR", "mchid or serial_no is not this merchant's")
    timestamp, nonce = parts["timestamp"], parts["nonce_str"]
    if not re.fullmatch(r"\d{10}", timestamp) or abs(now - int(timestamp)) > TOLERANCE_S:
        raise Fault(401, "SIGN_ERROR", "timestamp is too far from now")
    if not re.fullmatch(r"[0-9A-Za-z]{1,32}", nonce):
        raise Fault(401, "SIGN_ERROR", "nonce_str is not of its shape")
    message = f"{lines}{timestamp}\n{nonce}\n".encode() + body + b"\n"
    if not sandbox.is_signed(message, parts["signature"]):
        raise Fault(401, "SIGN_ERROR", "the signature does not hold")


def check_headers(headers: Mapping[str, str], *, has_body: bool) -> None:
    """Raise Fault where a header is missing that every request must have."""
    if "application/json" not in headers.get("Accept", ""):
        raise Fault(400, "PARAM_ERROR", "Accept: application/json is missing")
    if not headers.get("User-Agent"):
        raise Fault(403, "NO_AUTH", "User-Agent is missing")
    if has_body and not headers.get("Content-Type", "").startswith("application/json"):
        raise Fault(400, "PARAM_ERROR", "Content-Type: application/json is missing")


def check_order(data: dict[str, Any], sandbox: Sandbox) -> None:
    """Raise Fault unless `data` is an order that can be created."""
    _check_fields(data, _ORDER, optional={"time_expire", "attach"})
    if (data["mchid"], data["appid"]) != (sandbox.mchid, sandbox.appid):
        raise Fault(400, "APPID_MCHID_NOT_MATCH", "appid does not belong to mchid")
    _check_fields(data["amount"], {"total": _fen, "currency": _is_cny}, optional={"currency"})


def check_refund(data: dict[str, Any]) -> None:
    """Raise Fault unless `data` is a refund that can be asked for."""
    _check_fields(data, _REFUND, optional={"reason", "notify_url"})
    amounts: dict[str, Check] = {"refund": _fen, "total": _fen, "currency": _is_cny}
    _check_fields(data["amount"], amounts)


def check_mchid(mchid: object, sandbox: Sandbox) -> None:
    """Raise Fault unless it is this merchant's."""
    if mchid != sandbox.mchid:
        raise Fault(400, "MCH_NOT_EXISTS", "mchid is not this merchant's")


def _check_fields(
    data: object, checks: Mapping[str, Check], optional: frozenset[str] | set[str] = frozenset()
) -> None:
    if not isinstance(data, dict):
        raise Fault(400, "PARAM_ERROR", "is not an object")
    for name in data:
        if name not in checks:
            raise Fault(400, "PARAM_ERROR", f"{name} is unknown")
    for name, check in checks.items():
        if name not in data:
            if name not in optional:
                raise Fault(400, "PARAM_ERROR", f"{name} is missing")
        elif not check(data[name]):
            raise Fault(400, "PARAM_ERROR", f"{name} is not of its shape")


def _text(shortest: int, longest: int) -> Check:
    return lambda value: isinstance(value, str) and shortest <= len(value) <= longest


def _bytes(longest: int) -> Check:
    return lambda value: isinstance(value, str) and 1 <= len(value.encode()) <= longest


def _like(shape: "re.Pattern[str]") -> Check:
    return lambda value: isinstance(value, str) and shape.fullmatch(value) is not None


def _is_place(value: object) -> bool:
    """Say whether callbacks can go to `value`: a URL without a query."""
    if not isinstance(value, str) or len(value) > 255:
        return False
    parts = urlsplit(value)
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query


def _fen(value: object) -> bool:
    return type(value) is int and value >= 1


def _is_cny(value: object) -> bool:
    return value == "CNY"


_ORDER: dict[str, Check] = {
    "appid": _text(1, 32),
    "mchid": _text(1, 32),
    "description": _text(1, 127),
    "out_trade_no": _like(_TRADE_NUMBER),
    "time_expire": _like(_TIME),
    "attach": _text(1, 128),
    "notify_url": _is_place,
    "amount": lambda value: isinstance(value, dict),
}
_REFUND: dict[str, Check] = {
    "out_trade_no": _like(_TRADE_NUMBER),
    "out_refund_no": _like(_REFUND_NUMBER),
    "reason": _bytes(80),
    "notify_url": _is_place,
    "amount": lambda value: isinstance(value, dict),
}
