"""Free ports on loopback."""

import random
import socket
from contextlib import suppress

from tests.support.waiting import holds_within

HOST = "127.0.0.1"
_PORTS = range(15_000, 32_000)
_DRAW = random.SystemRandom()


def free_port() -> int:
    """Return a port that nobody listens on right now, of those that no system hands out itself."""
    while True:
        port = _DRAW.choice(_PORTS)
        with socket.socket() as probe, suppress(OSError):
            probe.bind((HOST, port))
            return port


def is_open(port: int) -> bool:
    """Say whether somebody listens on `port`."""
    try:
        socket.create_connection((HOST, port), 1).close()
    except OSError:
        return False
    return True


def wait_open(port: int, timeout_s: float, what: str) -> None:
    """Return once somebody listens on `port`, else raise TimeoutError."""
    if not holds_within(timeout_s, lambda: is_open(port)):
        raise TimeoutError(f"{what} did not open port {port} within {timeout_s:g} s")
