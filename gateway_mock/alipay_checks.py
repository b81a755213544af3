"""What Alipay demands of requests (opendocs.alipay.com, the pages of the calls)."""

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from gateway_mock.alipay_keys import Sandbox, joined

CHINA = timezone(timedelta(hours=8))
TOLERANCE_S = 600
"""How far a request's timestamp may be from now; Alipay does not say: this finds local times."""

CODE_LIVES_S = 7_200.0
LONGEST_S = 15 * 86_400.0
SHORTEST_S = 60.0
MESSAGES = {
    "20000": "Service Currently Unavailable",
    "40001": "Missing Required Arguments",
    "40002": "Invalid Arguments",
    "40004": "Business Failed",
    "40005": "Call Limited",
}
_COMMON = {"app_id", "method", "charset", "sign_type", "sign", "timestamp", "version"}
_OPTIONAL = {"format", "notify_url", "biz_content"}
_FIXED = {"sign_type": "RSA2", "version": "1.0", "charset": "utf-8", "format": "JSON"}
_TIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_NUMBER = re.compile(r"[0-9A-Za-z_]{1,64}")
_AMOUNT = re.compile(r"(0|[1-9]\d{0,8})\.\d\d")
_SPECIAL = re.compile(r"[/=&]")

Check = Callable[[Any], bool]


class Fault(Exception):
    """An answer that is no success; `is_signed`: one that Alipay signs."""

    def __init__(self, code: str, sub_code: str, words: str, *, is_signed: bool = True) -> None:
        super().__init__(words)
        self.code = code
        self.sub_code = sub_code
        self.words = words
        self.is_signed = is_signed


def check_common(
    sandbox: Sandbox, query: Mapping[str, str], form: Mapping[str, str], now: float
) -> dict[str, Any]:
    """Return the content of a request that the app signed, not long ago. Raises Fault."""
    if set(query) & set(form):
        raise _unknown("isv.invalid-parameter", "a parameter stands in the address and in the form")
    if query.get("charset") != "utf-8":
        raise _unknown("isv.invalid-charset", "charset must stand in the address")
    parameters = {**query, **form}
    _check_names(parameters)
    if parameters["app_id"] != sandbox.app_id:
        raise _unknown("isv.invalid-app-id", "app_id is not known")
    if not sandbox.is_signed(joined(parameters, "sign"), parameters["sign"]):
        raise _unknown("isv.invalid-signature", "the signature does not hold")
    for name, value in _FIXED.items():
        if parameters.get(name, value) != value:
            raise _invalid(f"isv.invalid-{name}", f"{name} is not {value}")
    _check_timestamp(parameters["timestamp"], now)
    return _content(parameters)


def _check_names(parameters: Mapping[str, str]) -> None:
    for name in _COMMON:
        if not parameters.get(name):
            raise Fault("40001", f"isv.missing-{name}", f"{name} is missing", is_signed=False)
    for name in parameters:
        if name not in _COMMON | _OPTIONAL:
            raise _unknown("isv.invalid-parameter", f"{name} is unknown")


def _check_timestamp(text: str, now: float) -> None:
    if _TIME.fullmatch(text) is None or abs(now - seconds_of(text)) > TOLERANCE_S:
        raise _invalid("isv.invalid-timestamp", "timestamp is not China's time now")


def _content(parameters: Mapping[str, str]) -> dict[str, Any]:
    try:
        content = json.loads(parameters.get("biz_content", ""))
    except ValueError:
        raise _invalid("isv.invalid-parameter", "biz_content is not JSON") from None
    if not isinstance(content, dict):
        raise _invalid("isv.invalid-parameter", "biz_content is not an object")
    place = parameters.get("notify_url")
    if place is not None and not _is_place(place):
        raise _invalid("isv.invalid-parameter", "notify_url is no place for callbacks")
    return content


