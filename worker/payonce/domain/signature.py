"""Signatures of Standard Webhooks (standardwebhooks.com): HMAC-SHA256 over `id.timestamp.body`."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime

from payonce.domain.errors import BadCallback, InvalidField
from payonce.domain.times import to_ms

TOLERANCE_S = 300
"""How far `webhook-timestamp` may lie from now, in both directions."""

ID, TIMESTAMP, SIGNATURE = "webhook-id", "webhook-timestamp", "webhook-signature"
SIGNED_HEADERS = (ID, TIMESTAMP, SIGNATURE)

_SECRET_PREFIX = "whsec_"  # noqa: S105 - the public mark of a secret, not one
_ALLOWED_SECRET = "whsec_ and at least 16 bytes in base64"  # noqa: S105 - the same
_LEAST_SECRET_BYTES = 16
# Neither braces nor quotes: what is signed can be cut into id, time and JSON in one way only.
_ID_SHAPE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,254}")
_TIMESTAMP_SHAPE = re.compile(r"[0-9]{1,12}")
_SIGNATURE_SHAPE = re.compile(r"[!-~ ]{1,2048}")


def sign(key: bytes, message_id: str, timestamp_s: int, body: bytes) -> dict[str, str]:
    """Return the three headers of Standard Webhooks for `body`."""
    return {
        ID: message_id,
        TIMESTAMP: str(timestamp_s),
        SIGNATURE: _signature(key, message_id, str(timestamp_s), body),
    }


def verify(keys: Sequence[bytes], headers: Mapping[str, str], body: bytes, now: datetime) -> str:
    """Return the message's id if one of `keys` signed it within 5 minutes of `now`.

    `headers` have lower-case names; `body` is the raw bytes. Raises BadCallback: `bad-signature`
    where a header is missing or not shaped as it must be, `stale` and `early` only for what is
    well signed, so that those two tell of replays and of wrong clocks.
    """
    message_id = _header(headers, ID, _ID_SHAPE)
    timestamp = _header(headers, TIMESTAMP, _TIMESTAMP_SHAPE)
    given = _header(headers, SIGNATURE, _SIGNATURE_SHAPE).split(" ")
    wanted = [_signature(key, message_id, timestamp, body) for key in keys]
    # Every pair is compared, and each in constant time: how long it takes tells nothing.
    matches = [hmac.compare_digest(one, each) for one in wanted for each in given]
    if not any(matches):
        raise BadCallback("bad-signature", f"{SIGNATURE} holds no signature by this secret")
    age_s = to_ms(now) // 1000 - int(timestamp)
    if age_s > TOLERANCE_S:
        raise BadCallback("stale", f"{TIMESTAMP} is {age_s} s old; allowed: {TOLERANCE_S}")
    if age_s < -TOLERANCE_S:
        raise BadCallback("early", f"{TIMESTAMP} is {-age_s} s ahead; allowed: {TOLERANCE_S}")
    return message_id


def signing_key(secret: str) -> bytes:
    """Return the key of a `whsec_` secret, else raise InvalidField (which does not show it)."""
    encoded = secret.strip().removeprefix(_SECRET_PREFIX)
    try:
        key = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidField("secret", "is not base64", _ALLOWED_SECRET) from None
    if len(key) < _LEAST_SECRET_BYTES:
        raise InvalidField("secret", f"has {len(key)} bytes", _ALLOWED_SECRET)
    return key


def _signature(key: bytes, message_id: str, timestamp: str, body: bytes) -> str:
    signed = b".".join((message_id.encode(), timestamp.encode(), body))
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _header(headers: Mapping[str, str], name: str, shape: "re.Pattern[str]") -> str:
    value = headers.get(name, "")
    if shape.fullmatch(value) is None:
        problem = "is not usable" if value else "is missing"
        raise BadCallback("bad-signature", f"{name} {problem}")
    return value
