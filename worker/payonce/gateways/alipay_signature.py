"""RSA2, Alipay's signatures (opendocs.alipay.com, pages "sign" and "asynchronous notifications").

A request is signed over its sorted `k=v&k=v` without `sign` and without what is empty; `sign_type`
counts. An answer is signed over the exact bytes of its one value. A callback is signed over its
decoded values, sorted, without `sign` and `sign_type`; some kinds keep `sign_type`, and libraries
differ about what is empty: any of these contents is taken.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta, timezone
from urllib.parse import parse_qsl

import msgspec
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from payonce.domain.errors import BadCallback
from payonce.gateways.http_words import Nonsense, decode, said
from payonce.gateways.rsa import is_signed

SIGN_TYPE = "RSA2"
CHINA = timezone(timedelta(hours=8))
"""All times of Alipay are those of China, without an offset."""

AHEAD = timedelta(minutes=5)
_MOST_FIELDS = 100
_TIME = "%Y-%m-%d %H:%M:%S"
_TIME_SHAPE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
_EVENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,254}")
_answers = msgspec.json.Decoder(dict[str, msgspec.Raw])
_signatures = msgspec.json.Decoder(str)


def to_sign(parameters: Mapping[str, str]) -> bytes:
    """Return what is signed of a request."""
    return _joined((name, value) for name, value in parameters.items() if value and name != "sign")


def open_answer(body: bytes, name: str, keys: Iterable[RSAPublicKey]) -> bytes | Nonsense:
    """Return the value `name` of an answer, byte by byte as it stands, if one of `keys` signed it.

    What failed may stand under `error_response`, and need not be signed: then it is no word.
    """
    parts = decode(_answers, body)
    if isinstance(parts, Nonsense):
        return parts
    raw = parts.get(name, parts.get("error_response"))
    if raw is None:
        return Nonsense(f"nonsense: {name} is missing")
    signature = decode(_signatures, bytes(parts.get("sign", b'""')))
    content = bytes(raw)
    if isinstance(signature, Nonsense) or not signature:
        return Nonsense(said(f"is not signed: {content.decode(errors='replace')}"))
    if not any(is_signed(key, content, signature) for key in keys):
        return Nonsense("is not signed by Alipay's key")
    return content


def read_form(body: bytes) -> Mapping[str, str]:
    """Return the fields of a callback, decoded once. Raises BadCallback."""
    try:
        pairs = parse_qsl(
            body.decode(),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MOST_FIELDS,
        )
    except ValueError:
        raise BadCallback("bad-signature", "the body is no form in UTF-8") from None
    form = dict(pairs)
    if len(form) != len(pairs):
        raise BadCallback("bad-signature", "the body has a field twice")
    return form


def check_form(form: Mapping[str, str], keys: Sequence[RSAPublicKey]) -> None:
    """Raise BadCallback unless one of `keys` signed the form."""
    if form.get("sign_type") != SIGN_TYPE:
        raise BadCallback("bad-signature", f"sign_type is not {SIGN_TYPE}")
    signature = form.get("sign", "")
    for content in _contents(form):
        if any(is_signed(key, content, signature) for key in keys):
            return
    raise BadCallback("bad-signature", "sign is not by Alipay's key")


def check_age(form: Mapping[str, str], now: datetime, oldest: timedelta) -> None:
    """Raise BadCallback where notify_time lies longer ago than `oldest`, or ahead."""
    told_at = time_of(form.get("notify_time", ""))
    if told_at is None:
        raise BadCallback("bad-signature", "notify_time is not a time")
    if now - told_at > oldest:
        raise BadCallback("stale", "notify_time is older than callbacks_for allows")
    if told_at - now > AHEAD:
        raise BadCallback("early", "notify_time lies in the future")


def event_id_of(form: Mapping[str, str]) -> str:
    """Return the callback's own id; one that has none is known by what stands in it."""
    notify_id = form.get("notify_id", "")
    if _EVENT_ID.fullmatch(notify_id):
        return notify_id
    return f"sha256-{hashlib.sha256(to_sign(form)).hexdigest()}"


def time_of(text: str) -> datetime | None:
    """Return a time of Alipay's, in UTC; None: it is none."""
    if _TIME_SHAPE.fullmatch(text) is None:
        return None
    try:
        return datetime.strptime(text, _TIME).replace(tzinfo=CHINA).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def written(time: datetime) -> str:
    """Return a time as Alipay writes it."""
    return time.astimezone(CHINA).strftime(_TIME)


def _contents(form: Mapping[str, str]) -> set[bytes]:
    """Return what may have been signed of a callback."""
    fields = [(name, value) for name, value in form.items() if name != "sign"]
    plain = [(name, value) for name, value in fields if name != "sign_type"]
    filled = [(name, value) for name, value in plain if value]
    kept = [(name, value) for name, value in fields if value]
    return {_joined(one) for one in (plain, filled, fields, kept)}


def _joined(fields: Iterable[tuple[str, str]]) -> bytes:
    return "&".join(f"{name}={value}" for name, value in sorted(fields)).encode()
