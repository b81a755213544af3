"""Stripe's signatures of webhooks: HMAC-SHA256 over `t.body` (docs.stripe.com/webhooks/signature).

The header is `t=<seconds>,v1=<hex>`; while a secret is rolled there is one `v1` for each of them.
Other schemes, such as `v0` of test events, are left alone.
"""

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import datetime

from payonce.domain.errors import BadCallback
from payonce.domain.times import to_ms

HEADER = "stripe-signature"
TOLERANCE_S = 300
"""How far `t` may lie from now, in both directions; Stripe's own libraries take 300 s."""

_MOST_BYTES = 4_096
_TIMESTAMP = re.compile(r"[0-9]{1,12}")
_HEX = re.compile(r"[0-9a-f]{64}")


def verify(keys: Sequence[bytes], header: str, body: bytes, now: datetime) -> None:
    """Raise BadCallback unless one of `keys` signed `body` within 5 minutes of `now`.

    `stale` and `early` only for what is well signed, so that they tell of replays and clocks.
    """
    timestamp, given = _parts(header)
    signed = timestamp.encode() + b"." + body
    wanted = [hmac.new(key, signed, hashlib.sha256).hexdigest() for key in keys]
    # Every pair is compared, and each in constant time: how long it takes tells nothing.
    matches = [hmac.compare_digest(one, each) for one in wanted for each in given]
    if not any(matches):
        raise BadCallback("bad-signature", f"{HEADER} holds no signature by this secret")
    age_s = to_ms(now) // 1000 - int(timestamp)
    if age_s > TOLERANCE_S:
        raise BadCallback("stale", f"{HEADER} is {age_s} s old; allowed: {TOLERANCE_S}")
    if age_s < -TOLERANCE_S:
        raise BadCallback("early", f"{HEADER} is {-age_s} s ahead; allowed: {TOLERANCE_S}")


def _parts(header: str) -> tuple[str, list[str]]:
    """Return the one timestamp and the signatures of scheme v1. Raises BadCallback."""
    if not header:
        raise BadCallback("bad-signature", f"{HEADER} is missing")
    pairs = [one.strip().partition("=") for one in header[:_MOST_BYTES].split(",")]
    times = [value for name, _, value in pairs if name == "t"]
    given = [value for name, _, value in pairs if name == "v1" and _HEX.fullmatch(value)]
    if len(times) != 1 or _TIMESTAMP.fullmatch(times[0]) is None or not given:
        raise BadCallback("bad-signature", f"{HEADER} is not usable")
    return times[0], given
