"""What the tests of adapters stand on."""

import pytest

from payonce.adapters.redis import link


@pytest.fixture(autouse=True)
def patience(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine that is slow is no Redis that is away; frozen ones keep the limit."""
    if "frozen" not in request.node.name:
        monkeypatch.setattr(link, "SOCKET_TIMEOUT_S", 5.0)
