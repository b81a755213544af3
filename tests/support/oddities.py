"""Requests that no client library would make, for every route of the table of operations."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from payonce.edge.operations import OPERATIONS, Operation, Who

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND")

NAMES = ("%00", "%ff", "%0a", "%E2%80%AE", "%F0%9F%92%B0", "%ED%A0%80", "..%2f..%2fetc", "%2e%2e")
PARTS = (*NAMES, "a;b", "a%3Fb", "%25", "'", "~", "x" * 4_000)

QUERIES = (
    *("limit", "limit=", "limit=1&limit=2", "limit=%00", "limit=%ff", "limit=1e3", "limit=%D9%A1"),
    *("limit=+1", "limit=-1", "limit=" + "9" * 4_000),
    *("cursor=%00", "cursor=%ff", "cursor=%ED%A0%80", "cursor=////", "cursor=" + "A" * 4_000),
    *("cursor=-1", "cursor=0", "cursor=" + "9" * 30, "cursor=OQ"),
    # A time, a space, and: nothing, a digit, a NUL; the first and the last of all times.
    *("cursor=MjAyNi0wMS0wMSA", "cursor=MjAyNi0wMS0wMSAx", "cursor=MjAyNi0wMS0wMSAA"),
    *("cursor=MDAwMS0wMS0wMVQwMDowMDowMCsyMzo1OSB4", "cursor=OTk5OS0xMi0zMVQyMzo1OTo1OS0yMzo1OSB4"),
    *("which=%00", "which=ALL", "status=%00", "status=held", "token=%00", "token=%ff", "&&&", "="),
)

BODIES = (
    *(b"", b" ", b"{", b"[]", b"null", b"1", b'"x"', b"a=b&c=d", b"\x00", b"\xff\xfe{\x00}\x00"),
    *(b"\xef\xbb\xbf{}", b'{"a":1,"a":2}', b"[" * 60_000, b'{"a":' * 12_000),
)
TYPES = ("application/json", "text/plain; charset=utf-16", "multipart/form-data", "nonsense")
ENCODINGS = ("gzip", "br", "deflate", "nonsense")

TEXTS = (
    *('""', '" "', '"\\u0000"', '"a\\u0000"', '"a\\n"', '"\\ud800"', '"\\u202e"', '"\\uffff"'),
    *('"é"', "null", "true", "{}", "[]", '["\\u0000"]', '["\\ud800"]', '"' + "x" * 50_000 + '"'),
)
NUMBERS = ("-1", "-0", "0.1", "1.0", "1e3", "1e400", "NaN", "9007199254740992", "9" * 5_000)

_GOOD = {
    "order_id": '"o-9"',
    "payment_id": '"p-9"',
    "gateway": '"mock"',
    "amount": "1999",
    "currency": '"CNY"',
    "expires_at": "null",
    "message_ids": '["m-9"]',
    "all": "false",
    "why": '"because"',
    "as": '"kept"',
}
_KEYS = ("a\t", "é", "x" * 300)


@dataclass(frozen=True, slots=True)
class Oddity:
    """One request; `path` is encoded already."""

    method: str
    path: str
    who: Who
    data: bytes | None = None
    headers: dict[str, str] = field(default_factory=dict)


def oddities() -> Iterator[Oddity]:
    """Yield them all, route by route."""
    for (method, path), operation in OPERATIONS.items():
        plain = _named(path, "x")
        for other in METHODS:
            if (other, path) not in OPERATIONS:
                yield Oddity(other, plain, operation.who)
        for odd in PARTS if "{" in path else ():
            yield Oddity(method, _named(path, odd), operation.who)
        for query in QUERIES:
            yield Oddity(method, f"{plain}?{query}", operation.who)
        if method == "POST":
            yield from _posts(plain, operation)


def _named(path: str, name: str) -> str:
    return re.sub(r"{\w+}", name, path)


def _posts(path: str, operation: Operation) -> Iterator[Oddity]:
    for body in BODIES:
        yield Oddity("POST", path, operation.who, body)
    for kind in TYPES:
        yield Oddity("POST", path, operation.who, b"{}", {"Content-Type": kind})
    for encoding in ENCODINGS:
        yield Oddity("POST", path, operation.who, b"{}", {"Content-Encoding": encoding})
    for key in _KEYS:
        yield Oddity("POST", path, operation.who, b"{}", {"Idempotency-Key": key})
    names = [one for one in getattr(operation.body, "__annotations__", ()) if one in _GOOD]
    for name in names:
        for value in (*TEXTS, *NUMBERS):
            fields = {**{one: _GOOD[one] for one in names}, name: value}
            content = ",".join(f'"{one}":{text}' for one, text in fields.items())
            yield Oddity("POST", path, operation.who, f"{{{content}}}".encode())


def headers_of(oddity: Oddity, tokens: dict[Who, str]) -> dict[str, Any]:
    """Return the headers to send, with a token where one is asked for."""
    token = tokens.get(oddity.who)
    return {**oddity.headers, **({"Authorization": f"Bearer {token}"} if token else {})}
