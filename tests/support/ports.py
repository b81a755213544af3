"""Free ports on loopback."""

import socket
import time

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
    until = time.monotonic() + timeout_s
    while not is_open(port):
        if time.monotonic() > until:
            raise TimeoutError(f"{what} did not open port {port} within {timeout_s:g} s")
        time.sleep(0.05)
