"""Readers of single values: each returns what is meant or raises BadSettings with the key."""

import base64
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Any, TypeVar
from urllib.parse import urlsplit

from yarl import URL

from payonce.domain.addresses import literal, why_never
from payonce.domain.errors import BadSettings, InvalidField
from payonce.domain.ladder import Ladder
from payonce.domain.money import MAX_AMOUNT, check_currency
from payonce.settings.secret import Secret

Value = TypeVar("Value")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_UNITS = {
    "ms": timedelta(milliseconds=1),
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
}
_LONGEST = timedelta(days=400)
_LADDER = 'a list of 1 to 20 durations, such as ["3s", "10s", "30s", "3m"]'
_WEBHOOK_SECRET = "whsec_ followed by base64 of at least 16 bytes"  # noqa: S105 - says what is one


def text(key: str, value: object) -> str:
    """Return printable text of at most 1,000 characters."""
    if not isinstance(value, str) or len(value) > 1_000 or not value.isprintable():
        raise BadSettings(key, f"{_shown(value)} is not text", "one line of text")
    return value


def secret(key: str, value: object) -> Secret:
    """Return text that is kept from logs."""
    if not isinstance(value, str):
        raise BadSettings(key, "is not text", "text, or a file named by ..._FILE")
    return Secret(value)


def webhook_secret(key: str, value: object) -> Secret:
    """Return a Standard Webhooks secret: `whsec_` and base64 of 16 bytes or more; empty is none."""
    if not isinstance(value, str):
        raise BadSettings(key, "is not text", _WEBHOOK_SECRET)
    if value and not value.startswith("whsec_"):
        raise BadSettings(key, "does not begin with whsec_", _WEBHOOK_SECRET)
    try:
        raw = base64.b64decode(value.removeprefix("whsec_"), validate=True)
    except ValueError:
        raise BadSettings(key, "is not base64 after whsec_", _WEBHOOK_SECRET) from None
    if value and len(raw) < 16:
        raise BadSettings(key, "is too short", _WEBHOOK_SECRET)
    return Secret(value)


def webhook_secrets(key: str, value: object) -> tuple[Secret, ...]:
    """Return one or several Standard Webhooks secrets."""
    values = value if isinstance(value, list) else [value]
    found = tuple(webhook_secret(key, one) for one in values)
    if not found or not all(found):
        raise BadSettings(key, "is empty", "a whsec_ secret, or a list of them while rotating")
    return found


def flag(key: str, value: object) -> bool:
    """Return a boolean."""
    if isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise BadSettings(key, f"{_shown(value)} is not a boolean", "true or false")
    return value


def whole(low: int, high: int) -> Callable[[str, object], int]:
    """Return a reader of integers from `low` to `high`."""

    def read(key: str, value: object) -> int:
        if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value):
            value = int(value)
        if type(value) is not int or not low <= value <= high:
            raise BadSettings(
                key, f"{_shown(value)} is not allowed", f"a whole number {low} to {high}"
            )
        return value

    return read


def number(low: float, high: float) -> Callable[[str, object], float]:
    """Return a reader of numbers from `low` to `high`."""

    def read(key: str, value: object) -> float:
        if isinstance(value, str) and re.fullmatch(r"\d{1,18}(\.\d{1,18})?", value):
            value = float(value)
        if (
            not isinstance(value, int | float)
            or isinstance(value, bool)
            or not low <= value <= high
        ):
            raise BadSettings(
                key, f"{_shown(value)} is not allowed", f"a number {low:g} to {high:g}"
            )
        return float(value)

    return read


def seconds(low: float, high: float) -> Callable[[str, object], float]:
    """Return a reader of seconds from `low` to `high`, as a number or a duration."""

    def read(key: str, value: object) -> float:
        found = _seconds(key, value)
        if found is None or not low <= found <= high:
            allowed = f"{low:g} to {high:g} seconds, such as 5 or 1500ms"
            raise BadSettings(key, f"{_shown(value)} is not allowed", allowed)
        return float(found)

    return read


def _seconds(key: str, value: object) -> float | None:
    if isinstance(value, int | float):
        return None if isinstance(value, bool) else value
    if isinstance(value, str) and re.fullmatch(r"\d{1,18}(\.\d{1,18})?", value):
        return float(value)
    try:
        return duration(key, value).total_seconds()
    except BadSettings:
        return None


def duration(key: str, value: object) -> timedelta:
    """Return a duration such as 250ms, 3s, 3m, 2h, 30d."""
    match = _DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise BadSettings(
            key, f"{_shown(value)} is not a duration", "such as 250ms, 3s, 3m, 2h, 30d"
        )
    amount = float(match.group(1))
    if amount * _UNITS[match.group(2)].total_seconds() > _LONGEST.total_seconds():
        raise BadSettings(key, f"{_shown(value)} is too long", "400d at most")
    found = amount * _UNITS[match.group(2)]
    if found <= timedelta(0):
        raise BadSettings(key, f"{_shown(value)} is not positive", "more than 0")
    return found


def at_most(longest: timedelta, written: str) -> Callable[[str, object], timedelta]:
    """Return a reader of durations up to `longest`, which is `written` in errors."""

    def read(key: str, value: object) -> timedelta:
        found = duration(key, value)
        if found > longest:
            raise BadSettings(key, "is too long", f"{written} at most")
        return found

    return read