def check_order(content: dict[str, Any], sandbox: Sandbox, now: float) -> None:
    """Raise Fault unless `content` is a trade that can be created."""
    _check_fields(content, _ORDER, optional={"body", "seller_id", "time_expire"})
    if content.get("seller_id", sandbox.seller_id) != sandbox.seller_id:
        raise _business("ACQ.INVALID_PARAMETER", "seller_id is not this app's")
    if "time_expire" in content:
        left_s = seconds_of(content["time_expire"]) - now
        if not SHORTEST_S <= left_s <= LONGEST_S:
            raise _business("ACQ.INVALID_PARAMETER", "time_expire is not 1m to 15d ahead")


def check_named(content: dict[str, Any]) -> None:
    """Raise Fault unless `content` names a trade by our number."""
    _check_fields(content, {"out_trade_no": _like(_NUMBER)})


def check_refund(content: dict[str, Any]) -> None:
    """Raise Fault unless `content` is a refund that can be asked for."""
    _check_fields(content, _REFUND, optional={"refund_reason"})


def check_refund_question(content: dict[str, Any]) -> None:
    """Raise Fault unless `content` names a refund."""
    _check_fields(content, {"out_trade_no": _like(_NUMBER), "out_request_no": _like(_NUMBER)})


def fen_of(text: str) -> int:
    """Return yuan in fen."""
    return int(Decimal(text) * 100)


def yuan(fen: int) -> str:
    """Return fen in yuan, with two decimals."""
    return f"{Decimal(fen) / 100:.2f}"


def china(at: float) -> str:
    """Return a time as Alipay writes it."""
    return datetime.fromtimestamp(at, UTC).astimezone(CHINA).strftime("%Y-%m-%d %H:%M:%S")


def seconds_of(text: str) -> float:
    """Return the seconds since 1970 of one of Alipay's times. Raises Fault."""
    try:
        found = datetime.strptime(text, "%Y-%m-%d %H:%M:%S").replace(tzinfo=CHINA)
    except ValueError:
        raise _invalid("isv.invalid-parameter", f"{text[:40]} is no time") from None
    return found.timestamp()


def _check_fields(
    content: dict[str, Any],
    checks: Mapping[str, Check],
    optional: frozenset[str] | set[str] = frozenset(),
) -> None:
    for name in content:
        if name not in checks:
            raise _business("ACQ.INVALID_PARAMETER", f"{name} is unknown")
    for name, check in checks.items():
        if name not in content:
            if name not in optional:
                raise _business("ACQ.INVALID_PARAMETER", f"{name} is missing")
        elif not check(content[name]):
            raise _business("ACQ.INVALID_PARAMETER", f"{name} is not of its shape")


def _unknown(sub_code: str, words: str) -> Fault:
    """Return the refusal of one who is not known to be the app: it is not signed."""
    return Fault("40002", sub_code, words, is_signed=False)


def _invalid(sub_code: str, words: str) -> Fault:
    return Fault("40002", sub_code, words)


def _business(sub_code: str, words: str) -> Fault:
    return Fault("40004", sub_code, words)


def _is_place(text: str) -> bool:
    """Say whether callbacks can go to `text`: a URL without a query."""
    parts = urlsplit(text)
    short = len(text) <= 256
    return short and parts.scheme in {"http", "https"} and bool(parts.hostname) and not parts.query


def _text(longest: int) -> Check:
    return lambda value: isinstance(value, str) and 1 <= len(value) <= longest


def _like(shape: "re.Pattern[str]") -> Check:
    return lambda value: isinstance(value, str) and shape.fullmatch(value) is not None


def _is_amount(value: object) -> bool:
    return isinstance(value, str) and bool(_AMOUNT.fullmatch(value)) and fen_of(value) >= 1


def _is_subject(value: object) -> bool:
    return isinstance(value, str) and 1 <= len(value) <= 256 and not _SPECIAL.search(value)


_ORDER: dict[str, Check] = {
    "out_trade_no": _like(_NUMBER),
    "total_amount": _is_amount,
    "subject": _is_subject,
    "body": _text(128),
    "seller_id": _like(re.compile(r"2088\d{12}")),
    "time_expire": _like(_TIME),
}
_REFUND: dict[str, Check] = {
    "out_trade_no": _like(_NUMBER),
    "out_request_no": _like(_NUMBER),
    "refund_amount": _is_amount,
    "refund_reason": _text(256),
}
