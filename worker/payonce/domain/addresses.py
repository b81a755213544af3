"""Which addresses payonce calls: a name's look says whether it may lead into a private network."""

import ipaddress
from collections.abc import Iterable
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address

PRIVATE_ENDS = frozenset(
    {
        "localhost",  # RFC 6761
        "test",  # the same
        "local",  # RFC 6762; Kubernetes' cluster.local lies below it
        "internal",  # set aside by ICANN in 2024
        "home.arpa",  # RFC 8375
        "svc",  # a Service of Kubernetes, written without its cluster
        "intranet",  # this and the rest: RFC 6762, appendix G
        "private",
        "corp",
        "home",
        "lan",
    }
)
"""Ends of names that the public DNS does not hold: who writes one means a network of his own."""

_METADATA = frozenset(
    map(ipaddress.ip_address, ("100.100.100.200", "192.0.0.192", "fd00:ec2::254"))
)
"""Where clouds hand out credentials, besides the link-local 169.254.169.254."""

_LOCAL_NAT64 = ipaddress.IPv6Network("64:ff9b:1::/48")
"""RFC 8215; older Pythons take it for global."""

_EMBEDDING_LAST_32_BITS = tuple(
    map(ipaddress.IPv6Network, ("::ffff:0:0/96", "64:ff9b::/96", "::ffff:0:0:0/96", "::/96"))
)
"""Networks whose last 32 bits are the IPv4 address that is meant (RFC 4291, 6052, 2765)."""


def literal(host: str) -> Address | None:
    """Return the address that a host is written as; None: it is a name."""
    try:
        return ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return None


def is_private_name(host: str) -> bool:
    """Say whether a name is private by nature: without a dot, or with an end of PRIVATE_ENDS."""
    labels = host.lower().rstrip(".").split(".")
    ends = (".".join(labels[-count:]) for count in (1, 2))
    return len(labels) == 1 or not PRIVATE_ENDS.isdisjoint(ends)


def is_private(address: Address) -> bool:
    """Say whether an address, or one embedded in it, is not of the public internet."""
    meant = _meant(address)
    if isinstance(meant, ipaddress.IPv6Address) and (meant.is_site_local or meant in _LOCAL_NAT64):
        return True
    return not meant.is_global or meant.is_multicast


def why_never(address: Address) -> str | None:
    """Return why nobody means to have this address called; None: somebody may."""
    meant = _meant(address)
    if meant.is_link_local or meant in _METADATA:
        return "link-local, where clouds hand out credentials"
    if meant.is_multicast:
        return "multicast"
    if meant.is_unspecified or (meant.version == 4 and int(meant) >> 24 == 0):
        return "the address of no host"
    return None


def why_refused(host: str, address: str, allowed: Iterable[str] = ()) -> str | None:
    """Return why `host`, which resolved to `address`, is not to be called; None: it may be.

    `allowed`: names that may lead into a private network, `*.` before one: all below it.
    """
    found = ipaddress.ip_address(address)
    never = why_never(found)
    if never is not None:
        return never
    if not is_private(found) or literal(host) is not None or is_private_name(host):
        return None
    return None if any(fits(host, one) for one in allowed) else "private"


def fits(host: str, pattern: str) -> bool:
    """Say whether a name is `pattern`, or below it where that begins with `*.`."""
    host, pattern = host.lower().rstrip("."), pattern.lower()
    if pattern.startswith("*."):
        return host.endswith(pattern[1:]) and len(host) > len(pattern) - 1
    return host == pattern


def _meant(address: Address) -> Address:
    """Return the IPv4 address that an IPv6 address embeds, else the address itself."""
    if isinstance(address, ipaddress.IPv4Address) or int(address) <= 1:
        return address
    if any(address in network for network in _EMBEDDING_LAST_32_BITS):
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour or address
