"""`kind = "wechatpay"`: WeChat Pay's API v3, Native (a QR code on the shop's page)."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from payonce.domain.errors import BadSettings
from payonce.settings.kinds import pem
from payonce.settings.kinds.kind import Kind
from payonce.settings.secret import Secret
from payonce.settings.table import Table

API_V3_KEY_BYTES = 32
PUBLIC_KEY_ID = "PUB_KEY_ID_"
_PUBLIC_KEY_ID = re.compile(r"PUB_KEY_ID_[0-9A-Z]{1,64}")
_SERIAL = re.compile(r"[0-9A-F]{1,40}")
_PUBLIC_KEYS = "a table of PEM texts by serial number or PUB_KEY_ID_..."
_API_V3_KEY = "the APIv3 key of 32 bytes, or a list of them while it is being changed"


@dataclass(frozen=True, slots=True)
class WechatPayCredentials:
    """Who the merchant is, and whose signatures are believed.

    `serial`: of the merchant's own certificate. All of `api_v3_keys` are tried in turn.
    `public_keys`: WeChat Pay's, by the serial of a platform certificate, or by the id of a public
    key; certificates that are not there are fetched when they are needed.
    """

    mchid: str
    appid: str
    serial: str
    private_key: RSAPrivateKey
    api_v3_keys: tuple[Secret, ...]
    public_keys: Mapping[str, RSAPublicKey]


def read_credentials(table: Table) -> WechatPayCredentials:
    """Return what a table says. Raises BadSettings."""
    return WechatPayCredentials(
        mchid=table.need("mchid", _shaped(r"[0-9]{1,32}", "1 to 32 digits")),
        appid=table.need("appid", _shaped(r"[0-9A-Za-z_-]{1,32}", "such as wxd678efh567hg6787")),
        serial=table.need("serial", _serial),
        private_key=table.need("private_key", pem.private_key),
        api_v3_keys=table.need("api_v3_key", _api_v3_keys),
        public_keys=table.get("public_keys", _public_keys, {}),
    )


def _shaped(pattern: str, allowed: str) -> Callable[[str, object], str]:
    def read(key: str, value: object) -> str:
        text = str(value) if type(value) is int else value
        if not isinstance(text, str) or re.fullmatch(pattern, text) is None:
            raise BadSettings(key, "is not of its shape", allowed)
        return text

    return read


def _serial(key: str, value: object) -> str:
    """Return a certificate's serial number in capitals, as WeChat Pay writes it."""
    read = _shaped(r"[0-9A-Fa-f]{8,40}", "the certificate's serial number, 8 to 40 hex digits")
    return read(key, value).upper()


def _api_v3_keys(key: str, value: object) -> tuple[Secret, ...]:
    values = value if isinstance(value, list) else [value]
    if not values:
        raise BadSettings(key, "is empty", _API_V3_KEY)
    return tuple(_api_v3_key(key, one) for one in values)


def _api_v3_key(key: str, value: object) -> Secret:
    if not isinstance(value, str):
        raise BadSettings(key, "is not text", _API_V3_KEY)
    length = len(value.encode())
    if length != API_V3_KEY_BYTES:
        raise BadSettings(key, f"has {length} bytes", _API_V3_KEY)
    return Secret(value)


def _public_keys(key: str, value: object) -> Mapping[str, RSAPublicKey]:
    if not isinstance(value, dict):
        raise BadSettings(key, "is not a table", _PUBLIC_KEYS)
    return dict(_public_key(key, name, one) for name, one in value.items())


def _public_key(key: str, name: str, value: object) -> tuple[str, RSAPublicKey]:
    """Return a key under the name that signatures call it by; variables write it small."""
    number, place = name.upper().lstrip("0"), f"{key}.{name}"
    found, serial = pem.public_key(place, value)
    if serial not in {None, number}:
        raise BadSettings(place, f"holds the certificate {serial}", "a certificate of this serial")
    if _PUBLIC_KEY_ID.fullmatch(number) is None and _SERIAL.fullmatch(number) is None:
        raise BadSettings(place, "is no name of a key", _PUBLIC_KEYS)
    return number, found


# Queries 1800, creates 600, refunds 150 a second: pay.weixin.qq.com, pages of these calls; the
# number is for all calls together, refunds have caps of their own. A query costs little there, so
# the ladder is [poll]'s. A code lives 2 hours: page "Native". An unpaid order is not closed by
# itself and takes money until its time_expire, which is no sooner than a minute after its creation.
# The same out_refund_no is paid once, a refund is possible for a year: page "refunds".
WECHATPAY = Kind(
    "wechatpay",
    read_credentials,
    base_url="https://api.mch.weixin.qq.com",
    watch_for="2h",
    rate_per_s=600,
    refund_key_window="365d",
)
