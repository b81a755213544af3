"""For `payonce check`: who can read along, or take a server's place, on the way to it."""

import asyncio
import os
import socket
from dataclasses import dataclass

from payonce.domain.addresses import is_private, is_private_name, literal
from payonce.settings import Servers
from payonce.settings.servers import (
    Protection,
    amqp_protection,
    hosts_of,
    postgres_protection,
    redis_protection,
)

LOOK_UP_WITHIN_S = 2.0
FAR = "outside of private networks: use TLS with verification (docs/configuration.md, TLS)"


@dataclass(frozen=True, slots=True)
class Way:
    """The way to one server, in words; `warning`: it needs more protection than it has."""

    words: str
    warning: bool = False


async def ways_to(servers: Servers) -> dict[str, Way]:
    """Return the ways to the three servers by their names. Names are looked up, no more."""
    dsn, amqp, redis = servers.postgres_dsn, servers.amqp_url, servers.redis_url
    return {
        "postgresql": await _way(dsn, postgres_protection(dsn, os.environ)),
        "rabbitmq": await _way(amqp, amqp_protection(amqp)),
        "redis": await _way(redis, redis_protection(redis)),
    }


async def _way(url: str, protection: Protection) -> Way:
    if not protection.is_weak:
        return Way(protection.value)
    near = [await _is_near(host) for host in hosts_of(url, os.environ)]
    if all(near):
        return Way(f"{protection.value}, within this machine or a private network")
    return Way(f"{protection.value}, {FAR}", warning=True)


async def _is_near(host: str) -> bool:
    """Say whether a host is in a private network; what cannot be looked up is not."""
    if is_private_name(host) and literal(host) is None:
        return True
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(LOOK_UP_WITHIN_S):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    addresses = [literal(str(place[0])) for *_, place in found]
    return all(one is not None and is_private(one) for one in addresses)