def ladder(key: str, value: object) -> Ladder:
    """Return the ladder that a list of durations describes."""
    if not isinstance(value, list) or not 1 <= len(value) <= 20:
        raise BadSettings(key, f"{_shown(value)} is not a ladder", _LADDER)
    waits = tuple(round(duration(key, one).total_seconds() * 1000) for one in value)
    try:
        return Ladder(waits)
    except InvalidField as error:
        raise BadSettings(key, error.problem, f"waits from {error.allowed}") from None


def limits(key: str, value: object) -> Mapping[str, int]:
    """Return amounts in minor units by currency."""
    if not isinstance(value, dict):
        raise BadSettings(key, f"{_shown(value)} is not a table", "such as { CNY = 100000 }")
    read = whole(0, MAX_AMOUNT)
    found: dict[str, int] = {}
    for name, most in value.items():
        code = _currency(key, name.upper())
        if code in found:
            raise BadSettings(f"{key}.{name}", "is there twice", "one limit a currency")
        found[code] = read(f"{key}.{name}", most)
    return found


def _currency(key: str, code: str) -> str:
    try:
        return check_currency(code)
    except InvalidField as error:
        raise BadSettings(key, error.problem, error.allowed) from None


def choice(*allowed: str) -> Callable[[str, object], str]:
    """Return a reader of one of some words."""

    def read(key: str, value: object) -> str:
        if not isinstance(value, str) or value not in allowed:
            raise BadSettings(key, f"{_shown(value)} is not allowed", ", ".join(allowed))
        return value

    return read


def url(
    *schemes: str, empty_ok: bool = False, socket_ok: bool = False
) -> Callable[[str, object], str]:
    """Return a reader of URLs with one of `schemes` and a host; `socket_ok`: or a path."""
    allowed = " or ".join("unix:///path" if one == "unix" else f"{one}://host" for one in schemes)

    def read(key: str, value: object) -> str:
        if not isinstance(value, str) or not (value or empty_ok):
            raise BadSettings(key, "is not a URL", allowed)
        if value and not _is_url(value, schemes, socket_ok=socket_ok):
            raise BadSettings(key, "is not such a URL", allowed)
        return value

    return read


def plain_url(*schemes: str) -> Callable[[str, object], str]:
    """Return a reader of URLs without user, password and fragment; empty is none."""
    read_url = url(*schemes, empty_ok=True)

    def read(key: str, value: object) -> str:
        found = read_url(key, value)
        parts = urlsplit(found)
        if "@" in parts.netloc or "#" in found:
            allowed = " or ".join(f"{one}://host/path" for one in schemes)
            what = "holds a user" if "@" in parts.netloc else "holds a fragment"
            raise BadSettings(key, what, allowed)
        return found

    return read


def called(read: Callable[[str, object], str]) -> Callable[[str, object], str]:
    """Return a reader of URLs that payonce calls: never where nobody means to have it call."""

    def read_called(key: str, value: object) -> str:
        found = read(key, value)
        problem = never_called(found) if found else None
        if problem is not None:
            raise BadSettings(key, problem, "the address of a server")
        return found

    return read_called


def never_called(url: str) -> str | None:
    """Return what is wrong with the host of a URL; None: it may be called.

    Read as the HTTP client does, to which some other letters are digits and dots.
    """
    try:
        host = URL(url).host or ""
    except ValueError:
        return "is no URL that can be called"
    address = literal(host)
    if address is None:
        is_number = host.replace(".", "").isdigit()
        return f"holds {host!r:.60}, a number that is no address" if is_number else None
    why = why_never(address)
    return None if why is None else f"leads to {host}, which is never called: {why}"


def _is_url(value: str, schemes: tuple[str, ...], *, socket_ok: bool) -> bool:
    try:
        parts = urlsplit(value)
        # PostgreSQL's may name several hosts, each with a port.
        port_ok = "," in parts.netloc or parts.port != 0
    except ValueError:
        return False
    plain = value.isprintable() and " " not in value and "://" in value
    place = parts.hostname or (socket_ok and parts.path)
    return plain and port_ok and parts.scheme in schemes and bool(place)


def networks(key: str, value: object) -> tuple[IPv4Network | IPv6Network, ...]:
    """Return the networks of a list of texts; one that holds everybody is refused."""
    allowed = 'a list of networks, such as ["10.0.0.0/8", "fd00::/8", "192.0.2.7"]'
    if not isinstance(value, list):
        raise BadSettings(key, f"{_shown(value)} is not a list", allowed)
    found = []
    for one in value:
        try:
            found.append(ip_network(one if isinstance(one, str) else ""))
        except ValueError:
            raise BadSettings(key, f"{_shown(one)} is no network", allowed) from None
        if found[-1].prefixlen == 0:
            raise BadSettings(key, f"{_shown(one)} is everybody", allowed)
    return tuple(found)


def tokens(key: str, value: object) -> Mapping[str, Secret]:
    """Return the operators' tokens by name."""
    if not isinstance(value, dict):
        raise BadSettings(key, "is not a table", 'name = "token"')
    found = {name: secret(f"{key}.{name}", one) for name, one in value.items()}
    for name, token in found.items():
        if not token:
            raise BadSettings(f"{key}.{name}", "is empty", "a token, or no such line")
    return found


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
