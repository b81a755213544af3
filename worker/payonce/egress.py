"""The way out: where names may not lead to, and in words why TLS did not come about.

The check of names sits in the resolver, so that what was checked is what is connected to: a name
that answers differently a moment later (DNS rebinding) gains nothing.
"""

import socket
import ssl
from collections.abc import Iterable

import structlog
from aiohttp import ClientError, ThreadedResolver
from aiohttp.abc import AbstractResolver, ResolveResult

from payonce.domain.addresses import why_refused

log = structlog.get_logger(__name__)

CA_OPTION = "SSL_CERT_FILE"
"""The variable by which HTTP clients, as every program on OpenSSL, are told of a private CA."""


class AddressRefused(OSError):
    """A name leads to an address that is not called. aiohttp takes it for a failed look-up."""

    def __init__(self, host: str, address: str, why: str) -> None:
        super().__init__(f"{host} leads to {address}: {why}")
        self.address = address


class CheckedResolver(AbstractResolver):
    """Resolves names; `allowed` ones may lead into a private network (`domain.addresses`)."""

    def __init__(self, allowed: Iterable[str] = (), inner: AbstractResolver | None = None) -> None:
        self._allowed = tuple(allowed)
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Return where a name leads to. Raises AddressRefused on one bad address among them."""
        found = await self._inner.resolve(host, port, family)
        for one in found:
            why = why_refused(host, one["host"], self._allowed)
            if why is not None:
                log.warning("address.refused", host=host, address=one["host"], reason=why)
                raise AddressRefused(host, one["host"], why)
        return found

    async def close(self) -> None:
        """Release what the resolver holds."""
        await self._inner.close()


_NEVER_TLS = frozenset({"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST"})
_TOO_OLD = frozenset({"UNSUPPORTED_PROTOCOL", "TLSV1_ALERT_PROTOCOL_VERSION"})
_EXPIRED, _NOT_YET = 10, 9
_WRONG_NAME = frozenset({62, 64})
_LONGEST_CHAIN = 10


def tls_problem(error: BaseException, ca_option: str) -> str | None:
    """Return in words why there is no TLS with a server, and what to do; None: another problem.

    `error` and what it was raised from are looked at; `ca_option` names the file of a private CA.
    """
    for one in _chain(error):
        if isinstance(one, ClientError):
            continue  # aiohttp's are SSLErrors in name alone: what they were raised from tells.
        if isinstance(one, ssl.SSLCertVerificationError):
            return _certificate_problem(one, ca_option)
        if isinstance(one, ssl.SSLError):
            return _handshake_problem(one)
    return None


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    next_one: BaseException | None = error
    while next_one is not None and len(found) < _LONGEST_CHAIN:
        found.append(next_one)
        context = None if next_one.__suppress_context__ else next_one.__context__
        next_one = next_one.__cause__ or context
    return found


def _certificate_problem(error: ssl.SSLCertVerificationError, ca_option: str) -> str:
    """Translate the codes of OpenSSL (x509_vfy.h)."""
    if error.verify_code == _EXPIRED:
        return "its certificate has expired: renew it"
    if error.verify_code == _NOT_YET:
        return "its certificate is not valid yet: compare the clocks"
    if error.verify_code in _WRONG_NAME:
        return "its certificate is for another host: connect by a name that stands in it"
    return f"its certificate comes from nobody trusted here: name its CA by {ca_option}"


def _handshake_problem(error: ssl.SSLError) -> str:
    reason = error.reason or ""
    if reason in _NEVER_TLS:
        return "it does not speak TLS: is this its port for TLS?"
    if reason in _TOO_OLD:
        return "it speaks no TLS that is new enough: 1.2 or later"
    if "ALERT" in reason:
        return f"it broke off the TLS handshake ({reason}): does it want a certificate of ours?"
    return f"there is no TLS with it ({reason or type(error).__name__})"
