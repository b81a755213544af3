"""Samples in order, changed at one place or several: what a hostile sender would write."""

import json
from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from hypothesis import strategies as st

Path = tuple[Any, ...]

ODD_NUMBERS = [
    0,
    -1,
    1,
    -0.0,
    1.5,
    1999.0,
    2**31,
    2**53,
    2**53 + 1,
    2**63 - 1,
    2**63,
    2**64,
    -(2**63),
    10**30,
    1e308,
    True,
    False,
]
ODD_TEXTS = [
    "",
    "\x00",
    "\ud800",
    "\x1b[2J",
    "\u202e1",
    "null",
    "1e9",
    "\uff11\uff19\uff19\uff19",
    "NaN",
    "p-2",
    "o-2",
    "cs_test_2",
    "pi_2",
    "USD",
    "cny",
    "JPY",
    "KWD",
    "9999-12-31T23:59:59-14:00",
    "0001-01-01T00:00:00+14:00",
    "2026-01-31T08:00:00",
    "<script>alert(1)</script>",
    "../../../etc/passwd",
    "x" * 5_000,
]

scalars = (
    st.none()
    | st.sampled_from(ODD_NUMBERS)
    | st.sampled_from(ODD_TEXTS)
    | st.integers()
    | st.floats()
    | st.text(st.characters(), max_size=40)
)
anything = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Yield the way to everything within a value."""
    inside: Iterator[tuple[Any, Any]] = iter(())
    if isinstance(value, dict):
        inside = iter(value.items())
    elif isinstance(value, list):
        inside = iter(enumerate(value))
    for key, one in inside:
        yield (*path, key)
        yield from places(one, (*path, key))


def _set(value: Any, path: Path, new: Any) -> Any:
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = new
    return value


def _drop(value: Any, path: Path) -> Any:
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    del holder[path[-1]]
    return value


@st.composite
def changed(draw: st.DrawFn, sample: Any) -> Any:
    """Return a sample with up to three places changed, dropped, doubled or nested."""
    value = deepcopy(sample)
    for _ in range(draw(st.integers(1, 3))):
        found = list(places(value))
        if not found:
            return draw(anything)
        path = draw(st.sampled_from(found))
        match draw(st.sampled_from(["change", "change", "change", "drop", "nest", "more"])):
            case "change":
                value = _set(value, path, draw(anything))
            case "drop":
                value = _drop(value, path)
            case "nest":
                value = _set(value, path, [{"a": draw(anything)}])
            case _:
                name = draw(st.text(max_size=12) | st.sampled_from(["amount", "status", "id"]))
                value = _set(value, path, {name: draw(anything), "more": draw(anything)})
    return value


@st.composite
def spoiled(draw: st.DrawFn, raw: bytes) -> bytes:
    """Return bytes with some cut out, doubled, or replaced."""
    data = bytearray(raw)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 20)))
        match draw(st.sampled_from(["cut", "double", "replace", "insert"])):
            case "cut":
                del data[start:end]
            case "double":
                data[start:start] = data[start:end]
            case "replace":
                data[start:end] = draw(st.binary(max_size=20))
            case _:
                data[start:start] = draw(st.sampled_from(TOKENS) | st.binary(max_size=8))
    return bytes(data)


TOKENS = [
    b'"amount":1,',
    b'"status":"succeeded",',
    b"NaN",
    b"1e999",
    b"-0",
    b"9" * 400,
    b"[" * 3_000,
    b'{"a":' * 1_500,
    b"\\ud800",
    b"\xed\xa0\x80",
    b"\xef\xbb\xbf",
    b"\x00",
    b"\x1f\x8b\x08\x00",
    b"/**/",
    b"\xff" * 8,
    b"&trade_status=TRADE_SUCCESS",
    b"%00",
]


def written(value: Any) -> bytes:
    """Return a value as JSON, lone surrogates as escapes and numbers that JSON has none of."""
    return json.dumps(value).encode()


def hostile(sample: Any) -> st.SearchStrategy[bytes]:
    """Return bodies made of a sample: changed in its structure, in its bytes, or anything."""
    raw = written(sample)
    return (
        changed(sample).map(written)
        | changed(sample).map(written)
        | spoiled(raw)
        | changed(sample).map(written).flatmap(spoiled)
        | anything.map(written)
        | st.binary(max_size=200)
    )


def said(body: bytes, name: str) -> list[Any]:
    """Return everything that a body says under a name, at any depth, doubled keys too."""
    found: list[Any] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found.extend(value for key, value in items if key == name)
        return dict(items)

    try:
        # What no field is named after need not be UTF-8 to those who read by fields.
        json.loads(body.decode(errors="replace"), object_pairs_hook=pairs)
    except (ValueError, RecursionError):
        return []
    return found
