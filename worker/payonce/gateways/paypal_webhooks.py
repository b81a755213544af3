"""PayPal's webhooks, proven on the spot (PayPal, Integrate webhooks, self-verification)."""

import re
import zlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from payonce.domain.errors import BadCallback, InvalidField
from payonce.domain.times import parse_time
from payonce.gateways.paypal_certs import Certificates
from payonce.gateways.rsa import is_signed
from payonce.ports.gateway import CheckedCallback

ALGORITHM = "paypal-auth-algo"
CERT_URL = "paypal-cert-url"
ID = "paypal-transmission-id"
SIGNATURE = "paypal-transmission-sig"
TIME = "paypal-transmission-time"
HEADERS = (ALGORITHM, CERT_URL, ID, SIGNATURE, TIME)

# Longest lengths: PayPal, Webhooks management API, verify_webhook_signature. No bar: what is signed
# can be cut into its parts in one way only.
_SHAPES = {
    ALGORITHM: re.compile(r"SHA256withRSA"),
    CERT_URL: re.compile(r"https?://[!-~]{1,490}"),
    ID: re.compile(r"[A-Za-z0-9-]{1,50}"),
    SIGNATURE: re.compile(r"[A-Za-z0-9+/]{1,690}={0,2}"),
    TIME: re.compile(r"[0-9TZ:.+-]{10,40}"),
}
EARLY_FOR = timedelta(minutes=5)


class EventId(msgspec.Struct):
    """An event, as far as it has an id."""

    id: str


_ids = msgspec.json.Decoder(EventId)
_EVENT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,199}")


def signed_message(transmission_id: str, time: str, webhook_id: str, body: bytes) -> bytes:
    """Return what PayPal signs: the checksum is CRC-32, unsigned, as a decimal."""
    return f"{transmission_id}|{time}|{webhook_id}|{zlib.crc32(body)}".encode()


class Webhooks:
    """Tells whether a callback is PayPal's, and of now."""

    def __init__(
        self, certificates: Certificates, webhook_ids: Sequence[str], valid_for: timedelta
    ) -> None:
        self._certificates = certificates
        self._webhook_ids = webhook_ids
        self._valid_for = valid_for

    async def check(
        self, headers: Mapping[str, str], body: bytes, now: datetime
    ) -> CheckedCallback:
        """Return the event's id if PayPal signed it for one of our webhooks, not long ago.

        Raises BadCallback, `stale` and `early` only for what is well signed, and Unavailable where
        the certificate cannot be had. What is shaped wrongly has none fetched for it.
        """
        given = {name.lower(): value for name, value in headers.items()}
        found = {name: _header(given, name) for name in HEADERS}
        key = await self._certificates.key_of(found[CERT_URL], now)
        messages = (signed_message(found[ID], found[TIME], one, body) for one in self._webhook_ids)
        if not any(is_signed(key, one, found[SIGNATURE]) for one in messages):
            raise BadCallback("bad-signature", f"{SIGNATURE} does not fit this body and webhook")
        _check_age(found[TIME], now, self._valid_for)
        return CheckedCallback(_event_id(body) or found[ID], found)


def _header(headers: Mapping[str, str], name: str) -> str:
    value = headers.get(name, "")
    if _SHAPES[name].fullmatch(value) is None:
        problem = "is not usable" if value else "is missing"
        raise BadCallback("bad-signature", f"{name} {problem}")
    return value


def _check_age(text: str, now: datetime, valid_for: timedelta) -> None:
    try:
        sent_at = parse_time(text, TIME)
    except InvalidField as error:
        raise BadCallback("bad-signature", str(error)) from None
    if now - sent_at > valid_for:
        raise BadCallback("stale", f"{TIME} is older than {valid_for}")
    if sent_at - now > EARLY_FOR:
        raise BadCallback("early", f"{TIME} is more than {EARLY_FOR} ahead")


def _event_id(body: bytes) -> str | None:
    """Return the event's own id, which its repeats have too."""
    try:
        event_id = _ids.decode(body).id
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return event_id if _EVENT_ID.fullmatch(event_id) else None
