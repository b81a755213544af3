"""`kind = "alipay"`: Alipay's open platform, a code that the shopper scans (precreate)."""

import base64
import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from payonce.domain.errors import BadSettings
from payonce.settings import values
from payonce.settings.kinds import pem
from payonce.settings.kinds.kind import Kind
from payonce.settings.table import Table

BASE_URL = "https://openapi.alipay.com/gateway.do"
_PRIVATE = (
    "the app's RSA private key: PEM, or base64 without any other line, as Alipay's tool writes"
)
_PUBLIC = "Alipay's RSA public key: PEM, or base64 without any other line, or a list while rotating"
_RSA = bytes.fromhex("06092a864886f70d010101")
"""How PKCS #8 and X.509 say that a key is one of RSA (RFC 8017, appendix A.1); PKCS #1 does not."""

_SAYS_SO_WITHIN = 40
_LONGEST = timedelta(hours=26)
"""Alipay repeats a callback for 25 hours."""


@dataclass(frozen=True, slots=True)
class AlipayCredentials:
    """Who the merchant is, and whose signatures are believed: those of any of `public_keys`.

    `callbacks_for`: how old a callback may be.
    """

    app_id: str
    seller_id: str
    private_key: RSAPrivateKey
    public_keys: tuple[RSAPublicKey, ...]
    callbacks_for: timedelta


def read_credentials(table: Table) -> AlipayCredentials:
    """Return what a table says. Raises BadSettings."""
    private_key = table.need("private_key", _private_key)
    public_keys = table.need("public_key", _public_keys)
    if private_key.public_key().public_numbers() in [one.public_numbers() for one in public_keys]:
        problem = "is the app's own public key"
        raise BadSettings(table.key_of("public_key"), problem, "the key that Alipay gives for it")
    return AlipayCredentials(
        app_id=table.need("app_id", _shaped(r"[0-9]{8,32}", "8 to 32 digits")),
        seller_id=table.need("seller_id", _shaped(r"2088[0-9]{12}", "2088 and 12 more digits")),
        private_key=private_key,
        public_keys=public_keys,
        callbacks_for=table.get("callbacks_for", values.at_most(_LONGEST, "26h"), "5m"),
    )


def _shaped(pattern: str, allowed: str) -> Callable[[str, object], str]:
    def read(key: str, value: object) -> str:
        text = str(value) if type(value) is int else value
        if not isinstance(text, str) or re.fullmatch(pattern, text) is None:
            raise BadSettings(key, "is not of its shape", allowed)
        return text

    return read


def _private_key(key: str, value: object) -> RSAPrivateKey:
    try:
        return pem.private_key(key, _dressed(key, value, "PRIVATE KEY"))
    except BadSettings as error:
        raise BadSettings(key, error.problem, _PRIVATE) from None


def _public_keys(key: str, value: object) -> tuple[RSAPublicKey, ...]:
    listed = value if isinstance(value, list) else [value]
    if not listed:
        raise BadSettings(key, "is empty", _PUBLIC)
    return tuple(_public_key(key, one) for one in listed)


def _public_key(key: str, value: object) -> RSAPublicKey:
    try:
        found, serial = pem.public_key(key, _dressed(key, value, "PUBLIC KEY"))
    except BadSettings as error:
        raise BadSettings(key, error.problem, _PUBLIC) from None
    if serial is not None:
        raise BadSettings(key, "is a certificate", "the public key itself: this is key mode")
    return found


def _dressed(key: str, value: object, label: str) -> object:
    """Return a key as PEM: what is base64 and nothing else gets the lines that Alipay leaves out.

    PKCS #8 and X.509 name RSA at their beginning; what does not is PKCS #1. What is allowed, the
    caller says.
    """
    if not isinstance(value, str) or "-----BEGIN " in value:
        return value
    bare = "".join(value.split())
    try:
        der = base64.b64decode(bare, validate=True)
    except (binascii.Error, ValueError):
        raise BadSettings(key, "is neither PEM nor base64", "") from None
    if not der:
        raise BadSettings(key, "is empty", "")
    name = label if _RSA in der[:_SAYS_SO_WITHIN] else f"RSA {label}"
    lines = "\n".join(bare[at : at + 64] for at in range(0, len(bare), 64))
    return f"-----BEGIN {name}-----\n{lines}\n-----END {name}-----\n"


# Sources: opendocs.alipay.com, page "alipay.trade.precreate" and what others saw.
# A code is good for 2 hours (seen by others), and payonce sends time_expire, after which the trade
# cannot be paid. Should Alipay count from the scan all the same, a last look two hours after the
# end finds it. Alipay documents no rate. The same out_request_no with the same amount pays once,
# without an end that is told; a trade can be sent back for 3 to 12 months, as it was signed.
ALIPAY = Kind(
    "alipay",
    read_credentials,
    base_url=BASE_URL,
    watch_for="2h",
    lateness="2h",
    refund_key_window="90d",
)
