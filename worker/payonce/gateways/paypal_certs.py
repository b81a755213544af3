"""Certificates of PayPal's webhooks: fetched from allowed hosts, led back to trusted roots."""

import contextlib
import ipaddress
import re
import ssl
import warnings
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from cryptography.x509 import verification
from yarl import URL

from payonce.domain.addresses import fits
from payonce.domain.errors import BadCallback, Unavailable
from payonce.gateways.client import Answer, NoAnswer

KEPT = 16
"""So many certificates are kept; PayPal uses few, and a stranger may name many."""
FETCHES_PER_MINUTE = 20
"""So often a certificate is fetched that is not kept: strangers may not have us call around."""

_LONGEST_CHAIN = 8
# PayPal's own SDKs accept certificates of these names alone (PayPal-Java-SDK, SSLUtil).
_NAME = re.compile(r"messageverificationcerts(\.[a-z0-9-]+)*\.paypal\.com")
_PATH = re.compile(r"/[A-Za-z0-9/_.-]{1,200}")

Fetch = Callable[[URL], Awaitable[Answer | NoAnswer]]


class Certificates:
    """The keys of the certificates that callbacks name, as far as these can be trusted."""

    def __init__(
        self, hosts: Sequence[str], roots: Sequence[x509.Certificate], fetch: Fetch
    ) -> None:
        self._hosts = hosts
        self._roots = roots
        self._fetch = fetch
        self._store: verification.Store | None = None
        self._kept: OrderedDict[str, list[x509.Certificate]] = OrderedDict()
        self._fetched_at: list[float] = []

    async def key_of(self, address: str, now: datetime) -> RSAPublicKey:
        """Return the key of the certificate at `address`, valid at `now`.

        Raises BadCallback where it is not to be trusted, Unavailable where it cannot be had now.
        """
        chain = self._kept.get(address)
        if chain is None:
            chain = await self._get(self._allowed(address), now)
            self._verify(chain, now)
            self._kept[address] = chain
            if len(self._kept) > KEPT:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(address)
            self._verify(chain, now)
        key = chain[0].public_key()
        if not isinstance(key, RSAPublicKey):
            raise _bad("its key is not RSA")
        return key

    def _allowed(self, address: str) -> URL:
        """Return the URL if a certificate may come from there."""
        try:
            url = URL(address)
            port = url.port
        except ValueError:
            raise _bad("paypal-cert-url is no URL") from None
        plain = not (url.user or url.password or url.query_string or url.fragment)
        if not plain or not _PATH.fullmatch(url.raw_path) or ".." in address:
            raise _bad("paypal-cert-url is not shaped as it must be")
        host = url.host or ""
        if url.scheme == "https" and port == 443 and any(fits(host, one) for one in self._hosts):
            return url
        if url.scheme == "http" and str(url.origin()) in self._hosts and _is_loopback(host):
            return url
        raise _bad("paypal-cert-url leads to a host that is not in cert_hosts")

    async def _get(self, url: URL, now: datetime) -> list[x509.Certificate]:
        self._spare(now.timestamp())
        answer = await self._fetch(url)
        if isinstance(answer, NoAnswer):
            raise Unavailable("certificate", answer.problem)
        if answer.status in {404, 410}:
            raise _bad("there is no certificate at paypal-cert-url")
        if answer.status != 200:
            raise Unavailable("certificate", f"http-{answer.status}")
        try:
            chain = x509.load_pem_x509_certificates(answer.body)
        except ValueError:
            raise _bad("what is at paypal-cert-url is no certificate") from None
        if len(chain) > _LONGEST_CHAIN:
            raise _bad("its chain is too long")
        return chain

    def _spare(self, now_s: float) -> None:
        self._fetched_at = [at for at in self._fetched_at if abs(now_s - at) < 60]
        if len(self._fetched_at) >= FETCHES_PER_MINUTE:
            raise Unavailable("certificate", "too many were fetched within a minute")
        self._fetched_at.append(now_s)

    def _verify(self, chain: Sequence[x509.Certificate], now: datetime) -> None:
        """Check names, dates and signatures up to a trusted root (RFC 5280, as for TLS servers)."""
        leaf, *between = chain
        builder = verification.PolicyBuilder().store(self._trusted()).time(now)
        try:
            verifier = builder.build_server_verifier(x509.DNSName(_name_of(leaf)))
            verifier.verify(leaf, between)
        except (verification.VerificationError, ValueError, UnsupportedAlgorithm) as error:
            raise _bad(f"its certificate is not to be trusted: {str(error)[:200]}") from None

    def _trusted(self) -> verification.Store:
        if self._store is None:
            roots = list(self._roots) or _system_roots()
            if not roots:
                raise Unavailable("certificate", "this system has no root certificates")
            self._store = verification.Store(roots)
        return self._store


def _name_of(leaf: x509.Certificate) -> str:
    try:
        names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, ValueError):
        raise _bad("its certificate has no names") from None
    for name in names.get_values_for_type(x509.DNSName):
        if _NAME.fullmatch(name):
            return name
    raise _bad("its certificate is not PayPal's for messages")


def _system_roots() -> list[x509.Certificate]:
    """Return the system's roots; one that is not made by the rules (RFC 5280) is left out."""
    found = []
    for raw in ssl.create_default_context().get_ca_certs(binary_form=True):
        with warnings.catch_warnings(), contextlib.suppress(ValueError, Warning):
            warnings.simplefilter("error")
            found.append(x509.load_der_x509_certificate(raw))
    return found


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _bad(problem: str) -> BadCallback:
    return BadCallback("bad-signature", problem)
