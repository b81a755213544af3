"""From where a request comes, behind proxies that are trusted to say so."""

import ipaddress
from collections.abc import Sequence

from aiohttp import web

from payonce.settings import Network


def address_of(request: web.Request, trusted: Sequence[Network]) -> str:
    """Return the address of who sent a request; of trusted proxies, whom they name.

    Every proxy appends to X-Forwarded-For from whom it got the request, so that the right-most
    address of no trusted proxy is the sender; what stands left of it he may have made up.
    """
    address = _plain(request.remote or "")
    hops = ",".join(request.headers.getall("X-Forwarded-For", [])).split(",")
    while hops and _is_trusted(address, trusted):
        named = _plain(hops.pop().strip())
        if _parsed(named) is None:
            break
        address = named
    return address


def _is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    found = _parsed(address)
    return found is not None and any(found in network for network in trusted)


def _plain(text: str) -> str:
    """Return an address without port and brackets; an IPv4 address in its own shape."""
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    found = _parsed(text)
    mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
    return str(mapped) if mapped else text


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
