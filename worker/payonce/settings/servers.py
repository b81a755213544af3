"""Where the three servers are, and how far their URLs protect what is said to them.

The libraries read these URLs by themselves; here is refused what they would silently take for less
than it says: options of TLS on a URL without it, words that switch the check of certificates off.
"""

import ssl
from collections.abc import Callable, Mapping
from enum import StrEnum
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

from payonce.domain.errors import BadSettings
from payonce.settings import values
from payonce.settings.model import Servers


class Protection(StrEnum):
    """What keeps strangers between payonce and a server from reading along or taking its place."""

    LOCAL = "by a socket of this machine"
    PLAIN = "in plain text"
    PERHAPS = "encrypted only if the server offers it, its certificate not verified"
    UNVERIFIED = "encrypted, its certificate not verified"
    CHAIN = "encrypted, its certificate verified but not its host name"
    VERIFIED = "encrypted, its certificate verified"

    @property
    def is_weak(self) -> bool:
        """Whether somebody on the way can read along or take the server's place."""
        return self not in {Protection.LOCAL, Protection.VERIFIED}


_CA_FILES = frozenset({"cafile", "sslrootcert", "ssl_ca_certs"})
_FILES = _CA_FILES | {"certfile", "keyfile", "sslcert", "sslkey", "ssl_certfile", "ssl_keyfile"}
_AMQP_OPTIONS = frozenset({"cafile", "capath", "cadata", "certfile", "keyfile", "no_verify_ssl"})
_REDIS_OPTIONS = frozenset(
    f"ssl_{name}"
    for name in (
        *("ca_certs", "ca_data", "ca_path", "certfile", "keyfile", "password"),
        *("cert_reqs", "check_hostname", "min_version", "ciphers"),
        *("include_verify_flags", "exclude_verify_flags"),
    )
)
_NO = frozenset({"0", "f", "false", "n", "no"})
_SSL_MODES = {
    "disable": Protection.PLAIN,
    "allow": Protection.PERHAPS,
    "prefer": Protection.PERHAPS,
    "require": Protection.UNVERIFIED,
    "verify-ca": Protection.CHAIN,
    "verify-full": Protection.VERIFIED,
}


def read(found: Mapping[str, str]) -> Servers:
    """Return the three URLs by the last part of their variable, checked. Raises BadSettings."""
    return Servers(
        _postgres("PAYONCE_POSTGRES_DSN", found["POSTGRES_DSN"]),
        amqp_url("PAYONCE_AMQP_URL", found["AMQP_URL"]),
        _redis("PAYONCE_REDIS_URL", found["REDIS_URL"]),
    )


def postgres_protection(dsn: str, environ: Mapping[str, str]) -> Protection:
    """Return how a DSN protects; libpq's variables in `environ` say what it leaves open."""
    options = _options(dsn)
    if not hosts_of(dsn, environ):
        return Protection.LOCAL
    mode = options.get("sslmode") or environ.get("PGSSLMODE") or "prefer"
    protection = _SSL_MODES.get(mode, Protection.PERHAPS)
    has_ca = options.get("sslrootcert") or environ.get("PGSSLROOTCERT")
    return Protection.CHAIN if has_ca and protection is Protection.UNVERIFIED else protection


def amqp_protection(url: str) -> Protection:
    """Return how a URL of RabbitMQ protects."""
    if urlsplit(url).scheme != "amqps":
        return Protection.PLAIN
    off = _options(url).get("no_verify_ssl", "0") != "0"
    return Protection.UNVERIFIED if off else Protection.VERIFIED


def redis_protection(url: str) -> Protection:
    """Return how a URL of Redis protects."""
    scheme, options = urlsplit(url).scheme, _options(url)
    if scheme != "rediss":
        return Protection.LOCAL if scheme == "unix" else Protection.PLAIN
    if options.get("ssl_cert_reqs") == "none":
        return Protection.UNVERIFIED
    unnamed = options.get("ssl_check_hostname", "").lower() in _NO
    return Protection.CHAIN if unnamed else Protection.VERIFIED


def hosts_of(url: str, environ: Mapping[str, str]) -> list[str]:
    """Return the hosts that a URL names, none where it means a socket of this machine."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return []
    named = parts.netloc.rpartition("@")[2] or _options(url).get("host", "")
    if not named and parts.scheme.startswith("postgres"):
        named = environ.get("PGHOST", "")
    hosts = [_without_port(one) for one in named.split(",")]
    return [one for one in hosts if one and not one.startswith("/")]


def _without_port(place: str) -> str:
    if place.startswith("["):
        return place[1:].partition("]")[0]
    return place.partition(":")[0]


def _postgres(key: str, value: str) -> str:
    dsn = values.url("postgresql", "postgres", socket_ok=True)(key, value)
    _read_files(key, dsn)
    return dsn


def amqp_url(key: str, value: object) -> str:
    """Return the URL of a broker. Raises BadSettings."""
    url = values.url("amqp", "amqps")(key, value)
    _refuse_without_tls(key, url, "amqps", _AMQP_OPTIONS.__contains__)
    if _options(url).get("no_verify_ssl", "0") not in {"0", "1"}:
        raise BadSettings(key, "has an unknown no_verify_ssl", "0, or 1 to verify nothing")
    _read_files(key, url)
    return url


def _redis(key: str, value: str) -> str:
    url = values.url("redis", "rediss", "unix", socket_ok=True)(key, value)
    _refuse_without_tls(key, url, "rediss", lambda name: name.startswith("ssl_"))
    options = _options(url)
    for name in options:
        if name.startswith("ssl_") and name not in _REDIS_OPTIONS:
            raise BadSettings(key, f"has an unknown {name}", ", ".join(sorted(_REDIS_OPTIONS)))
    if options.get("ssl_cert_reqs", "required") not in {"none", "optional", "required"}:
        raise BadSettings(key, "has an unknown ssl_cert_reqs", "required, or none")
    _read_files(key, url)
    return url


def _refuse_without_tls(key: str, url: str, scheme: str, asks: Callable[[str], bool]) -> None:
    """Raise BadSettings where a URL has options of TLS, but is none with TLS."""
    wanted = [name for name in _options(url) if asks(name)]
    if wanted and urlsplit(url).scheme != scheme:
        raise BadSettings(key, f"has {wanted[0]}, but asks for no TLS", f"{scheme}://host")


def _read_files(key: str, url: str) -> None:
    """Raise BadSettings where a file that TLS needs cannot be read."""
    for name, path in _options(url).items():
        if name not in _FILES:
            continue
        try:
            if name in _CA_FILES:
                ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
            else:
                Path(path).open("rb").close()
        except OSError as error:
            reason = error.strerror or type(error).__name__
            raise BadSettings(key, f"cannot read {name}: {reason}", "a file in PEM") from None


def _options(url: str) -> dict[str, str]:
    return dict(parse_qsl(urlsplit(url).query, keep_blank_values=True))
