"""`kind = "paypal"`: Orders v2, whose money moves only when we capture it."""

import ipaddress
import re
from dataclasses import dataclass
from datetime import timedelta
from urllib.parse import urlsplit

from cryptography import x509

from payonce.domain.errors import BadSettings
from payonce.settings import values
from payonce.settings.kinds.kind import Kind
from payonce.settings.secret import Secret
from payonce.settings.table import Table

_WORD = re.compile(r"[!-~]{1,200}")
# PayPal's have 80: a short one would be struck out of all that PayPal says.
_SECRET = re.compile(r"[!-~]{16,200}")
_WEBHOOK_ID = re.compile(r"[A-Za-z0-9]{1,50}")
_HOST = re.compile(r"(\*\.)?([a-z0-9-]{1,63}\.)+[a-z]{2,63}")
_HOSTS = "such as *.paypal.com or api-m.paypal.com; for a mock, http://127.0.0.1:9090"
_LONGEST = timedelta(days=4)


@dataclass(frozen=True, slots=True)
class PaypalCredentials:
    """The first of the client's secrets is sent; a later one where PayPal refuses it.

    `cert_hosts`: where certificates of callbacks may come from. `cert_roots`: the certificates that
    theirs must lead to; empty: the system's. `callbacks_for`: how old a callback may be.
    """

    client_id: str
    client_secrets: tuple[Secret, ...]
    webhook_ids: tuple[str, ...]
    cert_hosts: tuple[str, ...]
    cert_roots: tuple[x509.Certificate, ...]
    callbacks_for: timedelta


def read_credentials(table: Table) -> PaypalCredentials:
    """Return what a table says. Raises BadSettings."""
    return PaypalCredentials(
        client_id=table.need("client_id", _client_id),
        client_secrets=table.need("client_secret", _client_secrets),
        webhook_ids=table.need("webhook_id", _webhook_ids),
        cert_hosts=table.get("cert_hosts", _cert_hosts, ["*.paypal.com"]),
        cert_roots=table.get("cert_roots", _cert_roots, ""),
        callbacks_for=table.get("callbacks_for", values.at_most(_LONGEST, "4d"), "5m"),
    )


def _client_id(key: str, value: object) -> str:
    if not isinstance(value, str) or not _WORD.fullmatch(value) or ":" in value:
        raise BadSettings(key, "is no client id", "1 to 200 letters without spaces or colons")
    return value


def _client_secrets(key: str, value: object) -> tuple[Secret, ...]:
    allowed = "16 to 200 letters without spaces, or a list of such while rotating"
    found = _matching(value, _SECRET)
    if not found:
        raise BadSettings(key, "is no client secret", allowed)
    return tuple(Secret(one) for one in found)


def _webhook_ids(key: str, value: object) -> tuple[str, ...]:
    allowed = "1 to 50 letters and digits, or a list of such while changing"
    found = _matching(value, _WEBHOOK_ID)
    if not found:
        raise BadSettings(key, "is no webhook id", allowed)
    return found


def _matching(value: object, shape: "re.Pattern[str]") -> tuple[str, ...]:
    """Return one text or several; none where one of them is of another shape."""
    values = value if isinstance(value, list) else [value]
    found = tuple(one for one in values if isinstance(one, str) and shape.fullmatch(one))
    return found if len(found) == len(values) else ()


def _cert_hosts(key: str, value: object) -> tuple[str, ...]:
    found = value if isinstance(value, list) else [value]
    for one in found:
        if not isinstance(one, str) or not (_HOST.fullmatch(one) or _is_loopback(one)):
            raise BadSettings(key, f"{one!r:.60} is no host", _HOSTS)
    if not found:
        raise BadSettings(key, "is empty", _HOSTS)
    return tuple(found)


def _is_loopback(text: str) -> bool:
    """Say whether `text` is the origin of a server on this very machine, spoken to without TLS."""
    try:
        parts = urlsplit(text)
        is_loopback = ipaddress.ip_address(parts.hostname or "").is_loopback
        return is_loopback and text == f"http://{parts.netloc}" and (parts.port or 0) > 0
    except ValueError:
        return False


def _cert_roots(key: str, value: object) -> tuple[x509.Certificate, ...]:
    allowed = "certificates in PEM, or none for the system's"
    if not isinstance(value, str):
        raise BadSettings(key, "is not text", allowed)
    try:
        return tuple(x509.load_pem_x509_certificates(value.encode())) if value else ()
    except ValueError:
        raise BadSettings(key, "holds no certificate that can be read", allowed) from None


PAYPAL = Kind(
    "paypal",
    read_credentials,
    base_url="https://api-m.paypal.com",
    # "Do not poll" (PayPal, Rate limiting guidelines, which publish no figure); where one has to,
    # begin at 5 s and grow (PayPal, Pix, Rate limiting guideline). Webhooks bring what is urgent.
    ladder=("5s", "15s", "45s", "3m"),
    # The shopper is to be sent there within 3 hours (Orders v2, `links` of an order).
    watch_for="3h",
    # Nothing is captured after the end; what was under way may still come to light.
    lateness="15m",
    # Payments v2, PayPal-Request-Id: "The server stores keys for 45 days."
    refund_key_window="45d",
    captures=True,
)
