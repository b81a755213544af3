"""Free ports on loopback."""

import socket

from tests.support.waiting import holds_within

HOST = "127.0.0.1"


def free_port() -> int:
    """Return a port that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
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
